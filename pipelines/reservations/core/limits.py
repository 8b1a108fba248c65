"""Every limit of the core, with its reason. The API checks the same limits earlier and names the field."""

SEATS_PER_ORDER_MAX = 10  # one Lua call stays short, and one buyer cannot empty a row
ROWS_MAX = 1_000  # with SEATS_PER_ROW_MAX: a stadium's largest block is one section
SEATS_PER_ROW_MAX = 500  # longer than the rows of stadiums
SEATS_PER_SECTION_MAX = 50_000  # a seat map stays one answer; larger houses are several ticket types
SEATS_PER_EVENT_MAX = 100_000  # the largest stadiums; a seat map is 4 MB then, and built in a tenth of a second
CAPACITY_MAX = 1_000_000  # larger than the largest festivals; a number, so size costs nothing
TICKET_TYPES_PER_EVENT_MAX = 200  # an availability answer stays one page
HOLD_TTL_S_MIN = 1  # for tests and demonstrations
HOLD_TTL_S_MAX = 3_600  # longer holds are allotments, which are seat locks
TICKETS_PER_USER_MAX = 1_000  # a larger limit for one user would be no limit
HOLDS_UNPAID_MAX = 20  # of one user that ran out within UNPAID_WINDOW_S; more would keep places from others
CARDS_DECLINED_MAX = 10  # of one user within UNPAID_WINDOW_S: a person has a few cards, a thief a list of them
UNPAID_WINDOW_S = 6 * 3_600  # with ten-minute holds, a place can be kept unpaid for at most half of the time
PRICE_MINOR_MAX = 10**12  # times SEATS_PER_ORDER_MAX it is far below 64 bits
DETAIL_CHARS_MAX = 300  # a detail names seats; it does not carry a request back
EXPIRIES_PER_COMMAND_MAX = 500  # one command's facts stay one transaction's batch; the next tick takes the rest
IDEMPOTENCY_WINDOW_S = 86_400  # how long, by log time, a rejected reservation's key still answers the same
HOLD_WARNING_S = 60  # a buyer who is warned has a minute left to pay
HOLD_WARNED_MIN_S = 180  # shorter holds than this end before a warning would help
WORK_PER_COMMAND_MAX = (
    EXPIRIES_PER_COMMAND_MAX  # reservations that a cancelled event undoes, or notified holders, for each command
)
OFFERS_PER_COMMAND_MAX = 100  # two facts each
POOLS_PER_EVENT_MAX = 50  # an event's state keeps all of them
CODES_PER_EVENT_MAX = 1_000  # an event's state keeps all of them, used ones too
CODE_CHARS_MAX = 40  # people type codes
CODE_USES_MAX = 1_000_000  # as many as CAPACITY_MAX: one for each place
CODE_PLACES_MAX = CODE_USES_MAX * SEATS_PER_ORDER_MAX  # no code can sell more places than this
BLOCKS_PER_EVENT_MAX = 1_000  # an event's state keeps each with its places
BLOCKS_EVER_PER_EVENT_MAX = 20_000  # the ids of freed blocks stay in memory
BLOCK_SEATS_MAX = 5_000  # a block is one command, and one Lua call
STAFF_PER_EVENT_MAX = 500  # more than the doors of a stadium need
ACTIVITIES_PER_EVENT_MAX = 200  # a programme is one command
RELEASES_PER_EVENT_MAX = 20_000  # remembered requests to free places
UNDONE_SCANS_PER_TICKET_MAX = 50  # each undone scan is remembered, so that it is not merged again
WAITING_PER_EVENT_MAX = 100_000  # one for each seat of the largest event
TRANSFER_TTL_S = 7 * 86_400  # an unanswered offer ends after a week, or with the event
INVITATION_TTL_S = 14 * 86_400  # an unanswered invitation ends after two weeks
