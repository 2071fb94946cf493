"""Re-runs of the evidence board: a record or its picture again, and a look at the ledger after every cell."""

import base64
import threading
import weakref

from course_utils.evidence.ledger.record import Record
from course_utils.evidence.rerun import CANNOT, Progress, Reproduction, can_rerun, rerun
from course_utils.widgets.base.panel import Panel
from course_utils.widgets.evidence.labels import why_not


def done_again(record: Record, tell: Progress, cancel: threading.Event) -> Reproduction:
    """Do a record again; whatever goes wrong with one is told of that one."""
    from course_utils.models.inference.base import Cancelled

    if not can_rerun(record):
        return Reproduction(CANNOT, record.value, None, None, why_not(record))
    try:
        return rerun(record, tell, cancel)
    except Cancelled:
        raise
    except Exception as problem:  # a record from another hand can hold what no experiment foresaw
        why = f"its experiment ended with {type(problem).__name__}: {str(problem)[:200]}"
        return Reproduction(CANNOT, record.value, None, None, why)


def follow_the_kernel(panel: Panel) -> None:
    """Let a panel ``look`` at the ledger after every cell, and after every button of another panel."""
    from IPython import get_ipython

    shell, known = get_ipython(), weakref.ref(panel)
    if shell is None:
        return

    def look() -> None:
        if (here := known()) is None or here.comm is None:
            shell.events.unregister("post_execute", look)
        else:
            here.look()

    shell.events.register("post_execute", look)


def drawn(record: Record) -> dict[str, str]:
    """Return a record's picture as the browser takes it, or why there is none."""
    from course_utils.evidence.rerun import redraw

    picture = redraw(record)
    if isinstance(picture, str):
        return {"id": record.id, "why": picture}
    source = f"data:image/png;base64,{base64.b64encode(picture.png()).decode()}"
    return {"id": record.id, "src": source, "alt": picture.alt}
