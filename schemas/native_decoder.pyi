from collections.abc import Callable
from typing import Any

from schemas.flat_decoder import Part

SHARED_MAX: int

def compile_decoder(
    schema: dict[str, Any],
    skip: int,
    parts: list[Part],
    whole: Callable[..., Any] | None = None,
) -> Callable[[bytes], Any]: ...
def decode_all(
    records: list[tuple[int, bytes | None]],
    usual: dict[bytes, Callable[[bytes], Any]],
    header: int,
    most: int,
    otherwise: Callable[[bytes | None], Any],
) -> list[tuple[int, Any]]: ...
