"""The history checker: goes through both topics, PostgreSQL and Redis from outside, and reports errors.

It has its own rules: a fold and bookkeeping in dicts and sets, a table of the messages, the checks of a record's place
and lists. It imports nothing of `pipelines`. It shares the record types, their codec and the text of times (`schemas`)
and the clients (`connectors`) with the checked code, so it cannot see an error in those.

```python
settled = wait_until_settled(settings, timeout_s=30)
report = check(settings, told=told)  # of ops.proof.full_check, which also decides the log again
assert report.ok, report.text()
```
"""

from ops.proof.checker.quiescence import NotSettled, wait_until_settled
from ops.proof.checker.report import Report, ToldOutcome, Violation

__all__ = ["NotSettled", "Report", "ToldOutcome", "Violation", "wait_until_settled"]
