"""Every limit of the HTTP surface, with its reason. Past a limit the answer is a problem, never a longer queue."""

from __future__ import annotations

BODY_BYTES_MAX = 64 * 1024  # also a record's size limit, so every accepted body fits on the log
HEADER_BYTES_MAX = 8 * 1024  # a token, a trace, and cookies of other sites
HEADER_LINES_MAX = 100  # a browser behind three proxies sends forty
CHUNK_LINE_BYTES_MAX = 128  # eight digits and an extension, which the API ignores
CHUNK_EXTENSION_BYTES_MAX = 1_024  # of one body
TRAILER_BYTES_MAX = 1_024  # of one body

# All are totals from the first byte: slow but steady bytes do not extend them (api.http.protocol).
HEAD_TIMEOUT_S = 5.0  # for a request's head, which is one packet or a few
REQUEST_TIMEOUT_S = 10  # to receive a whole request: a slow sender must not hold a connection longer
KEEP_ALIVE_S = 15.0  # without a request
SEND_GRACE_S = 10.0  # for the client to read an answer, and a second more for each READ_BYTES_PER_S of it
READ_BYTES_PER_S = 16 * 1024  # a seat map of 2 MB over a poor mobile network: two minutes
LINGER_S = 1.0  # after an answer to a partly read request: an earlier reset would destroy the answer
CONNECTIONS_MAX = 12_000  # open at once in one process, about 12 KB each; further ones get 503 and are closed
CONNECTIONS_OF_NETWORK_MAX = CONNECTIONS_MAX // 2  # of one address, or IPv6 /64: the other half stays for others
CONNECTIONS_REFUSED_MAX = 2_000  # connections that get a 503 after their request; further ones get it at once
DESCRIPTORS_RESERVED = 512  # our own files and connections; a process may have fewer connections than the maximum
ACCEPT_QUEUE_MAX = 4_096  # a drop's buyers connect in one second; without a place TCP tries again after 1, 3, 7 … s
ACCEPTS_PER_TURN = 64  # waiting connections that each accepted one takes along: some milliseconds of a turn of the loop
RESPONSE_TIMEOUT_S = 40.0  # above PREFER_WAIT_MAX_S and above HEARTBEAT_S, which each reset it
SHUTDOWN_GRACE_S = 5.0  # for open requests after a request to stop; then their connections are closed

PREFER_WAIT_DEFAULT_S = 2.0  # an outcome takes some milliseconds; a busy platform answers within this time, too
PREFER_WAIT_MAX_S = 30.0  # below the minute after which many proxies close a silent connection
ANNOUNCED_WITHIN_S = 0.5  # another process announces a reservation 20 ms after its write; this is long for a busy one
PROJECTION_WAIT_MAX_S = 2.0  # how long a read waits for its user's last write
DELIVERY_TIMEOUT_MS = 4_500  # an acknowledgement that takes longer is unknown: 503, within the request timeout
EDGE_WINDOW_S = (
    0.02  # requests that will probably be refused wait for others: at 5,000 a second, a hundred share records
)
EDGE_KNOWN_S = (
    0.5  # how long "sold out" counts; with fewer refusals than two a second, waiting for another gains nothing
)
EDGE_TYPES_MAX = 10_000  # ticket types known to be sold out; requests for a forgotten one go to the log alone
IN_FLIGHT_MAX = 20_000  # requests that wait for the log or an outcome: about 40 MB of memory
UNDECIDED_MAX = 1_000  # of one partition: at 500 a second, later ones are not decided within PREFER_WAIT_DEFAULT_S
ADMISSION_LEAST = 100  # undecided commands of a partition that are never refused: a quarter of a second at 400 a second
ADMISSION_PATIENCE_S = 0.25  # in line before a refusal: as long as a decision should take
ADMISSION_HOLD_S = 2.0  # an acknowledged command without a request counts as undecided no longer: PREFER_WAIT_DEFAULT_S
ADMISSION_CALM_S = 1.0  # without a refusal for so long, the overload is over
ADMISSION_RETRY_S_MAX = 30.0  # a buyer does not wait longer; later ones get this time, too
ADMISSION_REFUSED_MAX = 50_000  # users that wait for their turn; about 10 MB
RETRY_AFTER_S = 1  # a queue of the API empties within a second

IDEMPOTENCY_KEY_CHARS_MAX = 255  # a UUID has 36; the log keeps an id that is made of the key
PAGE_ITEMS_DEFAULT = 20  # a screen of a list
PAGE_ITEMS_MAX = 100  # a page stays one short query and one short answer
QUERY_PARAMETERS_MAX = 20  # no route has half as many
LINKS_MAX = 5  # of a profile
PASSWORD_CHARS_MIN = 8  # as in NIST SP 800-63B
PASSWORD_CHARS_MAX = 128  # hashing time does not grow with it noticeably

