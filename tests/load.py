"""A class in the hall: viewers come within seconds, write, stop and leave, while everything is timed and weighed.

Run with ``make load``. Viewers are websockets that speak as Voila's page does, and a few real browsers among them.
Server, viewers and browsers share this machine, so the figures are what one laptop gives that does all of it at once.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import platform
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from repository import ROOT
from viewer import Viewer

PROMPT = "Once upon a time there was a miller who had"
OPENINGS = (
    "The old house by the river",
    "On Monday the council",
    "In the year of the great flood",
    "She opened the letter",
)
COME_WITHIN_S = 5.0
N_TOKENS = 60
LONG = 200
HAS_TEXT = "() => document.querySelector('.cp-text')?.textContent.length > 0"


@dataclasses.dataclass
class Figures:
    """What was measured, each list one number a viewer or a request."""

    usable_s: list[float] = dataclasses.field(default_factory=list)
    first_s: list[float] = dataclasses.field(default_factory=list)
    own_mb: list[float] = dataclasses.field(default_factory=list)
    resident_mb: list[float] = dataclasses.field(default_factory=list)
    browsers: list[str] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)
    single: float = 0.0
    together: float = 0.0
    each_mb: float = 0.0
    n_requests: int = 0
    n_came: int = 0
    back_s: float = 0.0
    left_over: int = 0


class Hall:
    """The hall as `make demo` opens it, at a port of its own."""

    def __init__(self, model: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self._folder = tempfile.TemporaryDirectory(prefix="load-")
        self._log = (Path(self._folder.name) / "hall.log").open("w")
        command = [sys.executable, "-m", "course_utils", "demo", "--port", str(port), "--no-browser", "--model", model]
        command += ["--class-file", str(Path(self._folder.name) / "class.sqlite")]
        self.process = psutil.Popen(command, cwd=ROOT, stdout=self._log, stderr=self._log, start_new_session=True)

    def wait(self) -> None:
        """Wait until a demo's page is given, which is when its notebook has run."""
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}voila/render/playground.ipynb", timeout=30).close()
                return
            time.sleep(0.2)
        raise SystemExit(f"The hall does not open:\n{self.log}")

    @property
    def log(self) -> str:
        """What it printed."""
        self._log.flush()
        return Path(self._log.name).read_text()

    @property
    def model_process(self) -> psutil.Process:
        """The process that owns the weights."""
        return next(each for each in self._below() if "serve" in " ".join(each.cmdline()))

    def kernels(self) -> list[psutil.Process]:
        """Return the viewers' processes: those that hold a connection file of a viewer's own."""
        found = []
        for each in self._below():
            with contextlib.suppress(psutil.Error):
                if each.name().startswith("viewer") or "viewer" in " ".join(each.cmdline()[:1]):
                    found.append(each)
        return found

    def _below(self) -> list[psutil.Process]:
        return self.process.children(recursive=True)

    def close(self) -> int:
        """End it as Ctrl+C does; return how many of its processes are left."""
        all_of_it = [self.process, *self._below()]
        self.process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(all_of_it, timeout=10)
        for each in alive:
            each.kill()
        self._log.close()
        self._folder.cleanup()
        return len(alive)


# -- the lecture -------------------------------------------------------------------------------------------------------


async def lecture(hall: Hall, chosen: argparse.Namespace) -> Figures:
    """Let a class come, write and leave; return what was measured."""
    figures = Figures()
    first = await arrive(hall, figures)
    await first.generate(PROMPT, 8)  # the first request loads what is loaded late
    alone = await first.generate(PROMPT, LONG)
    figures.single = alone.n_tokens / alone.all_s
    figures.usable_s.clear()
    before_mb = available_mb()
    viewers = await come(hall, chosen.viewers - 1, figures)
    figures.each_mb = (before_mb - available_mb()) / max(len(viewers), 1)
    weigh(hall, figures)
    viewers = [first, *viewers]
    figures.together = await write_at_once(viewers[: chosen.at_once], figures)
    browsers = asyncio.create_task(asyncio.to_thread(browse, hall.url, chosen.browsers, figures))
    viewers = await mill_about(hall, viewers, chosen, figures)
    await browsers
    figures.back_s = await lose_the_model(hall, viewers[0], figures)
    for each in viewers:
        await each.leave()
    return figures


