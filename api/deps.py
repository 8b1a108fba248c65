"""The handlers' dependencies: one of each per process, made at start, closed at stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg
from redis.asyncio import Redis

from api.auth.accounts import Accounts
from api.auth.attempts import Attempts
from api.auth.factors import Factors
from api.auth.keys import KeyRing
from api.auth.mailboxes import Mailboxes
from api.auth.mailed_links import MailedLinks
from api.auth.passwords import Passwords
from api.auth.secret_box import Sealer
from api.auth.sessions import CHANNEL as SESSIONS_CHANNEL
from api.auth.sessions import Sessions
from api.auth.stream_tickets import StreamTickets
from api.auth.tokens import AccessTokens
from api.fairness.admission import Admission
from api.fairness.background import Background
from api.fairness.guesses import Guesses
from api.fairness.limits import (
    ACCESS_TOKEN_TTL_S,
    DOOR_COUNTS_S,
    DOORS_COUNTED_MAX,
    HIDDEN_TYPES_MAX,
    HIDDEN_TYPES_S,
    METRICS_KEPT_S,
    PLATFORM_KEPT_S,
    REDIS_LIMITS_MAX,
    REDIS_READS_MAX,
    REDIS_TELLING_MAX,
    REDIS_TIMEOUT_S,
    SALES_KEPT_MAX,
    SALES_KEPT_S,
    WEBHOOKS_REMEMBERED_MAX,
)
from api.fairness.pools import DRAWING, EXPORTS, LOG, REDIS_READS, SCANS
from api.fairness.rate_limits import RateLimiter
from api.fairness.shared_fetch import SharedFetch
from api.fairness.shared_rate_limits import SharedLimiter
from api.fairness.shares import Places
from api.fairness.short_cache import ShortCache
from api.http.representation import Representations
from api.log.announcements import Announcements
from api.log.ends import LogEnds
from api.log.seals import Seals
from api.log.sold_out import SoldOutRequests
from api.log.watermarks import Memory, PendingReservation, RecentIds, Watermarks
from api.log.writer import LogWriter
from api.metrics import METRICS
from api.reads.database import QueryPool
from api.reads.existence import PUBLIC, Existence
from api.reads.history import History
from api.reads.listeners import Live
from api.reads.seat_feeds import SeatFeeds
from api.reads.seat_maps import SeatMaps
from api.reads.slow_requests import SlowRequests
from api.reads.subscriptions import Subscriptions
from api.shapes.console import SalesOut
from api.shapes.door import CountsOut
from api.shapes.events import EventAvailabilityOut, EventStatus
from api.ticket_codes import TicketCodes
from connectors import redis_clients
from pipelines.documents.printed import Printer
from pipelines.payments.providers.stripe.api import StripeApi
from pipelines.platform_settings import PaymentsBy, PlatformSettings
from schemas.ids import MS_PER_S, EventId, ReservationId, SessionId, TicketTypeId, UserId
from schemas.replies import REPLY_CHANNEL_PREFIX

PROJECTED_CHANNEL = "circle:projected"
NOTIFIED_CHANNEL = "circle:notified"
WRITTEN_CHANNEL = "circle:written"


@dataclass(kw_only=True, slots=True)
class ApiDeps:
    """Everything a request may need."""

    settings: PlatformSettings
    keys: KeyRing
    tokens: AccessTokens
    codes: TicketCodes
    limiter: RateLimiter
    shared_limiter: SharedLimiter
    database: QueryPool
    redis: Redis
    redis_reads: Places
    availability: SharedFetch[EventAvailabilityOut]
    seat_maps: SeatMaps
    seat_feeds: SeatFeeds
    platform: ShortCache[bytes]
    sales: ShortCache[SalesOut]
    events: Existence
    log_ends: LogEnds
    log_writer: LogWriter
    sold_out: SoldOutRequests
    subscriptions: Subscriptions
    watermarks: Watermarks
    memory: Memory
    webhooks: RecentIds
    announcements: Announcements
    live: Live
    passwords: Passwords
    accounts: Accounts
    mailed: MailedLinks
    factors: Factors
    history: History
    drawing: Background
    scans: Background
    commands: Places
    admission: Admission
    door_counts: ShortCache[CountsOut]
    hidden_types: ShortCache[dict[TicketTypeId, bool]]
    guesses: Guesses
    exports: Places
    printer: Printer
    sessions: Sessions
    stripe: StripeApi | None = None  # for facts that a webhook leaves out; None without Stripe
    figures: ShortCache[bytes]
    slow: SlowRequests = field(default_factory=SlowRequests)
    representations: Representations
    stream_tickets: StreamTickets
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _redis: tuple[Redis, ...] = ()
    _tasks: tuple[asyncio.Task[None], ...] = ()

    @classmethod
    def open(cls, settings: PlatformSettings, keys: KeyRing, instance: str) -> ApiDeps:
        """All dependencies. They connect lazily, so no service has to be up. Call inside the event loop."""
        database = QueryPool(settings.postgres_url)
        # Each purpose has its own connections: a flood of one kind never makes another kind wait.
        redis, limits, telling = (
            _redis(settings, size) for size in (REDIS_READS_MAX, REDIS_LIMITS_MAX, REDIS_TELLING_MAX)
        )

        async def ended() -> list[SessionId]:
            rows: list[asyncpg.Record] = await database.rows("sessions_ended", ACCESS_TOKEN_TTL_S)
            return [row["session_id"] for row in rows]

        written = Seals(keys, WRITTEN_CHANNEL)
        sessions = Sessions(telling, ended, Seals(keys, SESSIONS_CHANNEL))
        tokens, passwords = AccessTokens(keys, ended=sessions.ended), Passwords()
        factors = Factors(database, Sealer(keys))
        channel = REPLY_CHANNEL_PREFIX + instance
        live, memory = Live(wanted=lambda wanted: subscriptions.want(NOTIFIED_CHANNEL, wanted)), Memory()

        async def reservations(since_us: int, count: int) -> list[tuple[ReservationId, PendingReservation]]:
            rows: list[asyncpg.Record] = await database.rows("reservations_since", since_us, count)
            return [
                (row["id"], PendingReservation(*(row[name] for name in PendingReservation.__struct_fields__)))
                for row in rows
            ]

        announcements = Announcements(
            instance,
            memory,
            publish=lambda data: telling.publish(WRITTEN_CHANNEL, written.seal(data)),
            recent=reservations,
            known=lambda event_id: events.made(event_id),
            listening=lambda: subscriptions.connected.is_set(),
        )
        admission = Admission(
            partitions=settings.partitions,
            target_s=settings.admission_target_ms / MS_PER_S,
            hears=lambda: subscriptions.connected.is_set(),
        )
        log_writer = LogWriter(
            settings,
            reply_to=channel,
            key=keys.current,
            written=announcements.written,
            unasked=admission.replied,
        )

        async def positions() -> list[tuple[int, int]]:
            rows: list[asyncpg.Record] = await database.rows("positions_projected")
            return [(row["partition"], row["offset"]) for row in rows]

        def told_of_writes(data: bytes) -> None:
            message = written.open(data)
            if message is not None:
                announcements.message(message)

        async def caught_up() -> None:
            live.wake_all()
            announcements.catch_up()
            sessions.reload()
            await watermarks.refresh()

        async def draft_of(event_id: EventId) -> UserId | None:
            row = await database.row("event_by_id", event_id)
            return None if row is None else row["organizer_id"] if row["status"] == EventStatus.DRAFT else PUBLIC

        watermarks, log_ends = Watermarks(positions), LogEnds(settings)
        events = Existence(draft_of=draft_of, end_of=log_ends.of, watermarks=watermarks, partitions=settings.partitions)
        shared_limiter = SharedLimiter(limits, settings.rate_limit_scale)
        handlers = {
            channel: log_writer.replies,
            PROJECTED_CHANNEL: watermarks.message,
            NOTIFIED_CHANNEL: live.message,
            WRITTEN_CHANNEL: told_of_writes,
            SESSIONS_CHANNEL: sessions.message,
        }
        subscriptions = Subscriptions(
            settings.redis_url, handlers, caught_up, on_demand={NOTIFIED_CHANNEL: live.wake_all}
        )
        stripe = None
        if settings.payments is PaymentsBy.STRIPE and settings.stripe_api_key is not None:
            stripe = StripeApi(settings.stripe_api_key, settings.stripe_api_url)
        return cls(
            settings=settings,
            stripe=stripe,
            keys=keys,
            tokens=tokens,
            codes=TicketCodes(keys),
            limiter=RateLimiter(settings.rate_limit_scale),
            database=database,
            shared_limiter=shared_limiter,
            redis=redis,
            _redis=(redis, limits, telling),
            redis_reads=Places(REDIS_READS, "reads"),
            availability=SharedFetch(),
            seat_maps=SeatMaps(),
            seat_feeds=SeatFeeds(),
            platform=ShortCache(PLATFORM_KEPT_S, 1),
            sales=ShortCache(SALES_KEPT_S, SALES_KEPT_MAX),
            events=events,
            log_ends=log_ends,
            log_writer=log_writer,
            sold_out=SoldOutRequests(log_writer, on=settings.edge_refusals),
            subscriptions=subscriptions,
            watermarks=watermarks,
            webhooks=RecentIds(WEBHOOKS_REMEMBERED_MAX),
            memory=memory,
            announcements=announcements,
            live=live,
            passwords=passwords,
            history=History(settings),
            drawing=Background(DRAWING, "drawings"),
            scans=Background(SCANS, "batches of scans"),
            commands=Places(LOG, "requests to the log"),
            admission=admission,
            printer=Printer(),
            accounts=Accounts(
                database=database,
                passwords=passwords,
                tokens=tokens,
                sessions=sessions,
                factors=factors,
                mailboxes=Mailboxes(keys),
                attempts=Attempts(database),
            ),
            mailed=MailedLinks(database, passwords, sessions),
            factors=factors,
            sessions=sessions,
            figures=ShortCache(METRICS_KEPT_S, 2),
            representations=Representations(),
            stream_tickets=StreamTickets(redis, keys, tokens),
            door_counts=ShortCache(DOOR_COUNTS_S, DOORS_COUNTED_MAX),
            hidden_types=ShortCache(HIDDEN_TYPES_S, HIDDEN_TYPES_MAX),
            guesses=Guesses(shared_limiter),
            exports=Places(EXPORTS, "exports"),
        )

    def listen(self) -> None:
        """Begin to listen for replies, positions, notifications and ended sessions."""
        self._tasks = (asyncio.create_task(self.subscriptions.run()), asyncio.create_task(self.sessions.keep_up()))

    async def metrics_text(self) -> bytes:
        """The metrics of all API processes in Prometheus' text format, at most METRICS_KEPT_S old.

        Written in a thread, because it takes some milliseconds.
        """
        return await self.figures.get("text", lambda: asyncio.to_thread(METRICS.exposition))

    async def native_metrics(self) -> bytes:
        """The same as protocol buffers, which have native histograms."""
        return await self.figures.get("native", lambda: asyncio.to_thread(METRICS.native_exposition))

    async def close(self) -> None:
        """Wait for the log's acknowledgements, then close everything else."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.sold_out.close_window()
        self.log_writer.close()
        await self.announcements.close()
        self.passwords.close()
        self.history.close()
        self.drawing.close()
        self.scans.close()
        self.seat_maps.close()
        self.representations.close()
        if self.stripe is not None:
            await self.stripe.close()
        for client in self._redis:
            await client.aclose()
        self.log_ends.close()
        await self.database.close()


def _redis(settings: PlatformSettings, connections: int) -> Redis:
    """A client with `connections` connections. A caller waits for a free one, REDIS_TIMEOUT_S at most."""
    return redis_clients.connect_sharing(
        settings.redis_url,
        connections,
        REDIS_TIMEOUT_S,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )
