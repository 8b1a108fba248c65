"""An API process that gets SIGTERM just before its loop runs: `python -m tests.harness.stopped_at_once api …`."""

from __future__ import annotations

import os
import signal
from typing import Any

from sanic import Sanic

from ops.cli.main import main


def stop_when_it_runs() -> None:
    """Let Sanic send the signal to its own process when it says that it runs."""
    set_serving = Sanic.set_serving

    def stopped(self: Sanic[Any, Any], serving: bool) -> None:
        set_serving(self, serving)
        if serving:
            os.kill(os.getpid(), signal.SIGTERM)

    Sanic.set_serving = stopped  # type: ignore[method-assign]


if __name__ == "__main__":
    stop_when_it_runs()
    main()
