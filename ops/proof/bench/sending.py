"""Runs the load generator as a process of its own, so that its CPU does not count for the measured processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from connectors.errors import CircleError
from ops.progress import ProgressBars
from ops.proof.load.open_loop import Plan, Result, Sent


def send_plan(plan: Plan, progress: ProgressBars, name: str = "") -> Result:
    """Run the load generator's process to its end. Raises CircleError if it fails."""
    bar = progress.bar(name or f"{plan.rate:,.0f} requests/s", plan.requests)
    with tempfile.TemporaryDirectory(prefix="circle-bench-") as directory:
        path = Path(directory) / "plan.json"
        path.touch(mode=0o600)  # it holds tokens
        path.write_bytes(msgspec.json.encode(plan))
        command = [sys.executable, "-m", "ops.proof.load.open_loop", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
            assert client.stdout is not None
            try:
                for line in client.stdout:
                    said = msgspec.json.decode(line, type=Sent | Result)
                    if isinstance(said, Result):
                        bar.finish(said.due, f"p99 {said.latency.p99_ms:,.1f} ms")
                        return said
                    bar.set(said.answered, f"{said.due - said.answered:,} unanswered")
            finally:
                if client.poll() is None:
                    try:
                        client.wait(1.0)
                    except subprocess.TimeoutExpired:
                        client.kill()
    raise CircleError(f"the load generator ended with code {client.returncode} and no result")
