"""Which tables are derived from the log, and which are not. Every table is in exactly one list; a test says
so.

Derived tables may be emptied at any time and are filled again from `tickets.facts`; of `notifications`, what no fact
has told (its partition is negative) stays. Told tables say what has left the
house because of this log: they begin anew with a new log, and are never made again from one. The others hold what
never enters the log (users, their sessions, keys) or must never go back (the partitions' epochs).
"""

DERIVED_TABLES: tuple[str, ...] = (
    "check_ins",
    "chores",
    "codes",
    "disputes",
    "event_staff",
    "events",
    "fact_totals",
    "facts_set_aside",
    "notifications",
    "observed_seat_locks",
    "payments",
    "pools",
    "projection_positions",
    "refunds",
    "reservations",
    "sandbox.disputes",
    "sandbox.payments",  # the pretend provider's books begin anew with the log
    "sandbox.refunds",
    "schedules",
    "seat_blocks",
    "seat_claims",
    "staff_invitations",
    "ticket_types",
    "tickets",
    "transfers",
    "waitlist_entries",
)

# Schemas with derived tables of a rebuild's own: the generation being built, and the one before the last swap.
NEXT_GENERATION, PREVIOUS_GENERATION = "generation_next", "generation_previous"

TOLD_TABLES: tuple[str, ...] = ("mail_deliveries", "webhook_deliveries", "webhook_events")

KEPT_TABLES: tuple[str, ...] = (
    "account_mails",
    "categories",
    "direct_messages",
    "ended_sessions",
    "erased_users",
    "known_networks",
    "mailed_links",
    "notification_preferences",
    "partition_epochs",
    "recovery_codes",
    "refresh_tokens",
    "schema_migrations",
    "second_factors",
    "security_events",
    "sessions",
    "users",
    "webhook_endpoints",
)
