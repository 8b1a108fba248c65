"""One connection's requests and answers: how `api.http.protocol` uses Sanic's `Http`, and what it replaces there."""

from __future__ import annotations

from asyncio import CancelledError
from contextlib import suppress
from typing import Any, Protocol

from sanic import Request, Sanic
from sanic.compat import Header
from sanic.exceptions import ExpectationFailed, PayloadTooLarge, RequestCancelled, ServiceUnavailable
from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE
from sanic.response import BaseHTTPResponse

from api.fairness import limits
from api.http import framing, heads
from api.http.cors import Cors
from api.http.framing import CHUNKED, Head, UnreadableRequest
from api.http.headers import complete
from api.http.hot_route import HotRequest, HotRoutes, has_plain_body, message
from connectors import logs

END_OF_HEAD = b"\r\n\r\n"
EVENT_STREAM = "text/event-stream"

log = logs.get("api.http")


class EdgeConnection(Protocol):
    """What the requests and answers need of their connection, and report to it."""

    app: Sanic[Any, Any]
    cors: Cors | None
    hot: HotRoutes | None
    operator: bool  # whether it came over the port of operators
    request_class: type[Request]
    request_max_size: int
    state: dict[str, Any]
    transport: Any

    def begins(self) -> None: ...

    def has_arrived(self) -> None: ...

    def answers(self, *, streams: bool) -> None: ...

    def is_gone(self) -> bool: ...

    def send_now(self, data: bytes) -> bool: ...


