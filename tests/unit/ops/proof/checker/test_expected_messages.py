"""The checker's table of messages: it agrees with what the platform composes, and differs from a wrong composition."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from ops.proof.checker.expected_messages import KINDS_WITH_MAILS, RULES, MessageKey, difference, expected_messages
from pipelines.notifications.compose import compose
from pipelines.notifications.kinds import KINDS, Channel, NotificationKind
from schemas import facts as f
from schemas.facts import FACTS, RecordedFact
from schemas.field_types import plain
from schemas.notifications import Notification
from schemas.statuses import ChoreKind, DisputeStatus, PaymentStatus, TransferStatus
from tests.harness.fact_logs import FactLog, recorded
from tests.harness.towns import recorded as facts_of
from tests.harness.towns import town_of
from tests.harness.words import T, held

CHOICES: dict[tuple[type[f.Fact], str], list[Any]] = {
    (f.ReservationCancelled, "reason"): ["event-cancelled", "buyer-cancelled"],
    (f.ReservationCancelled, "refund_minor"): [None, 0, 700],
    (f.ReservationCancelled, "kept_minor"): [None, 300],
    (f.ConfirmationRefused, "refund_minor"): [None, 700],
    (f.PaymentRefunded, "organizer_id"): [None, "", "organizer"],
    (f.PaymentRefunded, "currency"): [None, "EUR"],
    (f.PaymentRefunded, "reason"): [None, "duplicate"],
    (f.RefundFailed, "to_owed_minor"): [0, 700],
    (f.RefundFailed, "payment"): list(PaymentStatus),
    (f.DisputeOpened, "status"): list(DisputeStatus),
    (f.DisputeClosed, "status"): list(DisputeStatus),
    (f.TransferEnded, "outcome"): list(TransferStatus),
    (f.HolderNotified, "kind"): [*ChoreKind, "of-a-later-version"],
}
"""The values by which the messages of a type of facts differ."""


def samples(kind: type[f.Fact]) -> Iterator[f.Fact]:
    """Facts of the type with another value in each field, and each combination of its choices."""
    fields = msgspec.structs.fields(kind)
    options = [CHOICES.get((kind, field.name)) or [sample(field, number)] for number, field in enumerate(fields)]
    for values in itertools.product(*options):
        yield kind(**{field.name: value for field, value in zip(fields, values, strict=True)})


def sample(field: msgspec.structs.FieldInfo, number: int) -> Any:
    if field.name.endswith("_at"):
        return T + number
    text = str(field.type)
    if "list" in text:
        return [f"{field.name}-1", f"{field.name}-2"]
    optional = [kind for kind in getattr(field.type, "__args__", ()) if kind is not type(None)]
    return f"{field.name}-{number}" if plain(optional[0] if optional else field.type) is str else 100 + number


def key_of(message: Notification) -> MessageKey:
    return MessageKey(
        offset=message.offset,
        number=message.index,
        user_id=message.user_id,
        channel=message.channel,
        template=message.template,
    )


def differences(fact: RecordedFact, composed: Callable[[RecordedFact], list[Notification]] = compose) -> list[str]:
    """What is wrong with the composed messages of a fact, by the checker's table."""
    expected = dict(expected_messages(fact))
    rows = {key_of(message): msgspec.structs.asdict(message) for message in composed(fact)}
    wrong = [f"missing {key.template}" for key in expected.keys() - rows.keys()]
    wrong += [f"unexpected {key.template}" for key in rows.keys() - expected.keys()]
    return wrong + [text for key in expected.keys() & rows.keys() if (text := difference(expected[key], rows[key]))]


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.__name__)
def test_each_type_of_facts_makes_the_messages_of_the_table(kind: type[f.Fact]) -> None:
    facts = [recorded(fact, offset=7, index=1, count=2) for fact in samples(kind)]
    assert [differences(fact) for fact in facts] == [[]] * len(facts)
    assert any(expected_messages(fact) for fact in facts) == (kind in RULES)


@pytest.mark.parametrize("seed", range(3))
def test_the_log_of_a_sale_makes_the_messages_of_the_table(seed: int) -> None:
    facts = [*facts_of(town_of(seed, 300)), *FactLog(partition=0, seed=seed).take(300)]
    assert [differences(fact) for fact in facts] == [[]] * len(facts)
    assert sum(len(expected_messages(fact)) for fact in facts) > 100


def test_the_table_has_each_kind_of_the_platform_with_its_mail() -> None:
    templates = {rule.template for rules in RULES.values() for rule in rules}
    assert templates == set(KINDS) - {NotificationKind.REGISTERED}  # of an account, not of a fact
    assert {kind for kind in templates if KINDS[kind].mail} == KINDS_WITH_MAILS


def test_a_message_of_version_0_1_has_no_refund_and_is_right_where_none_was_due() -> None:
    fact = next(one for one in samples(f.ConfirmationRefused) if one.refund_minor is None)
    (_, content), _ = expected_messages(recorded(fact, offset=1))
    row = msgspec.structs.asdict(compose(recorded(fact, offset=1))[0])
    data = msgspec.json.decode(row["data"])
    del data["refund"]
    assert difference(content, row | {"data": msgspec.json.encode(data).decode()}) == ""


def changed(**columns: Any) -> Callable[[RecordedFact], list[Notification]]:
    return lambda fact: [msgspec.structs.replace(one, **columns) for one in compose(fact)]


def with_data(**fields: Any) -> Callable[[RecordedFact], list[Notification]]:
    def composed(fact: RecordedFact) -> list[Notification]:
        texts = [msgspec.json.encode(msgspec.json.decode(one.data) | fields).decode() for one in compose(fact)]
        return [msgspec.structs.replace(one, data=text) for one, text in zip(compose(fact), texts, strict=True)]

    return composed


@pytest.mark.parametrize(
    ("composed", "wrong"),
    [
        (lambda _fact: [], "missing ticket.held"),
        (lambda fact: [one for one in compose(fact) if one.channel != Channel.MAIL], "missing ticket.held"),
        (changed(user_id="a stranger"), "unexpected ticket.held"),
        (changed(template="hold.expired"), "unexpected hold.expired"),
        (changed(index=9), "unexpected ticket.held"),
        (changed(kind="hold.expired"), "kind is 'hold.expired'"),
        (changed(event_id="another"), "event_id is 'another'"),
        (changed(reservation_id="another"), "reservation_id is 'another'"),
        (changed(created_at=1), "created_at is 1,"),
        (with_data(amount=1), "its data has amount 1,"),
        (with_data(seats=["B-1"]), "its data has seats ['B-1'],"),
        (with_data(expires_at="2027-01-15T08:00:00.000001Z"), "its data has expires_at"),
        (with_data(event_id="another"), "its data has event_id"),
    ],
)
def test_a_wrong_composition_differs_from_the_table(
    composed: Callable[[RecordedFact], list[Notification]], wrong: str
) -> None:
    fact = recorded(held(["A-1"]), offset=7)
    assert differences(fact) == []
    assert any(text.startswith(wrong) for text in differences(fact, composed))
