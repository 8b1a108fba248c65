"""New connections at a stated rate, and one hold on each: how many get which answer, and how many get none.

The connections come from several loopback addresses, so that no client network has more than its share. The loop is
open: a slow answer delays no other connection. Latency counts from the moment when a connection was due, so it includes
the handshake. A platform on another machine sees this machine's address alone.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from uuid import uuid4

import msgspec

from connectors.errors import SettingsError
from ops.progress import Bar, ProgressBars
from ops.proof.load.accounts import provision
from ops.proof.load.http_client import HttpClient, NoAnswer
from ops.proof.load.organizer import Organizer
from ops.proof.load.target import LoadTarget
from ops.statistics import Latencies, latencies
from schemas.ids import EventId, TicketTypeId

CONNECTIONS_MAX = 40_000  # one seat each, of one section
ADDRESSES_MAX = 200
FIRST_ADDRESS = 2  # 127.0.0.1 is the address of everything else on this machine
ROWS, SEATS_PER_ROW = 100, CONNECTIONS_MAX // 100
BUYERS_MAX = 2_000
HOLD_TTL_S = 600
DESCRIPTORS_OWN = 200  # of this process: logs, pipes to the platform, libraries
PREFER = "wait=30"
INTERNAL_ERROR = "500"


class ConnectionsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure. `rate` is in connections a second. With `keep` each stays open until the last answer."""

    connections: int = 5_000
    rate: float = 500.0
    addresses: int = 5
    keep: bool = False


class ConnectionsReport(msgspec.Struct, frozen=True, kw_only=True):
    """`statuses` counts the answers by HTTP status, `unanswered` the other connections by what happened to them.

    `opened_s` is the time until the last connection was begun: more than `connections / rate` where this machine does
    not reach the rate. `latency` has the answered connections only."""

    options: ConnectionsOptions
    opened_s: float
    seconds: float
    statuses: dict[str, int]
    unanswered: dict[str, int]
    latency: Latencies

    @property
    def passed(self) -> bool:
        """Every connection has an answer, and no answer is an internal error."""
        return not self.unanswered and INTERNAL_ERROR not in self.statuses


class Hold(NamedTuple):
    """The request of each connection: one place of a ticket type. The buyers take turns."""

    event_id: EventId
    ticket_type_id: TicketTypeId
    tokens: Sequence[str]


async def run(options: ConnectionsOptions, target: LoadTarget, progress: ProgressBars) -> ConnectionsReport:
    """Put an event on sale, then open the connections. `enough_descriptors` comes before it."""
    accounts = await provision(target.settings, min(BUYERS_MAX, options.connections), label="connections")
    async with HttpClient(target.url) as client:
        organizer = await Organizer.join(client)
        drop = await organizer.publish(
            "Connections", sections=1, rows=ROWS, seats_per_row=SEATS_PER_ROW, hold_ttl_s=HOLD_TTL_S,
            tickets_per_user_max=1_000,
        )  # fmt: skip
    hold = Hold(drop.event_id, drop.ticket_type_ids[0], [account.token for account in accounts])
    return await opened(options, target.url, hold, progress.bar("connections", options.connections))


async def opened(options: ConnectionsOptions, url: str, hold: Hold, bar: Bar) -> ConnectionsReport:
    """Open all connections, send one hold on each, and wait for every answer."""
    loop = asyncio.get_running_loop()
    crowd = _Crowd(url, hold, options)
    began = loop.time()
    tasks = []
    for number in range(options.connections):
        due = began + number / options.rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        tasks.append(asyncio.create_task(crowd.one(number, due)))
        bar.set(number + 1)
    opened_s = loop.time() - began
    try:
        await asyncio.gather(*tasks)
    finally:
        crowd.close()
    return ConnectionsReport(
        options=options,
        opened_s=round(opened_s, 3),
        seconds=round(loop.time() - began, 3),
        statuses=dict(sorted(crowd.statuses.items())),
        unanswered=dict(sorted(crowd.unanswered.items())),
        latency=latencies(crowd.seconds),
    )


class _Crowd:
    """The connections, and what they got."""

    def __init__(self, url: str, hold: Hold, options: ConnectionsOptions) -> None:
        self._url, self._hold, self._options = url, hold, options
        self._open: list[HttpClient] = []
        self.statuses: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.seconds: list[float] = []

    async def one(self, number: int, due: float) -> None:
        """One connection and its hold. `due` is a time of the event loop."""
        source = f"127.0.0.{FIRST_ADDRESS + number % self._options.addresses}"
        client = HttpClient(self._url, connections_max=1, source=source)
        body = {"ticket_type_id": self._hold.ticket_type_id, "quantity": 1}
        token = self._hold.tokens[number % len(self._hold.tokens)]
        path = f"/v1/events/{self._hold.event_id}/reservations"
        try:
            answer = await client.request("POST", path, token=token, key=uuid4().hex, prefer=PREFER, body=body)
        except NoAnswer as error:
            self.unanswered[str(error)] += 1
            return
        self.seconds.append(asyncio.get_running_loop().time() - due)
        self.statuses[str(answer.status)] += 1
        if self._options.keep:
            self._open.append(client)
        else:
            client.close()

    def close(self) -> None:
        """Ends the connections that stayed open."""
        for client in self._open:
            client.close()


def enough_descriptors(connections: int) -> None:
    """Lets this process open so many connections. Raises SettingsError when the system allows fewer open files."""
    needed = connections + DESCRIPTORS_OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SettingsError(
            "--connections", f"this process may open {hard} files", got=str(connections), example=str(hard // 2)
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
