"""Whatever an experiment or the ledger hands out says in plain text what it is."""

import importlib
import inspect
import pkgutil

import pytest

import course_utils.evidence
import course_utils.experiments
import course_utils.plots

PACKAGES = (course_utils.experiments, course_utils.evidence, course_utils.plots)
MODULES = [
    each.name for package in PACKAGES for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_no_public_class_is_shown_by_its_address(name):
    module = importlib.import_module(name)
    for each, found in vars(module).items():
        is_public_class = inspect.isclass(found) and found.__module__ == name and not each.startswith("_")
        if is_public_class and not getattr(found, "_is_protocol", False):
            assert found.__repr__ is not object.__repr__, f"{name}.{each}"
