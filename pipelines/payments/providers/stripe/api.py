"""The part of Stripe's HTTP API that we use: form in, typed JSON out, and errors by their meaning for the caller.

Guarantee: a call ends with a value, `Declined` (nothing was charged), `OutcomeUnknown` (ask again, same key) or
`RequestRefused` (a person has to look). Our messages contain no key, no token and no text of Stripe's. They have
Stripe's error codes and request id.

Only processes that call Stripe import this module: its client takes a third of a second of an API's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import httpx
import msgspec

from pipelines.payments.providers.protocol import OutcomeUnknown
from pipelines.payments.providers.stripe.objects import Declined, KeyReused, PaymentError

API_URL = "https://api.stripe.com"
API_VERSION = "2025-03-31.basil"  # the version of the shapes below; an account's default must not change them
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 3.0, 8.0  # together no longer than the cashier's CALL_TIMEOUT_S
CONNECTIONS_MAX = 128  # as many as the cashier's IN_FLIGHT_MAX, so no call waits here
BUSY_CODES = frozenset({"idempotency_key_in_use", "lock_timeout", "rate_limit"})  # not done; a later try succeeds
NOTHING_DONE = frozenset({"card_error", "invalid_request_error"})  # only in Stripe's own answer, not in a proxy's
TRY_LATER = frozenset({401, 403, 409, 429})  # an operator will soon replace an invalid key

T = TypeVar("T")


class _Failure(msgspec.Struct, frozen=True):
    error: PaymentError


class StripeApi:
    """A pool of connections with our key. Not for use outside its event loop."""

    def __init__(self, api_key: str, api_url: str = API_URL, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._http = httpx.AsyncClient(
            base_url=api_url,
            headers={"authorization": f"Bearer {api_key}", "stripe-version": API_VERSION},
            timeout=httpx.Timeout(answer_timeout_s, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
        )

    async def post(self, path: str, form: Mapping[str, str], shape: type[T], *, key: str | None = None) -> T:
        """POST a form. With `key`, the same call again gets the first one's answer for at least a day."""
        headers = {"idempotency-key": key} if key is not None else {}
        return await self._call("POST", path, shape, data=dict(form), headers=headers)

    async def get(self, path: str, query: Mapping[str, str], shape: type[T]) -> T:
        """GET, with a query."""
        return await self._call("GET", path, shape, params=dict(query))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        data: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> T:
        what = f"Stripe {method} {path.rpartition('/v1')[2]}"
        try:
            answer = await self._http.request(method, path, data=data, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"{what}: {type(error).__name__}") from None
        what = f"{what}: {answer.status_code}, request {answer.headers.get('request-id', 'without an id')}"
        if answer.status_code == httpx.codes.OK:
            return _read(answer.content, shape, what)
        raise _meaning(answer, what)


def _read(body: bytes, shape: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError:
        raise OutcomeUnknown(f"{what}: not the JSON that was expected") from None


def _meaning(answer: httpx.Response, what: str) -> Exception:
    """The meaning of an answer other than 200, as an error."""
    try:
        error = msgspec.json.decode(answer.content, type=_Failure).error
    except msgspec.DecodeError:
        return OutcomeUnknown(f"{what}: no error that could be read")
    said = f"{what}: {error.type} {error.code or ''} {error.param or ''}".rstrip()
    if answer.status_code >= 500 or error.code in BUSY_CODES:
        return OutcomeUnknown(said)
    if error.type == "idempotency_error":  # our own mistake; the first request with this key may have succeeded
        return KeyReused(said)
    if answer.status_code in TRY_LATER:
        return OutcomeUnknown(said)
    if error.type in NOTHING_DONE and answer.status_code in (400, 402, 404):
        return Declined(error)
    return OutcomeUnknown(said)
