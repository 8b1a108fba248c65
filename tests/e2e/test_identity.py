"""A stolen token outlives no new password, a second factor counts once, and the audit log says who did what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from time import sleep, time
from typing import Any

import jwt
import pyotp
import pytest

from connectors.settings import Settings
from tests.harness.flows import eventually, rows_of
from tests.harness.mail_server import MailServer
from tests.harness.shop import PASSWORD, Person, Shop, done, open_shop, problem, unique

NEW = "another-horse-8"
TRIES = 16
ROUNDS = 4


@dataclass(frozen=True)
class House:
    """A platform, its mail server, and its log directory."""

    settings: Settings
    shop: Shop
    mails: MailServer
    logs: Path


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with MailServer() as mails, open_shop(CIRCLE_SMTP_URL=mails.url) as (platform, shop):
        yield House(platform.settings, shop, mails, platform.logs)


def login(shop: Shop, person: Person, password: str = PASSWORD, **second: str) -> Any:
    return shop.http.post("/v1/auth/login", json={"email": person.email, "password": password} | second)


def again(shop: Shop, person: Person, password: str = PASSWORD, **second: str) -> Person:
    """The same account, in a session of its own."""
    tokens = done(login(shop, person, password, **second), 200)
    return Person(
        http=person.http,
        id=person.id,
        email=person.email,
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
    )


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def kinds(person: Person) -> list[tuple[str, str]]:
    """The kinds of entries in the owner's audit log, the latest first."""
    items = done(person.get("/v1/users/me/security-events"), 200)["items"]
    return [(one["kind"], one["outcome"]) for one in items]


def subjects(house: House, person: Person) -> list[str]:
    return [one["Subject"] for one in house.mails.taken if person.email in one["To"]]


def reset_tokens(house: House, person: Person) -> list[str]:
    """The tokens of the links to a new password, sent to an address."""
    found = []
    for mail in house.mails.taken:
        if person.email in mail["To"] and mail["Subject"] == "A new password":
            body = mail.get_body(("plain",))
            assert isinstance(body, EmailMessage)
            match = re.search(r"#password-reset=([A-Za-z0-9_-]+)", body.get_content())
            assert match is not None
            found.append(match[1])
    return found


# --- C1


def test_a_stolen_access_token_gets_nothing_that_outlives_a_new_password(house: House) -> None:
    """A thief changes the role with it 16 times at once, while its owner sets a new password in another session."""
    shop = house.shop
    with ThreadPoolExecutor(TRIES + 1) as pool:
        for _ in range(ROUNDS):
            victim = shop.person()
            elsewhere = again(shop, victim)
            change = {"password": NEW, "current_password": PASSWORD}
            changing = pool.submit(elsewhere.call, "PATCH", "/v1/users/me", json=change)
            stolen = list(pool.map(lambda _, who=victim: who.post("/v1/users/me/become-organizer"), range(TRIES)))
            done(changing.result(), 200)
            assert {one.status_code for one in stolen} <= {200, 401}
            for answer in (one.json() for one in stolen if one.status_code == 200):
                assert answer["refresh_token"] is None
                token = answer["access_token"]
                assert claims(token)["exp"] <= claims(victim.access_token)["exp"]
                problem(
                    shop.http.get("/v1/users/me", headers={"authorization": f"Bearer {token}"}), 401, "unauthorized"
                )
            problem(victim.post("/v1/users/me/become-organizer"), 401, "unauthorized")
            assert [one["current"] for one in done(elsewhere.get("/v1/users/me/sessions"), 200)["items"]] == [True]


def test_a_change_of_role_gives_an_access_token_of_the_same_session_and_no_more(house: House) -> None:
    person = house.shop.person()
    answer = done(person.post("/v1/users/me/become-organizer"), 200)
    before, after = claims(person.access_token), claims(answer["access_token"])
    assert (after["role"], after["sid"]) == ("organizer", before["sid"])
    assert after["exp"] <= before["exp"]
    assert answer["refresh_token"] is None
    assert 0 < answer["expires_in"] <= 900
    with rows_of(house.settings) as query:
        assert query("SELECT count(*) FROM refresh_tokens WHERE user_id = $1", person.id) == [(1,)]
    assert ("role-changed", "done") in kinds(person)


# --- sessions


def test_sessions_are_listed_and_ended_one_by_one(house: House) -> None:
    shop, one = house.shop, house.shop.person()
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    body = {"email": one.email, "password": PASSWORD}
    tokens = done(shop.http.post("/v1/auth/login", json=body, headers={"user-agent": firefox}), 200)
    two = Person(
        http=one.http,
        id=one.id,
        email=one.email,
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
    )
    three = again(shop, one)
    listed = done(one.get("/v1/users/me/sessions?limit=2"), 200)
    rest = done(one.get(f"/v1/users/me/sessions?limit=2&cursor={listed['next_cursor']}"), 200)
    items = {item["id"]: item for item in listed["items"] + rest["items"]}
    sid = {person: claims(person.access_token)["sid"] for person in (one, two, three)}
    assert set(items) == set(sid.values())
    assert [items[sid[person]]["current"] for person in (one, two, three)] == [True, False, False]
    assert items[sid[two]]["client"] == "Firefox on Linux"
    assert items[sid[one]]["client"].startswith("python-httpx/")
    assert {item["address"] for item in items.values()} == {"127.0.0.1"}

    stranger = shop.person()
    problem(stranger.delete(f"/v1/users/me/sessions/{sid[two]}"), 404, "not-found")
    assert one.delete(f"/v1/users/me/sessions/{sid[two]}").status_code == 204
    problem(two.get("/v1/users/me"), 401, "unauthorized")
    problem(shop.http.post("/v1/auth/refresh", json={"refresh_token": two.refresh_token}), 401, "invalid-refresh-token")
    problem(one.delete(f"/v1/users/me/sessions/{sid[two]}"), 404, "not-found")
    done(three.get("/v1/users/me"), 200)
    assert one.delete("/v1/users/me/sessions").status_code == 204
    problem(three.get("/v1/users/me"), 401, "unauthorized")
    assert [item["id"] for item in done(one.get("/v1/users/me/sessions"), 200)["items"]] == [sid[one]]
    assert kinds(one)[:2] == [("sessions-ended", "done"), ("session-ended", "done")]
    assert one.delete(f"/v1/users/me/sessions/{sid[one]}").status_code == 204
    problem(one.get("/v1/users/me"), 401, "unauthorized")


# --- a forgotten password


def test_a_forgotten_password_is_set_anew_by_a_mailed_link(house: House) -> None:
    shop, owner = house.shop, house.shop.person()
    other = again(shop, owner)
    ask = "/v1/auth/password-reset"
    answers = [shop.http.post(ask, json={"email": email}) for email in (owner.email.upper(), f"{unique()}@example.org")]
    assert [(one.status_code, one.content) for one in answers] == [(202, b"")] * 2
    assert answers[0].headers.keys() == answers[1].headers.keys()
    house.mails.wait(lambda: len(reset_tokens(house, owner)) == 1, "the link")
    (token,) = reset_tokens(house, owner)
    confirm = f"{ask}/confirm"
    for common in ("password123", owner.email):
        body = {"token": token, "password": common}
        problem(shop.http.post(confirm, json=body), 422, "password-too-common")
    assert shop.http.post(confirm, json={"token": token, "password": NEW}).status_code == 204
    problem(shop.http.post(confirm, json={"token": token, "password": PASSWORD}), 410, "link-not-valid")
    for person in (owner, other):
        problem(person.get("/v1/users/me"), 401, "unauthorized")
    problem(login(shop, owner), 401, "invalid-credentials")
    back = again(shop, owner, NEW)
    house.mails.wait(lambda: "Your password was changed" in subjects(house, owner), "word of it")
    assert kinds(back)[:5] == [
        ("login", "done"), ("login", "refused"), ("password-reset", "done"), ("password-reset-asked", "done"),
        ("login", "done"),
    ]  # fmt: skip
    with rows_of(house.settings) as query:
        eventually(lambda: query("SELECT count(*) FROM account_mails WHERE user_id IS NULL") == [(0,)], "no rows")


def test_a_link_to_a_new_password_ends_with_time_and_with_a_new_password(house: House) -> None:
    shop, one, two = house.shop, house.shop.person(), house.shop.person()
    for person in (one, two):
        assert shop.http.post("/v1/auth/password-reset", json={"email": person.email}).status_code == 202
        house.mails.wait(lambda who=person: len(reset_tokens(house, who)) == 1, "the link")
    with rows_of(house.settings) as query:
        query("UPDATE mailed_links SET expires_at = now() WHERE user_id = $1", one.id)
    done(two.call("PATCH", "/v1/users/me", json={"password": NEW, "current_password": PASSWORD}), 200)
    for person in (one, two):
        body = {"token": reset_tokens(house, person)[0], "password": "third-horse-9"}
        problem(shop.http.post("/v1/auth/password-reset/confirm", json=body), 410, "link-not-valid")


