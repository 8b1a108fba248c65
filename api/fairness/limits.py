"""Every limit of the HTTP surface, with its why. Past one of them the answer is a problem, never a longer queue."""

from __future__ import annotations

BODY_BYTES_MAX = 64 * 1024  # a record's size limit too: what is accepted fits on the log
HEADER_BYTES_MAX = 8 * 1024  # a token, a trace and a cookie jar that is not ours
HEADER_LINES_MAX = 100  # a browser behind three proxies sends forty
CHUNK_LINE_BYTES_MAX = 128  # eight digits and an extension, which nobody reads
CHUNK_EXTENSION_BYTES_MAX = 1_024  # of one body
TRAILER_BYTES_MAX = 1_024  # likewise

# All in total, from the first byte, however steadily bytes trickle (api.http.protocol).
HEAD_TIMEOUT_S = 5.0  # for a request's head, which is one packet or a few
REQUEST_TIMEOUT_S = 10  # to receive a whole request: a slow sender must not hold a connection longer
KEEP_ALIVE_S = 15.0  # with nothing under way
SEND_GRACE_S = 10.0  # for an answer to be read, and a second more for each READ_BYTES_PER_S of it
READ_BYTES_PER_S = 16 * 1024  # a seat map of 2 MB over a poor mobile network: two minutes
LINGER_S = 1.0  # after an answer to a request that was not read whole: a reset would take the answer with it
CONNECTIONS_MAX = 12_000  # open at once in one process, about 12 KB each; further ones get 503 and are closed
CONNECTIONS_OF_NETWORK_MAX = CONNECTIONS_MAX // 2  # of one address, or IPv6 /64: strangers find the other half
CONNECTIONS_REFUSED_MAX = 2_000  # being told so; past that they are told without waiting for their request
DESCRIPTORS_RESERVED = 512  # files and connections of our own; a process may have fewer connections than the maximum
ACCEPT_QUEUE_MAX = 4_096  # a drop's buyers connect in one second; who does not fit waits 1, 3, 7 … s for TCP's next try
RESPONSE_TIMEOUT_S = 40.0  # above PREFER_WAIT_MAX_S and above HEARTBEAT_S, which each reset it
SHUTDOWN_GRACE_S = 5.0

PREFER_WAIT_DEFAULT_S = 2.0
PREFER_WAIT_MAX_S = 30.0
PROJECTION_WAIT_MAX_S = 2.0  # how long a read waits for this user's own last write
DELIVERY_TIMEOUT_MS = 4_500  # an acknowledgement that takes longer is unknown: 503, within the request timeout
IN_FLIGHT_MAX = 20_000  # requests that wait for the log or an outcome: about 40 MB of memory
RETRY_AFTER_S = 1

IDEMPOTENCY_KEY_CHARS_MAX = 255
PAGE_ITEMS_DEFAULT = 20
PAGE_ITEMS_MAX = 100
QUERY_PARAMETERS_MAX = 20
LINKS_MAX = 5  # of a profile
PASSWORD_CHARS_MIN = 8
PASSWORD_CHARS_MAX = 128  # hashing time does not grow with it noticeably

