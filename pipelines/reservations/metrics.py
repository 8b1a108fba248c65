"""The metrics of the reservations dataflow, on the process's own metrics port."""

from prometheus_client import Counter

from connectors.metrics import BATCH_RECORDS, BATCH_SECONDS

FLOW = "reservations"
RECORDS = BATCH_RECORDS.labels(FLOW)
STEP_SECONDS = {step: BATCH_SECONDS.labels(FLOW, step) for step in ("place", "decide", "guard", "commit", "reply")}
"""Place decodes, decide loads as well, guard claims in Redis, commit encodes and ends the transaction, reply counts and
answers in Redis."""
CLAIMS_REFUSED = Counter(
    "circle_claims_refused",
    "Events of a batch whose claims Redis refused, by cause: foreign (a foreign lock has changed), lost (Redis had "
    "lost the event). They are decided again, or installed again.",
    ["cause"],
)
REFUSED_FOREIGN, REFUSED_LOST = CLAIMS_REFUSED.labels("foreign"), CLAIMS_REFUSED.labels("lost")
