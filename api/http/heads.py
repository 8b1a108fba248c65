"""Which function reads a request's head: the compiled one, or the plain one of `framing.py`. Both read alike."""

from __future__ import annotations

from schemas import twins

if twins.compiled("api.http.native_framing"):
    from api.http.native_framing import head

    HEADS = "compiled"
else:  # there was no C compiler when this was installed
    from api.http.framing import head

    HEADS = "plain"

__all__ = ["HEADS", "head"]
