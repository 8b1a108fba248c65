"""One request is one trace, from HTTP over records to rows, mail and webhook, as OpenTelemetry's collector has it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from connectors.kafka import producer
from ops.run.platform import Platform
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS, dead_letters
from tests.harness.flows import eventually, everything
from tests.harness.hook_server import HookServer
from tests.harness.mail_server import MailServer
from tests.harness.otlp_collector import CollectedSpan, OtlpCollector
from tests.harness.shop import PASSWORD, OnSale, Person, Shop, done, open_shop, problem, unique

pytestmark = pytest.mark.timeout(1_000)  # the first run builds the collector

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
OUT = NOTIFICATIONS
HOLD = "POST /v1/events/<event_id>/reservations"
CONFIRM = "POST /v1/reservations/<reservation_id>/confirm"


@dataclass(frozen=True)
class Street:
    """A platform whose traces are collected, with a mail server, a webhook, the export, and an event on sale."""

    platform: Platform
    shop: Shop
    collector: OtlpCollector
    hooks: HookServer
    event: OnSale
    buyer: Person


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    with (
        OtlpCollector() as collector,
        MailServer() as mails,
        HookServer() as hooks,
        open_shop(
            CIRCLE_SMTP_URL=mails.url, CIRCLE_LOG_FORMAT="json", CIRCLE_EXPORT_NOTIFICATIONS="on", **collector.env
        ) as (platform, shop),
    ):
        organizer = shop.organizer()
        done(organizer.post("/v1/webhooks", json={"url": hooks.url}), 201)
        yield Street(
            platform=platform,
            shop=shop,
            collector=collector,
            hooks=hooks,
            event=shop.event(organizer),
            buyer=shop.person(),
        )


def traceparent(trace: str, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{CALLER}-{flags}"}


def hold(street: Street, trace: str, flags: str = "01", buyer: Person | None = None) -> str:
    path = f"/v1/events/{street.event.id}/reservations"
    body = {"ticket_type_id": street.event.seated, "quantity": 1}
    answer = (buyer or street.buyer).post(
        path, key=unique(), prefer="wait=20", json=body, headers=traceparent(trace, flags)
    )
    return str(done(answer, 201)["id"])


def confirm(street: Street, reservation: str, trace: str, buyer: Person | None = None) -> None:
    path, body = f"/v1/reservations/{reservation}/confirm", {"payment_token": "tok_ok"}
    done((buyer or street.buyer).post(path, key=unique(), prefer="wait=20", json=body, headers=traceparent(trace)), 200)


def test_a_hold_is_one_trace_from_the_caller_to_the_webhook(street: Street) -> None:
    hold(street, TRACE)
    spans = street.collector.trace(
        TRACE, HOLD, "send tickets.commands", "decide ReserveTickets", "write rows of TicketsHeld",
        "POST webhook tickets.held",
    )  # fmt: skip
    chain = [spans[name] for name in (HOLD, "send tickets.commands", "decide ReserveTickets",
                                      "write rows of TicketsHeld", "POST webhook tickets.held")]  # fmt: skip
    assert [one.parent for one in chain] == [CALLER, *(one.id for one in chain[:-1])]
    assert [one.kind for one in chain] == ["SERVER", "PRODUCER", "CONSUMER", "CONSUMER", "CLIENT"]
    assert [one.service for one in chain] == [
        "circle-api", "circle-api", "circle-reservations", "circle-read-side", "circle-read-side",
    ]  # fmt: skip
    assert spans[HOLD].attributes["http.response.status_code"] == "201"
    assert spans["decide ReserveTickets"].attributes["circle.facts"] == "TicketsHeld"
    assert spans["POST webhook tickets.held"].attributes["circle.outcome"] == "204"
    assert all(one.began_ns <= one.ended_ns for one in chain)
    assert not any(one.failed for one in chain)
    decided, written = spans["decide ReserveTickets"].attributes, spans["write rows of TicketsHeld"].attributes
    assert messaging(spans["send tickets.commands"].attributes) == (COMMANDS, "send", "send", None)
    assert messaging(decided) == (COMMANDS, "process", "decide", "circle.reservations")
    assert messaging(written) == (FACTS, "process", "write rows", "circle.read-side")
    places = [(one["messaging.destination.partition.id"], one["messaging.kafka.offset"]) for one in
              (spans["send tickets.commands"].attributes, decided, written)]  # fmt: skip
    assert places[0] == places[1]
    (fact,) = [one for one in everything(street.platform.settings, FACTS)
               if (str(one.partition()), str(one.offset())) == places[2]]  # fmt: skip
    assert dict(fact.headers() or [])["ce_type"] == b"TicketsHeld"


def messaging(attributes: Mapping[str, str]) -> tuple[str | None, ...]:
    """What the conventions for messaging ask of a span: topic, type and name of the operation, consumer group."""
    assert attributes["messaging.system"] == "kafka"
    names = ("destination.name", "operation.type", "operation.name", "consumer.group.name")
    return tuple(attributes.get(f"messaging.{name}") for name in names)


def test_the_trace_goes_on_in_the_webhook_call_and_in_the_exported_message(street: Street) -> None:
    trace, marks = "9" + TRACE[1:], dict[str, str]()
    hold(street, trace, buyer=street.shop.person())
    spans = street.collector.trace(trace, "POST webhook tickets.held", "send notifications.outbound")

    def left() -> bool:
        marks.update(call=mark_of_call(street, trace), record=mark_of_record(street, trace))
        return all(marks.values())

    eventually(left, "the call and the record have the trace")
    assert marks["call"] == f"00-{trace}-{spans['POST webhook tickets.held'].id}-01"
    exported = [one for one in street.collector.spans if one.name == "send notifications.outbound"]
    (of_record,) = [one for one in exported if marks["record"] == f"00-{trace}-{one.id}-01"]
    assert (of_record.kind, of_record.service) == ("PRODUCER", "circle-read-side")
    assert of_record.parent in {one.id for one in street.collector.spans if one.name == "write rows of TicketsHeld"}


def mark_of_call(street: Street, trace: str) -> str:
    found = (one.headers.get("traceparent", "") for one in street.hooks.calls if one.type == "tickets.held")
    return next((one for one in found if trace in one), "")


def mark_of_record(street: Street, trace: str) -> str:
    found = (dict(one.headers() or []).get("traceparent", b"") for one in everything(street.platform.settings, OUT))
    return next((one.decode() for one in found if trace.encode() in one), "")


def test_every_record_of_every_topic_is_a_whole_cloud_event(street: Street) -> None:
    buyer = street.shop.person()
    reservation = hold(street, "a" + TRACE[1:], buyer=buyer)
    confirm(street, reservation, "b" + TRACE[1:], buyer)
    settings, client = street.platform.settings, producer(street.platform.settings)
    client.produce(COMMANDS, b"foreign", b"key", 0)
    client.flush(10)
    letters = dead_letters(COMMANDS)
    eventually(lambda: bool(everything(settings, letters)), "the foreign record is set aside")
    for topic, kinds in ((COMMANDS, {"ReserveTickets", "RecordPayment"}), (FACTS, {"TicketsHeld"}),
                         (OUT, {"Notification"}), (letters, {"DeadLetter"})):  # fmt: skip
        records = [one for one in everything(settings, topic) if one.value() != b"foreign" or topic == letters]
        events = [from_binary(KafkaMessage(dict(one.headers() or []), one.key(), one.value() or b""), JSONFormat())
                  for one in records]  # fmt: skip
        assert kinds <= {one.get_type() for one in events}
        assert all(one.get_datacontenttype() and one.get_time() for one in events)
        assert len({(one.get_source(), one.get_id()) for one in events}) == len(events), topic


def test_a_batch_links_to_the_traces_of_its_commands_and_facts(street: Street) -> None:
    trace = "1" + TRACE[1:]
    hold(street, trace)
    spans = street.collector.trace(trace, "send tickets.commands", "decide ReserveTickets", "write rows of TicketsHeld")

    def batch(name: str, of: CollectedSpan) -> CollectedSpan:
        (found,) = [one for one in street.collector.spans if one.name == name and of.id in one.links]
        return found

    commands = batch("process tickets.commands", spans["send tickets.commands"])
    facts = batch("process tickets.facts", spans["decide ReserveTickets"])
    assert commands.trace != trace
    assert commands.id in spans["decide ReserveTickets"].links
    assert facts.id in spans["write rows of TicketsHeld"].links
    for found, topic, group in ((commands, COMMANDS, "reservations"), (facts, FACTS, "read-side")):
        assert int(found.attributes["messaging.batch.message_count"]) >= 1
        assert messaging(found.attributes) == (topic, "process", "process", f"circle.{group}")


def test_a_payment_and_its_mail_belong_to_the_trace_of_the_confirmation(street: Street) -> None:
    first, second = "2" + TRACE[1:], "3" + TRACE[1:]
    reservation = hold(street, first)
    confirm(street, reservation, second)
    spans = street.collector.trace(
        second, CONFIRM, "decide ConfirmReservation", "capture payment", "decide RecordPayment",
        "write rows of ReservationConfirmed", "send mail reservation.confirmed",
    )  # fmt: skip
    assert spans["capture payment"].parent == spans["decide ConfirmReservation"].id
    assert spans["decide RecordPayment"].parent == spans["capture payment"].id
    assert spans["write rows of ReservationConfirmed"].parent == spans["decide RecordPayment"].id
    mail = spans["send mail reservation.confirmed"]
    assert mail.parent == spans["write rows of ReservationConfirmed"].id
    assert (mail.kind, mail.attributes["circle.outcome"]) == ("CLIENT", "sent")


def test_a_refusal_has_its_reason_and_is_no_failure(street: Street) -> None:
    trace = "4" + TRACE[1:]
    path, body = f"/v1/events/{street.event.id}/reservations", {"ticket_type_id": street.event.general, "quantity": 7}
    answer = street.buyer.post(path, key=unique(), prefer="wait=20", json=body, headers=traceparent(trace))
    problem(answer, 409, "limit-exceeded")
    spans = street.collector.trace(trace, HOLD, "decide ReserveTickets")
    assert spans["decide ReserveTickets"].attributes["circle.reason"] == "limit-exceeded"
    assert spans[HOLD].attributes["http.response.status_code"] == "409"
    assert not spans[HOLD].failed


def test_a_caller_that_samples_nothing_gets_no_spans_and_the_same_answer(street: Street) -> None:
    trace, later = "5" + TRACE[1:], "6" + TRACE[1:]
    hold(street, trace, flags="00")
    hold(street, later, buyer=street.shop.person())
    street.collector.trace(later, HOLD, "write rows of TicketsHeld")
    assert [one.name for one in street.collector.spans if one.trace == trace] == []


def test_log_lines_of_traced_work_have_the_ids(street: Street) -> None:
    trace = "7" + TRACE[1:]
    path = f"/v1/reservations/{hold(street, trace)}/confirm"
    body = {"payment_token": "tok_lost_reply"}
    street.buyer.post(path, key=unique(), prefer="wait=20", json=body, headers=traceparent(trace))
    lines = [json.loads(line) for line in log_of(street, "payments").splitlines() if "provider.unknown" in line]
    found = [one for one in lines if one.get("trace_id") == trace]
    assert found
    spans = street.collector.trace(trace, "capture payment")
    assert {one["span_id"] for one in found} <= {spans["capture payment"].id}


def log_of(street: Street, name: str) -> str:
    (path,) = Path(street.platform.logs).glob(f"{name}*.log")
    return path.read_text()


def test_a_slow_request_without_a_callers_trace_is_listed_with_its_own(street: Street) -> None:
    buyer = street.shop.person()
    reservation = hold(street, "c" + TRACE[1:], buyer=buyer)
    path, body = f"/v1/reservations/{reservation}/confirm", {"payment_token": "tok_slow"}
    done(buyer.post(path, key=unique(), prefer="wait=20", json=body), 200)
    listed = list[dict[str, str]]()

    def shown() -> bool:
        answer = street.shop.http.get("/v1/operator/slow-requests", headers=street.shop.operator)
        slow = [one for one in done(answer, 200)["items"] if f"{one['method']} {one['route']}" == CONFIRM]
        listed[:] = [one for one in slow if not one["trace"].endswith(TRACE[1:])]  # those have their caller's trace
        return bool(listed)

    eventually(shown, "the slow confirmation is listed", 30)
    spans = street.collector.trace(listed[0]["trace"], CONFIRM, "decide ConfirmReservation", "capture payment")
    assert spans[CONFIRM].parent == ""
    assert spans[CONFIRM].ended_ns - spans[CONFIRM].began_ns > 1_000_000_000


def test_probes_and_scrapes_make_no_spans(street: Street) -> None:
    trace, later = "d" + TRACE[1:], "e" + TRACE[1:]
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = street.shop.http.get(path, headers={**street.shop.operator, **traceparent(trace)})
        assert answer.status_code == 200, answer.text
    hold(street, later, buyer=street.shop.person())
    street.collector.trace(later, HOLD, "write rows of TicketsHeld")
    assert [one.name for one in street.collector.spans if one.trace == trace] == []


def test_no_span_and_no_log_line_has_a_secret_a_mail_address_or_a_payload(street: Street) -> None:
    trace, buyer = "8" + TRACE[1:], street.shop.person()
    reservation = hold(street, trace, buyer=buyer)
    confirm(street, reservation, trace, buyer)
    street.collector.trace(trace, "send mail reservation.confirmed")
    text, logged = street.collector.texts, logs_of(street)
    assert trace in text
    assert len(logged) > 3, "of the API, of the dataflows"
    for found in (text, *logged.values()):
        assert "tok_ok" not in found
        assert buyer.email not in found
        assert buyer.access_token not in found
        assert buyer.refresh_token not in found
        assert PASSWORD not in found
        assert (street.platform.settings.operator_token or PASSWORD) not in found
        assert "Night of the open circle" not in found


def logs_of(street: Street) -> dict[str, str]:
    """The log of each of our processes."""
    names = ("api", "reservations", "read-side", "payments")
    found = {path.name: path.read_text() for path in Path(street.platform.logs).glob("*.log")}
    return {name: text for name, text in found.items() if name.startswith(names)}
