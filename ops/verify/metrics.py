"""The metrics of `circle verify --follow`, on its own metrics port."""

from prometheus_client import Gauge

THROUGH = Gauge("circle_verify_through_offset", "The last command that was verified.", ["partition"])
BEHIND = Gauge("circle_verify_lag_records", "Commands on the log that are not verified yet.", ["partition"])
DIVERGENCES = Gauge("circle_verify_divergences", "Facts that are not what the rules give.", ["partition"])
