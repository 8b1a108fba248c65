"""The tables that are derived from the log, and all others. A test holds that each table is in exactly one list.

* A derived table may be emptied at any time: `tickets.facts` fills it again. Only the `notifications` that come from no
  fact (their partition is negative) stay.
* The tables of `OUTBOUND_TABLES` record everything that was sent outside because of this log. They are empty at the
  start of a new log, and no replay fills them.
* The others hold data that never enters the log (users, sessions, keys), or that must never go back (the epochs).
"""

DERIVED_TABLES: tuple[str, ...] = (
    "check_ins",
    "chores",
    "codes",
    "disputes",
    "event_staff",
    "events",
    "fact_redrives",  # about effects in the derived tables: those that are made again have none
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
    "sandbox.payments",  # the pretend provider's books are empty at the start of a log
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

OUTBOUND_TABLES: tuple[str, ...] = (
    "mail_deliveries",
    "notification_exports",
    "sent_positions",
    "webhook_deliveries",
    "webhook_events",
)

KEPT_TABLES: tuple[str, ...] = (
    "account_mails",
    "alert_history",
    "categories",
    "direct_messages",
    "ended_sessions",
    "erased_users",
    "figure_history",
    "inbox_counter",
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
