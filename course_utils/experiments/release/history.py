"""Release history of 2019 as data: events, the four sizes, and what was open and known at each stage.

All rows are in ``history.json``, each with the ids of its sources (`course_utils.data.bibliography`) and a tag that
says how well they were seen (`TAGS`). Dates of the releases come from `release_plan`. The arguments are in `arguments`.
"""

import dataclasses
import datetime
import functools
import json

import pandas as pd

from course_utils.core.paths import data_file
from course_utils.data.bibliography import in_words
from course_utils.errors import SettingsError
from course_utils.experiments.release.release_plan import OPENAI
from course_utils.models.architecture import FIRST_NAMES, GPT2, LATER_NAMES
from course_utils.models.registry.catalogue import POCKET
from course_utils.plots.picture import Picture
from course_utils.plots.timeline import timeline_picture

ROWS = data_file(__name__, "history.json")
TAGS = {
    "V": "seen in the source itself",
    "V2": "second-hand: seen where others report it",
    "SEED": "told by one of the course's own texts, not checked further",
    "CALC": "counted or concluded by this course from the others",
}
DAY, MONTH, YEAR = "day", "month", "year"
PRECISION = {10: DAY, 7: MONTH, 4: YEAR}  # by the letters of a date


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """One stage of GPT-2's release, as it stood on a day.

    Parameters
    ----------
    name : str
        "Feb 2019", "May 2019", "Aug 2019" or "Nov 2019".
    begins : datetime.date
    seen_on : datetime.date
        The day on which it is looked at: what became public later is not in it.
    opened : str
        The size that this stage opened.
    open_sizes, closed_sizes : tuple of str
        GPT-2's sizes that anyone may load from now on, and those still withheld; smallest first.
    open_pocket : tuple of str
        As many of this course's own sizes.
    reason : str
        What OpenAI gave for it, in our words.
    evidence : pandas.DataFrame
        As `evidence` returns it for that day.
    """

    name: str
    begins: datetime.date
    seen_on: datetime.date
    opened: str
    open_sizes: tuple[str, ...]
    closed_sizes: tuple[str, ...]
    open_pocket: tuple[str, ...]
    reason: str
    evidence: pd.DataFrame


# -- what happened when ------------------------------------------------------------------------------------------------


def timeline(kind: str | None = None) -> pd.DataFrame:
    """Return what happened from 2018 to 2021, in order of time.

    Parameters
    ----------
    kind : {"OpenAI", "others", "comment", "evidence"}, optional
        All of them when left out.

    Returns
    -------
    pandas.DataFrame
        date (as told: 2019-05-03, 2019-05 or 2021), precision (day, month or year), first_day (a Timestamp, for
        drawing and sorting), event, short, kind, size, on_picture, source, tag.

    Raises
    ------
    SettingsError
        No such kind.
    """
    table = rows("timeline")
    released = dict(zip(OPENAI["model"], pd.to_datetime(OPENAI["released"]).dt.strftime("%Y-%m-%d"), strict=True))
    table["date"] = table["releases"].map(released).fillna(table["date"])
    table["size"] = table["releases"].map(LATER_NAMES).fillna(table["size"])
    table = _in_order(table)
    kinds = list(table["kind"].unique())
    if kind is not None and kind not in kinds:
        raise SettingsError(f"kind is {kind!r}.", f"One of {', '.join(kinds)}.", 'timeline("OpenAI")')
    columns = ["date", "precision", "first_day", "event", "short", "kind", "size", "on_picture", "source", "tag"]
    return table.loc[table["kind"] == kind if kind else table.index, columns].reset_index(drop=True)


def intervals() -> pd.DataFrame:
    """Return the days from the announcement to each full release, by OpenAI and by others, counted from the dates.

    Returns
    -------
    pandas.DataFrame
        event, size, date, days_after_announcement, days_before_full_release (of OpenAI's 1.5B; negative after it).
    """
    table = timeline()
    days = table[table["precision"] == DAY].set_index("short")["first_day"]
    released = table[table["short"].isin([*_shorts_of_releases(), *REPLICATIONS])]
    begun, done = (days[_shorts_of_releases()[index]] for index in (0, -1))
    after, before = (released["first_day"] - begun).dt.days, (done - released["first_day"]).dt.days
    columns = {"days_after_announcement": after, "days_before_full_release": before}
    return released[["event", "size", "date"]].assign(**columns).reset_index(drop=True)


REPLICATIONS = ("OpenGPT-2: others' 1.5B", "Grover-Mega public", "Leahy releases his")


def picture() -> Picture:
    """Return the timeline of 2019 as a figure: the share of the full model that was open, and the main events."""
    table = timeline()
    shown = table[table["on_picture"]]
    sizes = family()
    opened = pd.DataFrame({"date": sizes["released"], "share": sizes["share_of_largest"], "name": sizes["later_name"]})
    return timeline_picture(shown[["first_day", "precision", "short", "kind"]], opened)


# -- the sizes, and when they were open --------------------------------------------------------------------------------


