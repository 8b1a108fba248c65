"""The metrics of transactions, on the process's own metrics port."""

from prometheus_client import Histogram

# A step of a small batch takes a tenth of a millisecond, a call that waits for a broker some, one that is tried again
# a hundred; COMMIT_TIMEOUT_S ends a call.
CALL_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0)

TRANSACTION_SECONDS = Histogram(
    "circle_transaction_seconds",
    "Time of a Kafka transaction's calls: produce (all records, encoding included), offsets, commit.",
    ["call"],
    buckets=CALL_BUCKETS_S,
)
CALL_SECONDS = {call: TRANSACTION_SECONDS.labels(call) for call in ("produce", "offsets", "commit")}