class EdgeHttp(Http):
    """One connection's requests and answers."""

    __slots__ = ("chunk_pending", "extension_bytes")

    protocol: EdgeConnection  # type: ignore[assignment]  # of EdgeProtocol: Sanic names its base
    request_body: Any  # None, True or "chunked"
    request_bytes: Any
    request_bytes_left: Any
    response_func: Any

    async def http1_request_header(self) -> None:
        """Read a request's head from the buffer into `self.request`. Raises UnreadableRequest, PayloadTooLarge."""
        self.protocol.begins()
        data = await self._head()
        head = heads.head(data)
        self.url = head.target
        self.keep_alive = head.keep_alive and bool(self.protocol.app.config.KEEP_ALIVE)
        self.head_only = head.method == "HEAD"
        request = self._request(head, data)
        self.protocol.request_class._current.set(request)  # noqa: SLF001 - as Sanic's own reading does
        self.request_bytes_left = self.request_bytes = 0
        if head.length:
            self._expect_body(head.length, request.headers)
        else:
            self.protocol.has_arrived()
        self.request, request.stream = request, self
        self.protocol.state["requests_count"] += 1

    def _request(self, head: Head, data: bytes) -> Request:
        """The request of a head: a HotRequest if it may take the slim way."""
        protocol = self.protocol
        found = protocol.hot.find(head, protocol.request_max_size) if protocol.hot is not None else None
        if found is not None:
            handle, parameters = found
            return HotRequest(
                head, data, app=protocol.app, transport=protocol.transport, handle=handle, parameters=parameters
            )
        return protocol.request_class(
            url_bytes=head.target.encode("ascii"),
            headers=Header(head.fields),
            head=data,
            version=head.version,
            method=head.method,
            transport=protocol.transport,
            app=protocol.app,
        )

    async def answer_hot(self, request: HotRequest) -> None:
        """Answer a request of a hot route. Errors of its handler are handled as Sanic does it."""
        if self.request_body:
            request.body = await self._whole_body()
        try:
            response = await request.handle(request, **request.parameters)
        except Exception as error:  # noqa: BLE001 - as in Sanic's way: every error is answered, or logged if that fails
            await request.app.handle_exception(request, error)
            return
        if response is None or not has_plain_body(response):
            await (await request.respond(response)).send(end_stream=True)
            return
        self._complete(response)
        await self._send(message(response, keep_alive=self.keep_alive))
        self.stage = Stage.IDLE

    async def _whole_body(self) -> bytes:
        """The body of a request that has said how long it is, as soon as all of it is there."""
        length: int = self.request_bytes_left
        while len(self.recv_buffer) < length:
            await self._receive_more()
        data = bytes(self.recv_buffer[:length])
        del self.recv_buffer[:length]
        self.request_bytes_left = 0
        self._body_is_read()
        return data

    async def _head(self) -> bytes:
        """Take the bytes of a head, without its empty line, out of the buffer."""
        buffer: bytearray = self.recv_buffer
        seen = 0
        while (end := buffer.find(END_OF_HEAD, max(0, seen - 3))) < 0:
            if buffer.startswith(b"\r\n"):  # an empty line before a request: some clients send one after a body
                del buffer[:2]
                seen = 0
                continue
            if framing.trouble(buffer, seen):
                heads.head(bytes(buffer))
                raise UnreadableRequest("the request's head has invalid bytes")
            seen = len(buffer)
            if seen >= self.HEADER_MAX_SIZE:
                raise PayloadTooLarge("Request header exceeds the size limit")
            await self._receive_more()
        if end >= self.HEADER_MAX_SIZE:
            raise PayloadTooLarge("Request header exceeds the size limit")
        data = bytes(buffer[:end])
        del buffer[: end + len(END_OF_HEAD)]
        return data.removeprefix(b"\r\n")

    def _expect_body(self, length: int, headers: Header) -> None:
        expected = headers.getone("expect", None)
        if expected is not None:
            if expected.lower() != "100-continue":
                raise ExpectationFailed(f"Unknown Expect: {expected}")
            self.expecting_continue = True
        if length == CHUNKED:
            self.request_body = "chunked"
            self.chunk_pending, self.extension_bytes = False, 0
        else:
            self.request_body = True
            self.request_bytes_left = self.request_bytes = length

    async def read(self) -> bytes | None:
        """Some bytes of the request's body; None after the last. Raises UnreadableRequest, PayloadTooLarge."""
        try:
            return await self._read()
        except (UnreadableRequest, PayloadTooLarge):
            self.keep_alive, self.request_body = False, None  # the start of the next request is unknown
            raise

    async def _read(self) -> bytes | None:
        if self.request_body == "chunked" and self.request_bytes_left == 0 and not await self._next_chunk():
            self._body_is_read()
            return None
        if self.request_bytes > self.request_max_size:
            raise PayloadTooLarge("Request body exceeds the size limit")
        if not self.request_bytes_left:
            self._body_is_read()
            return None
        if not self.recv_buffer:
            await self._continue()
            await self._receive_more()
        data = bytes(self.recv_buffer[: self.request_bytes_left])
        del self.recv_buffer[: len(data)]
        self.request_bytes_left -= len(data)
        if not self.request_bytes_left and self.request_body is True:
            self._body_is_read()
        return data

    async def _continue(self) -> None:
        if self.expecting_continue:
            self.expecting_continue = False
            await self._send(HTTP_CONTINUE)

    def _body_is_read(self) -> None:
        self.request_body = None
        self.protocol.has_arrived()

    async def _next_chunk(self) -> bool:
        """Reads up to a chunk's data. False after the last chunk and its trailers."""
        await self._continue()
        if self.chunk_pending:  # the line end after the previous chunk's data
            while len(self.recv_buffer) < 2:
                await self._receive_more()
            if self.recv_buffer[:2] != b"\r\n":
                raise UnreadableRequest("a chunk has to have as many bytes as its size says, and then CRLF")
            del self.recv_buffer[:2]
        size, extensions = framing.chunk_size(await self._line(limits.CHUNK_LINE_BYTES_MAX))
        self.extension_bytes += extensions
        framing.check_extensions(self.extension_bytes)
        if size == 0:
            await self._trailers()
            return False
        self.chunk_pending = True
        self.request_bytes_left = size
        self.request_bytes += size
        return True

    async def _trailers(self) -> None:
        trailers = b""
        while line := await self._line(limits.TRAILER_BYTES_MAX):
            trailers += line + b"\r\n"
            if len(trailers) > limits.TRAILER_BYTES_MAX:
                raise UnreadableRequest(f"trailers have more than {limits.TRAILER_BYTES_MAX} bytes")
        framing.check_trailers(trailers)

    async def _line(self, bytes_max: int) -> bytes:
        """The next line of the body's framing, without its CRLF."""
        buffer: bytearray = self.recv_buffer
        while (end := buffer.find(b"\r\n", 0, bytes_max + 2)) < 0:
            if len(buffer) > bytes_max + 1 or framing.trouble(buffer[: bytes_max + 2]):
                raise UnreadableRequest("a line of a chunked body is too long, or does not end in CRLF")
            await self._receive_more()
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        return line

    async def http1_response_header(self, data: bytes, end_stream: bool) -> None:
        """Send an answer's head, with the headers of every answer, and its first bytes."""
        self._complete(self.response, end_stream=end_stream)
        await super().http1_response_header(data, end_stream)

    def _complete(self, response: BaseHTTPResponse, *, end_stream: bool = True) -> None:
        """Add the headers of every answer: this one begins now."""
        self.protocol.answers(streams=not end_stream and response.content_type == EVENT_STREAM)
        complete(response.headers, response.content_type)
        if (cors := self.protocol.cors) is not None:
            cors.answer(self.request.headers.get("origin"), response.headers)

    async def head_response_ignored(self, data: bytes, end_stream: bool) -> None:  # type: ignore[override]
        """HEAD: send no body."""
        if end_stream:
            self.response_func = None
            self.stage = Stage.IDLE

    async def error_response(self, exception: Exception) -> None:
        """Answer an error, if the client is still connected and no answer has begun."""
        protocol = self.protocol
        if protocol.is_gone() or self.stage in (Stage.RESPONSE, Stage.FAILED):
            if not isinstance(exception, RequestCancelled | CancelledError | ServiceUnavailable):
                where = {"method": getattr(self.request, "method", ""), "path": getattr(self.request, "path", "")}
                log.exception("answer.broken", exception, **where)  # noqa: LOG004 - our log takes the error
            else:
                log.debug("connection.cut", path=getattr(self.request, "path", ""))
            self.stage, self.keep_alive = Stage.FAILED, False
            if protocol.is_gone():
                self.request_body = None  # its rest never comes
            return
        with suppress(RequestCancelled):
            await super().error_response(exception)


async def answer(request: Request) -> None:
    """Answer a request the slim way if it is hot, else Sanic's way."""
    if isinstance(request, HotRequest):
        stream = request.stream
        assert isinstance(stream, EdgeHttp)
        await stream.answer_hot(request)
    else:
        await request.app.handle_request(request)
