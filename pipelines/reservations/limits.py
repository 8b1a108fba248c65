"""Every limit of the core, with its why. The API refuses the same numbers earlier, with the field's name."""

SEATS_PER_ORDER_MAX = 10  # one Lua call stays short, and one buyer cannot empty a row
ROWS_MAX = 1_000  # with SEATS_PER_ROW_MAX: a stadium's largest block is one section
SEATS_PER_ROW_MAX = 500
SEATS_PER_SECTION_MAX = 50_000  # a seat map stays one answer; larger houses are several ticket types
CAPACITY_MAX = 1_000_000
TICKET_TYPES_PER_EVENT_MAX = 200  # an availability answer stays one page
HOLD_TTL_S_MIN = 1
HOLD_TTL_S_MAX = 3_600  # longer holds are allotments, which are seat locks
TICKETS_PER_USER_MAX = 1_000
PRICE_MINOR_MAX = 10**12
DETAIL_CHARS_MAX = 300  # a detail names seats; it does not carry a request back
EXPIRIES_PER_COMMAND_MAX = 500  # one command's facts stay one transaction's batch; the next tick takes the rest
IDEMPOTENCY_WINDOW_S = 86_400  # how long, by log time, a rejected reservation's key still answers the same
