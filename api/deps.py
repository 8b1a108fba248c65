"""The handlers' dependencies: one of each per process, made at start, closed at stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from api.auth.accounts import AccountStore
from api.auth.attempts import Attempts
from api.auth.factors import Factors
from api.auth.keys import KeyRing
from api.auth.mailboxes import Mailboxes
from api.auth.mailed_links import MailedLinks
from api.auth.passwords import Passwords
from api.auth.secret_box import Sealer
from api.auth.sessions import Sessions
from api.auth.stream_tickets import StreamTickets
from api.auth.tokens import AccessTokens
from api.fairness.admission import Admission
from api.fairness.background import Background
from api.fairness.guesses import Guesses
from api.fairness.limits import (
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
    SHUTDOWN_GRACE_S,
    WEBHOOKS_REMEMBERED_MAX,
)
from api.fairness.pools import DRAWING, EXPORTS, LOG, REDIS_READS, SCANS
from api.fairness.rate_limits import RateLimiter
from api.fairness.shared_fetch import SharedFetch
from api.fairness.shared_rate_limits import SharedLimiter
from api.fairness.shares import Places
from api.fairness.short_cache import ShortCache
from api.http.representation import Representations
from api.http.stream_groups import StreamGroups
from api.listening import Listening
from api.log.announcements import Announcements
from api.log.ends import LogEnds
from api.log.sold_out import SoldOutRequests
from api.log.watermarks import Memory, RecentIds, Watermarks
from api.log.writer import LogWriter
from api.metrics import METRICS
from api.reads.availability_feeds import AvailabilityFeeds, EventWatcher
from api.reads.database import QueryPool
from api.reads.existence import Existence
from api.reads.history import History
from api.reads.listeners import Live
from api.reads.seat_feeds import SeatFeeds, SeatWatcher
from api.reads.seat_maps import SeatMapReads
from api.reads.slow_requests import SlowRequests
from api.reads.stored_state import StoredState
from api.reads.subscriptions import Subscriptions
from api.shapes.console import SalesOut
from api.shapes.door import CountsOut
from api.shapes.events import EventAvailabilityOut
from api.ticket_codes import TicketCodes
from connectors import redis_clients
from connectors.cancellation import cancel_all
from pipelines.documents.ticket_page import Printer
from pipelines.platform_settings import PaymentsBy, PlatformSettings
from schemas.ids import TicketTypeId

if TYPE_CHECKING:
    from pipelines.payments.providers.stripe.api import StripeApi


@dataclass(kw_only=True, slots=True)
class ApiDeps:
    """Everything a request may need."""

    settings: PlatformSettings
    keys: KeyRing
    database: QueryPool
    redis: Redis

    log_writer: LogWriter
    log_ends: LogEnds
    admission: Admission
    sold_out: SoldOutRequests
    commands: Places = field(default_factory=lambda: Places(LOG, "requests to the log"))

    subscriptions: Subscriptions
    watermarks: Watermarks
    memory: Memory
    announcements: Announcements
    live: Live
    events: Existence

    sessions: Sessions
    tokens: AccessTokens
    passwords: Passwords
    factors: Factors
    accounts: AccountStore
    mailed: MailedLinks
    stream_tickets: StreamTickets

    limiter: RateLimiter
    shared_limiter: SharedLimiter
    guesses: Guesses

    codes: TicketCodes
    printer: Printer = field(default_factory=Printer)
    drawing: Background = field(default_factory=lambda: Background(DRAWING, "drawings"))
    scans: Background = field(default_factory=lambda: Background(SCANS, "batches of scans"))
    exports: Places = field(default_factory=lambda: Places(EXPORTS, "exports"))
    history: History
    stripe: StripeApi | None  # for facts that a webhook leaves out; None without Stripe
    webhooks: RecentIds = field(default_factory=lambda: RecentIds(WEBHOOKS_REMEMBERED_MAX))

    redis_reads: Places = field(default_factory=lambda: Places(REDIS_READS, "reads"))
    availability: SharedFetch[EventAvailabilityOut] = field(default_factory=SharedFetch)
    availability_feeds: AvailabilityFeeds = field(default_factory=AvailabilityFeeds)
    event_watchers: StreamGroups[EventWatcher] = field(default_factory=StreamGroups)
    seat_watchers: StreamGroups[SeatWatcher] = field(default_factory=StreamGroups)
    seat_maps: SeatMapReads = field(default_factory=SeatMapReads)
    seat_feeds: SeatFeeds = field(default_factory=SeatFeeds)
    representations: Representations = field(default_factory=Representations)
    platform: ShortCache[bytes] = field(default_factory=lambda: ShortCache(PLATFORM_KEPT_S, 1))
    sales: ShortCache[SalesOut] = field(default_factory=lambda: ShortCache(SALES_KEPT_S, SALES_KEPT_MAX))
    figures: ShortCache[bytes] = field(default_factory=lambda: ShortCache(METRICS_KEPT_S, 2))
    door_counts: ShortCache[CountsOut] = field(default_factory=lambda: ShortCache(DOOR_COUNTS_S, DOORS_COUNTED_MAX))
    hidden_types: ShortCache[dict[TicketTypeId, bool]] = field(
        default_factory=lambda: ShortCache(HIDDEN_TYPES_S, HIDDEN_TYPES_MAX)
    )
    slow: SlowRequests = field(default_factory=SlowRequests)

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
        heard = Listening(settings, keys, instance, stored=StoredState(database), telling=telling)
        shared_limiter = SharedLimiter(limits, settings.rate_limit_scale)
        tokens, passwords = AccessTokens(keys, ended=heard.sessions.ended), Passwords()
        factors = Factors(database, Sealer(keys))
        return cls(
            settings=settings,
            keys=keys,
            database=database,
            redis=redis,
            _redis=(redis, limits, telling),
            # the log
            log_writer=heard.log_writer,
            log_ends=heard.log_ends,
            admission=heard.admission,
            sold_out=SoldOutRequests(heard.log_writer, on=settings.edge_refusals),
            # what is heard of it
            subscriptions=heard.subscriptions,
            watermarks=heard.watermarks,
            memory=heard.memory,
            announcements=heard.announcements,
            live=heard.live,
            events=heard.events,
            # people
            sessions=heard.sessions,
            tokens=tokens,
            passwords=passwords,
            factors=factors,
            accounts=AccountStore(
                database=database,
                passwords=passwords,
                tokens=tokens,
                sessions=heard.sessions,
                factors=factors,
                mailboxes=Mailboxes(keys),
                attempts=Attempts(database),
            ),
            mailed=MailedLinks(database, passwords, heard.sessions),
            stream_tickets=StreamTickets(redis, keys, tokens),
            # limits
            limiter=RateLimiter(settings.rate_limit_scale),
            shared_limiter=shared_limiter,
            guesses=Guesses(shared_limiter),
            # tickets and the past
            codes=TicketCodes(keys),
            history=History(settings),
            stripe=_stripe(settings),
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
        await cancel_all(self._tasks, SHUTDOWN_GRACE_S)
        await asyncio.gather(self.event_watchers.close(SHUTDOWN_GRACE_S), self.seat_watchers.close(SHUTDOWN_GRACE_S))
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


def _stripe(settings: PlatformSettings) -> StripeApi | None:
    if settings.payments is not PaymentsBy.STRIPE or settings.stripe_api_key is None:
        return None
    # An HTTP client is a large part of the API's start, and only Stripe needs one.
    from pipelines.payments.providers.stripe.api import StripeApi

    return StripeApi(settings.stripe_api_key, settings.stripe_api_url)
