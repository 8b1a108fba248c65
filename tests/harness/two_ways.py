"""An API process with two ports: `python -m tests.harness.two_ways api --port …`, and `CIRCLE_TEST_OTHER_PORT`.

On its port requests for hot routes take the slim way; on the other port all requests take Sanic's way. Each answer of
the slim way adds a byte to the file `CIRCLE_TEST_SLIM`, so that a test knows which way a request has taken.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

from sanic import Sanic

from api import server
from api.http.hot_route import HotRequest
from api.http.http1 import EdgeHttp
from api.http.protocol import EdgeProtocol
from ops.cli.main import main


def serve_both_ways() -> None:
    """Let `circle api` of this process open the other port too."""
    create, answer_hot = server.create_app, EdgeHttp.answer_hot
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
