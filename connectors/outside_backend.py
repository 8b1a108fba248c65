"""Makes the connections of an HTTP client to addresses that users have entered, to public ones only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpcore

from connectors.outbound_http import NotOutside, outside_addresses


class OutsideBackend(httpcore.AsyncNetworkBackend):
    """Connections for httpcore, to public addresses only."""

    def __init__(self, *, loopback: bool) -> None:
        self._loopback, self._inner = loopback, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the name that answers."""
        try:
            addresses = await outside_addresses(host, port, loopback=self._loopback)
        except (OSError, TimeoutError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        failed: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Always refused: a socket in the file system is our own."""
        raise NotOutside(f"{path} is no address")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
