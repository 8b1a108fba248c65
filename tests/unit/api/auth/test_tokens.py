"""Tokens: only ours, only unexpired, also cached ones; keys and ticket codes."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.auth.keys import KeyRing, generate_pem
from api.auth.tokens import AHEAD_S_MAX, AccessTokens, Role
from api.http.problem import Problem
from api.metrics import METRICS
from api.ticket_codes import ForgedCode, TicketCodes
from connectors.errors import SettingsError

USER = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab"
OTHER = "11111111-5a7a-4a8e-9f0a-0123456789ab"


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing.load(None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(keys: KeyRing, clock: Clock) -> AccessTokens:
    return AccessTokens(keys, clock)


def refused(tokens: AccessTokens, header: str | None) -> Problem:
    with pytest.raises(Problem) as caught:
        tokens.caller(header)
    assert caught.value.status == 401
    assert caught.value.headers["www-authenticate"].startswith("Bearer")
    return caught.value


def forged(keys: KeyRing, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(time.time())
    claims = {"sub": USER, "role": "admin", "iss": "general-circle", "iat": now, "exp": now + 60, "typ": "access"}
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return "Bearer " + jwt.encode(
        claims, keys.current.private, "EdDSA", headers={"kid": keys.current.kid} | (header or {})
    )


def test_a_token_names_its_caller(tokens: AccessTokens) -> None:
    caller = tokens.caller("Bearer " + tokens.issue(USER, Role.ORGANIZER))
    assert (caller.user_id, caller.role) == (USER, Role.ORGANIZER)


def test_a_token_says_which_mailbox_and_one_without_it_says_none(tokens: AccessTokens) -> None:
    for mailbox in (1, 2**63 - 1, None):
        assert tokens.caller("Bearer " + tokens.issue(USER, Role.BUYER, mailbox=mailbox)).mailbox == mailbox


@pytest.mark.parametrize("box", [True, 7, "", "-1", "0", "g", "8000000000000000"])
def test_a_token_with_a_mailbox_that_is_no_number_is_refused(tokens: AccessTokens, keys: KeyRing, box: Any) -> None:
    refused(tokens, forged(keys, box=box))


def test_a_remembered_token_is_the_same_object_and_still_expires(tokens: AccessTokens, clock: Clock) -> None:
    header = "Bearer " + tokens.issue(USER, Role.BUYER, ttl_s=60)
    assert tokens.caller(header) is tokens.caller(header)
    clock.now += 59
    assert tokens.caller(header).user_id == USER
    clock.now += 2
    assert "expired" in refused(tokens, header).detail


def test_the_metric_counts_each_first_look_by_how_the_token_was_verified(tokens: AccessTokens) -> None:
    def counted() -> dict[str, float]:
        samples = [sample for metric in METRICS.registry.collect() for sample in metric.samples]
        name = "circle_api_tokens_verified_total"
        return {sample.labels["how"]: sample.value for sample in samples if sample.name == name}

    before = counted()
    ours = f"Bearer {tokens.issue(USER, Role.BUYER)}"
    for _ in range(3):
        tokens.caller(ours)
    with pytest.raises(Problem):
        tokens.caller("Bearer no.token.here")
    assert {how: value - before[how] for how, value in counted().items()} == {"recognized": 1, "checked": 1}


def test_an_expired_token_is_refused_the_first_time(tokens: AccessTokens) -> None:
    assert "expired" in refused(tokens, "Bearer " + tokens.issue(USER, Role.BUYER, ttl_s=-1)).detail


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic YTpi", "é", "Bearer é.é.é"]
)
def test_what_is_no_token_is_refused(tokens: AccessTokens, header: str | None) -> None:
    refused(tokens, header)


def test_a_changed_token_is_refused_though_the_original_is_remembered(tokens: AccessTokens) -> None:
    header = "Bearer " + tokens.issue(USER, Role.BUYER)
    tokens.caller(header)
    head, body, signature = header.removeprefix("Bearer ").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    body = base64.urlsafe_b64encode(json.dumps(claims | {"role": "admin"}).encode()).rstrip(b"=").decode()
    refused(tokens, f"Bearer {head}.{body}.{signature}")


def test_another_installations_token_is_refused(tokens: AccessTokens) -> None:
    refused(tokens, "Bearer " + AccessTokens(KeyRing.load(None)).issue(USER, Role.BUYER))


@pytest.mark.parametrize(
    "changes",
    [{"typ": "refresh"}, {"typ": None}, {"iss": "somebody"}, {"role": "god"}, {"role": None}, {"sub": "me"},
     {"sub": None}, {"exp": None}, {"iat": None}, {"exp": "soon"}],
)  # fmt: skip
def test_a_token_with_wrong_claims_is_refused(tokens: AccessTokens, keys: KeyRing, changes: dict[str, Any]) -> None:
    tokens.caller(forged(keys))
    refused(tokens, forged(keys, **changes))


def test_a_token_of_a_host_whose_clock_is_ahead_is_taken_within_a_bound(keys: KeyRing) -> None:
    """Both ways to read a token, recognized and fully checked, have the same bound."""
    now = time.time()
    here = AccessTokens(keys, lambda: now)
    for ahead_s, taken in ((AHEAD_S_MAX - 5, True), (AHEAD_S_MAX + 5, False)):
        there = AccessTokens(keys, lambda ahead_s=ahead_s: now + ahead_s)  # type: ignore[misc]
        own = "Bearer " + there.issue(USER, Role.BUYER)
        for header in (own, forged(keys, iat=int(now + ahead_s), exp=int(now + 900))):
            if taken:
                assert here.caller(header).user_id == USER
            else:
                refused(here, header)


def test_no_other_algorithm_is_taken(tokens: AccessTokens, keys: KeyRing) -> None:
    now = int(time.time())
    claims = {"sub": USER, "role": "admin", "iss": "general-circle", "iat": now, "exp": now + 60, "typ": "access"}
    headers = {"kid": keys.current.kid}
    unsigned = jwt.encode(claims, None, "none", headers=headers)
    public = keys.jwks()["keys"][0]["x"] + "padding to thirty-two bytes at least"
    refused(tokens, "Bearer " + unsigned)
    refused(tokens, "Bearer " + jwt.encode(claims, public, "HS256", headers=headers))


def test_keys_rotate_by_putting_a_new_one_first(tmp_path: Path) -> None:
    old, new = generate_pem(), generate_pem()
    (tmp_path / "old.pem").write_bytes(old)
    (tmp_path / "both.pem").write_bytes(new + old)
    before, after = KeyRing.load(tmp_path / "old.pem"), KeyRing.load(tmp_path / "both.pem")
    assert AccessTokens(after).caller("Bearer " + AccessTokens(before).issue(USER, Role.BUYER)).user_id == USER
    assert after.current.kid != before.current.kid
    assert [key["kid"] for key in after.jwks()["keys"]] == [after.current.kid, before.current.kid]
    assert KeyRing.load(tmp_path / "old.pem").current.kid == before.current.kid


def test_a_key_file_of_another_kind_is_a_settings_error(tmp_path: Path) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for text in (b"", b"hello", pem):
        (tmp_path / "key.pem").write_bytes(text)
        with pytest.raises(SettingsError, match="CIRCLE_JWT_KEY_FILE"):
            KeyRing.load(tmp_path / "key.pem")


def test_a_ticket_code_is_deterministic_and_reads_back(keys: KeyRing) -> None:
    codes = TicketCodes(keys)
    code = codes.sign(USER, OTHER, "AA-17", 2)
    assert code == TicketCodes(keys).sign(USER, OTHER, "AA-17", 2)
    read = codes.read(code)
    assert (read.ticket_id, read.event_id, read.seat, read.version) == (USER, OTHER, "AA-17", 2)


def test_a_code_outlives_the_rotation_of_its_key_for_as_long_as_the_key_is_in_the_file(tmp_path: Path) -> None:
    old, new = generate_pem(), generate_pem()
    (tmp_path / "keys.pem").write_bytes(old)
    code = TicketCodes(KeyRing.load(tmp_path / "keys.pem")).sign(USER, OTHER, "A-1")
    (tmp_path / "keys.pem").write_bytes(new + old)
    rotated = TicketCodes(KeyRing.load(tmp_path / "keys.pem"))
    assert rotated.read(code).seat == "A-1"
    assert rotated.sign(USER, OTHER, "A-1") != code
    (tmp_path / "keys.pem").write_bytes(new)
    with pytest.raises(ForgedCode):
        TicketCodes(KeyRing.load(tmp_path / "keys.pem")).read(code)


def test_no_changed_ticket_code_is_taken(keys: KeyRing) -> None:
    codes = TicketCodes(keys)
    code = codes.sign(USER, OTHER, "A-1")
    for place in range(len(code) - 1):  # the last character carries padding bits
        changed = code[:place] + ("A" if code[place] != "A" else "B") + code[place + 1 :]
        with pytest.raises(ValueError):
            codes.read(changed)
    with pytest.raises(ForgedCode):
        codes.read(TicketCodes(KeyRing.load(None)).sign(USER, OTHER, "A-1"))
    for text in ("", "x", "not a code", "A" * 400, "é"):
        with pytest.raises(ValueError):
            codes.read(text)
