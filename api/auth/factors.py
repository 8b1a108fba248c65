"""Second factors: time-based codes (RFC 6238) and recovery codes.

Guarantee: a code works once, and no earlier code works after it. A recovery code works once. The secret is sealed
(api.auth.secret_box). Recovery codes are stored as digests; 80 random bits each make guessing hopeless.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from time import time

import pyotp

from api.auth import audit
from api.auth.audit import AuditKind
from api.auth.origin import Origin
from api.auth.secret_box import CannotOpen, Sealer
from api.http.problem import Problem
from api.reads.database import SQL, Connection, QueryPool
from connectors import logs
from schemas.ids import UserId

STEP_S = 30
STEPS_AROUND = 1  # a phone's clock may be half a minute off
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
ISSUER = "General Circle"

log = logs.get("security")


@dataclass(frozen=True, slots=True)
class Second:
    """The second factor that a client has sent."""

    otp: str = ""
    recovery_code: str = ""

    @property
    def missing(self) -> bool:
        return not self.otp and not self.recovery_code


@dataclass(frozen=True, slots=True)
class Factors:
    """Sets up, checks and removes second factors."""

    database: QueryPool
    sealer: Sealer
    clock: Callable[[], float] = time

    async def check(self, user_id: UserId, second: Second, origin: Origin) -> str:
        """Check a code or recovery code, and return which one it was. A wrong one goes to the audit log and raises
        Problem invalid-second-factor (401)."""
        if second.otp:
            if await self._take_code(user_id, second.otp):
                return "code"
        elif await self._take_recovery_code(user_id, second.recovery_code, origin):
            return "recovery-code"
        await audit.record_refusal(self.database, AuditKind.SECOND_FACTOR, user_id, origin)
        what = "otp" if second.otp else "recovery_code"
        raise Problem("invalid-second-factor", f"{what}: the code is wrong, too old or already used", field=what)

    async def begin(self, user_id: UserId) -> str | None:
        """The secret (base32) of a new factor, which waits for its first code. None: the account already has one."""
        secret = pyotp.random_base32()
        row = await self.database.write("factor_begin", user_id, self.sealer.seal(secret.encode(), user_id))
        return secret if row is not None else None

    def matches(self, secret: str, code: str) -> int | None:
        """The time step of a code, near the current time; None for a wrong code."""
        totp, now = pyotp.TOTP(secret, interval=STEP_S), int(self.clock()) // STEP_S
        matching = None
        for step in range(now - STEPS_AROUND, now + STEPS_AROUND + 1):
            if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
                matching = step
        return matching

    async def sealed(self, user_id: UserId) -> tuple[bytes, str, bool] | None:
        """A factor's sealed secret, its secret, whether it is confirmed. None without one that can be opened."""
        row = await self.database.row("factor_of", user_id)
        if row is None:
            return None
        try:
            return row["secret"], self.sealer.open(row["secret"], user_id).decode(), row["confirmed"]
        except CannotOpen as error:
            log.error("second_factor.sealed", user=user_id, error=str(error))
            return None

    async def _take_code(self, user_id: UserId, code: str) -> bool:
        factor = await self.sealed(user_id)
        step = self.matches(factor[1], code) if factor is not None and factor[2] else None
        if factor is None or step is None:
            return False
        again = self.sealer.seal(factor[1].encode(), user_id)  # with the current key
        return await self.database.write("factor_step", user_id, step, again) is not None

    async def _take_recovery_code(self, user_id: UserId, code: str, origin: Origin) -> bool:
        async def work(connection: Connection) -> bool:
            row = await connection.fetchrow(SQL["recovery_code_use"], user_id, recovery_hash(code))
            if row is not None:
                await audit.record(
                    connection, AuditKind.CODE_USED, user_id, origin, detail={"codes_left": row["codes_left"]}
                )
            return row is not None

        return await self.database.within(work)


def otpauth_uri(secret: str, email: str) -> str:
    """The URI that an authenticator reads from a QR code."""
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=email, issuer_name=ISSUER)


def new_recovery_codes() -> list[str]:
    """RECOVERY_CODES codes of 16 letters and digits, in groups of four."""
    raw = [b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    return ["-".join(code[start : start + 4] for start in range(0, 16, 4)) for code in raw]


def recovery_hash(code: str) -> bytes:
    """The digest of a recovery code, independent of how it is typed."""
    return sha256("".join(c for c in code.lower() if c.isalnum()).encode()).digest()


async def put_recovery_codes(connection: Connection, user_id: UserId) -> list[str]:
    """Replace the recovery codes with new ones."""
    codes = new_recovery_codes()
    await connection.execute(SQL["recovery_codes_forget"], user_id)
    await connection.execute(SQL["recovery_codes_put"], user_id, [recovery_hash(code) for code in codes])
    return codes
