"""Position receipts: many under one signature, and nothing passes for another."""

from __future__ import annotations

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.auth.keys import Key
from api.log.receipts import Acknowledged
from pipelines.history.receipts import (
    RECEIPT_CHARS_MAX,
    SIGNED_TOGETHER_MAX,
    BadReceipt,
    Receipt,
    issue,
    read,
    record_digest,
)

KEY = Key.of(Ed25519PrivateKey.generate())
KEYS = {KEY.kid: KEY.public}


def receipts(count: int) -> list[Receipt]:
    return [Receipt(number % 8, number, record_digest(b"event", b"value %d" % number)) for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, SIGNED_TOGETHER_MAX])
def test_each_of_many_under_one_signature_is_read_as_it_was(count: int) -> None:
    told = receipts(count)
    texts = issue(told, KEY.private, KEY.kid)
    assert [read(text, KEYS) for text in texts] == told
    assert len({text.partition("~")[0] for text in texts}) == 1
    assert max(map(len, texts)) < RECEIPT_CHARS_MAX / 2


def test_no_part_of_one_receipt_passes_with_another() -> None:
    one, other = issue(receipts(4), KEY.private, KEY.kid)[1:3]
    alone = issue(receipts(1), KEY.private, KEY.kid)[0]
    for token, leaf in ((alone, one), (one, alone)):
        text = f"{token.partition('~')[0]}~{leaf.partition('~')[2]}"
        with pytest.raises(BadReceipt, match="not under the signature"):
            read(text, KEYS)
    assert read(f"{one.partition('~')[0]}~{other.partition('~')[2]}", KEYS) == receipts(3)[2]  # their own signature


@pytest.mark.parametrize("end", ["", "~", "~!!", "~bm9uc2Vuc2U", "~e30", "x" * RECEIPT_CHARS_MAX], ids=range(6))
def test_what_is_no_whole_receipt_is_refused(end: str) -> None:
    token = issue(receipts(2), KEY.private, KEY.kid)[0].partition("~")[0]
    with pytest.raises(BadReceipt):
        read(token + end, KEYS)


def test_a_changed_leaf_is_refused() -> None:

    token, _, own = issue(receipts(2), KEY.private, KEY.kid)[0].partition("~")
    leaf = msgspec.json.decode(base64.urlsafe_b64decode(own + "=" * (-len(own) % 4)))
    for name, value in (("p", 7), ("o", 99), ("d", "00" * 16), ("w", []), ("w", leaf["w"] * 9), ("w", ["lzz"])):
        forged = base64.urlsafe_b64encode(msgspec.json.encode(leaf | {name: value})).decode()
        with pytest.raises(BadReceipt):
            read(f"{token}~{forged}", KEYS)


def test_what_is_acknowledged_together_is_signed_once_and_what_comes_later_apart() -> None:
    batch = Acknowledged(KEY)
    numbers = [batch.add(3, offset, "event", b"value %d" % offset) for offset in range(3)]
    assert not batch.full
    texts = [batch.receipt(number) for number in numbers]
    assert [read(text, KEYS).offset for text in texts] == [0, 1, 2]
    assert read(texts[2], KEYS).digest == record_digest(b"event", b"value 2")
    assert batch.full
