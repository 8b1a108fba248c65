"""Every call that we make, against Stripe's own description of its API: their mock server checks it.

It is a Go program: without `go` these tests are skipped, or fail with TEST_TOOLS=required. With `go`, a build that
fails is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.run.services.kafka_jars import cache_dir
from ops.run.services.process import free_port, wait_for
from pipelines.payments.providers.stripe.api import (
    StripeApi,
)
from pipelines.payments.providers.stripe.books import StripeBooks, refunds_of
from pipelines.payments.providers.stripe.objects import (
    Declined,
    Intent,
    Intents,
    RefundObject,
    RefundPage,
)
from pipelines.payments.providers.stripe.provider import ABANDONED, StripeProvider
from pipelines.payments.requests import ChargeJob, RefundJob, RefundResult
from tests.harness.missing_tools import missing
from tests.harness.words import EVENT, R1

MOCK = "github.com/stripe/stripe-mock@v0.203.0"
INSTALL_TIMEOUT_S = 300  # a busy machine takes more than 90
DAY_AGO_US = 86_400 * 1_000_000


def installed() -> Path:
    """The program, built once for this version. Only without `go` the test ends as `missing` says."""
    directory = cache_dir() / MOCK.rpartition("/")[2].replace("@", "-")
    program = directory / "stripe-mock"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        missing("stripe-mock is a Go program, and no go is installed here")
    directory.mkdir(parents=True, exist_ok=True)
    build = subprocess.run(
        [go, "install", "-trimpath", MOCK],  # flags as of the collector's build: both share Go's own packages
        env={**os.environ, "GOBIN": str(directory), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
        cwd=directory,
    )
    assert build.returncode == 0, f"stripe-mock is not built: {build.stderr}"
    return program


@pytest.mark.parametrize("there", [True, False])
def test_only_without_its_toolchain_is_the_mock_left_out(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRCLE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    if there:
        go = tmp_path / "go"
        go.write_text("#!/bin/sh\necho 'no such module' >&2\nexit 1\n")
        go.chmod(0o700)
    told, kind = ("no such module", AssertionError) if there else ("no go is installed", pytest.skip.Exception)
    with pytest.raises(kind, match=told):
        installed()


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    program, port = installed(), free_port()
    # It serves HTTPS, too. Without an address for that it takes a fixed port, and a second one cannot start.
    addresses = ["-http-addr", f"127.0.0.1:{port}", "-https-addr", f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen([program, *addresses], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        assert wait_for(lambda: answers(url), timeout_s=20) is None
        yield url
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 401
    except httpx.TransportError:
        return False


class Noting(StripeApi):
    """Keeps the answers."""

    def __init__(self, url: str) -> None:
        super().__init__("sk_test_123", url)
        self.came_back: list[Any] = []

    async def _call(self, *arguments: Any, **options: Any) -> Any:
        self.came_back.append(await super()._call(*arguments, **options))
        return self.came_back[-1]


@pytest.fixture
async def api(mock_url: str) -> AsyncIterator[Noting]:
    made = Noting(mock_url)
    yield made
    await made.close()


def now_us() -> int:
    return int(time.time() * 1_000_000)


@pytest.mark.parametrize("token", ["pm_card_visa", "ctoken_1A"])
async def test_a_charge_is_a_form_that_stripe_takes(api: Noting, token: str) -> None:
    await StripeProvider(api).capture(
        ChargeJob(
            event_id=EVENT,
            reservation_id=R1,
            command_id="cmd",
            attempt_id="attempt",
            token=token,
            amount_minor=900,
            currency="JPY",
            asked_at=now_us(),
        )
    )
    (intent,) = api.came_back
    assert isinstance(intent, Intent)
    assert (intent.amount, intent.currency) == (900, "jpy")


async def test_an_old_charge_is_searched_for_in_a_way_that_stripe_takes(api: Noting) -> None:
    await StripeProvider(api).capture(
        ChargeJob(
            event_id=EVENT,
            reservation_id=R1,
            command_id="cmd",
            attempt_id="a",
            token="pm_1",
            amount_minor=900,
            currency="EUR",
            asked_at=now_us() - DAY_AGO_US,
        )
    )
    assert isinstance(api.came_back[0], Intents)


async def test_a_refund_is_a_form_that_stripe_takes(api: Noting) -> None:
    result = await StripeProvider(api).refund(
        RefundJob(
            event_id=EVENT,
            reservation_id=R1,
            payment_id="pi_1",
            amount_minor=400,
            currency="EUR",
            asked_at=now_us(),
            refund_key="pi_1/A-1",
        )
    )
    assert result == RefundResult(result.refund_id, 400)
    assert isinstance(api.came_back[0], RefundObject)


async def test_refunds_are_listed_and_intents_shown_and_cancelled_as_stripe_has_it(api: Noting) -> None:
    await api.get("/v1/refunds", {"payment_intent": "pi_1", "limit": "100"}, RefundPage)
    assert (await api.get("/v1/payment_intents/pi_1", {}, Intent)).id == "pi_1"
    assert (await api.post("/v1/payment_intents/pi_1/cancel", ABANDONED, Intent)).id == "pi_1"


async def test_the_books_are_asked_for_in_a_way_that_stripe_takes(api: Noting) -> None:
    """The mock shows one entry of each list for every query, and refuses a query that Stripe does not know."""
    books = StripeBooks(api)
    assert [one.currency.isupper() async for one in books.payments(1, 2)] in ([], [True])
    assert len([one async for one in books.refunds(1, 2)]) <= 1
    assert len([one async for one in books.disputes(1, 2)]) <= 1
    assert len([one async for one in refunds_of(api, "pi_1")]) == 1
    refund, dispute = await books.refund("re_1"), await books.dispute("dp_1")
    assert refund is not None
    assert (refund.refund_id, refund.currency) == ("re_1", "USD")
    assert dispute is not None
    assert dispute.dispute_id == "dp_1"
    assert await books.payment("pi_1") is None, "the mock's intents were never captured"


async def test_a_form_that_stripe_does_not_know_would_be_seen(api: Noting) -> None:
    with pytest.raises(Declined):
        await api.post("/v1/payment_intents", {"amount": "900", "currency": "eur", "confirmed": "true"}, Intent)
