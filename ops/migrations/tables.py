"""Which tables are derived from the log, and which are not. Every table is in exactly one list; a test says
so.

Derived tables may be emptied at any time and are filled again from `tickets.facts`. The others hold what
never enters the log (users, their sessions, keys) or must never go back (the partitions' epochs).
"""

DERIVED_TABLES: tuple[str, ...] = (
    "check_ins",
    "chores",
    "codes",
    "event_staff",
    "events",
    "notifications",
    "observed_seat_locks",
    "payments",
    "pools",
    "projection_positions",
    "refunds",
    "reservations",
    "sandbox.payments",  # the pretend provider's books begin anew with the log
    "sandbox.refunds",
    "schedules",
    "seat_blocks",
    "seat_claims",
    "ticket_types",
    "tickets",
    "waitlist_entries",
)

KEPT_TABLES: tuple[str, ...] = ("categories", "partition_epochs", "refresh_tokens", "schema_migrations", "users")
