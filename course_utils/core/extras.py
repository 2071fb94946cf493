"""Packages that only a part of the course needs, such as nbgrader: what the course asks for, and what is missing."""

import importlib.metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from course_utils.errors import CourseError

DISTRIBUTION = "model-release-course"


def requirements() -> dict[str, list[Requirement]]:
    """Return what the installed course asks for.

    Returns
    -------
    dict of str to list of Requirement
        By extra, such as ``"grading"``; what every use needs is under ``""``. Empty if the course is not installed.
    """
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return {}
    asked = [Requirement(line) for line in distribution.requires or ()]
    found: dict[str, list[Requirement]] = {
        "": [
            requirement
            for requirement in asked
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    }
    for extra in distribution.metadata.get_all("Provides-Extra") or ():
        of_extra = [
            requirement
            for requirement in asked
            if requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
        ]
        found[extra] = [requirement for requirement in of_extra if requirement not in found[""]]
    return found


def pip_install(wanted: list[Requirement]) -> str:
    """Return the command that installs requirements."""
    return " ".join(
        ["python -m pip install", *(f'"{requirement.name}{requirement.specifier}"' for requirement in wanted)]
    )


def missing_package(problem: ModuleNotFoundError) -> CourseError | None:
    """Return the error that tells a person how to install a package of an extra.

    Parameters
    ----------
    problem : ModuleNotFoundError
        What an import raised.

    Returns
    -------
    CourseError or None
        None if the module belongs to no extra of the course.
    """
    module = canonicalize_name((problem.name or "").split(".")[0])
    for extra, wanted in requirements().items():
        if extra and module in [canonicalize_name(requirement.name) for requirement in wanted]:
            return CourseError(
                f"The package {problem.name} is not installed.",
                f"The packages of the part {extra!r} of the course.",
                pip_install(wanted),
            )
    return None
