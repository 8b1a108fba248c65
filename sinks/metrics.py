"""The metrics of transactions and of records set aside, on the process's own metrics port."""

from prometheus_client import Counter

from connectors.metrics import CALL_BUCKETS_S
from connectors.native_histograms import BothHistogram

TRANSACTION_SECONDS = BothHistogram(
    "circle_transaction_seconds",
    "Time of a Kafka transaction's calls: produce (all records, encoding included), offsets, commit.",
    ["call"],
    buckets=CALL_BUCKETS_S,
)
CALL_SECONDS = {call: TRANSACTION_SECONDS.labels(call) for call in ("produce", "offsets", "commit")}
TRANSACTIONS = Counter(
    "circle_transactions",
    "Kafka transactions by outcome: committed, failed, fenced (a newer owner exists).",
    ["outcome"],
)
TRANSACTION_ENDS = {outcome: TRANSACTIONS.labels(outcome) for outcome in ("committed", "failed", "fenced")}
SET_ASIDE = Counter("circle_records_set_aside", "Records that this process has put into the dead letters.", ["topic"])
