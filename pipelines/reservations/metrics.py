"""The metrics of the reservations dataflow, on the process's own metrics port."""

from prometheus_client import Histogram

from sinks.metrics import CALL_BUCKETS_S

BATCH_RECORDS = Histogram(
    "circle_batch_records", "Records of a batch, which share one transaction.",
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_000),
)  # fmt: skip
BATCH_SECONDS = Histogram(
    "circle_batch_seconds",
    "Time of a batch's steps: place (decode), decide (with loading), guard (claims in Redis), commit (encoding and the "
    "transaction), reply (counters and replies in Redis).",
    ["step"],
    buckets=CALL_BUCKETS_S,
)
STEP_SECONDS = {step: BATCH_SECONDS.labels(step) for step in ("place", "decide", "guard", "commit", "reply")}
