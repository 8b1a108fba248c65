"""A host on the test's network has an address and a clock of its own, breaks as asked, and leaves nothing behind."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from ops.run.services.process import wait_for
from tests.harness import hosts
from tests.harness.hosts import Host, Network
from tests.harness.leftovers import tracked

PORT, TEXT, WAIT_S = 8_080, b"x" * 60_000, 1.0
LOSS, PATIENCE_S = 0.1, 70.0  # a connection is asked for after 0, 1, 3, 7, 15, 31 and 63 s; one in 100,000 gets none
SERVER = f"""
import socket, sys
server = socket.create_server((sys.argv[1], {PORT}))
while True:
    client, _ = server.accept()
    client.sendall(b"x" * {len(TEXT)})
    client.close()
"""


@pytest.fixture
def network(possible: None) -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture
def server(network: Network) -> Iterator[Host]:
    """A host with a server that sends TEXT."""
    host = network.host("server")
    process = subprocess.Popen([*host.place.within, sys.executable, "-c", SERVER, host.address])
    try:
        assert wait_for(lambda: answer_s(host) is not None, timeout_s=10) is None
        yield host
    finally:
        process.kill()
        process.wait()


def answer_s(host: Host, timeout_s: float = WAIT_S) -> float | None:
    """The seconds until the whole text was here; None when it did not come in time."""
    began = time.monotonic()
    try:
        with socket.create_connection((host.address, PORT), timeout=timeout_s) as client:
            received = 0
            while chunk := client.recv(65_536):
                received += len(chunk)
    except OSError:
        return None
    assert received == len(TEXT)
    return time.monotonic() - began


def test_a_host_that_is_cut_off_or_deaf_gives_no_answer_until_it_is_healed(server: Host) -> None:
    for fault in (server.cut_off, server.deafen):
        assert answer_s(server) is not None
        fault()
        assert answer_s(server) is None
        assert server.lost_packets() > 0
        server.heal()
    assert answer_s(server) is not None


def test_a_slow_host_takes_the_time_that_its_rate_allows(server: Host) -> None:
    server.slow_down(kbit_s=400)
    took = answer_s(server, timeout_s=20)
    server.heal()
    assert took is not None
    assert took > len(TEXT) * 8 / 400_000 / 2
    healed = answer_s(server)
    assert healed is not None
    assert healed < took / 2


def test_a_lossy_host_loses_packets_and_its_answers_come_whole(server: Host) -> None:
    server.lose(LOSS)
    answers = [answer_s(server, timeout_s=PATIENCE_S) for _ in range(5)]
    lost = server.lost_packets()
    server.heal()
    assert all(one is not None for one in answers)
    assert lost > 0


def test_a_host_has_a_clock_of_its_own(network: Network) -> None:
    if hosts.clock_library() is None:
        pytest.skip("a clock of its own needs a C compiler")
    early, late = network.host("early", clock_s=-180), network.host("late", clock_s=120)
    for host in (early, late):
        command = [*host.place.within, sys.executable, "-c", "import time; print(time.time(), time.monotonic())"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        clock, monotonic = map(float, said)
        assert abs(clock - time.time() - host.clock_s) < 10
        assert abs(monotonic - time.monotonic()) < 10, "spans of time are as everywhere"


def test_what_a_killed_run_has_left_goes_with_the_next_one(possible: None) -> None:
    """Its hosts, the interface of this machine, and a process that runs there still."""
    with Network() as network:
        left = network.host("left")
        process = tracked(subprocess.Popen([*left.place.within, "/bin/sleep", "600"]))
        assert wait_for(lambda: left.processes() == [process.pid], timeout_s=10) is None
        assert {hosts.DOOR, hosts.SWITCH, left.namespace} == set(hosts.made())
        hosts.remove()
        assert hosts.made() == []
        assert process.wait(10) != 0
