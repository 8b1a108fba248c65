"""The one place that makes Redis clients. The URL has all options. `rediss://` is TLS, and the certificate is always
verified. With `ssl_ca_certs` (CIRCLE_REDIS_CA_FILE) it is verified against that authority.
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
from redis.exceptions import ResponseError


def connect(url: str, **options: Any) -> redis.Redis:
    """A client for synchronous code. It connects at its first use."""
    client: redis.Redis = redis.Redis.from_url(url, **options)
    return client


def connect_async(url: str, **options: Any) -> redis.asyncio.Redis:
    """The same for an event loop."""
    return redis.asyncio.Redis.from_url(url, **options)


def connect_sharing(url: str, connections: int, patience_s: float, **options: Any) -> redis.asyncio.Redis:
    """A client for many callers of one event loop, with at most `connections`. A caller waits `patience_s` for one."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=connections, timeout=patience_s, **options
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
