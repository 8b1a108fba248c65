"""What a process sends to the log and hears of it: outcomes, positions, writes of other processes, ended sessions.

The parts need each other: a message wakes streams, moves watermarks, and ends waits. They are connected here.
"""

from __future__ import annotations

from redis.asyncio import Redis

from api.auth.keys import KeyRing
from api.auth.sessions import CHANNEL as SESSIONS_CHANNEL
from api.auth.sessions import Sessions
from api.fairness.admission import Admission
from api.log.announcements import Announcements
from api.log.ends import LogEnds
from api.log.seals import Seals
from api.log.watermarks import Memory, Watermarks
from api.log.writer import LogWriter
from api.reads.existence import Existence
from api.reads.listeners import Live
from api.reads.stored_state import StoredState
from api.reads.subscriptions import Subscriptions
from connectors.settings import Settings
from schemas.ids import MS_PER_S
from schemas.replies import REPLY_CHANNEL_PREFIX

PROJECTED_CHANNEL = "circle:projected"
NOTIFIED_CHANNEL = "circle:notified"
WRITTEN_CHANNEL = "circle:written"


class Listening:
    """The parts of one process, connected. `telling` is the Redis client that tells other processes."""

    def __init__(
        self, settings: Settings, keys: KeyRing, instance: str, *, stored: StoredState, telling: Redis
    ) -> None:
        channel, self._seals = REPLY_CHANNEL_PREFIX + instance, Seals(keys, WRITTEN_CHANNEL)
        self.memory = Memory()
        self.live = Live(wanted=lambda wanted: self.subscriptions.want(NOTIFIED_CHANNEL, wanted))
        self.sessions = Sessions(telling, stored.ended_sessions, Seals(keys, SESSIONS_CHANNEL))
        self.announcements = Announcements(
            instance,
            self.memory,
            publish=lambda data: telling.publish(WRITTEN_CHANNEL, self._seals.seal(data)),
            recent=stored.recent_reservations,
            known=lambda event_id: self.events.made(event_id),
            listening=self._connected,
        )
        self.admission = Admission(
            partitions=settings.partitions, target_s=settings.admission_target_ms / MS_PER_S, hears=self._connected
        )
        self.log_writer = LogWriter(
            settings,
            reply_to=channel,
            key=keys.current,
            written=self.announcements.written,
            unasked=self.admission.replied,
        )
        self.watermarks, self.log_ends = Watermarks(stored.projected_positions), LogEnds(settings)
        self.events = Existence(
            draft_of=stored.owner_of_draft,
            end_of=self.log_ends.of,
            watermarks=self.watermarks,
            partitions=settings.partitions,
        )
        handlers = {
            channel: self.log_writer.replies,
            PROJECTED_CHANNEL: self.watermarks.message,
            NOTIFIED_CHANNEL: self.live.message,
            WRITTEN_CHANNEL: self._written_elsewhere,
            SESSIONS_CHANNEL: self.sessions.message,
        }
        self.subscriptions = Subscriptions(
            settings.redis_url, handlers, self._caught_up, on_demand={NOTIFIED_CHANNEL: self.live.wake_all}
        )

    def _connected(self) -> bool:
        return self.subscriptions.connected.is_set()

    def _written_elsewhere(self, data: bytes) -> None:
        message = self._seals.open(data)
        if message is not None:
            self.announcements.message(message)

    async def _caught_up(self) -> None:
        """After a gap in the messages: read again what they may have said."""
        self.live.wake_all()
        self.announcements.catch_up()
        self.sessions.reload()
        await self.watermarks.refresh()
