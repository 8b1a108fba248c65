"""An API process with two ports: `python -m tests.harness.two_ways api --port …`, and `CIRCLE_TEST_OTHER_PORT`.

On its port requests for hot routes take the slim way; on the other port all requests take Sanic's way. Each answer of
the slim way adds a byte to the file `CIRCLE_TEST_SLIM`, so that a test knows which way a request has taken.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sanic import Sanic

from api import server
from api.fairness import admission
from api.http.hot_route import HotRequest
from api.http.http1 import EdgeHttp
from api.http.protocol import EdgeProtocol
from ops.cli.main import main
from ops.run.platform import Platform
from ops.run.services.process import free_port
from tests.harness.api_process import api_process


class BothWays(NamedTuple):
    """Such a process: the ports of both ways, and the file that has a byte for each answer of the slim one."""

    slim: int
    sanic: int
    file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.slim}"

    @property
    def taken(self) -> int:
        """How many requests have taken the slim way."""
        return self.file.stat().st_size


@contextmanager
def both_ways(platform: Platform, scratch: Path, **env: str) -> Iterator[BothWays]:
    """Such a process for a running platform, with its key and its operator's token. `env` has further variables;
    with CIRCLE_TEST_UNDECIDED_LEAST admission never refuses so many undecided commands of a partition, not 100."""
    settings, other, file = platform.settings, free_port(), scratch / "slim"
    assert settings.operator_token is not None
    own = {
        "CIRCLE_JWT_KEY_FILE": str(settings.jwt_key_file),
        "CIRCLE_OPERATOR_TOKEN": settings.operator_token,
        "CIRCLE_TEST_OTHER_PORT": str(other),
        "CIRCLE_TEST_SLIM": str(file),
    }
    with api_process(settings, scratch, module="tests.harness.two_ways", **own, **env) as api:
        port = api.http.base_url.port
        assert port is not None
        yield BothWays(port, other, file)


def serve_both_ways() -> None:
    """Let `circle api` of this process open the other port too."""
    create, answer_hot = server.create_app, EdgeHttp.answer_hot
    if least := os.environ.get("CIRCLE_TEST_UNDECIDED_LEAST"):
        admission.ADMISSION_LEAST = int(least)
    slim = os.open(os.environ["CIRCLE_TEST_SLIM"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    async def open_other(app: Sanic[Any, Any]) -> None:
        loop = asyncio.get_running_loop()
        protocol = partial(EdgeProtocol, loop=loop, app=app, connections=set(), hot=False)
        app.ctx.other = await loop.create_server(protocol, "127.0.0.1", int(os.environ["CIRCLE_TEST_OTHER_PORT"]))

    def created(*arguments: Any) -> Sanic[Any, Any]:
        app = create(*arguments)
        app.after_server_start(open_other)
        return app

    async def counted(self: EdgeHttp, request: HotRequest) -> None:
        os.write(slim, b".")
        await answer_hot(self, request)

    server.create_app = created
    EdgeHttp.answer_hot = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    serve_both_ways()
    main()
