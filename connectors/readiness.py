"""How a child process signals to its supervisor that it serves: one line into the pipe `CIRCLE_READY_FD`.

Outside a supervisor the variable is not set and `signal_ready` does nothing, so dataflows may call it
always. Call it once, when the first assignment is loaded or the port is bound; later calls do nothing.
"""

import contextlib
import os
from collections.abc import Callable

READY_FD_VARIABLE = "CIRCLE_READY_FD"
_waiting: list[Callable[[], None]] = []


def when_ready(tell: Callable[[], None]) -> None:
    """Call `tell` when this process signals that it serves."""
    _waiting.append(tell)


def signal_ready(note: str = "ready") -> None:
    """Writes `note` as one line into the supervisor's pipe and closes it. Safe without a supervisor."""
    while _waiting:
        _waiting.pop()()
    raw = os.environ.pop(READY_FD_VARIABLE, "")
    if not raw.isdigit():
        return
    # The supervisor may be gone. That is noticed elsewhere and is no reason to fail here.
    with contextlib.suppress(OSError):
        os.write(int(raw), f"{note.splitlines()[0] if note else 'ready'}\n".encode())
    with contextlib.suppress(OSError):
        os.close(int(raw))