async def arrive(hall: Hall, figures: Figures) -> Viewer:
    """Let one viewer come."""
    viewer = Viewer(hall.url)
    await viewer.come()
    figures.usable_s.append(viewer.usable_s)
    figures.n_came += 1
    return viewer


async def come(hall: Hall, n_viewers: int, figures: Figures) -> list[Viewer]:
    """Let viewers come one after the other within COME_WITHIN_S; return those who got in."""

    async def one(place: int) -> Viewer | None:
        await asyncio.sleep(COME_WITHIN_S * place / max(n_viewers, 1))
        try:
            return await arrive(hall, figures)
        except Exception as problem:
            figures.errors.append(f"coming: {type(problem).__name__} {problem}")
            return None

    return [each for each in await asyncio.gather(*map(one, range(n_viewers))) if each is not None]


async def write_at_once(viewers: list[Viewer], figures: Figures) -> float:
    """Let all of them press Generate in the same moment; return tokens a second in all."""
    begun = time.perf_counter()
    every = await asyncio.gather(
        *(each.generate(OPENINGS[place % len(OPENINGS)], LONG, place) for place, each in enumerate(viewers))
    )
    seconds = time.perf_counter() - begun
    note(every, figures)
    return sum(written.n_tokens for written in every) / seconds


def note(every: list, figures: Figures) -> None:
    """Keep what requests showed; one that failed is an error."""
    for written in every:
        figures.n_requests += 1
        figures.first_s.append(written.first_s)
        if written.state == "failed" or not written.n_tokens:
            figures.errors.append(f"writing: {written.state} {written.message}")


async def mill_about(hall: Hall, viewers: list[Viewer], chosen: argparse.Namespace, figures: Figures) -> list[Viewer]:
    """For some minutes: at most so many write at once, some stop, some leave and others come in their place."""
    end, turns = time.monotonic() + 60 * chosen.minutes, asyncio.Semaphore(chosen.at_once)
    dice = random.Random(0)

    async def stay(viewer: Viewer) -> Viewer:
        while time.monotonic() < end:
            await asyncio.sleep(dice.uniform(0, 6))
            try:
                if dice.random() < 0.1:
                    await viewer.leave() if dice.random() < 0.5 else viewer.vanish()
                    viewer = await arrive(hall, figures)
                async with turns:
                    await use(viewer, dice, figures)
            except Exception as problem:
                figures.errors.append(f"using: {type(problem).__name__} {problem}")
        return viewer

    return list(await asyncio.gather(*map(stay, viewers)))


async def use(viewer: Viewer, dice: random.Random, figures: Figures) -> None:
    """Write one text, or stop it on the way."""
    writing = asyncio.create_task(viewer.generate(dice.choice(OPENINGS), N_TOKENS, dice.randrange(1000)))
    if dice.random() < 0.2:
        await asyncio.sleep(dice.uniform(1, 2))
        viewer.say({"kind": "stop"})
        if (await writing).state == "failed":
            figures.errors.append(f"stopping: {viewer.state['message']}")
        return
    note([await writing], figures)


async def lose_the_model(hall: Hall, viewer: Viewer, figures: Figures) -> float:
    """Kill the model's process in mid-text; return how long the text stood still before it went on by itself."""
    whole = (await viewer.generate(PROMPT, LONG, seed=7)).text
    writing = asyncio.create_task(viewer.generate(PROMPT, LONG, seed=7))
    await viewer.until(lambda: viewer.n_written > LONG // 10, 60)
    hall.model_process.kill()
    killed, n_written = time.perf_counter(), viewer.n_written
    await viewer.until(lambda: viewer.n_written > n_written + 20, 120)  # what was under way when it died still comes
    stood_s = time.perf_counter() - killed
    written = await writing
    if written.text != whole:
        figures.errors.append(f"after the model's death: another text, {written.state}: {written.message}")
    return stood_s


# -- scales ------------------------------------------------------------------------------------------------------------


def available_mb() -> float:
    """Return the memory that this machine could still give away."""
    return psutil.virtual_memory().available / 1e6


def weigh(hall: Hall, figures: Figures) -> None:
    """Weigh each viewer's process: what is its own, and what it has mapped, shared or not."""
    for each in hall.kernels():
        with contextlib.suppress(psutil.Error):
            memory = each.memory_full_info()
            figures.own_mb.append(memory.pss / 1e6)
            figures.resident_mb.append(memory.rss / 1e6)


def browse(url: str, n_browsers: int, figures: Figures) -> None:
    """Open the demo in real browsers, write, and note when the panel stood and when the first token did."""
    if not n_browsers:
        return
    from browser.conftest import BROWSERS, FLAGS
    from playwright.sync_api import sync_playwright

    where = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=where, args=FLAGS)
        for _ in range(n_browsers):
            page = browser.new_page()
            begun = time.perf_counter()
            page.goto(f"{url}voila/render/playground.ipynb")
            page.get_by_role("button", name="Generate").wait_for(timeout=60_000)
            usable = time.perf_counter() - begun
            page.get_by_label("Prompt").first.fill(PROMPT)
            asked = time.perf_counter()
            page.get_by_role("button", name="Generate").click()
            page.wait_for_function("() => document.querySelector('.cp-text')?.textContent.length > 0", timeout=60_000)
            figures.browsers.append(f"{usable:.1f} s, {time.perf_counter() - asked:.1f} s")
        browser.close()


