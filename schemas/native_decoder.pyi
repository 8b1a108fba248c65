# The compiled decoder offers what the expressions do.
from schemas.flat_decoder import compile_decoder as compile_decoder
from schemas.flat_decoder import decode_all as decode_all

SHARED_MAX: int
