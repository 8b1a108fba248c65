"""The Prometheus metrics of monitoring. The totals are those of the log and go on after a restart.

Every label has few values: flows, topics, partitions, groups, reasons, files, and the EVENTS_SHOWN_MAX events that sell
most. A series whose subject is gone is removed.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge

FACTS_COUNTED = Counter("circle_facts", "Facts on the log, by type.", ["type"])
PLACES_COUNTED = Counter("circle_places", "Places that were held, sold, or became free again.", ["what"])
REFUSALS_COUNTED = Counter("circle_refusals", "Commands that were turned down, by reason.", ["reason"])

SURVEYED_AT = Gauge("circle_survey_timestamp_seconds", "When monitoring last looked at the platform.")
SURVEY_SECONDS = Gauge("circle_survey_duration_seconds", "How long this look took.")
LAG_RECORDS = Gauge("circle_lag_records", "Records that a flow has not read yet.", ["flow", "topic"])
LAG_SECONDS = Gauge("circle_lag_seconds", "How long the oldest of them has waited.", ["flow", "topic"])
LAG_GROWTH = Gauge(
    "circle_lag_growth_records_per_second", "How fast a flow's lag grows; negative while it shrinks.", ["flow", "topic"]
)
CATCH_UP = Gauge(
    "circle_lag_catch_up_seconds",
    "When a flow will have caught up at its present pace; infinite while its lag grows.",
    ["flow", "topic"],
)
STALLED = Gauge("circle_stalled_seconds", "How long a flow with records to read has not moved.", ["flow", "topic"])
PARTITION_LAG_RECORDS = Gauge(
    "circle_partition_lag_records",
    "Records of a partition that a flow has not read yet.",
    ["flow", "topic", "partition"],
)
PARTITION_LAG_SECONDS = Gauge(
    "circle_partition_lag_seconds", "How long the oldest of them has waited.", ["flow", "topic", "partition"]
)
NEXT_OFFSET = Gauge("circle_next_offset", "The record that a flow reads next.", ["flow", "topic", "partition"])
END_OFFSET = Gauge("circle_end_offset", "The offset behind the last record of a partition.", ["topic", "partition"])
LAST_RECORD = Gauge("circle_last_record_timestamp_seconds", "The time of a topic's last record.", ["topic"])
LAST_FACT = Gauge("circle_last_fact_timestamp_seconds", "When the last fact was decided, by its log time.")
FACTS_BEHIND = Gauge("circle_facts_behind_seconds", "How long the oldest command that is not in the rows has waited.")
LETTERS = Gauge("circle_dead_letters", "Dead letters that were not sent back.", ["topic"])
VERIFIED_THROUGH = Gauge("circle_verified_offset", "The last command that verify --follow has seen.", ["partition"])
VERIFIED_DIVERGENCES = Gauge("circle_verified_divergences", "What verify --follow has found to differ.")

GROUP_STATE = Gauge("circle_group_state", "1 for the state that the broker gives for a group.", ["group", "state"])
GROUP_MEMBERS = Gauge("circle_group_members", "A group's members; the embedded broker names none.", ["group"])
FLOW_PROCESSES = Gauge("circle_flow_processes", "Processes of a flow that have started and not ended.", ["flow"])
FLOW_DEATHS = Counter(
    "circle_flow_deaths",
    "Ends of a flow's processes that no one asked for, by the error's class; `Fenced`: a newer owner exists.",
    ["flow", "kind"],
)
API_PROCESSES = Gauge("circle_api_processes", "API processes that have reported in the last 30 s.")
API_ERRORS = Gauge("circle_api_errors_recent", "Answers of the last minute with an unexpected error (5xx but 503).")
API_UNAVAILABLE = Gauge("circle_api_unavailable_ratio", "The part of the last minute's answers that was a 503.")

HOLDS = Gauge("circle_holds", "Holds by state: open, expiring (within a minute), overdue (not decided yet).", ["state"])
EVENT_PLACES = Gauge("circle_event_places", "Places of the events that sell most: all, held, sold.", ["event", "what"])
EVENT_MONEY = Gauge(
    "circle_event_money_minor",
    "Money of these events in minor units: taken, given back.",
    ["event", "currency", "what"],
)
OVERSOLD = Gauge("circle_oversold_places", "Places that are held or sold beyond those of their ticket types.")

BROKERS = Gauge("circle_kafka_brokers", "Brokers of the cluster.")
LEADERLESS = Gauge("circle_kafka_leaderless_partitions", "Partitions without a leader.")
UNDER_REPLICATED = Gauge("circle_kafka_under_replicated_partitions", "Partitions with replicas out of sync.")
POSTGRES_CONNECTIONS = Gauge("circle_postgres_connections", "Sessions of the server.")
POSTGRES_CONNECTIONS_MAX = Gauge("circle_postgres_max_connections", "Sessions that the server allows.")
POSTGRES_OLDEST = Gauge("circle_postgres_oldest_transaction_seconds", "The age of the oldest open transaction.")
POSTGRES_BYTES = Gauge("circle_postgres_size_bytes", "The size of the database.")
POSTGRES_COMMITS = Counter("circle_postgres_commits", "Transactions committed.")
POSTGRES_ROLLBACKS = Counter("circle_postgres_rollbacks", "Transactions rolled back.")
POSTGRES_DEADLOCKS = Counter("circle_postgres_deadlocks", "Deadlocks.")
POSTGRES_CACHED = Counter("circle_postgres_blocks_cached", "Blocks found in memory.")
POSTGRES_READ = Counter("circle_postgres_blocks_read", "Blocks read from disk.")
REDIS_CLIENTS = Gauge("circle_redis_clients", "Connections of clients.")
REDIS_BYTES = Gauge("circle_redis_memory_bytes", "Memory in use.")
REDIS_BYTES_MAX = Gauge("circle_redis_max_memory_bytes", "Memory that Redis may use; 0 without a limit.")
REDIS_COMMANDS = Counter("circle_redis_commands", "Commands processed.")
REDIS_EVICTED = Counter("circle_redis_evicted_keys", "Keys evicted; must stay 0.")
CLOCK_SKEW = Gauge("circle_clock_skew_seconds", "How far a service's clock is ahead of monitoring's.", ["service"])
DISK_SIZE = Gauge("circle_disk_size_bytes", "The size of a watched disk.", ["path"])
DISK_FREE = Gauge("circle_disk_free_bytes", "Its free part.", ["path"])
CERTIFICATE_END = Gauge(
    "circle_certificate_expiry_timestamp_seconds", "When the first certificate of a file expires.", ["file"]
)
ALERTS_FIRING = Gauge("circle_alerts_firing", "Alerts that monitoring itself sees firing.", ["alert"])
