"""The one place that makes Redis clients. The URL has all options. `rediss://` is TLS, and the certificate is always
verified. With `ssl_ca_certs` (CIRCLE_REDIS_CA_FILE) it is verified against that authority.

Guarantee: no client serves a Redis Cluster. One of our calls names many keys, which a cluster has on several
servers. Each new connection asks for the server's mode with HELLO, which any user may send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry as SyncRetry

from connectors.errors import UnsuitableService

CHECK_TIMEOUT_S = 2.0  # of a Redis that does not answer: a process starts without it
MODE, CLUSTER = ("mode", b"mode"), ("cluster", b"cluster")


class RedisIsACluster(UnsuitableService, RedisError):
    """CIRCLE_REDIS_URL names a node of a Redis Cluster.

    For code that goes on while Redis is away, it is an outage. At the start of a process, and for a command, it is
    the end.
    """

    def __init__(self, address: str) -> None:
        hint = (
            "it is a node of a Redis Cluster, and one call of ours names keys of many slots; "
            "set CIRCLE_REDIS_URL to a single server (cluster-enabled no), with replicas if you like"
        )
        super().__init__("Redis", address, hint)


def connect(url: str, **options: Any) -> redis.Redis:
    """A client for synchronous code. It connects at its first use. Raises RedisIsACluster then."""
    client: redis.Redis = redis.Redis.from_url(url, redis_connect_func=_begin, **options)
    return client


def connect_async(url: str, **options: Any) -> redis.asyncio.Redis:
    """The same for an event loop."""
    return redis.asyncio.Redis.from_url(url, redis_connect_func=_begin_async, **options)


def refuse_cluster(url: str) -> None:
    """Raises RedisIsACluster. A Redis that is away is no error here: a process may start before it."""
    with connect(
        url, socket_timeout=CHECK_TIMEOUT_S, socket_connect_timeout=CHECK_TIMEOUT_S, retry=SyncRetry(NoBackoff(), 0)
    ) as client:
        try:
            client.ping()
        except RedisIsACluster:
            raise
        except RedisError:
            return


def connect_sharing(url: str, connections: int, patience_s: float, **options: Any) -> redis.asyncio.Redis:
    """A client for many callers of one event loop, with at most `connections`. A caller waits `patience_s` for one."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=connections, timeout=patience_s, redis_connect_func=_begin_async, **options
    )
    return redis.asyncio.Redis.from_pool(pool)


async def hand_over(url: str, protocol: asyncio.Protocol, timeout_s: float) -> object:
    """Connect as the client library does, with TLS and credentials, and give the connection to `protocol`.

    Returns the stream that made the connection. Keep it as long as the connection: newer releases of Python close the
    connection of a stream that is collected. The library reads subscriptions through a stream, a task and a parser for
    each message. Raises RedisError, OSError and TimeoutError of the library.
    """
    client = connect_async(url, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0))
    pool: Any = client.connection_pool
    connection = pool.make_connection()
    try:
        await connection.connect()
    except RuntimeError as error:  # uvloop's, when Redis closes the connection while the library writes to it
        raise RedisConnectionError(str(error)) from None
    # The library has no other way to let go of a connection. Without these it does not close it.
    reader, writer = connection._reader, connection._writer  # noqa: SLF001
    connection._reader = connection._writer = None  # noqa: SLF001
    transport: asyncio.Transport = writer.transport
    transport.set_protocol(protocol)
    if reader.at_eof() or transport.is_closing():  # its former protocol knows, and `protocol` would never learn it
        transport.close()
        raise RedisConnectionError("Redis closed the connection at once")
    protocol.connection_made(transport)
    return writer


def send_together(client: redis.Redis, commands: Sequence[Sequence[Any]]) -> list[Any]:
    """Send commands in one write, and return their answers in order.

    A pipeline of the client library does the same with more CPU time, and so does its packing, which looks at each
    argument first. Raises the first error among the answers, after
    it has read them all. Raises ConnectionError and TimeoutError of the library, and sends nothing again.
    """
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    answers: list[Any] = []
    refused: ResponseError | None = None
    try:
        connection.send_packed_command([hiredis.pack_command(tuple(command)) for command in commands])
        for _ in commands:
            try:
                answers.append(connection.read_response())
            except ResponseError as error:
                answers.append(error)
                refused = refused or error
    except BaseException:
        connection.disconnect()  # answers may still be on their way
        raise
    finally:
        pool.release(connection)
    if refused is not None:
        raise refused
    return answers


def _begin(connection: Any) -> None:
    connection.on_connect()
    connection.send_command("HELLO", check_health=False)
    try:
        answer = connection.read_response()
    except ResponseError:  # a proxy, or a server before version 6, which does not know HELLO
        return
    _refuse_cluster(connection, answer)


async def _begin_async(connection: Any) -> None:
    await connection.on_connect()
    await connection.send_command("HELLO", check_health=False)
    try:
        answer = await connection.read_response()
    except ResponseError:
        return
    _refuse_cluster(connection, answer)


def _refuse_cluster(connection: Any, answer: Any) -> None:
    """Raises RedisIsACluster by the answer to HELLO: a map, or a list of names and values in turn."""
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    if any(name in MODE and value in CLUSTER for name, value in pairs.items() if isinstance(value, (str, bytes))):
        raise RedisIsACluster(getattr(connection, "path", "") or f"{connection.host}:{connection.port}")
