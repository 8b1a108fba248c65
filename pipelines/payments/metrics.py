"""The metrics of payments, on the process's own metrics port."""

from prometheus_client import Counter, Gauge

from connectors.native_histograms import BothHistogram

REQUESTS = Counter(
    "circle_payment_requests", "Requests to the payment provider, by kind and outcome.", ["kind", "outcome"]
)
REQUEST_SECONDS = BothHistogram(
    "circle_payment_request_seconds",
    "Time of one request to the payment provider.",
    ["kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
UNFINISHED = Gauge("circle_payment_jobs", "Payments and refunds that are not finished yet.")
