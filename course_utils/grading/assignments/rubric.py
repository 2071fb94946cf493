"""Marking rubric: criteria with weights, levels described in words, and a version that every mark records."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from course_utils.errors import DamagedFile, SettingsError
from course_utils.core.paths import REPOSITORY

NAME = "rubric.yaml"
ASSIGNMENT = "release_strategy"
CELL_PREFIX = "criterion-"  # stands before a criterion's id in the name of its cell, also in nbgrader's database
ID = re.compile(r"[a-z][a-z0-9_-]{0,30}")


@dataclasses.dataclass(frozen=True)
class Level:
    """A level that all criteria share: its name, and the share of a criterion's points that it earns."""

    name: str
    share: float


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A criterion of a rubric.

    Parameters
    ----------
    id, name : str
    weight : float
        Points in all.
    asks : str
        The question that a grader answers.
    descriptors : tuple of str
        What each level looks like, from the lowest.
    next : tuple of str
        What lifts an essay from each level to the next.
    """

    id: str
    name: str
    weight: float
    asks: str
    descriptors: tuple[str, ...]
    next: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Rubric:
    """A marking rubric for essays.

    Parameters
    ----------
    title : str
    words : tuple of (int, int)
        The fewest and the most.
    levels : tuple of Level
        From the lowest.
    criteria : tuple of Criterion
    version : str
        The first twelve digits of the sha256 of all that stands above.
    """

    title: str
    words: tuple[int, int]
    levels: tuple[Level, ...]
    criteria: tuple[Criterion, ...]
    version: str

    @property
    def points(self) -> float:
        """Return the points that can be had in all."""
        return sum(criterion.weight for criterion in self.criteria)

    def criterion(self, criterion_id: str) -> Criterion:
        """Return a criterion by its id.

        Raises
        ------
        SettingsError
            There is none.
        """
        for found in self.criteria:
            if found.id == criterion_id:
                return found
        known = ", ".join(criterion.id for criterion in self.criteria)
        raise SettingsError(f"There is no criterion {str(criterion_id)[:40]!r}.", f"One of {known}.", "Name one of them.")

    def points_of(self, criterion_id: str, level: int) -> float:
        """Return the points that a level earns, levels counted from 0."""
        return self.criterion(criterion_id).weight * self.levels[level].share

    def level_of(self, criterion_id: str, points: float) -> int:
        """Return the highest level that these points reach."""
        reached = [i for i in range(len(self.levels)) if self.points_of(criterion_id, i) <= points + 1e-9]
        return reached[-1] if reached else 0


def load_rubric(path: str | Path | None = None) -> Rubric:
    """Read a rubric.

    Parameters
    ----------
    path : str or Path, optional
        When left out: beside the notebook, else the one in the course's ``source`` or ``assignments`` folder.

    Raises
    ------
    DamagedFile
        There is none, or it is not whole; says what is wrong.
    """
    file = Path(path) if path else _nearest()
    try:
        return rubric_of(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, TypeError, KeyError) as problem:
        reason = str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
        raise DamagedFile(
            f"{file} cannot be used as a rubric: {reason}.", "Title, words, levels and criteria.", "Mend that line."
        ) from problem


def rubric_of(values: Mapping[str, Any]) -> Rubric:
    """Make a rubric of plain values, as they stand in ``rubric.yaml``.

    Raises
    ------
    ValueError, KeyError, TypeError
        They are not whole.
    """
    levels = tuple(Level(str(value["name"]), float(value["share"])) for value in values["levels"])
    shares = [level.share for level in levels]
    if len(levels) < 2 or shares != sorted(set(shares)) or shares[0] != 0 or shares[-1] != 1:
        raise ValueError(f"the levels' shares are {shares}; they must rise from 0 to 1")
    criteria = tuple(_criterion(value, len(levels)) for value in values["criteria"])
    if not criteria or len({criterion.id for criterion in criteria}) < len(criteria):
        raise ValueError("there must be criteria, each with an id of its own")
    least, most = int(values["words"]["least"]), int(values["words"]["most"])
    if not 0 < least < most:
        raise ValueError(f"words are {least} to {most}")
    version = hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]
    return Rubric(str(values["title"]), (least, most), levels, criteria, version)


def _criterion(values: Mapping[str, Any], n_levels: int) -> Criterion:
    criterion_id, weight = str(values["id"]), float(values["weight"])
    if not ID.fullmatch(criterion_id) or not 0 < weight <= 1000:
        raise ValueError(f"criterion {criterion_id!r} weighs {weight}; its id takes small letters, its weight is above 0")
    descriptors = tuple(" ".join(str(value).split()) for value in values["descriptors"])
    steps = tuple(" ".join(str(value).split()) for value in values["next"])
    if len(descriptors) != n_levels or len(steps) != n_levels - 1 or not all(descriptors + steps):
        raise ValueError(f"criterion {criterion_id!r} needs {n_levels} descriptors and {n_levels - 1} texts of what comes next")
    return Criterion(criterion_id, str(values["name"]), weight, " ".join(str(values["asks"]).split()), descriptors, steps)


def _nearest() -> Path:
    """Return the rubric that a notebook here means."""
    here = Path.cwd()
    above = [here, *here.parents, REPOSITORY]
    inside = [Path(), Path("source") / ASSIGNMENT, Path("assignments") / ASSIGNMENT]
    found = [folder / folder_name / NAME for folder in above for folder_name in inside]
    return next((file for file in found if file.is_file()), found[0])