ACCESS_TOKEN_TTL_S = 15 * 60  # how long a stolen token works at most
REFRESH_TOKEN_TTL_S = 30 * 24 * 3600  # a person who comes back within a month needs no new login
SESSIONS_ENDED_MAX = 100_000  # within 15 minutes; each cost a login of 18 ms. About 15 MB
TOKENS_CACHED_MAX = 50_000  # verified tokens; about 1 KB each
REMEMBERED_MAX = 50_000  # reservations and users whose last position this process knows
EVENTS_KNOWN_MAX = 50_000  # existing events that this process remembers
EVENTS_ABSENT_MAX = 10_000  # absent events that it remembers …
EVENTS_ABSENT_S = 1.0  # … for this long: a client asks for a made-up id again at once, or never
WEBHOOKS_REMEMBERED_MAX = 10_000  # handled webhooks of a provider; the log absorbs a forgotten one
PASSWORD_QUEUE_MAX = 128  # logins and, in half of it, registrations that wait for a thread: 18 ms each
BACKGROUND_QUEUE_MAX = 64  # tickets that wait to be drawn: about 64 × 30 ms; twice as many batches of the door
SCANS_PER_BATCH_MAX = 200  # 48 KB of codes fit a body, and 20 ms of reading them
DOOR_COUNTS_S = 1.0  # how old a door's counts may be: counting 50,000 check-ins takes 20 ms
DOORS_COUNTED_MAX = 1_000  # events whose counts are cached that long
HIDDEN_TYPES_S = 0.25  # how old the list of hidden ticket types may be: every stream asks for it with each change
HIDDEN_TYPES_MAX = 1_000  # events whose list is cached
SSE_CLIENTS_MAX = 2_000  # each change of an event is written to each of its streams; further clients get 503
HEARTBEAT_S = 15.0  # many proxies close a stream that is silent for a minute
SSE_BATCH_MAX = 100  # notifications to one client at once

EXPORTS_MAX = 8  # running exports; each takes one of POSTGRES_CONNECTIONS_MAX for each page
EXPORT_ROWS_AT_ONCE = 500  # about 300 KB of rows: an export's memory

HISTORY_AT_ONCE_MAX = 3  # answers that are being read from the log, each by a process of low priority
HISTORY_RECORDS_MAX = 1_000_000  # of one partition, for one answer: about five seconds
HISTORY_SECONDS_MAX = 10.0  # twice what HISTORY_RECORDS_MAX takes on a quiet machine
HISTORY_STALLED_S = 30.0  # a worker that takes longer is killed: it waits for a broker, with bounds that add up
HISTORY_PATIENCE_S = 5.0  # in line; after that the answer is 503
HISTORY_KEPT_MAX = 64  # seat maps of the past, which never change again: a large one is 1 MB
SWITCH_S = 0.001  # how long a thread with slow work may keep the interpreter from the requests

PROGRAMME_BYTES_MAX = 60_000  # of its activities on the log: with the ids the command fits a record

WEBHOOKS_MAX = 20  # of one organizer: each is a call for each fact
WEBHOOK_OVERLAP_S = 86_400  # how long a replaced secret still signs: a day to deploy the new one
WEBHOOK_RESOLVE_S = 2.0  # a name that takes longer is checked when it is called

STREAM_TICKET_TTL_S = 30  # from its issue to the opened stream: one step of a page's script

GZIP_BYTES_MIN = 1_400  # a smaller answer fits one packet: compressing saves no time
GZIP_LEVEL = 4  # half the time of the default, 4 % more bytes
GZIP_WAITING_MAX = 16  # answers that wait to be compressed; further ones are sent uncompressed
GZIP_KEPT_S = 60.0  # thousands of clients read the same seat map
GZIP_KEPT_MAX = 32  # answers; a seat map of 2 MB compresses to 100 KB
SEATS_AT_ONCE_MAX = 1_000  # of a seat map in one step: half a millisecond
CLAIMS_AT_ONCE = 2_000  # of a large event, read from Redis in one step: a millisecond here and in Redis
SECTION_BYTES_MAX = 64 * 1024 * 1024  # of cached sections of seat maps: a dozen of the largest events
SENT_AT_ONCE_BYTES = 64 * 1024  # of a large answer, before the next part is written
SEAT_MAPS_PATIENCE_S = 5.0  # in line before a large map is sent
SEAT_MAPS_SENT_MAX = 256  # large maps that are being sent: at READ_BYTES_PER_S one may take minutes
INLINE_BYTES_MAX = 16 * 1024  # half a millisecond on the event loop; larger ones in a thread

PLATFORM_KEPT_S = 1.0  # how old the state of the platform may be: looking takes 3 ms, for all watchers of a process
SALES_KEPT_S = 2.0  # how old the figures of an event's sales may be: counting 100,000 reservations takes 50 ms
SALES_KEPT_MAX = 100  # events whose sales are cached that long
METRICS_KEPT_S = 1.0  # several scrapes at the same moment cost one text

POSTGRES_CONNECTIONS_MAX = 10  # of one process: ten queries of some milliseconds at once
POSTGRES_TIMEOUT_S = 5.0  # for one query, within the request timeout
REDIS_TIMEOUT_S = 1.0  # an answer takes a millisecond; without one in a second Redis counts as away
REDIS_READS_MAX = 16  # connections for availability and seat maps …
REDIS_LIMITS_MAX = 8  # … for shared rate limits …
REDIS_TELLING_MAX = 4  # … for messages between processes: no kind waits for another
