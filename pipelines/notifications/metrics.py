"""What the deliverers count: on the process's own metrics port, as Prometheus scrapes it."""

from prometheus_client import Counter, Gauge

DELIVERIES = Counter("circle_deliveries", "Attempts to deliver, by channel and outcome.", ["channel", "outcome"])
WAITING = Gauge("circle_deliveries_waiting", "Deliveries that are due or will be, by channel.", ["channel"])
