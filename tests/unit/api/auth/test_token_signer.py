"""Tokens of this installation are recognized by MAC and signature; nothing else is, and then the full check decides."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from api.auth.keys import Key, KeyRing, read_jwks
from api.auth.stream_tickets import StreamTickets
from api.auth.token_signer import MAC_PARAMETER, TokenSigner
from api.auth.tokens import AccessTokens, Role
from api.http.problem import Problem

USER = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab"
SESSION = "22222222-5a7a-4a8e-9f0a-0123456789ab"
PATH = "/v1/notifications/stream"
RING = KeyRing.load(None)
KNOWN_TOKEN = (
    "eyJhbGciOiJFZERTQSIsImtpZCI6IjFJRzJ0TUg3SjJ3Ykpabk9mOExKelFpdEtmN0xNdm9BRWxzdURNVk01NFkiLCJ0eXAiOiJK"
    "V1QiLCJjaXJjbGUtbWFjIjoib2ZFNTA0NjlrWUdjVk91emtvWXc4QSJ9.eyJzdWIiOiJhZGEifQ.EGCMgpHtThCXYlftHAr0ze7m"
    "Gl46-TrJ3LTaM8wrAYUlCwliJ57sfIEe3bO7aPPv2O0S-VY0KoHm7wy7wAJyCA"
)


def claims_of(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {"sub": USER, "role": "buyer", "iss": "general-circle", "iat": now, "exp": now + 60, "typ": "access"}
    return {name: value for name, value in (claims | changes).items() if value is not None}


def encoded(raw: bytes | dict[str, Any]) -> str:
    text = raw if isinstance(raw, bytes) else json.dumps(raw, separators=(",", ":")).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def decoded(part: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=="))
    return members


def with_signature(key: Key, header: str, payload: str) -> str:
    """A token with this header and payload that the key really signed."""
    return f"{header}.{payload}.{encoded(key.private.sign(f'{header}.{payload}'.encode()))}"


def issued(keys: KeyRing = RING, **options: Any) -> str:
    return AccessTokens(keys).issue(USER, Role.BUYER, **options)


def recognized(token: str, keys: KeyRing = RING) -> bool:
    return TokenSigner(keys).recognize(token) is not None


class Way(StrEnum):
    """How the API judges a token that it sees for the first time."""

    RECOGNIZED = "recognized"  # and accepted, without a full check
    CHECKED = "checked"  # not recognized, and accepted by the full check
    REFUSED = "refused"


def way_of(token: str, keys: KeyRing = RING) -> Way:
    known = recognized(token, keys)
    try:
        AccessTokens(keys).caller(f"Bearer {token}")
    except Problem as problem:
        if problem.status != 401 or known:
            raise
        return Way.REFUSED
    return Way.RECOGNIZED if known else Way.CHECKED


def test_others_verify_a_token_with_the_public_keys_alone() -> None:
    token = issued(session_id=SESSION)
    [(kid, public)] = read_jwks(json.dumps(RING.jwks())).items()
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "EdDSA", "kid": kid, "typ": "JWT", MAC_PARAMETER: header[MAC_PARAMETER]}
    claims = jwt.decode(token, public, algorithms=["EdDSA"], issuer="general-circle")
    assert (claims["sub"], claims["sid"], claims["typ"]) == (USER, SESSION, "access")


def test_the_bytes_of_a_token_are_the_same_in_every_process_and_build() -> None:
    keys = KeyRing([Key.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))])
    assert TokenSigner(keys).sign(b'{"sub":"ada"}') == KNOWN_TOKEN
    assert recognized(KNOWN_TOKEN, KeyRing([Key.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))]))


@given(
    user=st.uuids(), role=st.sampled_from(Role), session=st.none() | st.uuids(), waiting=st.booleans(),
    mailbox=st.none() | st.integers(1, 2**63 - 1), ttl_s=st.integers(120, 900),
)  # fmt: skip
def test_a_recognized_token_names_the_caller_that_the_full_check_names(
    user: UUID, role: Role, session: UUID | None, waiting: bool, mailbox: int | None, ttl_s: int
) -> None:
    tokens = AccessTokens(RING)
    session_id = "" if session is None else str(session)
    token = tokens.issue(str(user), role, session_id=session_id, ttl_s=ttl_s, waiting=waiting, mailbox=mailbox)
    assert recognized(token)
    plain = jwt.encode(decoded(token.split(".")[1]), RING.current.private, "EdDSA", headers={"kid": RING.current.kid})
    assert not recognized(plain)
    assert tokens.caller(f"Bearer {token}") == tokens.caller(f"Bearer {plain}")


def test_a_recognized_token_needs_no_full_check_and_any_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    token, other = issued(), jwt.encode(claims_of(), RING.current.private, "EdDSA", headers={"kid": RING.current.kid})
    checked: list[str] = []
    decode = jwt.decode

    def noted(text: str, *args: Any, **options: Any) -> Any:
        checked.append(text)
        return decode(text, *args, **options)

    monkeypatch.setattr(jwt, "decode", noted)
    assert way_of(token) is Way.RECOGNIZED
    assert way_of(other) is Way.CHECKED
    assert checked == [other]


def test_a_token_with_one_changed_character_is_refused() -> None:
    token = issued(session_id=SESSION)
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert way_of(changed) is Way.REFUSED, place
    unused_bit = chr(ord(token[-1]) + 1)  # in base64, four bits of the last character carry nothing
    assert way_of(token[:-1] + unused_bit) is Way.REFUSED


@pytest.mark.parametrize("changed", [
    lambda token: token[:-1], lambda token: token + "A", lambda token: token + "==", lambda token: token + ".A",
    lambda token: token.rpartition(".")[0], lambda token: token.rpartition(".")[0] + ".",
    lambda token: token.rpartition(".")[0] + "." + "A" * 86, lambda token: "." + token, lambda token: token[1:],
    lambda token: token.replace(".", "..", 1), lambda token: token.replace(".", "=.", 1), lambda token: token[:124],
    lambda token: token[:-1] + "é",
])  # fmt: skip
def test_a_token_that_lost_or_gained_a_part_is_not_recognized(changed: Any) -> None:
    assert not recognized(changed(issued()))


def test_a_signature_of_another_token_does_not_serve() -> None:
    token, other = issued(session_id=SESSION), issued(session_id=str(uuid4()))
    mixed = token.rpartition(".")[0] + "." + other.rpartition(".")[2]
    assert way_of(mixed) is Way.REFUSED


def test_a_mac_of_another_payload_does_not_serve() -> None:
    header, _, signature = issued().split(".")
    payload = encoded(claims_of(role="admin"))
    for swapped in (f"{header}.{payload}.{signature}", f"{header}.{payload}.{issued(session_id=SESSION)[-86:]}"):
        assert way_of(swapped) is Way.REFUSED


@pytest.mark.parametrize("mac", [lambda mac: mac[:-1], lambda mac: mac[:4], lambda mac: "", lambda mac: mac + "A",
                                 lambda mac: "A" * 22, lambda mac: None, lambda mac: 7, lambda mac: [mac]])  # fmt: skip
def test_a_token_whose_mac_is_wrong_is_judged_by_its_signature_alone(mac: Any) -> None:
    header, payload, signature = issued().split(".")
    members = decoded(header)
    other = encoded(members | {MAC_PARAMETER: mac(members[MAC_PARAMETER])})
    signed = with_signature(RING.current, other, payload)
    assert way_of(signed) is Way.CHECKED
    forged = f"{other}.{payload}.{signature}"
    assert way_of(forged) is Way.REFUSED


@pytest.mark.parametrize("header", [
    {"alg": "none"}, {"alg": "HS256"}, {"alg": "ES256"}, {"alg": "eddsa"}, {"crit": ["exp"]}, {"kid": "another"},
])  # fmt: skip
def test_a_header_with_another_meaning_is_neither_recognized_nor_accepted(header: dict[str, Any]) -> None:
    own, payload, _ = issued().split(".")
    token = with_signature(RING.current, encoded(decoded(own) | header), payload)
    assert way_of(token) is Way.REFUSED


def test_the_public_key_is_no_mac_key() -> None:
    payload = claims_of(role="admin")
    own, _, _ = issued().split(".")
    public = RING.jwks()["keys"][0]["x"]
    token = jwt.encode(payload, public, "HS256", headers=decoded(own) | {"alg": "HS256"})
    assert way_of(token) is Way.REFUSED


def test_keys_rotate_and_each_key_recognizes_its_own_tokens_while_it_is_in_the_file() -> None:
    old, new = RING.current, KeyRing.load(None).current
    before, both, after = KeyRing([old]), KeyRing([new, old]), KeyRing([new])
    first, second = issued(before), issued(both)
    assert way_of(first, both) is Way.RECOGNIZED
    assert way_of(first, after) is Way.REFUSED
    assert way_of(second, after) is Way.RECOGNIZED
    assert way_of(second, before) is Way.REFUSED


def test_a_mac_of_one_key_does_not_serve_under_the_id_of_another() -> None:
    old, new = RING.current, KeyRing.load(None).current
    both = KeyRing([new, old])
    header, payload, signature = issued(KeyRing([old])).split(".")
    renamed = encoded(decoded(header) | {"kid": new.kid})
    assert way_of(f"{renamed}.{payload}.{signature}", both) is Way.REFUSED
    assert way_of(with_signature(old, renamed, payload), both) is Way.REFUSED


@pytest.mark.parametrize("changes", [
    {"typ": "refresh"}, {"typ": "stream-ticket"}, {"typ": None}, {"iss": "somebody"}, {"iss": None}, {"role": "god"},
    {"role": None}, {"sub": "me"}, {"sub": None}, {"sub": 7}, {"exp": None}, {"exp": "soon"}, {"exp": 1}, {"iat": None},
    {"iat": int(time.time()) + 3600}, {"sid": "me"}, {"sid": 7}, {"box": "g"}, {"box": 7}, {"box": "0"},
    {"nbf": int(time.time()) + 3600},
])  # fmt: skip
def test_claims_of_a_recognized_token_are_checked_as_those_of_any_other(changes: dict[str, Any]) -> None:
    text = json.dumps(claims_of(**changes)).encode()
    token = TokenSigner(RING).sign(text)
    assert recognized(token)
    with pytest.raises(Problem) as caught:
        AccessTokens(RING).caller(f"Bearer {token}")
    assert caught.value.status == 401
    assert way_of(TokenSigner(RING).sign(json.dumps(claims_of()).encode())) is Way.RECOGNIZED


def test_a_claim_that_we_do_not_write_is_left_to_the_full_check() -> None:
    claims, kid = claims_of(aud="somebody", jti="1"), RING.current.kid
    token = TokenSigner(RING).sign(json.dumps(claims).encode())
    plain = jwt.encode(claims, RING.current.private, "EdDSA", headers={"kid": kid})
    assert AccessTokens(RING).caller(f"Bearer {token}") == AccessTokens(RING).caller(f"Bearer {plain}")


def test_a_recognized_token_expires_and_ends_with_its_session() -> None:
    ended: set[str] = set()
    now = [time.time()]
    tokens = AccessTokens(RING, lambda: now[0], ended=ended)
    header = "Bearer " + tokens.issue(USER, Role.BUYER, session_id=SESSION, ttl_s=60)
    caller = tokens.caller(header)
    ended.add(SESSION)
    for again in (tokens, AccessTokens(RING, ended=ended)):
        with pytest.raises(Problem, match="session has ended"):
            again.caller(header)
    ended.clear()
    now[0] += 61
    assert not tokens.is_open(caller)
    for again in (tokens, AccessTokens(RING, lambda: now[0])):
        with pytest.raises(Problem, match="expired"):
            again.caller(header)


async def test_tokens_of_another_kind_are_no_access_tokens_and_access_tokens_are_no_others() -> None:
    tokens = AccessTokens(RING)
    token = issued(session_id=SESSION)
    tickets = StreamTickets(Redis(), RING, tokens)
    ticket = tickets.signed(tokens.caller(f"Bearer {token}"), PATH)
    for other in (ticket, "an-operator's-token-of-thirty-two-bytes", str(uuid4())):
        assert way_of(other) is Way.REFUSED
    with pytest.raises(Problem, match="not valid"):
        await tickets.take(token, PATH)
