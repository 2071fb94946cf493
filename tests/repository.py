"""The repository's folder, for tests that read files of it; the only test module that knows where it lies itself."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
