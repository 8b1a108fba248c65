"""`circle verify` during the work of a platform whose worker is killed: there is no false divergence."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from connectors import kafka
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.verify.verify import VerifyOptions, VerifyReport, verify
from schemas import commands as c
from schemas.codec import Codec
from schemas.topics import COMMANDS
from tests.harness.command_line import Circle
from tests.harness.flows import Process, eventually
from tests.harness.words import ORGANIZER, add_type, create, publish

EVENTS = [str(uuid.UUID(int=number, version=4)) for number in range(1, 7)]
GAP_S = 0.05


@contextmanager
def buyers(settings: Settings) -> Iterator[None]:
    """People who reserve, pay and give back, without a pause."""
    codec, producer, done = Codec(), kafka.producer(settings), threading.Event()
    choose = random.Random(51)

    def send(command: c.Command) -> None:
        producer.produce(COMMANDS, codec.encode(command), command.event_id.encode())
        producer.poll(0)

    def buy() -> None:
        while not done.wait(GAP_S):
            for event in (choose.choice(EVENTS) for _ in range(8)):
                user, reservation = str(uuid.uuid4()), str(uuid.uuid4())
                send(
                    c.ReserveTickets(
                        event_id=event,
                        user_id=user,
                        command_id="",
                        reservation_id=reservation,
                        ticket_type_id="stalls",
                        quantity=choose.randint(1, 3),
                        seats=[],
                        fingerprint=1,
                    )
                )
                if choose.random() < 0.5:
                    send(
                        c.ConfirmReservation(
                            event_id=event,
                            user_id=user,
                            command_id="",
                            reservation_id=reservation,
                            attempt_id="try",
                            payment_token="tok_ok",
                        )
                    )
                if choose.random() < 0.3:
                    send(c.ReleaseReservation(event, user, "", reservation))

    for event in EVENTS:
        for command in (create(hold_ttl_s=1), add_type(price_minor=0, rows=10), publish()):
            send(type(command)(event, ORGANIZER, *(getattr(command, name) for name in command.__struct_fields__[2:])))
    thread = threading.Thread(target=buy)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        assert producer.flush(30) == 0


def look(settings: Settings) -> VerifyReport:
    with ProgressBars(quiet=True) as progress:
        report = verify(settings, VerifyOptions(), progress)
    assert report.ok, [one for part in report.partitions for one in part.divergences]
    return report


def test_it_finds_nothing_wrong_while_people_buy_and_a_worker_dies(settings: Settings, circle: Circle) -> None:
    worker, projections = Process.start("reservations", settings), Process.start("projections", settings)
    with buyers(settings):
        eventually(lambda: look(settings).facts > 200, "the first facts")
        for _ in range(2):
            look(settings)
        worker.kill()
        look(settings)
        worker = Process.start("reservations", settings)
        seen = look(settings).facts
        eventually(lambda: look(settings).facts > seen + 200, "the successor's facts")
    eventually(lambda: sum(part.undecided for part in look(settings).partitions) == 0, "everything is decided")
    assert sum(part.postgres_events for part in look(settings).partitions) == len(EVENTS)
    code, text = circle("verify")
    assert code == 0
    assert "no divergence in" in text
    assert [worker.terminate(), projections.terminate()] == [0, 0]
