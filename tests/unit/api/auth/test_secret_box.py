"""Sealed secrets open with a key of the file, and for their own account."""

from __future__ import annotations

import pytest

from api.auth.keys import KeyRing
from api.auth.secret_box import CannotOpen, Sealer


def test_what_is_sealed_opens_for_whom_it_is_about_and_with_its_key() -> None:
    ring, other = KeyRing.load(None), KeyRing.load(None)
    sealed = Sealer(ring).seal(b"secret", "ada")
    assert b"secret" not in sealed
    assert sealed != Sealer(ring).seal(b"secret", "ada")
    assert Sealer(ring).open(sealed, "ada") == b"secret"
    rotated = KeyRing([other.current, ring.current])
    assert Sealer(rotated).open(sealed, "ada") == b"secret"
    for keys, about, text in (
        (ring, "bob", sealed),
        (other, "ada", sealed),
        (ring, "ada", sealed[:-1]),
        (ring, "ada", b""),
    ):
        with pytest.raises(CannotOpen):
            Sealer(keys).open(text, about)
