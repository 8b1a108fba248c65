"""There are never more connections than descriptors for them."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from api.fairness.limits import ACCEPT_QUEUE_MAX, CONNECTIONS_MAX, CONNECTIONS_REFUSED_MAX, DESCRIPTORS_RESERVED
from api.http.descriptors import within


@given(st.integers(16, 100_000))
def test_connections_and_our_own_files_fit_into_the_descriptors(descriptors: int) -> None:
    limits = within(descriptors)
    assert 1 <= limits.connections_max <= CONNECTIONS_MAX
    own = min(DESCRIPTORS_RESERVED, descriptors // 4)
    assert limits.connections_max + limits.refused_max + limits.accept_queue_max + own <= descriptors


def test_with_enough_descriptors_the_maxima_hold() -> None:
    limits = within(CONNECTIONS_MAX + CONNECTIONS_REFUSED_MAX + ACCEPT_QUEUE_MAX + DESCRIPTORS_RESERVED)
    assert (limits.connections_max, limits.refused_max) == (CONNECTIONS_MAX, CONNECTIONS_REFUSED_MAX)
    assert (within(1024).connections_max, within(1024).of_network_max) == (438, 219)


def test_a_process_with_few_descriptors_answers_every_connection() -> None:
    """Without the bound, the kernel accepts connections without a descriptor, and closes them without an answer."""

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 256))

    command = [sys.executable, "-m", "tests.harness.edge"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=few) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = int(process.stdout.readline())
        connections = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(400)]
        for connection in connections:
            connection.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
        answers = [connection.recv(65_536).split(b" ")[1:2] for connection in connections]
        for connection in connections:
            connection.close()
        process.stdin.close()
    served = within(256).of_network_max
    assert answers.count([b"200"]) == served
    assert answers.count([b"503"]) == 400 - served
