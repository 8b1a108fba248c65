"""A buyer's receipt is compared with the log: it is true for its own record only."""

from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.auth.keys import Key, KeyRing
from connectors.settings import Settings
from pipelines.history.receipts import BadReceipt, Receipt, issue, read, record_digest
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.words import EVENT, R1, add_type, create, publish, reserve

KEY = Key.of(Ed25519PrivateKey.generate())


def token(receipt: Receipt, key: Key = KEY) -> str:
    return issue([receipt], key.private, key.kid)[0]


@pytest.fixture
def mine(settings: Settings) -> Receipt:
    log = BothLogs(partition=2, seed=1)
    for command in (create(), add_type(), publish(), reserve(2)):
        log.put(command)
    write_both(settings, [log])
    record = log.command_records()[3]
    return Receipt(2, 3, record_digest(EVENT.encode(), record.value or b""))


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(KeyRing([KEY]).jwks()))
    return str(path)


def test_a_receipt_holds_for_the_record_it_was_given_for(circle: Circle, mine: Receipt, keys: str) -> None:
    code, found = circle("verify", "--receipt", token(mine), "--keys", keys, "--json")
    assert (code, found["holds"], found["command"], found["reservation_id"]) == (0, True, "ReserveTickets", R1)


@pytest.mark.parametrize(
    "other", [Receipt(2, 3, "00" * 16), Receipt(2, 2, ""), Receipt(2, 99, ""), Receipt(3, 0, "")], ids=str
)
def test_it_holds_for_nothing_else(circle: Circle, mine: Receipt, keys: str, other: Receipt) -> None:
    wrong = Receipt(other.partition, other.offset, other.digest or mine.digest)
    assert circle("verify", "--receipt", token(wrong), "--keys", keys)[0] == 1


def test_a_receipt_of_somebody_elses_key_does_not_hold(
    circle: Circle, mine: Receipt, keys: str, tmp_path: Path
) -> None:
    forged = Key.of(Ed25519PrivateKey.generate())
    assert circle("verify", "--receipt", token(mine, forged), "--keys", keys)[0] == 1
    assert (
        circle("verify", "--receipt", token(mine, Key(KEY.kid, forged.private, forged.public)), "--keys", keys)[0] == 1
    )
    assert circle("verify", "--receipt", token(mine))[0] == 2  # no keys at all
    file = tmp_path / "receipt"
    file.write_text(token(mine) + "\n")
    assert circle("verify", "--receipt", f"@{file}", "--keys", keys)[0] == 0


def test_an_access_token_is_no_receipt() -> None:
    public = {KEY.kid: KEY.public}
    with pytest.raises(BadReceipt, match="aud"):
        read(jwt.encode({"sub": "x"}, KEY.private, "EdDSA", headers={"kid": KEY.kid}), public)
    with pytest.raises(BadReceipt, match="not a receipt"):
        read("nonsense", public)
