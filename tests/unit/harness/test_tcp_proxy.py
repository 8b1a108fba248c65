"""The proxy of the tests: bytes arrive in their order, at once, or by its delay later while it has one."""

from __future__ import annotations

import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from ops.run.services.process import free_port, port_answers, wait_for
from tests.harness.tcp_proxy import DELAY_S


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65_536):
            self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as echo:
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        backend = f"127.0.0.1:{echo.server_address[1]}"
        command = [sys.executable, "-m", "tests.harness.tcp_proxy", f"127.0.0.1:{port}", backend]
        with subprocess.Popen(command) as process:
            try:
                assert wait_for(lambda: port_answers(port), timeout_s=10) is None
                yield process, port
            finally:
                process.kill()
                echo.shutdown()


def answer_s(connection: socket.socket, data: bytes) -> float:
    """How long it takes until all of it has come back, as it was sent."""
    began = time.monotonic()
    threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
    got = b""
    while len(got) < len(data):
        got += connection.recv(65_536)
    assert got == data
    return time.monotonic() - began


def test_what_passes_is_late_by_the_delay_each_way_and_in_order(
    proxy: tuple[subprocess.Popen[bytes], int],
) -> None:
    process, port = proxy
    data = bytes(range(256)) * 2_048
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        answer_s(connection, data)
        process.send_signal(signal.SIGUSR1)
        late = wait_for(lambda: answer_s(connection, b"one") >= 2 * DELAY_S, timeout_s=10)
        assert late is None, "both ways are delayed"
        assert answer_s(connection, data) >= 2 * DELAY_S
        process.send_signal(signal.SIGUSR2)
        assert wait_for(lambda: answer_s(connection, b"two") < DELAY_S, timeout_s=10) is None
        assert answer_s(connection, data) > 0.0
