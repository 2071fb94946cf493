"""Release stage of this kernel: which sizes of GPT-2, and of the pocket family, may be loaded.

No stage is set at first, and all is open. While one is set, `load` and every panel refuse the sizes that were not
public by then, also those that are loaded already. Each pocket model is the miniature of one stage and opens with it.
Models of neither family stay open: a student's own, and ``smollm2-135m``, which is of 2024 but stands in for the
smallest GPT-2.
"""

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

from course_utils.errors import AccessRefused, SettingsError
from course_utils.models.registry.catalogue import CATALOGUE, POCKET

SIZES = tuple(name for name in CATALOGUE if name.startswith("gpt2"))  # in the order of their release
STAND_IN = "smollm2-135m"


def _month(released: str) -> str:
    """Turn "3 May 2019" into "May 2019"; by hand, because strptime would ask the machine's language."""
    _day, month, year = released.split()
    return f"{month[:3]} {year}"


NAMES = tuple(_month(CATALOGUE[size].released) for size in SIZES)
_opens = dict(zip(SIZES, NAMES, strict=True)) | dict(zip(POCKET, NAMES, strict=True))
_now: str | None = None
_watchers: list[weakref.ReferenceType[Any]] = []
_lock = threading.Lock()


def now() -> str | None:
    """Return the stage that is set, or None while all is open."""
    return _now


def choose(name: str) -> None:
    """Set the stage for every panel and every `load` of this kernel.

    Parameters
    ----------
    name : str
        "Feb 2019", "May 2019", "Aug 2019" or "Nov 2019".

    Raises
    ------
    SettingsError
        No stage has that name.

    Examples
    --------
    >>> choose("May 2019")
    >>> is_open("pocket-medium"), is_open("pocket-large"), is_open("my-own")
    (True, False, True)
    >>> open_all()
    >>> is_open("pocket-large")
    True
    """
    if name not in NAMES:
        raise SettingsError(f"No stage is called {name!r}.", f"One of {', '.join(NAMES)}.", f'choose("{NAMES[0]}")')
    _set(name)


def open_all() -> None:
    """Set no stage: all models are open."""
    _set(None)


def opens(model: str) -> str:
    """Return the stage that opens a model; empty for a model of neither family, which is always open."""
    return _opens.get(model, "")


def is_open(model: str) -> bool:
    """Tell whether a model of that name may be loaded now."""
    return _now is None or model not in _opens or NAMES.index(_opens[model]) <= NAMES.index(_now)


def open_names() -> tuple[str, ...]:
    """Return the models of both families that may be loaded now, GPT-2's first."""
    return tuple(model for model in _opens if is_open(model))


def require_open(model: str) -> None:
    """Raise AccessRefused where a model was not public by the stage that is set."""
    if is_open(model):
        return
    raise AccessRefused(
        f"{model} is not released yet: the stage is {_now}, and {model} opens in {opens(model)}.",
        f"One of {', '.join(open_names())}; a model of your own; or {STAND_IN}, a stand-in of the smallest size.",
        "Open the next stage in the timeline, or: from course_utils import stage; stage.open_all()",
    )


def on_change(callback: Callable[[], object]) -> None:
    """Have something called after every change of the stage, on the thread that changed it.

    Parameters
    ----------
    callback : callable
        Held weakly: a panel that is gone is not called, and is not kept alive. So it has to be a method of the panel,
        or a function that somebody else holds.
    """
    held = weakref.WeakMethod(callback) if hasattr(callback, "__self__") else weakref.ref(callback)
    with _lock:
        _watchers.append(held)


def forget(callback: Callable[[], object]) -> None:
    """Call it no more."""
    with _lock:
        _watchers[:] = [held for held in _watchers if held() not in (None, callback)]


def _set(name: str | None) -> None:
    global _now
    with _lock:
        has_changed, _now = name != _now, name
        _watchers[:] = [held for held in _watchers if held() is not None]
        callbacks = [held() for held in _watchers] if has_changed else []
    with contextlib.ExitStack() as all_of_them:  # every one is called, also when one raises
        for callback in filter(None, reversed(callbacks)):
            all_of_them.callback(callback)
