"""The history checker: goes through both topics, PostgreSQL and Redis from outside, and reports errors.

It shares no decision with the checked code: it has its own fold and its own bookkeeping, in dicts and sets.

```python
settled = wait_until_settled(settings, timeout_s=30)
report = check(settings, told=told)  # of ops.proof.full_check, which also decides the log again
assert report.ok, report.text()
```
"""

from ops.proof.checker.quiescence import NotSettled, wait_until_settled
from ops.proof.checker.report import Report, ToldOutcome, Violation

__all__ = ["NotSettled", "Report", "ToldOutcome", "Violation", "wait_until_settled"]
