"""A request of the load generator is sent at most once: it has a whole answer, or it is known that there is none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from api.http.problem import KINDS
from ops.proof.load import http_client
from ops.proof.load.http_client import NOT_DECIDED, HttpClient, NoAnswer, TimedResponse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: application/json\r\n\r\n" + b'{"a": true}'


class Server:
    """Counts connections, and sends `answer`'s reply to each request, in its pieces."""

    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        self._answer = answer
        self.connections = 0
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                pieces = self._answer(self.requests[-1])
                if not pieces:
                    break
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    answer: Callable[[bytes], list[bytes]], *, connections_max: int = 10
) -> AsyncIterator[tuple[Server, HttpClient]]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        async with HttpClient(f"http://127.0.0.1:{port}", connections_max=connections_max) as client:
            yield server, client
        await asyncio.sleep(0.01)  # lets the server notice the end of its connections


async def test_connections_are_kept() -> None:
    async with serving(lambda _: [OK]) as (server, client):
        for _ in range(3):
            assert (await client.request("GET", "/")).json() == {"a": True}
        assert server.connections == 1


async def test_an_answer_may_come_in_pieces() -> None:
    async with serving(lambda _: [OK[index : index + 7] for index in range(0, len(OK), 7)]) as (_, client):
        assert (await client.request("GET", "/")).json() == {"a": True}
        assert (await client.request("GET", "/")).json() == {"a": True}


async def test_an_answer_without_a_body_is_whole() -> None:
    async with serving(lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"]) as (_, client):
        assert (await client.request("DELETE", "/"))[:2] == (204, b"")


async def test_no_more_requests_at_once_than_connections() -> None:
    async with serving(lambda _: [OK], connections_max=2) as (server, client):
        answers = await asyncio.gather(*(client.request("GET", f"/{n}") for n in range(20)))
        assert [answer.status for answer in answers] == [200] * 20
        assert server.connections <= 2


async def test_a_connection_that_ends_is_no_answer_and_the_next_request_gets_a_new_one() -> None:
    async with serving(lambda request: [] if b"/die" in request else [OK]) as (server, client):
        with pytest.raises(NoAnswer):
            await client.request("GET", "/die")
        assert (await client.request("GET", "/")).status == 200
        assert server.connections == 2


async def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    closing = OK.replace(b"Content-Type", b"Connection: close\r\nContent-Type")
    async with serving(lambda _: [closing]) as (server, client):
        for _ in range(2):
            assert (await client.request("GET", "/")).status == 200
        assert server.connections == 2


async def test_a_cancelled_request_gives_its_turn_back() -> None:
    async with serving(lambda request: [b"HTTP"] if b"/hang" in request else [OK], connections_max=1) as (_, client):
        hanging = asyncio.create_task(client.request("GET", "/hang"))
        waiting = asyncio.create_task(client.request("GET", "/"))
        while not client.sent:
            await asyncio.sleep(0)
        hanging.cancel()
        assert (await asyncio.wait_for(waiting, 5)).status == 200


async def test_a_request_that_waits_too_long_has_no_answer_and_gives_its_turn_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_client, "ANSWER_TIMEOUT_S", 0.1)
    monkeypatch.setattr(http_client, "LOOK_FOR_LATE_S", 0.01)
    async with serving(lambda request: [b"HTTP"] if b"/hang" in request else [OK], connections_max=1) as (_, client):
        late, waiting = (asyncio.create_task(client.request("GET", path)) for path in ("/hang", "/"))
        with pytest.raises(NoAnswer, match="no answer within"):
            await asyncio.wait_for(late, 5)
        assert (await asyncio.wait_for(waiting, 5)).status == 200


async def test_a_request_that_is_cancelled_before_its_connection_is_there_is_not_sent() -> None:
    async with serving(lambda _: [OK], connections_max=1) as (server, client):
        cancelled = asyncio.create_task(client.request("GET", "/never"))
        await asyncio.sleep(0)
        cancelled.cancel()
        assert (await asyncio.wait_for(client.request("GET", "/"), 5)).status == 200
        assert [request.split()[1] for request in server.requests] == [b"/"]


async def test_a_request_that_is_cancelled_with_its_answer_leaves_the_next_one_on_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(lambda _: [OK], connections_max=1) as (server, client):
        first, second = (asyncio.create_task(client.request("GET", path)) for path in ("/first", "/second"))
        freed = client.freed

        def freed_and_cancelled(
            connection: http_client._Connection, exchange: http_client._Exchange, answer: TimedResponse | NoAnswer
        ) -> None:
            freed(connection, exchange, answer)
            first.cancel()

        monkeypatch.setattr(client, "freed", freed_and_cancelled)
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await asyncio.wait_for(second, 5)).status == 200
        assert server.connections == 1


async def test_without_a_server_each_request_ends_without_an_answer() -> None:
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    async with HttpClient(f"http://127.0.0.1:{port}", connections_max=1) as client:
        ended = await asyncio.gather(*(client.request("GET", "/") for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in ended] == [NoAnswer] * 3
    assert client.sent == 0


async def test_callers_are_called_back_in_turn() -> None:
    async with serving(lambda _: [OK], connections_max=1) as (_, client):
        answers: asyncio.Queue[tuple[int, TimedResponse | NoAnswer]] = asyncio.Queue()
        for number in range(3):
            request = client.head("GET", f"/{number}", b"") + client.lines()
            client.send(request, lambda answer, number=number: answers.put_nowait((number, answer)))
        got = [await asyncio.wait_for(answers.get(), 5) for _ in range(3)]
    assert [number for number, _ in got] == [0, 1, 2]
    assert [answer.status for _, answer in got if isinstance(answer, TimedResponse)] == [200] * 3


async def test_what_is_sent_is_http() -> None:
    async with serving(lambda _: [OK]) as (server, client):
        await client.request("POST", "/x", token="t", key="k", prefer="wait=3", body={"quantity": 2})
    head, body = server.requests[0].split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /x HTTP/1.1"
    assert {b"Authorization: Bearer t", b"Idempotency-Key: k", b"Prefer: wait=3", b"Content-Length: 14"} <= set(lines)
    assert body == b'{"quantity":2}'


@pytest.mark.parametrize(
    ("status", "body", "slug"),
    [
        (409, b'{"type":"/problems/sold-out"}', "sold-out"),
        (201, b'{"type":"/problems/sold-out"}', ""),
        (502, b"<html>", "http-502"),
        (500, b"{}", "http-500"),
    ],
)
def test_a_problem_is_known_by_its_slug(status: int, body: bytes, slug: str) -> None:
    assert TimedResponse(status, body, 0.0).problem == slug


def test_it_knows_each_problem_after_which_the_same_request_may_be_sent_again() -> None:
    assert {slug for slug, (status, _) in KINDS.items() if status in (429, 503)} == NOT_DECIDED
