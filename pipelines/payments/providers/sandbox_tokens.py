"""The sandbox's payment tokens and the effect of each."""

from __future__ import annotations

TOK_OK = "tok_ok"  # captured
TOK_DECLINED = "tok_declined"  # declined: card_declined
TOK_SLOW = "tok_slow"  # captured after SLOW_S
TOK_LOST_REPLY = "tok_lost_reply"  # captured, and the first answer is lost; a second request with the same key gets it
SLOW_S = 2.0

CAPTURED_TOKENS = frozenset({TOK_OK, TOK_SLOW, TOK_LOST_REPLY})


def reason_for(token: str) -> str:
    """Why `token` is declined; "" when it is not."""
    if token in CAPTURED_TOKENS:
        return ""
    return "card_declined" if token == TOK_DECLINED else "unknown_token"
