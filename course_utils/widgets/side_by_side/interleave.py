"""Interleaved streams: several models write in turns, with their speed, as batches for the browser."""

import dataclasses
import queue
import threading
import time
from collections.abc import Callable

from course_utils.models.client.stream import ANEW, RemoteStream
from course_utils.models.inference.base import TextStream
from course_utils.models.inference.tokens import Generation, TokenStep
from course_utils.widgets.base.live_text import LiveText

GLANCE_S = 0.005  # between two looks at streams that come from elsewhere


class Ahead:
    """A stream that is read by a thread of its own, so that its steps wait for their reader.

    Parameters
    ----------
    stream : RemoteStream

    Attributes
    ----------
    took_s : float
        Until when, from the beginning, the step came that was handed out last.
    """

    def __init__(self, stream: RemoteStream) -> None:
        self._stream, self.took_s = stream, 0.0
        self._news: queue.SimpleQueue[tuple[TokenStep | BaseException, float]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, name="course-ahead", daemon=True)

    def __next__(self) -> TokenStep:
        """Return the next step, waiting for it if need be."""
        if not self._thread.ident:
            self._thread.start()
        found, self.took_s = self._news.get()
        if isinstance(found, BaseException):
            raise found
        return found

    @property
    def has_news(self) -> bool:
        """Whether a step or the end has come; asking begins the reading."""
        if not self._thread.ident:
            self._thread.start()
        return not self._news.empty()

    def _read(self) -> None:
        begun = time.perf_counter()
        try:
            for step in self._stream:
                self._news.put((step, time.perf_counter() - begun))
            end: BaseException = StopIteration()
        except BaseException as error:  # it is raised where the steps are asked for
            end = error
        self._news.put((end, time.perf_counter() - begun))


class InterleavedStreams:
    """The streams of several models, read as one stream whose sample number is the column.

    Parameters
    ----------
    streams : list of TextStream
        One a column, with one sample each.
    at_equal_pace : bool
        Whose turn it is. False: the one's that has had the least time, so that a slow model gets its share of the
        machine and no more, and the quick ones are done first. True: the one's that has written the least, so that the
        pace betrays nobody.
    """

    def __init__(self, streams: list[TextStream], at_equal_pace: bool = False) -> None:
        self._streams, self._at_equal_pace = streams, at_equal_pace
        self._sources = [Ahead(each) if isinstance(each, RemoteStream) else each for each in streams]
        self._open = list(range(len(streams)))
        self._n_steps = [0] * len(streams)
        self._first_s = [0.0] * len(streams)  # reading the prompt is not writing
        self._seconds = [0.0] * len(streams)

    def __repr__(self) -> str:
        """Say how many texts are being written, and how far they are."""
        counts = ", ".join(f"{len(each.steps)} tokens" for each in self.generations())
        return f"{type(self).__name__} ({counts})"

    def __iter__(self) -> "InterleavedStreams":
        """Return itself."""
        return self

    def __next__(self) -> TokenStep:
        """Return the next step of the column whose turn it is."""
        while self._open:
            column = self._whose_turn()
            begun = time.perf_counter()
            step = next(self._sources[column], None)
            source = self._sources[column]
            took = source.took_s if isinstance(source, Ahead) else time.perf_counter() - begun + self._seconds[column]
            self._seconds[column] = took
            if step is None:
                self._open.remove(column)
                continue
            self._n_steps[column] += 1
            self._first_s[column] = self._first_s[column] or self._seconds[column]
            return dataclasses.replace(step, sample=column)
        raise StopIteration

    def _whose_turn(self) -> int:
        if self._at_equal_pace:
            return min(self._open, key=self._n_steps.__getitem__)
        while True:  # one that waits for its server keeps no other waiting
            ready = [column for column in self._open if getattr(self._sources[column], "has_news", True)]
            if ready:
                return min(ready, key=self._seconds.__getitem__)
            time.sleep(GLANCE_S)

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
    streams : InterleavedStreams or None
        Set where the reader may know how fast each column is.
    """

    streams: InterleavedStreams | None = None

    @staticmethod
    def pack(step: TokenStep) -> list:
        """Return column and text of a step."""
        return [step.sample, step.text]

    @property
    def timing(self) -> dict:
        """As of any text, and ``paces``, the tokens a second of each column; empty while these are hidden."""
        return {**super().timing, "paces": self.streams.paces() if self.streams else []}
