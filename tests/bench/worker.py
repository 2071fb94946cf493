"""Worker of the benchmark: one program that generates text, in a process of its own, for one model.

It answers requests, one JSON object a line: ``{"rows": 1, "tokens": 48, "threads": 2}`` gives the seconds at which each
step came. The Python of another environment runs this file too, so it imports nothing of the course unless it must.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

Run = Callable[[int, int, int], list[float]]  # (rows, tokens, threads) to the seconds of each step since the start


def course(folder: Path, request: dict) -> Run:
    """Load a model with the course, in the precision that the request names."""
    import torch

    import course_utils  # noqa: F401  first: it sets how threads wait
    from course_utils.models.inference.language_model import load
    from course_utils.models.inference.settings import Settings

    model = load(folder, request["precision"])
    model.end_ids = frozenset()  # it writes on past an end of text, as the other programs are told to

    def run(rows: int, tokens: int, threads: int) -> list[float]:
        torch.set_num_threads(threads)
        settings = Settings(max_new_tokens=tokens, temperature=0.8, top_k=40)
        start, times = time.perf_counter(), []
        for number, _ in enumerate(model.stream(request["prompt"], settings, n_samples=rows), 1):
            if number % rows == 0:
                times.append(time.perf_counter() - start)
        return times

    return run


def transformers(folder: Path, request: dict) -> Run:
    """Load a model with transformers, in fp32."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.generation.streamers import BaseStreamer

    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    class Clock(BaseStreamer):
        def __init__(self) -> None:
            self.times: list[float] = []

        def put(self, value: object) -> None:
            self.times.append(time.perf_counter())

        def end(self) -> None:
            """Nothing is left to do."""

    def run(rows: int, tokens: int, threads: int) -> list[float]:
        torch.set_num_threads(threads)
        ids, clock = torch.tensor([request["ids"]] * rows), Clock()
        options = {"do_sample": True, "temperature": 0.8, "top_k": 40, "pad_token_id": 0}
        start = time.perf_counter()
        network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens, streamer=clock,
            **options,
        )  # fmt: skip
        return [each - start for each in clock.times[1:]]  # the first call gives the prompt

    return run


def llama_cpp(folder: Path, request: dict) -> Run:
    """Load a model with llama.cpp, in q8_0."""
    import llama_cpp

    threads = request["threads"]
    model = llama_cpp.Llama(request["gguf"], n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False)

    def run(rows: int, tokens: int, threads: int) -> list[float]:
        llama_cpp.llama_set_n_threads(model.ctx, threads, threads)
        start, times = time.perf_counter(), []
        for _ in model.generate(request["ids"], temp=0.8, top_k=40, top_p=1.0, min_p=0.0, reset=True):
            times.append(time.perf_counter() - start)
            if len(times) == tokens:
                break
        model.reset()  # the next run reads the prompt again
        return times

    return run


def vllm(folder: Path, request: dict) -> Run:
    """Load a model with vLLM, in bf16. It takes all threads that its process may use."""
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    from vllm import LLM, SamplingParams

    model = LLM(str(folder), dtype="bfloat16", max_model_len=512, enable_prefix_caching=False, max_num_seqs=32)

    def took(rows: int, tokens: int) -> float:
        settings = SamplingParams(temperature=0.8, top_k=40, max_tokens=tokens, ignore_eos=True)
        start = time.perf_counter()
        model.generate([{"prompt_token_ids": request["ids"]}] * rows, settings, use_tqdm=False)
        return time.perf_counter() - start

    # The whole text comes at once: the first token is timed alone, and the steps between stand evenly.
    def run(rows: int, tokens: int, threads: int) -> list[float]:
        first, last = took(rows, 1), took(rows, tokens)
        return [first + (last - first) * step / (tokens - 1) for step in range(tokens)]

    return run


PROGRAMS = {"course": course, "transformers": transformers, "llama.cpp": llama_cpp, "vllm": vllm}


def memory_mb(name: str) -> float:
    """Return a figure of /proc/self/status in MB: VmHWM is the peak, VmRSS what is resident now. NaN elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


def version(program: str) -> str:
    """Return the version of the package that a program comes from."""
    from importlib import metadata

    names = {"course": ("torch",), "llama.cpp": ("llama-cpp-python", "llama_cpp_python"), "vllm": ("vllm-cpu", "vllm")}
    for name in names.get(program, (program,)):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return ""


def main() -> None:
    """Load, then measure whatever is asked until the input ends."""
    # Libraries print to the standard output: the answers go out on a copy of it.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.readline())

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    begun = time.perf_counter()
    run = PROGRAMS[request["program"]](Path(request["folder"]), request)
    answer(load_s=time.perf_counter() - begun, peak_mb=memory_mb("VmHWM"), version=version(request["program"]))
    for line in sys.stdin:
        asked = json.loads(line)
        times = run(asked["rows"], asked["tokens"], asked["threads"])
        answer(times=times, peak_mb=memory_mb("VmHWM"), steady_mb=memory_mb("VmRSS"))


if __name__ == "__main__":
    main()
