"""How far a number would move with other documents of the same kind: a bootstrap that draws alike for every model."""

import numpy as np
import pandas as pd

N_RESAMPLES = 2000


def by_document(details: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one row a document, one column a model; the details have one row a model and document."""
    return details.pivot(index="document", columns="model", values=column)


def draw_documents(n_documents: int, seed: int) -> np.ndarray:
    """Return which documents each resample holds, shape (R, n_documents)."""
    return np.random.default_rng(seed).integers(n_documents, size=(N_RESAMPLES, n_documents))


def interval(amounts, lengths, drawn: np.ndarray) -> tuple[float, float]:
    """Return the 95% interval of a ratio of sums, such as bits to characters; NaN with a single document.

    Parameters
    ----------
    amounts, lengths : array_like of shape (n_documents,)
    drawn : np.ndarray
        As ``draw_documents`` returns it: the 2.5% and 97.5% points over these resamples are taken (Efron 1979).
    """
    amounts, lengths = np.asarray(amounts), np.asarray(lengths)
    if len(amounts) < 2:
        return np.nan, np.nan
    low, high = np.percentile(amounts[drawn].sum(axis=1) / lengths[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)
