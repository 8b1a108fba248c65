"""Imitates Stripe in this process: a small HTTP server with the documented shapes, idempotency keys and a ledger.

A payment method's name says its outcome: `pm_ok`, `pm_declined`, `pm_action`, … (`OUTCOMES`). A test may delay answers,
lose them, or replace the next ones by errors.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

SHAPES = Path(__file__).with_name("stripe_shapes")
DINARS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})  # three decimals, and the last one must be 0
API_KEY = "sk_test_played"
OUTCOMES = ("pm_ok", "pm_declined", "pm_stolen", "pm_action", "pm_processing", "pm_lost", "pm_slow", "pm_none")

Answer = tuple[int, dict[str, Any]]


def shape(name: str) -> dict[str, Any]:
    """A copy of a documented answer."""
    read: dict[str, Any] = json.loads((SHAPES / f"{name}.json").read_text())
    return read


def signature_of(body: bytes, secret: str, at: float) -> str:
    """The header Stripe-Signature for `body`, signed at wall-clock second `at`."""
    stamp = str(int(at))
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={mac}"


@dataclass
class Asked:
    """One received request."""

    method: str
    path: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class StripeServer:
    """Enter it to serve. `next_answers` replace real ones, and are stored for no key."""

    slow_s: float = 0.3
    asked: list[Asked] = field(default_factory=list)
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    disputes: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: dict[str, tuple[str, dict[str, str], Answer]] = field(default_factory=dict)
    next_answers: list[Answer | str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)  # `hold`: a charge waits for its answer
    let_go: threading.Event = field(default_factory=threading.Event)
    holding: bool = False
    lost: set[str] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _slow: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go.set()
        self._slow.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def charged(self) -> list[dict[str, Any]]:
        """The intents that took money."""
        return [intent for intent in self.intents.values() if intent["status"] == "succeeded"]

    def answer(self, asked: Asked) -> Answer | None:
        """The answer; None closes the connection without one."""
        with self._lock:
            self.asked.append(asked)
            if asked.headers.get("authorization") != f"Bearer {API_KEY}":
                return 401, {"error": {"type": "invalid_request_error", "message": f"Invalid API Key: {API_KEY}"}}
            if self.next_answers:
                planned = self.next_answers.pop(0)
                return None if isinstance(planned, str) else planned
            key = asked.headers.get("idempotency-key")
            if key is not None and key in self.kept:
                path, form, kept = self.kept[key]
                if (path, form) != (asked.path, asked.form):
                    return 400, {"error": {"type": "idempotency_error", "message": "same key, other parameters"}}
                return copy.deepcopy(kept)
            answer = self._do(asked)
            if key is not None:
                self.kept[key] = asked.path, asked.form, copy.deepcopy(answer)
        return self._delivered(asked, answer)

    def _delivered(self, asked: Asked, answer: Answer) -> Answer | None:
        """The first answer to a charge, unless it is lost."""
        token = asked.form.get("payment_method", "")
        if self.holding and asked.path == "/v1/payment_intents":
            self.held.set()
            self.let_go.wait(30)
            return None
        if token == "pm_slow":
            self._slow.wait(self.slow_s)
        return None if token == "pm_lost" else answer

    def _do(self, asked: Asked) -> Answer:
        match asked.method, asked.path.split("/")[2:]:
            case "POST", ["payment_intents"]:
                return self._charge(asked.form)
            case "GET", ["payment_intents", "search"]:
                attempt = asked.form["query"].rpartition(':"')[2].rstrip('"')
                found = [one for one in self.intents.values() if one["metadata"]["circle_attempt_id"] == attempt]
                return 200, {"object": "search_result", "data": found, "has_more": False}
            case "GET", ["payment_intents"]:
                return self._page(self.intents.values(), asked.form)
            case "GET", ["refunds", refund] if refund in self.refunds:
                return 200, self.refunds[refund]
            case "GET", ["disputes", dispute] if dispute in self.disputes:
                return 200, self.disputes[dispute]
            case "GET", ["disputes"]:
                return self._page(self.disputes.values(), asked.form)
            case "GET", ["payment_intents", intent] if intent in self.intents:
                return 200, self.intents[intent]
            case "POST", ["payment_intents", intent, "cancel"] if intent in self.intents:
                return self._cancel(self.intents[intent])
            case "POST", ["refunds"]:
                return self._refund(asked.form)
            case "GET", ["refunds"]:
                intent = asked.form.get("payment_intent")
                return self._page(
                    [one for one in self.refunds.values() if intent in (None, one["payment_intent"])], asked.form
                )
        return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "intent"}}

    def _page(self, found: Iterable[dict[str, Any]], form: dict[str, str]) -> Answer:
        """A page of a list, the latest first."""
        since, until = int(form.get("created[gte]", 0)), int(form.get("created[lt]", 1 << 40))
        rows = [one for one in reversed(list(found)) if since <= one.get("created", since) < until]
        ids = [one["id"] for one in rows]
        first = ids.index(form["starting_after"]) + 1 if "starting_after" in form else 0
        limit = int(form.get("limit", 10))
        more = len(rows) > first + limit
        return 200, {"object": "list", "data": copy.deepcopy(rows[first : first + limit]), "has_more": more}

    def dashboard_refund(self, intent_id: str, amount: int) -> dict[str, Any]:
        """A refund in the dashboard: it has no metadata of ours."""
        with self._lock:
            status, refund = self._refund({"payment_intent": intent_id, "amount": str(amount)})
        assert status == 200, refund
        return refund | {"reason": "requested_by_customer"}

    def disputed(self, intent_id: str, status: str = "needs_response") -> dict[str, Any]:
        """A buyer's bank asks for the money, or the dispute goes on."""
        with self._lock:
            intent = self.intents[intent_id]
            dispute = shape("dispute.needs_response") | {
                "id": f"dp_{intent_id}",
                "amount": intent["amount_received"],
                "currency": intent["currency"],
                "payment_intent": intent_id,
                "status": status,
                "created": int(time.time()),
            }
            self.disputes[dispute["id"]] = dispute
            return dispute

    def _charge(self, form: dict[str, str]) -> Answer:
        if form["currency"] in DINARS and int(form["amount"]) % 10:
            return 400, {"error": {"type": "invalid_request_error", "param": "amount"}}
        token = form.get("payment_method") or form.get("confirmation_token", "")
        if token == "pm_none":
            return 400, shape("error.resource_missing")
        if token in ("pm_declined", "pm_stolen"):
            failure = shape("error.card_declined")
            if token == "pm_stolen":
                failure["error"]["decline_code"] = "stolen_card"
            intent = shape("payment_intent.succeeded") | {
                "id": f"pi_{len(self.intents) + 1}",
                "amount": int(form["amount"]),
                "amount_received": 0,
                "currency": form["currency"],
                "metadata": _metadata(form),
                "status": "requires_payment_method",
                "last_payment_error": failure["error"],
            }
            self.intents[intent["id"]] = intent
            return 402, failure
        intent = shape("payment_intent.requires_action" if token == "pm_action" else "payment_intent.succeeded")
        intent |= {
            "id": f"pi_{len(self.intents) + 1}",
            "amount": int(form["amount"]),
            "currency": form["currency"],
            "metadata": _metadata(form),
            "created": int(time.time()),
        }
        if token == "pm_processing":
            intent["status"] = "processing"
        intent["amount_received"] = intent["amount"] if intent["status"] == "succeeded" else 0
        self.intents[intent["id"]] = intent
        return 200, intent

    def _cancel(self, intent: dict[str, Any]) -> Answer:
        if intent["status"] in ("succeeded", "canceled"):
            return 400, {"error": {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}}
        intent["status"] = "canceled"
        return 200, intent

    def _refund(self, form: dict[str, str]) -> Answer:
        intent = self.intents.get(form["payment_intent"])
        if intent is None or intent["status"] != "succeeded":
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing"}}
        mine = [one for one in self.refunds.values() if one["payment_intent"] == intent["id"]]
        back = sum(one["amount"] for one in mine if one.get("status") != "failed")
        if back == intent["amount"]:
            return 400, {"error": {"type": "invalid_request_error", "code": "charge_already_refunded"}}
        odd = intent["currency"] in DINARS and int(form["amount"]) % 10
        if odd or back + int(form["amount"]) > intent["amount"]:
            return 400, {"error": {"type": "invalid_request_error", "param": "amount"}}
        refund = shape("refund.succeeded") | {
            "id": f"re_{len(self.refunds) + 1}",
            "amount": int(form["amount"]),
            "currency": intent["currency"],
            "payment_intent": intent["id"],
            "metadata": _metadata(form),
            "created": int(time.time()),
        }
        self.refunds[refund["id"]] = refund
        return 200, refund


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore callers that are gone: some tests kill them."""


def _metadata(form: dict[str, str]) -> dict[str, str]:
    return {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")}


def _handler(stripe: StripeServer) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            form = dict(parse_qsl(f"{body}&{parts.query}", keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = stripe.answer(Asked(self.command, parts.path, form, headers))
            if answer is None:
                self.close_connection = True
                return
            status, document = answer
            payload = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.send_header("request-id", f"req_{len(stripe.asked)}")
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = _serve  # noqa: N815 - names of the base class

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name in the base class
            """Log nothing: `asked` has every request."""

    return Handler