def p95(values: list[float]) -> float:
    """Return the value that nineteen of twenty stay below."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


# -- what is told ------------------------------------------------------------------------------------------------------


def table(figures: Figures, chosen: argparse.Namespace) -> str:
    """Return the figures as a Markdown table."""
    rows = [
        ("viewers within five seconds", f"{chosen.viewers}"),
        ("page usable, median / p95", f"{statistics.median(figures.usable_s):.2f} / {p95(figures.usable_s):.2f} s"),
        (f"first token at {chosen.at_once} at once, median / p95",
         f"{statistics.median(figures.first_s):.2f} / {p95(figures.first_s):.2f} s"),
        ("tokens a second, one text alone", f"{figures.single:.0f}"),
        (f"tokens a second, {chosen.at_once} at once, in all",
         f"{figures.together:.0f}, {figures.together / figures.single:.1f} times"),
        ("memory of a further viewer: this machine's loss", f"{figures.each_mb:.0f} MB"),
        ("the same, own and its part of shared pages (PSS)", mb(figures.own_mb)),
        ("the same, all it has mapped (RSS)", mb(figures.resident_mb)),
        ("real browsers: page usable, first token", "; ".join(figures.browsers) or "none"),
        (f"pages opened, texts asked for, errors in {chosen.minutes:g} minutes",
         f"{figures.n_came}, {figures.n_requests}, {len(figures.errors)}"),
        ("model's process killed in mid-text: the same text goes on after", f"{figures.back_s:.1f} s"),
        ("processes left after the end", f"{figures.left_over}"),
    ]  # fmt: skip
    head = f"{chosen.model}, {os.cpu_count()} cores ({platform.processor() or platform.machine()})"
    return "\n".join([f"| {head} | |", "| --- | --- |", *(f"| {what} | {how} |" for what, how in rows)])


def mb(values: list[float]) -> str:
    """Return a mean in words, where there is one."""
    return f"{statistics.mean(values):.0f} MB" if values else "not told by this system"


def main() -> None:
    """Hold a lecture, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pocket-xl", help="who speaks (pocket-xl)")
    parser.add_argument("--viewers", type=int, default=30, help="how many come (30)")
    parser.add_argument("--at-once", type=int, default=8, help="how many write at once (8)")
    parser.add_argument("--minutes", type=float, default=5, help="how long they stay (5)")
    parser.add_argument("--browsers", type=int, default=2, help="real ones among them (2)")
    parser.add_argument("--port", type=int, default=8877)
    parser.add_argument("--json", type=Path, help="a file for the single figures")
    chosen = parser.parse_args()
    hall = Hall(chosen.model, chosen.port)
    figures = Figures()
    try:
        hall.wait()
        figures = asyncio.run(lecture(hall, chosen))
    finally:
        figures.left_over = hall.close()
    print(table(figures, chosen))
    for error in figures.errors[:20]:
        print("error:", error)
    if chosen.json:
        chosen.json.write_text(json.dumps(dataclasses.asdict(figures)))
    sys.exit(bool(figures.errors or figures.left_over))


if __name__ == "__main__":
    main()
