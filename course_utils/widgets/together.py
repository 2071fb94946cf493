"""Several models write at once: whose turn it is, how fast each is, and what of it the browser gets."""

import dataclasses
import time
from collections.abc import Callable

from course_utils.models.abilities import Writing
from course_utils.models.remote_stream import ANEW
from course_utils.models.steps import Generation, Step
from course_utils.widgets.live_text import LiveText


class Together:
    """The streams of several models, read as one stream whose sample number is the column.

    Parameters
    ----------
    streams : list of Writing
        One a column, with one sample each.
    at_equal_pace : bool
        Whose turn it is. False: the one's that has had the least time, so that a slow model gets its share of the
        machine and no more, and the quick ones are done first. True: the one's that has written the least, so that the
        pace betrays nobody.
    """

    def __init__(self, streams: list[Writing], at_equal_pace: bool = False) -> None:
        self._streams, self._at_equal_pace = streams, at_equal_pace
        self._open = list(range(len(streams)))
        self._n_steps = [0] * len(streams)
        self._first_s = [0.0] * len(streams)  # reading the prompt is not writing
        self._seconds = [0.0] * len(streams)

    def __iter__(self) -> "Together":
        """Return itself."""
        return self

    def __next__(self) -> Step:
        """Return the next step of the column whose turn it is."""
        while self._open:
            column = min(
                self._open, key=self._n_steps.__getitem__ if self._at_equal_pace else self._seconds.__getitem__
            )
            begun = time.perf_counter()
            step = next(self._streams[column], None)
            self._seconds[column] += time.perf_counter() - begun
            if step is None:
                self._open.remove(column)
                continue
            self._n_steps[column] += 1
            self._first_s[column] = self._first_s[column] or self._seconds[column]
            return dataclasses.replace(step, sample=column)
        raise StopIteration

    @property
    def on_wait(self) -> Callable[[str], object] | None:
        """Whom the streams tell what they wait for."""
        return self._streams[0].on_wait

    @on_wait.setter
    def on_wait(self, tell: Callable[[str], object] | None) -> None:
        for stream in self._streams:
            stream.on_wait = tell

    @property
    def notice(self) -> str:
        """What the reader should know about any of the columns; it names no model."""
        notices = {stream.notice for stream in self._streams} - {""}
        if ANEW in notices:
            return ANEW
        return "The prompt was too long for some of the models: they saw only its end." if notices else ""

    def generations(self) -> list[Generation]:
        """Return what every column has written until now."""
        return [generation for stream in self._streams for generation in stream.generations()]

    def paces(self) -> list[float | None]:
        """Return the tokens a second of every column in its own turns: what it would do alone on this machine."""
        # A token is shown when the next one is known: with the first came, unseen, the second.
        timed = zip(self._n_steps, self._seconds, self._first_s, strict=True)
        return [round((n - 2) / (all_s - first_s), 1) if n > 2 else None for n, all_s, first_s in timed]

    def close(self) -> None:
        """Stop for good; what has come stays."""
        for stream in self._streams:
            stream.close()


class LiveColumns(LiveText):
    """The texts of several models for the browser: no probabilities, which would tell the sizes apart.

    Attributes
    ----------
    together : Together or None
        Set where the reader may know how fast each column is.
    """

    together: Together | None = None

    @staticmethod
    def pack(step: Step) -> list:
        """Return column and text of a step."""
        return [step.sample, step.text]

    @property
    def timing(self) -> dict:
        """As of any text, and ``paces``, the tokens a second of each column; empty while these are hidden."""
        return {**super().timing, "paces": self.together.paces() if self.together else []}
