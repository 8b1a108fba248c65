"""The metrics of the deliverers, on the process's own metrics port."""

from prometheus_client import Counter, Gauge

DELIVERIES = Counter("circle_deliveries", "Attempts to deliver, by channel and outcome.", ["channel", "outcome"])
WAITING = Gauge("circle_deliveries_waiting", "Deliveries that are due or will be, by channel.", ["channel"])
