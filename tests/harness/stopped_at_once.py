"""An API process that gets SIGTERM at a step of its start: `python -m tests.harness.stopped_at_once api …`.

CIRCLE_TEST_STOP_AT names the step: one of STEPS.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from sanic import Sanic
from sanic.server import runners

from api import server
from ops.cli.main import main

STEPS = ("made", "registered", "started", "serving")
"""The application is made; Sanic has set up its signals; the start's listeners run; the loop runs for good."""


def stop_at(step: str) -> None:
    """Let the process send itself the signal at this step."""
    create, set_serving = server.create_app, Sanic.set_serving

    def send_at(this: str) -> None:
        if step == this:
            os.kill(os.getpid(), signal.SIGTERM)

    async def started(_app: Sanic[Any, Any]) -> None:
        send_at("started")

    def made(*arguments: Any) -> Sanic[Any, Any]:
        app = create(*arguments)
        app.after_server_start(started)
        register = runners._setup_system_signals

        def registered(*arguments: Any) -> None:
            register(*arguments)
            send_at("registered")

        runners._setup_system_signals = registered  # type: ignore[assignment]
        send_at("made")
        return app

    def serving(self: Sanic[Any, Any], yes: bool) -> None:
        set_serving(self, yes)
        if yes:
            send_at("serving")

    server.create_app = made
    Sanic.set_serving = serving  # type: ignore[method-assign]


if __name__ == "__main__":
    stop_at(os.environ["CIRCLE_TEST_STOP_AT"])
    main()
