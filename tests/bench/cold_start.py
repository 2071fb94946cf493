"""Measure the cold start: what a new Python does from ``import course_utils`` to the first token of a model.

It prints the seconds of each step, of the clock and of the processor; the latter hardly change on a busy machine. In a
notebook, the start of the kernel comes before it.
"""

import argparse
import json
import subprocess
import sys

STEPS = {
    "import course_utils": "import course_utils",
    "import torch": "import torch",
    "the modules of models": "import course_utils.models.inference.language_model",
    "the model loaded": "model = course_utils.load(NAME)",
    "the first token": "next(iter(model.stream('Once upon a time', course_utils.Settings(max_new_tokens=4))))",
}
TIMED = """
import json, sys, time
found, known = [], {"NAME": sys.argv[1]}
for code in json.loads(sys.argv[2]):
    clock, cpu = time.perf_counter(), time.process_time()
    exec(code, known)
    found.append((time.perf_counter() - clock, time.process_time() - cpu))
print(json.dumps(found))
"""


def main() -> None:
    """Print the fastest of several starts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    command = [sys.executable, "-c", TIMED, options.model, json.dumps(list(STEPS.values()))]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(options.repetitions)
    ]
    best = min(runs, key=lambda run: sum(cpu for _, cpu in run))
    print(f"\n### From a new Python to the first token of {options.model}\n")
    print("| step | s | s of a processor |\n| --- | ---: | ---: |")
    for step, (clock, cpu) in zip(STEPS, best, strict=True):
        print(f"| {step} | {clock:.2f} | {cpu:.2f} |")
    print(f"| together | {sum(clock for clock, _ in best):.2f} | {sum(cpu for _, cpu in best):.2f} |", flush=True)


if __name__ == "__main__":
    main()
