"""Demo list of a lecture: what each demo shows, its minutes, its take-away, its prompts and its recording."""

import dataclasses
import functools
import json

from course_utils.core.paths import data_file
from course_utils.errors import SettingsError
from course_utils.widgets.lecture.recording import Recording

RECORDINGS = data_file(__name__, "recordings")


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One press of a button in a hall: it fills the panel, and starts it.

    Parameters
    ----------
    title : str
        What stands on the button.
    set : dict
        Traits of the panel and their values; of a dictionary only the keys that are named are changed.
    do, then : str
        Methods of the panel, called after that; "" for none.
    with_ : list or dict
        What ``do`` is given.
    look : str
        The part of the panel to look at then, as style sheets name it; the demo's own when left out.
    """

    title: str
    set: dict = dataclasses.field(default_factory=dict)
    do: str = ""
    with_: list | dict = dataclasses.field(default_factory=list)
    then: str = ""
    look: str = ""


@dataclasses.dataclass(frozen=True)
class Demo:
    """One page of a lecture.

    Parameters
    ----------
    key : str
        Its name in addresses and files.
    title, shows, takeaway : str
        A question; one sentence; one line.
    minutes : int
    prompts : tuple of Prompt
    look : str
        The part of the panel to look at while it works.
    more : str
        What a lecturer should know beside that.
    opens_with_recording : bool
        The page shows the recording's end at once: what takes long is there when the page opens.
    """

    key: str
    title: str
    shows: str
    minutes: int
    takeaway: str
    prompts: tuple[Prompt, ...]
    look: str = ".cp"
    more: str = ""
    opens_with_recording: bool = False

    @property
    def notebook(self) -> str:
        """The file's name in ``notebooks/demos``."""
        return f"{self.key}.ipynb"

    @property
    def picture(self) -> str:
        """The file's name among the gallery's pictures."""
        return f"{self.key}.png"

    def recording(self) -> Recording | None:
        """Return what plays where no model answers; None where nothing is recorded."""
        file = RECORDINGS / f"{self.key}.json"
        return Recording.read(file) if file.is_file() else None


@functools.cache
def demos() -> tuple[Demo, ...]:
    """Return all, in the order of a lecture.

    Examples
    --------
    >>> [demo.key for demo in demos()][:3]
    ['playground', 'sizes', 'token_map']
    """
    return tuple(_demo(**told) for told in json.loads(data_file(__name__, "demos.json").read_text("utf-8")))


def demo(key: str) -> Demo:
    """Return one.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    known = {each.key: each for each in demos()}
    if key not in known:
        raise SettingsError(
            f"No demo is called {key!r}.", f"One of {', '.join(known)}.", 'lectern(panel, "playground")'
        )
    return known[key]


def _demo(prompts: list[dict], **told) -> Demo:
    made = (Prompt(**{{"with": "with_"}.get(name, name): value for name, value in each.items()}) for each in prompts)
    return Demo(prompts=tuple(made), **told)
