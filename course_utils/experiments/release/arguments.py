"""Arguments about release: strategies in use, four readings on nine questions, factors, a checklist.

The rows are in ``history.json``, each with its sources and its tag, as `history` explains.
"""

import pandas as pd

from course_utils.data.bibliography import in_words
from course_utils.errors import SettingsError
from course_utils.experiments.release.history import rows


def strategies() -> pd.DataFrame:
    """Return ways to release a model, each with an example, for, against, and which reading backs it.

    The source and tag are of the example; for and against are this course's weighing.
    """
    return rows("strategies")


def levels() -> pd.DataFrame:
    """Return the six levels of openness between a closed model and an open one (Solaiman 2023)."""
    return rows("levels")


def disagreements(wide: bool = True) -> pd.DataFrame:
    """Return what each of the four readings answers to nine questions.

    Parameters
    ----------
    wide : bool
        One row a question and one column a reading; otherwise one row an answer, with its source and tag.
    """
    table = rows("disagreements")
    if not wide:
        return table
    answers = table.pivot(index="question", columns="reading", values="answer")
    return answers.loc[table["question"].unique(), table["reading"].unique()].rename_axis(columns=None).reset_index()


def may_factors() -> pd.DataFrame:
    """Return the seven factors that OpenAI listed for its decision of May 2019."""
    return rows("may_factors")


def checklist(part: str | None = None) -> pd.DataFrame:
    """Return the essay's benefits, threats and strategies, and a comment's questions of power, data and labour.

    Parameters
    ----------
    part : {"benefit", "threat", "strategy", "thesis", "question"}, optional

    Raises
    ------
    SettingsError
        No such part.
    """
    table = rows("checklist")
    parts = list(table["part"].unique())
    if part is not None and part not in parts:
        raise SettingsError(f"part is {part!r}.", f"One of {', '.join(parts)}.", 'checklist("threat")')
    return table[table["part"] == part].reset_index(drop=True) if part else table


def corrections() -> pd.DataFrame:
    """Return where one of the course's texts says otherwise than the sources: told_by, told, seen, source, tag."""
    table = rows("corrections")
    return table.assign(told_by=table["told_by"].map(lambda source_id: in_words([source_id])))


def access_figures() -> pd.DataFrame:
    """Return figures on who can study large models and who uses released ones: what, value, unit, note, source, tag.

    All are from one student's essay and were not checked further.
    """
    return rows("access_figures")


def essay_claims() -> pd.DataFrame:
    """Return a student essay's claims, checked: claim, where_to_look, verdict, seen, source, tag."""
    return rows("essay_claims")
