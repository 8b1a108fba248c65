"""A client that a stock generator made of the OpenAPI document buys a ticket."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.harness.openapi_tools import python_generator, run
from tests.harness.shop import EVENT, Shop, unique

PROGRAM = Path(__file__).with_name("buys_with_a_generated_client.py")


def test_a_generated_client_buys_a_ticket(shop: Shop, tmp_path: Path) -> None:
    programs = python_generator()
    (tmp_path / "openapi.json").write_bytes(shop.http.get("/openapi.json").content)
    run(
        programs / "openapi-python-client", "generate", "--path", "openapi.json", "--output-path", "client",
        "--meta", "none", folder=tmp_path,
    )  # fmt: skip
    program = shutil.copy(PROGRAM, tmp_path)
    printed = run(programs / "python", program, shop.url, f"{unique()}@example.org", json.dumps(EVENT), folder=tmp_path)
    assert json.loads(printed) == {"seats": ["A-1", "A-2"], "amount": 8500, "tickets": 2, "listed": 2}
