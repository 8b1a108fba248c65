"""CPU of the first look at an access token: `python -m ops.proof.bench.tokens`. To find out, not to promise.

Tokens of this installation, and the same claims without a MAC, as any JWT library signs them, are verified in turns.
Each token is new to the process that verifies it. The second kind gets the full check.
"""

from __future__ import annotations

import statistics
import time
from uuid import uuid4

import jwt

from api.auth.keys import KeyRing
from api.auth.token_signer import TokenSigner
from api.auth.tokens import ALGORITHM, AccessTokens, Role
from ops.output import emit_table
from schemas.ids import US_PER_S, SessionId, UserId

TOKENS = 200
ROUNDS = 50


def measured() -> dict[str, list[float]]:
    """CPU microseconds a token, for each way and round."""
    keys = KeyRing.load(None)
    issuer, signer, key = AccessTokens(keys), TokenSigner(keys), keys.current
    own = [
        issuer.issue(UserId(str(uuid4())), Role.BUYER, session_id=SessionId(str(uuid4())), mailbox=number + 1)
        for number in range(TOKENS)
    ]
    claims = [jwt.decode(token, key.public, [ALGORITHM]) for token in own]
    plain = [jwt.encode(one, key.private, ALGORITHM, headers={"kid": key.kid}) for one in claims]
    assert all(signer.recognize(token) for token in own)
    assert not any(signer.recognize(token) for token in plain)
    headers = {name: [f"Bearer {token}" for token in tokens] for name, tokens in (("own", own), ("plain", plain))}
    found: dict[str, list[float]] = {"recognized": [], "full check": [], "seen before": []}
    for _ in range(ROUNDS):
        fresh = AccessTokens(keys)
        found["recognized"].append(_round(fresh, headers["own"]))
        found["full check"].append(_round(fresh, headers["plain"]))
        found["seen before"].append(_round(fresh, headers["own"]))
    return found


def _round(tokens: AccessTokens, headers: list[str]) -> float:
    """CPU microseconds for each header."""
    begun = time.process_time()
    for header in headers:
        tokens.caller(header)
    return (time.process_time() - begun) * US_PER_S / len(headers)


def main() -> None:
    """Measure the ways and print them."""
    rows = [(name, f"{min(us):.1f}", f"{statistics.median(us):.1f}") for name, us in measured().items()]
    emit_table(("token", "lowest, µs", "median"), rows)


if __name__ == "__main__":
    main()
