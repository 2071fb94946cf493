"""How many inputs the tests with drawn inputs try: few by default, many with ``make test-long``."""

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("COURSE_TEST_TIMES", "1"))


def drawn(n: int) -> settings:
    """Return Hypothesis's settings for n drawn inputs; for more, and other ones in each run, where TIMES is larger.

    Nothing is stored between runs, and no input has a time limit: a busy machine is no fault.
    """
    return settings(
        max_examples=n * TIMES, derandomize=TIMES == 1, deadline=None, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip
