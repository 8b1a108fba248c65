"""One mailbox has one account, its sessions end together, and an erased account leaves an opaque id alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import jwt
import pyotp
import pytest

from ops.cli.main import run
from ops.migrations.tables import DERIVED_TABLES, KEPT_TABLES, OUTBOUND_TABLES
from ops.progress import ProgressBars
from ops.proof.checker import wait_until_settled
from ops.proof.full_check import check
from ops.run.platform import Platform
from ops.run.services.process import wait_for
from ops.verify.verify import VerifyOptions, verify
from tests.harness.api_process import api_process
from tests.harness.flows import eventually
from tests.harness.shop import EVENT, PASSWORD, OnSale, Person, Shop, done, open_shop, problem, unique

# Tables with only an opaque id, made from the log.
FROM_THE_LOG = {*DERIVED_TABLES, "webhook_events"} - {"notifications"}
# Rows that go because `user_erase` names them; everywhere else a reference to the user's row takes them along.
BY_NAME = {"mail_deliveries", "notification_exports"}
OF_SOMEBODY = {"user_id", "organizer_id", "created_by", "email", "recipient"}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Platform, Shop]]:
    with open_shop() as running:
        yield running


@pytest.fixture(scope="module")
def shop(running: tuple[Platform, Shop]) -> Shop:
    return running[1]


@pytest.fixture(scope="module")
def platform(running: tuple[Platform, Shop]) -> Platform:
    return running[0]


@pytest.fixture
def buyer(shop: Shop) -> Person:
    return shop.person()


@pytest.fixture(scope="module")
def event(shop: Shop) -> OnSale:
    return shop.event(shop.organizer(), hold_ttl_s=1)


def fetch(platform: Platform, sql: str, *arguments: Any) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(platform.settings.postgres_url)
        try:
            return await connection.fetch(sql, *arguments)
        finally:
            await connection.close()

    return asyncio.run(ask())


def tables_with(platform: Platform, text: str) -> set[str]:
    """Every table in which a row has this text anywhere."""
    names = fetch(
        platform,
        "SELECT schemaname || '.' || tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    return {
        name.removeprefix("public.")
        for (name,) in names
        if fetch(platform, f"SELECT FROM {name} AS one WHERE strpos(one::text, $1) > 0 LIMIT 1", text)
    }


def erase(person: Person, password: str = PASSWORD) -> Any:
    return person.call("DELETE", "/v1/users/me", json={"password": password})


# --- over HTTP


def test_an_account_is_made_logged_into_and_changed(shop: Shop, buyer: Person) -> None:
    me = done(buyer.get("/v1/users/me"), 200)
    assert (me["id"], me["email"], me["role"]) == (buyer.id, buyer.email, "buyer")
    assert done(buyer.call("PATCH", "/v1/users/me", json={"name": "Grace"}), 200)["name"] == "Grace"
    shown = {"id": buyer.id, "name": "Grace", "role": "buyer", "description": "", "links": []}
    assert done(buyer.get(f"/v1/users/{buyer.id}"), 200) == shown
    change = {"password": "another-horse-8", "current_password": "correct-horse-7"}
    done(buyer.call("PATCH", "/v1/users/me", json=change), 200)
    login = {"email": buyer.email.upper(), "password": "another-horse-8"}
    tokens = done(shop.http.post("/v1/auth/login", json=login), 200)
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)


def test_an_organizer_has_a_public_profile_and_a_buyer_has_none(shop: Shop, buyer: Person) -> None:
    one = shop.organizer()
    profile = {"description": "Small rooms.", "links": ["https://ada.example.org"]}
    done(one.call("PATCH", "/v1/users/me", json=profile), 200)
    shown = {"id": one.id, "name": "Ada", "role": "organizer"} | profile
    assert done(shop.http.get(f"/v1/users/{one.id}"), 200) == shown
    problem(shop.http.get(f"/v1/users/{buyer.id}"), 404, "not-found")
    problem(one.get(f"/v1/users/{buyer.id}"), 404, "not-found")
    for wrong in (["http://ada.example.org"], ["javascript:alert(1)"], ["https://ada.example.org"] * 6):
        problem(one.call("PATCH", "/v1/users/me", json={"links": wrong}), 422, "invalid-request")


def test_one_mailbox_has_one_account_however_its_address_is_typed(shop: Shop) -> None:
    word = unique()
    account = {"email": f"  Zoe\u0308.{word}@B\u00fccher.Example ", "password": "correct-horse-7", "name": "Zoë"}
    made = done(shop.http.post("/v1/auth/register", json=account), 201)
    assert made["email"] == f"zo\u00eb.{word}@xn--bcher-kva.example"
    again = account | {"email": f"zo\u00eb.{word.upper()}@xn--BCHER-kva.example"}
    problem(shop.http.post("/v1/auth/register", json=again), 409, "email-taken")
    done(shop.http.post("/v1/auth/login", json={name: again[name] for name in ("email", "password")}), 200)


def test_a_new_password_ends_all_other_sessions_and_keeps_its_own(shop: Shop, buyer: Person) -> None:
    login = {"email": buyer.email, "password": "correct-horse-7"}
    other = done(shop.http.post("/v1/auth/login", json=login), 200)
    elsewhere = {"authorization": f"Bearer {other['access_token']}"}
    done(shop.http.get("/v1/users/me", headers=elsewhere), 200)
    change = {"password": "another-horse-8", "current_password": "correct-horse-7"}
    wrong = buyer.call("PATCH", "/v1/users/me", json=change | {"current_password": "wrong"})
    assert problem(wrong, 401, "invalid-credentials")["field"] == "current_password"
    done(shop.http.get("/v1/users/me", headers=elsewhere), 200)
    done(buyer.call("PATCH", "/v1/users/me", json=change), 200)
    problem(shop.http.get("/v1/users/me", headers=elsewhere), 401, "unauthorized")
    refresh = {"refresh_token": other["refresh_token"]}
    problem(shop.http.post("/v1/auth/refresh", json=refresh), 401, "invalid-refresh-token")
    problem(shop.http.post("/v1/auth/login", json=login), 401, "invalid-credentials")
    done(buyer.get("/v1/users/me"), 200)
    done(shop.http.post("/v1/auth/refresh", json={"refresh_token": buyer.refresh_token}), 200)


def test_registering_is_the_first_message_in_the_inbox(buyer: Person) -> None:
    (welcome,) = done(buyer.get("/v1/notifications"), 200)["items"]
    assert (welcome["kind"], welcome["event_id"], welcome["data"]) == ("registered", "", {})
    assert done(buyer.get("/v1/notifications/unread-count"), 200) == {"unread": 1}
    path = f"/v1/notifications/{welcome['id']}"
    assert done(buyer.call("PUT", f"{path}/read"), 200)["read_at"] is not None
    assert buyer.delete(path).status_code == 204
    assert done(buyer.get("/v1/notifications"), 200)["items"] == []


def test_access_tokens_verify_with_the_published_keys(shop: Shop, buyer: Person) -> None:
    keys = jwt.PyJWKSet.from_dict(done(shop.http.get("/.well-known/jwks.json"), 200))
    key = keys[jwt.get_unverified_header(buyer.access_token)["kid"]]
    claims = jwt.decode(buyer.access_token, key, algorithms=["EdDSA"], issuer="general-circle")
    assert (claims["sub"], claims["role"], claims["typ"]) == (buyer.id, "buyer", "access")


def test_refresh_tokens_rotate_and_a_reuse_revokes_the_family(shop: Shop, buyer: Person) -> None:
    def refresh(token: str) -> httpx.Response:
        return shop.http.post("/v1/auth/refresh", json={"refresh_token": token})

    second = done(refresh(buyer.refresh_token), 200)["refresh_token"]
    third = done(refresh(second), 200)["refresh_token"]
    done(buyer.get("/v1/users/me"), 200)
    problem(refresh(second), 401, "invalid-refresh-token")
    problem(refresh(third), 401, "invalid-refresh-token")
    problem(buyer.get("/v1/users/me"), 401, "unauthorized")


def test_of_many_uses_of_a_refresh_token_at_once_one_succeeds(shop: Shop, buyer: Person) -> None:
    def refresh(_: int) -> int:
        return shop.http.post("/v1/auth/refresh", json={"refresh_token": buyer.refresh_token}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(refresh, range(8))) == [200] + [401] * 7


def test_logout_ends_the_family(shop: Shop, buyer: Person) -> None:
    body = {"refresh_token": buyer.refresh_token}
    assert shop.http.post("/v1/auth/logout", json=body).status_code == 204
    assert shop.http.post("/v1/auth/logout", json=body).status_code == 204
    problem(shop.http.post("/v1/auth/refresh", json=body), 401, "invalid-refresh-token")
    problem(buyer.get("/v1/users/me"), 401, "unauthorized")


def test_a_token_from_before_a_promotion_is_honoured(buyer: Person) -> None:
    problem(buyer.post("/v1/events", json=EVENT), 403, "forbidden")
    promoted = done(buyer.post("/v1/users/me/become-organizer"), 200)
    assert promoted["role"] == "organizer"
    assert jwt.decode(promoted["access_token"], options={"verify_signature": False})["role"] == "organizer"
    done(buyer.post("/v1/events", json=EVENT, prefer="wait=20"), 201)


# --- sessions


def test_a_session_that_was_ended_in_one_api_process_is_refused_by_all(
    platform: Platform, shop: Shop, tmp_path: Path
) -> None:
    stays, goes = shop.person(), shop.person()
    with api_process(platform.settings, tmp_path, CIRCLE_JWT_KEY_FILE=platform.env["CIRCLE_JWT_KEY_FILE"]) as other:

        def status(person: Person) -> int:
            return other.http.get("/v1/users/me", headers=person.headers).status_code

        assert (status(stays), status(goes)) == (200, 200)
        logout = {"refresh_token": goes.refresh_token}
        assert shop.http.post("/v1/auth/logout", json=logout).status_code == 204
        assert wait_for(lambda: status(goes) == 401, timeout_s=5) is None
        assert status(stays) == 200


# --- erasure


def test_an_erased_user_is_an_opaque_id_on_the_log_and_nothing_else(
    platform: Platform, shop: Shop, event: OnSale
) -> None:
    buyer, name = shop.person(), f"Name {unique()}"
    done(buyer.call("PATCH", "/v1/users/me", json={"name": name}), 200)
    sold = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
    done(buyer.confirm(sold["id"]), 200)
    wait_until_settled(platform.settings)
    assert tables_with(platform, buyer.email) == {"users"}
    assert tables_with(platform, name) == {"users"}
    assert tables_with(platform, buyer.id) >= {"users", "refresh_tokens", "notifications", "reservations", "tickets"}

    assert problem(erase(buyer, "wrong-horse-7"), 401, "invalid-credentials")["field"] == "password"
    # This hold ends when its user is gone.
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
    assert erase(buyer).status_code == 204

    problem(buyer.get("/v1/users/me"), 401, "unauthorized")
    problem(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 401, "unauthorized")
    refresh = {"refresh_token": buyer.refresh_token}
    problem(shop.http.post("/v1/auth/refresh", json=refresh), 401, "invalid-refresh-token")
    login = {"email": buyer.email, "password": PASSWORD}
    problem(shop.http.post("/v1/auth/login", json=login), 401, "invalid-credentials")

    wait_until_settled(platform.settings, no_holds=True)
    (ended,) = fetch(platform, "SELECT status FROM reservations WHERE id = $1", held["id"])
    assert ended["status"] == "expired"
    assert tables_with(platform, buyer.email) == set()
    assert tables_with(platform, name) == set()
    assert tables_with(platform, buyer.id) <= FROM_THE_LOG | {"erased_users", "security_events"}
    report = check(platform.settings, tick_bound_s=10)
    assert report.ok, report.text()
    with ProgressBars(quiet=True) as progress:
        assert verify(platform.settings, VerifyOptions(), progress).ok

    again = done(shop.http.post("/v1/auth/register", json=login | {"name": "Ada"}), 201)
    assert again["id"] != buyer.id


def test_an_organizer_stays_while_an_event_of_theirs_is_to_come(shop: Shop) -> None:
    organizer = shop.organizer()
    shop.event(organizer, publish=False)
    on_sale = shop.event(organizer)
    refused = problem(erase(organizer), 409, "organizer-has-events")
    assert refused["event_ids"] == [on_sale.id]
    done(organizer.get("/v1/users/me"), 200)

    over = shop.organizer()
    event = shop.event(over, sales_close_at=None)
    ends_at = datetime.now(UTC) + timedelta(seconds=5)
    times = {"starts_at": (ends_at - timedelta(hours=1)).isoformat(), "ends_at": ends_at.isoformat()}
    done(over.call("PATCH", f"/v1/events/{event.id}", prefer="wait=20", json=times), 200)
    assert erase(over).status_code == 409
    path = f"/v1/events/{event.id}"
    eventually(lambda: done(shop.http.get(path), 200)["status"] == "ended", "the event is over", timeout_s=30)
    assert erase(over).status_code == 204
    problem(shop.http.get(f"/v1/users/{over.id}"), 404, "not-found")


def test_every_table_about_somebody_is_erased_or_refers_to_the_users_row(platform: Platform) -> None:
    columns = fetch(
        platform, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    about = {row["table_name"] for row in columns if row["column_name"] in OF_SOMEBODY}
    following = {
        row["name"]
        for row in fetch(
            platform,
            "SELECT conrelid::regclass::text AS name FROM pg_constraint"
            " WHERE contype = 'f' AND confrelid = 'users'::regclass AND confdeltype IN ('c', 'n')",
        )
    }
    kept = {*KEPT_TABLES, *OUTBOUND_TABLES} - {"users", "erased_users"}
    left = (about & kept) - following - BY_NAME - FROM_THE_LOG
    assert left == set(), "let these refer to users (ON DELETE CASCADE), or erase them in user_erase"
    assert {"refresh_tokens", "notification_preferences", "webhook_endpoints"} <= following


# --- roles by hand


def test_an_administrator_is_made_by_hand(
    platform: Platform, shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in platform.env.items():
        monkeypatch.setenv(name, value)

    def promote(*arguments: str) -> tuple[int, str, str]:
        code = run(["users", "promote", *arguments])
        return code, *capsys.readouterr()

    person, mine = shop.person(), shop.organizer()
    category = done(mine.post("/v1/categories", json={"name": f"Category {unique()}"}), 201)["id"]
    problem(person.delete(f"/v1/categories/{category}"), 403, "forbidden")
    _, told, _ = promote(person.email, "--role", "admin", "--dry-run", "--json")
    assert json.loads(told) == {"user_id": person.id, "before": "buyer", "role": "admin", "dry_run": True}
    problem(person.delete(f"/v1/categories/{category}"), 403, "forbidden")
    assert promote(person.email.upper(), "--role", "admin") == (0, f"{person.id} is admin (was buyer)\n", "")
    login = {"email": person.email, "password": PASSWORD}
    without = done(shop.http.post("/v1/auth/login", json=login), 200)
    assert (without["second_factor"], without["second_factor_wanted"]) == (False, "required")
    headers = {"authorization": f"Bearer {without['access_token']}"}
    for token in (person.headers, headers):
        for method, path in (("DELETE", f"/v1/categories/{category}"), ("GET", "/v1/security-events")):
            answer = shop.http.request(method, path, headers=token)
            problem(answer, 403, "second-factor-enrolment-required")
    assert run(["users", "enrol-factor", person.email, "--json"]) == 0
    factor = json.loads(capsys.readouterr()[0])
    assert len(factor["recovery_codes"]) == 10
    problem(shop.http.post("/v1/auth/login", json=login), 401, "second-factor-required")
    with_code = login | {"otp": pyotp.TOTP(factor["secret"]).now()}
    tokens = done(shop.http.post("/v1/auth/login", json=with_code), 200)
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    assert shop.http.delete(f"/v1/categories/{category}", headers=headers).status_code == 204
    kinds = [
        (one["kind"], one["actor"])
        for one in done(shop.http.get(f"/v1/security-events?user_id={person.id}", headers=headers), 200)["items"]
    ]
    assert kinds[:4] == [
        ("login", "owner"),
        ("second-factor-on", "operator"),
        ("login", "owner"),
        ("role-changed", "operator"),
    ]
    assert jwt.decode(tokens["access_token"], options={"verify_signature": False})["role"] == "admin"
    code, _, error = promote(person.email, "--role", "organizer")
    assert (code, "a role is not taken away" in error) == (1, True)
    code, _, error = promote(f"{unique()}@example.org", "--role", "admin")
    assert (code, "no account has the address" in error) == (1, True)
    assert promote(person.email, "--role", "emperor")[0] == 2
    assert run(["users", "reset-factor", person.email]) == 0
    assert capsys.readouterr()[0] == f"{person.id} has none any more\n"
    again = done(shop.http.post("/v1/auth/login", json=login), 200)
    assert again["second_factor"] is False


def test_an_address_is_verified_by_hand(
    platform: Platform, shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in platform.env.items():
        monkeypatch.setenv(name, value)
    person = shop.person(verified=False)
    for arguments, told in ((["--dry-run"], "would be verified"), ([], "is verified"), ([], "was verified already")):
        assert run(["users", "verify", person.email, *arguments]) == 0
        assert capsys.readouterr()[0] == f"{person.id} {told}\n"
        assert done(person.get("/v1/users/me"), 200)["email_verified"] is (arguments == [])
    assert run(["users", "verify", f"{unique()}@example.org"]) == 1