def test_a_link_to_a_new_password_proves_the_address_that_it_came_to(house: House) -> None:
    """A stranger has registered the address. Its owner sets a password, and the stranger is locked out."""
    shop, taken = house.shop, house.shop.person(verified=False)
    assert shop.http.post("/v1/auth/password-reset", json={"email": taken.email}).status_code == 202
    house.mails.wait(lambda: len(reset_tokens(house, taken)) == 1, "the link")
    body = {"token": reset_tokens(house, taken)[0], "password": NEW}
    assert shop.http.post("/v1/auth/password-reset/confirm", json=body).status_code == 204
    problem(taken.get("/v1/users/me"), 401, "unauthorized")
    assert done(again(shop, taken, NEW).get("/v1/users/me"), 200)["email_verified"] is True


# --- the second factor


def code_of(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(int(time()) + 30 * steps)


def at_the_beginning_of_a_step() -> None:
    """Wait for the beginning of a time step, so that all codes of a test belong to one. Only the clock can say when
    that is."""
    left = 30 - time() % 30
    if left < 10:
        sleep(left)


def test_a_second_factor_is_asked_for_and_taken_once(house: House) -> None:
    shop, owner = house.shop, house.shop.organizer()
    assert done(owner.get("/v1/users/me"), 200)["second_factor_wanted"] == "recommended"
    other = again(shop, owner)
    path = "/v1/users/me/second-factor"
    problem(owner.post(path, json={"password": "wrong-horse-7"}), 401, "invalid-credentials")
    begun = done(owner.post(path, json={"password": PASSWORD}), 201)
    secret = begun["secret"]
    assert begun["otpauth_uri"].startswith("otpauth://totp/General%20Circle:")
    done(login(shop, owner), 200)  # it counts when it is confirmed
    at_the_beginning_of_a_step()
    problem(owner.post(f"{path}/confirm", json={"otp": code_of(secret, 5)}), 401, "invalid-second-factor")
    on = done(owner.post(f"{path}/confirm", json={"otp": code_of(secret, -1)}), 200)
    problem(other.get("/v1/users/me"), 401, "unauthorized")
    problem(owner.post(path, json={"password": PASSWORD}), 409, "second-factor-on")

    problem(login(shop, owner), 401, "second-factor-required")
    problem(login(shop, owner, "wrong-horse-7", otp=code_of(secret)), 401, "invalid-credentials")
    problem(login(shop, owner, otp=code_of(secret, -1)), 401, "invalid-second-factor")  # confirmed with that one
    problem(login(shop, owner, otp=code_of(secret, -2)), 401, "invalid-second-factor")
    problem(login(shop, owner, otp=code_of(secret, 2)), 401, "invalid-second-factor")
    assert done(login(shop, owner, otp=code_of(secret)), 200)["second_factor"] is True
    problem(login(shop, owner, otp=code_of(secret)), 401, "invalid-second-factor")  # once
    done(login(shop, owner, otp=code_of(secret, 1)), 200)  # a clock that is ahead
    first, second = on["recovery_codes"][:2]
    assert len(set(on["recovery_codes"])) == 10
    done(login(shop, owner, recovery_code=first.upper().replace("-", " ")), 200)
    problem(login(shop, owner, recovery_code=first), 401, "invalid-second-factor")
    problem(login(shop, owner, otp="123456", recovery_code=second), 422, "invalid-request")

    both = {"password": PASSWORD, "recovery_code": second}
    problem(owner.call("DELETE", path, json={"password": PASSWORD}), 401, "second-factor-required")
    anew = done(owner.post(f"{path}/recovery-codes", json=both), 200)["recovery_codes"]
    problem(login(shop, owner, recovery_code=on["recovery_codes"][2]), 401, "invalid-second-factor")
    off = {"password": PASSWORD, "recovery_code": anew[0]}
    assert owner.call("DELETE", path, json=off).status_code == 204
    done(login(shop, owner), 200)
    titles = ["Your account asks for a second factor now", "Your account asks for no second factor any more"]
    house.mails.wait(lambda: set(titles) <= set(subjects(house, owner)), "word of both")
    seen = kinds(owner)
    assert {("second-factor-on", "done"), ("second-factor-off", "done"), ("second-factor", "refused")} <= set(seen)
    assert seen.count(("recovery-code-used", "done")) == 3


def test_a_secret_is_sealed_and_a_recovery_code_is_a_digest(house: House) -> None:
    owner, path = house.shop.person(), "/v1/users/me/second-factor"
    secret = done(owner.post(path, json={"password": PASSWORD}), 201)["secret"]
    codes = done(owner.post(f"{path}/confirm", json={"otp": code_of(secret)}), 200)["recovery_codes"]
    with rows_of(house.settings) as query:
        ((stored,),) = query("SELECT secret FROM second_factors WHERE user_id = $1", owner.id)
        digests = [row[0] for row in query("SELECT code_hash FROM recovery_codes WHERE user_id = $1", owner.id)]
    assert secret.encode() not in stored
    assert [len(one) for one in digests] == [32] * 10
    assert not any(code.encode() in digest for code in codes for digest in digests)


def test_an_account_whose_address_is_none_by_todays_rules_is_logged_in_to_and_an_unknown_one_is_401(
    house: House,
) -> None:
    shop, owner = house.shop, house.shop.person()
    old = f"{unique()}..doe@exam_ple.org"
    with rows_of(house.settings) as query:
        query("UPDATE users SET email = $1 WHERE id = $2", old, owner.id)
    body = {"email": f" {old.upper()}", "password": PASSWORD}
    tokens = done(shop.http.post("/v1/auth/login", json=body), 200)
    assert claims(tokens["access_token"])["sub"] == owner.id
    problem(shop.http.post("/v1/auth/login", json=body | {"password": "wrong-horse-7"}), 401, "invalid-credentials")
    for unknown in ("jane..doe@exam_ple.org", '"x"@example.org', "ada@[127.0.0.1]"):
        problem(shop.http.post("/v1/auth/login", json=body | {"email": unknown}), 401, "invalid-credentials")
    problem(shop.http.post("/v1/auth/login", json=body | {"email": "nobody"}), 422, "invalid-request")
    account = {"email": old, "password": PASSWORD, "name": "Ada"}
    problem(shop.http.post("/v1/auth/register", json=account), 422, "invalid-request")


# --- the audit log


def test_its_owner_and_administrators_read_the_audit_log_and_nobody_else(house: House) -> None:
    shop, owner, admin = house.shop, house.shop.person(), house.shop.admin()
    problem(login(shop, owner, "wrong-horse-7"), 401, "invalid-credentials")
    used = {"refresh_token": owner.refresh_token}
    done(shop.http.post("/v1/auth/refresh", json=used), 200)
    problem(shop.http.post("/v1/auth/refresh", json=used), 401, "invalid-refresh-token")
    back = again(shop, owner)
    expected = [
        ("login", "done"), ("refresh-reused", "refused"), ("login", "refused"), ("email-verified", "done"),
        ("login", "done"), ("account-registered", "done"),
    ]  # fmt: skip
    assert kinds(back) == expected
    first = done(back.get("/v1/users/me/security-events?limit=4"), 200)
    rest = done(back.get(f"/v1/users/me/security-events?limit=4&cursor={first['next_cursor']}"), 200)
    assert [(one["kind"], one["outcome"]) for one in first["items"] + rest["items"]] == expected
    reused = first["items"][1]
    assert (reused["actor"], reused["address"]) == ("somebody", "127.0.0.1")
    assert reused["session_id"] == claims(owner.access_token)["sid"]
    seen = done(admin.get(f"/v1/security-events?user_id={owner.id}&kind=login"), 200)["items"]
    assert [(one["outcome"], one["user_id"]) for one in seen] == [
        ("done", owner.id),
        ("refused", owner.id),
        ("done", owner.id),
    ]
    nobody = f"{unique()}@example.org"
    for _ in range(3):
        unknown = {"email": nobody, "password": PASSWORD}
        problem(shop.http.post("/v1/auth/login", json=unknown), 401, "invalid-credentials")
    logins = admin.get("/v1/security-events?kind=login&limit=100")
    strangers = [one for one in done(logins, 200)["items"] if one["user_id"] is None]
    assert 1 <= len(strangers) <= 2  # two where the hour ended meanwhile
    for one in strangers:
        seen_of = (one["outcome"], one["detail"], one["address"])
        assert seen_of == ("refused", {"why": "unknown-account"}, "127.0.0.1")
    assert nobody not in logins.text
    problem(back.get("/v1/security-events"), 403, "forbidden")
    problem(admin.get("/v1/security-events?kind=no-such"), 422, "invalid-request")

    assert back.call("DELETE", "/v1/users/me", json={"password": PASSWORD}).status_code == 204
    assert done(admin.get(f"/v1/security-events?user_id={owner.id}"), 200)["items"] == []
    (erased, *_) = done(admin.get("/v1/security-events?kind=account-erased"), 200)["items"]
    assert (erased["detail"], erased["user_id"], erased["address"]) == ({"erased": owner.id}, None, "")
    line = next(
        line
        for line in (house.logs / "api.log").read_text().splitlines()
        if "security.event" in line and owner.id in line and "refresh-reused" in line
    )
    assert "127.0.0.1" not in line
    assert owner.email not in line
