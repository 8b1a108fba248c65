"""The Prefer header (RFC 7240): how long a request waits for its outcome.

`respond-async` alone: it does not wait. `wait=n`: up to n seconds, 30 at most. Both: wait n seconds, then answer 202.
`receipt` asks for the signed position with an outcome; a 202 always has it. Unknown and invalid preferences are
ignored, as the RFC says.
"""

from __future__ import annotations

import re

from api.fairness.limits import PREFER_WAIT_DEFAULT_S, PREFER_WAIT_MAX_S

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.ASCII)


def wait_s(header: str | None, default: float = PREFER_WAIT_DEFAULT_S) -> float:
    """Seconds to wait for the outcome; 0.0 means answer as soon as the log has acknowledged."""
    if not header:
        return default
    asynchronous = False
    for part in header.lower().split(","):
        name = part.split(";", 1)[0].strip()
        preference = _WAIT.fullmatch(name)
        if preference:
            return min(float(preference[1]), PREFER_WAIT_MAX_S)
        asynchronous = asynchronous or name == "respond-async"
    return 0.0 if asynchronous else default


def receipt(header: str | None) -> bool:
    """Whether the client asks for the command's receipt."""
    if not header:
        return False
    return any(part.split(";", 1)[0].strip() == "receipt" for part in header.lower().split(","))
