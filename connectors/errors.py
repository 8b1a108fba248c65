"""The error tree: the platform raises these when something outside is wrong. A refusal is a fact, never one of these.

```
CircleError                  exit 1   anything we understand well enough to name
├── SettingsError            exit 2   a CIRCLE_* variable or an option is wrong
├── ServiceUnreachable       exit 3   a service does not answer, or cannot be started here
├── AccessRefused            exit 3   a service answers and does not let us in, or misses a right of ours
├── UnsuitableService        exit 3   a service works in a way in which our guarantees do not hold
├── TopicMismatch            exit 1   a topic exists with another shape than its specification
├── MigrationError           exit 1   a migration was changed after it was applied, or failed
└── Fenced                   exit 1   a newer owner has taken over: stop without committing
```
The message says what happened, to which key, and what to do. The command line ends with `exit_code`. The API maps
these errors to HTTP.
"""

from typing import ClassVar


class CircleError(Exception):
    """An error with a text for a person. It needs no traceback."""

    exit_code: ClassVar[int] = 1


class SettingsError(CircleError):
    """A setting is missing or wrong. Names the variable, what it got, and an example."""

    exit_code = 2

    def __init__(self, variable: str, problem: str, *, got: str | None = None, example: str | None = None) -> None:
        self.variable = variable
        parts = [f"{variable}: {problem}"]
        if got is not None:
            parts.append(f"got {got!r}")
        if example is not None:
            parts.append(f"example: {variable}={example}")
        super().__init__("; ".join(parts))


class ServiceUnreachable(CircleError):
    """A service does not answer at its address, or could not be started."""

    exit_code = 3

    def __init__(self, service: str, address: str, hint: str) -> None:
        self.service, self.address, self.hint = service, address, hint
        super().__init__(f"{service} at {address} cannot be reached: {hint}")


class AccessRefused(CircleError):
    """A service refuses our credentials or certificate, or our principal lacks a right. Waiting does not help."""

    exit_code = 3

    def __init__(self, service: str, address: str, hint: str) -> None:
        self.service, self.address, self.hint = service, address, hint
        super().__init__(f"{service} at {address} refuses us: {hint}")


class UnsuitableService(CircleError):
    """A service answers, but in a way in which our guarantees do not hold. Waiting does not help."""

    exit_code = 3

    def __init__(self, service: str, address: str, hint: str) -> None:
        self.service, self.address, self.hint = service, address, hint
        super().__init__(f"{service} at {address} cannot be used: {hint}")


class TopicMismatch(CircleError):
    """A topic has another partition count than its specification. A new count would break the order of its keys."""


class MigrationError(CircleError):
    """The database's schema history and the migration files disagree, or a migration failed."""


class Fenced(CircleError):
    """Another process owns this partition now. This process must stop at once and write nothing."""