def family() -> pd.DataFrame:
    """Return the four sizes with both their names, counted from layers and width.

    Returns
    -------
    pandas.DataFrame
        model, first_name (the paper's), later_name (the repository's from 20 August 2019), n_layers, width,
        n_parameters, share_of_largest, released (a Timestamp), source, tag.
    """
    largest = max(shape.n_parameters for shape in GPT2.values())
    released = dict(zip(OPENAI["model"], pd.to_datetime(OPENAI["released"]), strict=True))
    sizes = [
        {
            "model": name,
            "first_name": FIRST_NAMES[name],
            "later_name": LATER_NAMES[name],
            "n_layers": shape.n_layers,
            "width": shape.width,
            "n_parameters": shape.n_parameters,
            "share_of_largest": shape.n_parameters / largest,
            "released": released[name],
            "source": f"{in_words(['radford2019'])}, table 2; {in_words(['gpt2-repository'])}; parameters counted",
            "tag": "V",
        }
        for name, shape in GPT2.items()
    ]
    return pd.DataFrame(sizes)


def stages() -> list[Stage]:
    """Return the four stages, each as it stood on its first day."""
    return [stage(row["name"]) for row in _read()["stages"]]


def stage(name: str) -> Stage:
    """Return a stage by its name, as it stood on its first day.

    Raises
    ------
    SettingsError
        No stage has that name.

    Examples
    --------
    >>> stage("May 2019").open_sizes
    ('gpt2', 'gpt2-medium')
    """
    begins = _begins()
    if name not in begins:
        raise SettingsError(f"No stage is called {name!r}.", f"One of {', '.join(begins)}.", 'stage("May 2019")')
    return stage_at(begins[name])


def stage_at(date: datetime.date | str) -> Stage:
    """Return the stage in force on a day, with the evidence that was public by then.

    Parameters
    ----------
    date : datetime.date or str
        Such as "2019-08-01".

    Raises
    ------
    SettingsError
        It is no day, or one before the first release.

    Examples
    --------
    >>> stage_at("2019-08-21").name
    'Aug 2019'
    """
    day, begins = _day(date), _begins()
    begun = [name for name, first in begins.items() if first <= day]
    if not begun:
        first = min(begins.values())
        raise SettingsError(f"On {day} nothing was released.", f"A day from {first} on.", 'stage_at("2019-05-03")')
    row, names = _read()["stages"][len(begun) - 1], tuple(GPT2)
    return Stage(
        name=row["name"],
        begins=begins[row["name"]],
        seen_on=day,
        opened=row["opens"],
        open_sizes=names[: len(begun)],
        closed_sizes=names[len(begun) :],
        open_pocket=POCKET[: len(begun)],
        reason=row["reason"],
        evidence=evidence(day),
    )


def evidence(until: datetime.date | str | None = None) -> pd.DataFrame:
    """Return what was publicly known, in order of time.

    Parameters
    ----------
    until : datetime.date or str, optional
        Leave out what came after this day; of a month, its last day counts.

    Returns
    -------
    pandas.DataFrame
        date, precision, first_day, about (capability, misuse, replication, detection, credibility, bias, demand),
        finding, source, tag.
    """
    table = _in_order(rows("evidence"))
    if until is not None:
        ends = {DAY: pd.offsets.Day(0), MONTH: pd.offsets.MonthEnd(1), YEAR: pd.offsets.YearEnd(1)}
        last_days = pd.to_datetime([row.first_day + ends[row.precision] for row in table.itertuples()])
        table = table[last_days <= pd.Timestamp(_day(until))]
    return table[["date", "precision", "first_day", "about", "finding", "source", "tag"]].reset_index(drop=True)


# -- the file ----------------------------------------------------------------------------------------------------------


@functools.cache
def _read() -> dict:
    return json.loads(ROWS.read_text("utf-8"))


def rows(name: str) -> pd.DataFrame:
    """Return one of the file's tables as it stands there, with its sources in words."""
    table = pd.DataFrame(_read()[name])
    return table.assign(source=table["source"].map(in_words))


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    precision = table["date"].str.len().map(PRECISION)
    first_day = pd.to_datetime(table["date"], format="ISO8601")
    table = table.assign(precision=precision, first_day=first_day)
    return table.sort_values("first_day", kind="stable").reset_index(drop=True)


def _shorts_of_releases() -> list[str]:
    return [row["short"] for row in _read()["timeline"] if "releases" in row]


def _begins() -> dict[str, datetime.date]:
    days = dict(zip(OPENAI["model"], pd.to_datetime(OPENAI["released"]).dt.date, strict=True))
    return {row["name"]: days[row["opens"]] for row in _read()["stages"]}


def _day(date: datetime.date | str) -> datetime.date:
    if isinstance(date, datetime.date):
        return date.date() if isinstance(date, datetime.datetime) else date
    try:
        return datetime.date.fromisoformat(date)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{date!r} is no day.", "A day such as 2019-05-03.", 'stage_at("2019-05-03")') from error