ACCESS_TOKEN_TTL_S = 15 * 60
REFRESH_TOKEN_TTL_S = 30 * 24 * 3600
SESSIONS_ENDED_MAX = 100_000  # within 15 minutes; each cost a login of 18 ms. About 15 MB
TOKENS_CACHED_MAX = 50_000  # verified tokens; about 1 KB each
REMEMBERED_MAX = 50_000  # reservations and users whose last position this process knows
EVENTS_KNOWN_MAX = 50_000  # of which this process knows that there are such
EVENTS_ABSENT_MAX = 10_000  # and that there are not …
EVENTS_ABSENT_S = 1.0  # … for so long: an id that is made up is asked for again at once, or never
WEBHOOKS_REMEMBERED_MAX = 10_000  # that a provider need not be told twice; the log absorbs what is forgotten
PASSWORD_QUEUE_MAX = 128  # logins and, in half of it, registrations that wait for a thread: 18 ms each
BACKGROUND_QUEUE_MAX = 64  # tickets waiting to be drawn: about 64 × 30 ms; of the door's batches twice as many
SCANS_PER_BATCH_MAX = 200  # 48 KB of codes fit a body, and 20 ms of reading them
DOOR_COUNTS_S = 1.0  # how old a door's counts may be: counting 50,000 check-ins takes 20 ms
DOORS_COUNTED_MAX = 1_000  # events whose counts are kept for so long
HIDDEN_TYPES_S = 0.25  # how old the answer may be to which ticket types are hidden: every stream asks with each change
HIDDEN_TYPES_MAX = 1_000  # events of which that is kept
SSE_CLIENTS_MAX = 2_000
HEARTBEAT_S = 15.0
SSE_BATCH_MAX = 100  # notifications sent to one client before it is looked at again

EXPORTS_MAX = 8  # answers that are written row by row, each with one of POSTGRES_CONNECTIONS_MAX now and then
EXPORT_ROWS_AT_ONCE = 500  # about 300 KB of rows: what an export has in memory

HISTORY_AT_ONCE_MAX = 3  # answers from the log that are being read for; they share the processor with the sales
HISTORY_RECORDS_MAX = 1_000_000  # of one partition, for one answer: about five seconds
HISTORY_SECONDS_MAX = 10.0
HISTORY_PATIENCE_S = 5.0  # in line; whoever waits longer is told to come again
HISTORY_KEPT_MAX = 64  # seat maps of the past, which never change again: a large one is 1 MB
SWITCH_S = 0.001  # how long a thread that reads the log may keep the interpreter from the requests

PROGRAMME_BYTES_MAX = 60_000  # of its activities on the log: with its ids the command stays within a record's size

WEBHOOKS_MAX = 20  # of one organizer: each is a call for each fact
WEBHOOK_OVERLAP_S = 86_400  # how long a secret that was replaced still signs: a day to bring the new one out
WEBHOOK_RESOLVE_S = 2.0  # a name that takes longer is looked at when it is called

STREAM_TICKET_TTL_S = 30  # from getting it to opening the stream: one step of a page's script

GZIP_BYTES_MIN = 1_400  # what fits one packet is as quick as it is
GZIP_LEVEL = 4  # half the time of the default, 4 % more bytes
GZIP_WAITING_MAX = 16  # answers to be made smaller, one after another; further ones are sent as they are
GZIP_KEPT_S = 60.0  # the same seat map is read by thousands
GZIP_KEPT_MAX = 32  # answers; a seat map of 2 MB is 100 KB small
SEATS_AT_ONCE_MAX = 1_000  # of a seat map made in one step: half a millisecond
CLAIMS_AT_ONCE = 2_000  # of a large event that are read from Redis in one step: a millisecond here, and there
SECTION_BYTES_MAX = 64 * 1024 * 1024  # of seat maps' sections that are kept: of a dozen of the largest events
SENT_AT_ONCE_BYTES = 64 * 1024  # of a large answer, before the next part is written
SEAT_MAPS_PATIENCE_S = 5.0  # in line to be sent a large one
SEAT_MAPS_SENT_MAX = 256  # large ones on their way: at READ_BYTES_PER_S one may take minutes
INLINE_BYTES_MAX = 16 * 1024  # half a millisecond on the event loop; larger ones beside it

METRICS_KEPT_S = 1.0  # several who scrape at the same moment cost one text

POSTGRES_CONNECTIONS_MAX = 10
POSTGRES_TIMEOUT_S = 5.0
REDIS_TIMEOUT_S = 1.0
REDIS_READS_MAX = 16  # connections for availability and seat maps …
REDIS_LIMITS_MAX = 8  # … for the rate limits of strangers …
REDIS_TELLING_MAX = 4  # … for what the processes tell each other: none waits for the others
