# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled twin of `framing.head`: the same head, in a fraction of the time.

It reads the plain heads of HTTP/1.1 in one pass over their bytes. Every other head, and each one that is refused, is read
by the plain module. So it knows no error text, and what it does not understand it never accepts. Compiled when the
package is installed, where there is a C compiler.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcmp

from api.fairness.limits import HEADER_LINES_MAX
from api.http import framing
from api.http.framing import Head

SOURCE = "7b0fb6c41756c93c"

cdef Py_ssize_t _lines_max = HEADER_LINES_MAX
cdef enum:
    NAME_BYTES_MAX = 64  # longer names are rare
    HOST_BYTES_MAX = 253
    PORT_DIGITS_MAX = 5
    LENGTH_DIGITS_MAX = 15

cdef unsigned char _token[256]  # a byte of a name, in lower case; 0 for any other
cdef unsigned char _host[256]
cdef int _byte
for _byte in range(256):
    _token[_byte] = _byte + 32 if 65 <= _byte <= 90 else _byte if chr(_byte) in (
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
    ) else 0
    _host[_byte] = chr(_byte).isascii() and (chr(_byte).isalnum() or chr(_byte) in "._~-")

# The fields that decide something, each with a bit of its own.
cdef dict _bits = {name: 1 << place for place, name in enumerate(sorted(framing.SINGLE))}
cdef int _host_bit = _bits["host"]
cdef int _length_bit = _bits["content-length"]
cdef int _encoding_bit = _bits["transfer-encoding"]


def head(bytes data not None):
    """As `framing.head`."""
    found = _plain_head(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return framing.head(data) if found is None else found


cdef object _plain_head(const char* text, Py_ssize_t size):
    """The head, or None if the plain module must look at it."""
    cdef const unsigned char* data = <const unsigned char*>text
    cdef Py_ssize_t at = 0, start, end, length = 0, lines = 0
    cdef int seen = 0, bit
    cdef bint keep_alive = True
    cdef char name[NAME_BYTES_MAX]
    cdef list fields = []
    while at < size and _token[data[at]]:
        at += 1
    if at == 0 or at == size or data[at] != b" ":
        return None
    method = PyUnicode_DecodeASCII(text, at, NULL)
    at += 1
    start = at
    if at == size or data[at] != b"/":
        return None
    while at < size and 0x21 <= data[at] <= 0x7E and data[at] != b"#":
        at += 1
    target = PyUnicode_DecodeASCII(text + start, at - start, NULL)
    if size - at < 9 or memcmp(text + at, b" HTTP/1.1", 9) != 0:
        return None
    at += 9
    while at < size:
        if size - at < 3 or data[at] != b"\r" or data[at + 1] != b"\n":
            return None
        at += 2
        start = at
        while at < size and _token[data[at]]:
            if at - start == NAME_BYTES_MAX:
                return None
            name[at - start] = <char>_token[data[at]]
            at += 1
        if at == start or at == size or data[at] != b":":
            return None
        field = PyUnicode_DecodeASCII(name, at - start, NULL)
        at += 1
        while at < size and (data[at] == b" " or data[at] == b"\t"):
            at += 1
        start = at
        while at < size and (0x20 <= data[at] <= 0x7E or data[at] == b"\t"):
            at += 1
        end = at
        while end > start and (data[end - 1] == b" " or data[end - 1] == b"\t"):
            end -= 1
        value = PyUnicode_DecodeASCII(text + start, end - start, NULL)
        fields.append((field, value))
        lines += 1
        bit = _bits.get(field, 0)
        if bit:
            if seen & bit or bit == _encoding_bit:
                return None
            seen |= bit
            if bit == _host_bit:
                if not _is_host(data + start, end - start):
                    return None
            elif bit == _length_bit:
                length = _digits(data + start, end - start)
                if length < 0:
                    return None
        elif field == "connection":
            if value == "close":
                keep_alive = False
            elif value != "keep-alive":
                return None
    if not seen & _host_bit or lines > _lines_max:
        return None
    return tuple.__new__(Head, (method, target, "1.1", fields, length, keep_alive))


cdef bint _is_host(const unsigned char* value, Py_ssize_t size):
    """Whether it is a name or an IPv4 address, with or without a port."""
    cdef Py_ssize_t at = 0, port
    while at < size and _host[value[at]]:
        at += 1
    if at == 0 or at > HOST_BYTES_MAX:
        return False
    if at == size:
        return True
    if value[at] != b":":
        return False
    at += 1
    port = at
    while at < size and b"0" <= value[at] <= b"9":
        at += 1
    return at == size and 1 <= at - port <= PORT_DIGITS_MAX


cdef Py_ssize_t _digits(const unsigned char* value, Py_ssize_t size):
    """The number, or -1 if it is none."""
    cdef Py_ssize_t number = 0, at
    if not 1 <= size <= LENGTH_DIGITS_MAX:
        return -1
    for at in range(size):
        if not b"0" <= value[at] <= b"9":
            return -1
        number = number * 10 + (value[at] - 48)
    return number
