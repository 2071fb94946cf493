"""Results of the GPT-2 paper: the values that it reports for the four sizes."""

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError
from course_utils.experiments.core.power_law import fit_power_law
from course_utils.models.architecture import GPT2
from course_utils.plots.size import Panel

# Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", table 3: zero-shot, with de-tokenizers
# that are worth 2.5 to 5 points of perplexity. Perplexities and bits: lower is better; accuracies in %.
PAPER = pd.DataFrame(
    [
        ["earlier best", np.nan, 99.8, 59.23, 85.7, 82.3, 39.14, 46.54, 0.99, 1.08, 18.3, 21.8],
        ["gpt2", 0, 35.13, 45.99, 87.65, 83.4, 29.41, 65.85, 1.16, 1.17, 37.50, 75.20],
        ["gpt2-medium", 0, 15.60, 55.48, 92.35, 87.1, 22.76, 47.33, 1.01, 1.06, 26.37, 55.72],
        ["gpt2-large", 0, 10.87, 60.12, 93.45, 88.0, 19.93, 40.31, 0.97, 1.02, 22.05, 44.575],
        ["gpt2-xl", 0, 8.63, 63.24, 93.30, 89.05, 18.34, 35.76, 0.93, 0.98, 17.48, 42.16],
    ],
    columns=[
        "model", "n_parameters", "LAMBADA perplexity", "LAMBADA accuracy", "CBT-CN accuracy", "CBT-NE accuracy",
        "WikiText2 perplexity", "PTB perplexity", "enwik8 bits per byte", "text8 bits per character",
        "WikiText103 perplexity", "1BW perplexity",
    ],
)  # fmt: skip
PAPER["n_parameters"] = [np.nan, *(shape.n_parameters for shape in GPT2.values())]


def paper_panel(measure: str = "text8 bits per character") -> Panel:
    """Return a column of the GPT-2 paper's table 3 as one panel, with the line through its four points.

    Raises
    ------
    SettingsError
        It is no loss of that table.
    """
    losses = [name for name in PAPER.columns[2:] if "accuracy" not in name]
    if measure not in losses:
        raise SettingsError(f"measure is {measure!r}.", f"One of {', '.join(losses)}.", "Choose one of them.")
    table = PAPER.dropna(subset="n_parameters")[["model", "n_parameters", measure]].rename(columns={measure: "value"})
    law = fit_power_law(table["n_parameters"], table["value"])
    return Panel("the paper's, 2019", measure, table.assign(low=np.nan, high=np.nan), law.table(), law.exponent)
