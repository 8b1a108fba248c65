"""Sealed replies: a message without a seal under the asking process's key is no reply."""

from __future__ import annotations

import pytest

from schemas.replies import SEAL_BYTES, Reply, ReplyMessage, decode_replies, encode_replies, opened, sealed

KEY, OTHER = b"k" * 22, b"l" * 22
MESSAGE = encode_replies(
    [
        Reply(
            command_id="command",
            event_id="event",
            partition=0,
            offset=7,
            outcome="accepted",
            reason="",
            detail="",
            duplicate=False,
            reservation=None,
        )
    ]
)


def test_a_sealed_message_comes_out_as_it_went_in() -> None:
    message = opened(sealed(MESSAGE, KEY), KEY)
    assert message == MESSAGE
    assert [reply.command_id for reply in decode_replies(message)] == ["command"]


@pytest.mark.parametrize(
    "data",
    [
        MESSAGE,
        b"",
        sealed(MESSAGE, OTHER),
        sealed(MESSAGE, KEY)[:-1],
        sealed(MESSAGE, KEY) + b"x",
        sealed(MESSAGE, KEY)[SEAL_BYTES:],
        bytes(SEAL_BYTES) + MESSAGE,
    ],
    ids=["not sealed", "nothing", "another key", "cut", "longer", "seal taken off", "a seal of zeros"],
)
def test_what_another_has_made_or_changed_is_no_message(data: bytes) -> None:
    assert opened(data, KEY) is None


def test_every_bit_of_a_sealed_message_counts() -> None:
    whole = sealed(MESSAGE, KEY)
    for place in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        assert opened(bytes(changed), KEY) is None


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
def test_a_message_that_was_made_reply_by_reply_is_that_of_all_of_them(count: int) -> None:
    (reply,) = decode_replies(MESSAGE)
    message = ReplyMessage()
    for _ in range(count):
        message.add(reply)
    assert message.encoded() == encode_replies([reply] * count)
