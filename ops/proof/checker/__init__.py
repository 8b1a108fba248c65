"""The history checker: goes through both topics, PostgreSQL and Redis from outside and says what is wrong.

It shares no rule with the core: it has its own fold and its own bookkeeping, in dicts and sets. Only the replay check
(`replay.py`) uses `step`, because what it proves is that deciding the log again gives the same bytes.

```python
settled = wait_until_settled(settings, timeout_s=30)
report = check(settings, told=told)
assert report.ok, report.text()
```
"""

from ops.proof.checker.check import check
from ops.proof.checker.report import Report, ToldOutcome, Violation
from ops.proof.checker.settled import NotSettled, wait_until_settled

__all__ = ["NotSettled", "Report", "ToldOutcome", "Violation", "check", "wait_until_settled"]
