# cython: language_level=3, boundscheck=False, wraparound=False
"""Avro decoders for flat records of the usual shape, in C: what `flat_decoder` does, in a quarter of the time.

Guarantee: as there, what it returns is the record's one meaning, and for anything unusual the answer is None, so that
the general reader has to look. It never reads beyond the bytes, whatever they say, and keeps nothing of their choosing
but SHARED_MAX texts. The tests compare it with the general reader and with the expressions over records, changed records
and random bytes. It is compiled when the package is installed, where there is a C compiler.

The usual shape is a little wider here: an id is any text, a list may have any number of items, a number is whatever
its type can hold, and a time any of the calendar.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from schemas.flat_decoder import SHARED, TEXT_CHARS_MAX

cdef extern from "Python.h":
    object PyUnicode_DecodeLatin1(const char* text, Py_ssize_t size, const char* errors)

cdef enum:
    FIELDS_MAX = 64
    PARTS_MAX = 2
    NOWHERE = -1

cdef enum Kind:
    TEXT, SHARED_TEXT, INT, LONG, TIME, TEXTS, SHARED_TEXTS

ctypedef struct Field:
    Kind kind
    bint optional
    int part  # NOWHERE: read and dropped
    int place

ctypedef struct Cursor:
    const uint8_t* at
    const uint8_t* end

cdef int64_t TIME_MAX = 253_402_300_799_999_999  # the last microsecond of the year 9999, where calendars end
cdef int32_t INT_MIN = -0x80000000
cdef int32_t INT_MAX = 0x7FFFFFFF
cdef int TEXT_MAX = TEXT_CHARS_MAX
SHARED_MAX = 50_000
cdef Py_ssize_t _shared_max = SHARED_MAX
cdef dict _shared = {}


cdef bint _long(Cursor* cursor, int64_t* number) noexcept nogil:
    """A zigzag varint. Whether there is one, of 64 bits at most."""
    cdef uint64_t bits = 0
    cdef int shift = 0
    cdef uint8_t byte
    while cursor.at < cursor.end:
        byte = cursor.at[0]
        cursor.at += 1
        if shift == 63 and byte > 1:
            return False
        bits |= <uint64_t> (byte & 0x7F) << shift
        if byte < 0x80:
            number[0] = <int64_t> (bits >> 1) ^ -<int64_t> (bits & 1)
            return True
        shift += 7
    return False


cdef bint _sized(Cursor* cursor, int64_t* size) noexcept nogil:
    """The size of a text of printable ASCII that follows whole. Whether there is one."""
    cdef int64_t place
    cdef bint odd = False
    if not _long(cursor, size) or not 0 <= size[0] <= TEXT_MAX or size[0] > cursor.end - cursor.at:
        return False
    for place in range(size[0]):
        odd |= <uint8_t> (cursor.at[place] - 0x20) > 0x5F
    return not odd


cdef inline object _text(Cursor* cursor, int64_t size, bint shared):
    cdef object text = PyUnicode_DecodeLatin1(<const char*> cursor.at, size, NULL)
    cursor.at += size
    if not shared:
        return text
    if len(_shared) >= _shared_max:
        _shared.clear()
    return _shared.setdefault(text, text)


cdef object _texts(Cursor* cursor, bint shared):
    """A list in one block, or None."""
    cdef int64_t count, size, end
    cdef list items = []
    if not _long(cursor, &count) or not 0 <= count <= cursor.end - cursor.at:
        return None
    if count == 0:
        return items
    for _ in range(count):
        if not _sized(cursor, &size):
            return None
        items.append(_text(cursor, size, shared))
    if not _long(cursor, &end) or end != 0:
        return None
    return items


cdef object _value(Cursor* cursor, Kind kind):
    """What stands at the cursor, or None."""
    cdef int64_t number
    if kind == TEXT or kind == SHARED_TEXT:
        return _text(cursor, number, kind == SHARED_TEXT) if _sized(cursor, &number) else None
    if kind == TEXTS or kind == SHARED_TEXTS:
        return _texts(cursor, kind == SHARED_TEXTS)
    if not _long(cursor, &number):
        return None
    if (kind == INT and not INT_MIN <= number <= INT_MAX) or (kind == TIME and not 0 <= number <= TIME_MAX):
        return None
    return number


cdef class Decoder:
    """The decoder of one schema."""

    cdef int _skip, _count, _parts
    cdef Field[FIELDS_MAX] _fields
    cdef int[PARTS_MAX] _sizes
    cdef list _makers
    cdef object _whole

    def __init__(self, dict schema not None, int skip, list parts not None, object whole=None):
        fields = schema["fields"]
        if len(fields) > FIELDS_MAX or len(parts) > PARTS_MAX or (whole is None) != (len(parts) == 1):
            raise TypeError(f"{schema['name']} has {len(fields)} fields for {len(parts)} parts")
        self._skip, self._count, self._parts, self._whole = skip, len(fields), len(parts), whole
        self._makers = [maker for maker, _ in parts]
        places = {name: (part, place) for part, (_, names) in enumerate(parts) for place, name in enumerate(names)}
        for number, (_, names) in enumerate(parts):
            self._sizes[number] = len(names)
        for number, field in enumerate(fields):
            part, place = places.get(field["name"], (NOWHERE, 0))
            optional = isinstance(field["type"], list) and field["type"][0] == "null"
            kind = _kind(field["name"], field["type"][1] if optional else field["type"])
            self._fields[number] = Field(kind, optional, part, place)

    def decode(self, bytes value not None):
        """The record in `value`, or None when it is not of the usual shape."""
        cdef Cursor cursor
        cdef Field* field
        cdef tuple first = _nones(self._sizes[0])
        cdef tuple second = _nones(self._sizes[1]) if self._parts == 2 else None
        cdef object found
        cdef int number
        cdef bint absent
        cursor.at = <const uint8_t*> PyBytes_AS_STRING(value)
        cursor.end = cursor.at + PyBytes_GET_SIZE(value)
        if PyBytes_GET_SIZE(value) < self._skip:
            return None
        cursor.at += self._skip
        for number in range(self._count):
            field = &self._fields[number]
            if field.optional:
                if cursor.at == cursor.end or (cursor.at[0] != 0 and cursor.at[0] != 2):
                    return None
                absent = cursor.at[0] == 0
                cursor.at += 1
                if absent:
                    continue
            found = _value(&cursor, field.kind)
            if found is None:
                return None
            if field.part != NOWHERE:
                _set(first if field.part == 0 else second, field.place, found)
        if cursor.at != cursor.end:
            return None
        found = self._makers[0](*first)
        return found if second is None else self._whole(found, self._makers[1](*second))


cdef inline tuple _nones(int size):
    cdef tuple values = PyTuple_New(size)
    cdef int place
    for place in range(size):
        Py_INCREF(None)
        PyTuple_SET_ITEM(values, place, None)
    return values


cdef inline void _set(tuple values, int place, object value):
    """In place of None, in a tuple that nobody has seen yet."""
    Py_DECREF(None)
    Py_INCREF(value)
    PyTuple_SET_ITEM(values, place, value)


def _kind(str name, avro_type):
    if avro_type == "string":
        return SHARED_TEXT if name in SHARED else TEXT
    if avro_type == "int":
        return INT
    if avro_type == "long":
        return TIME if name == "log_time" or name.endswith("_at") else LONG
    if avro_type == {"type": "array", "items": "string"}:
        return TEXTS if name == "ticket_ids" else SHARED_TEXTS
    raise TypeError(f"{name} is {avro_type}, which a flat record does not have")


def compile_decoder(schema, skip, parts, whole=None):
    """As `flat_decoder.compile_decoder`: a function of a record's bytes."""
    return Decoder(schema, skip, parts, whole).decode


def decode_all(list records not None, dict usual not None, Py_ssize_t header, Py_ssize_t most, otherwise not None):
    """As `flat_decoder.decode_all`."""
    cdef list found = []
    cdef object record
    for number, value in records:
        record = None
        if type(value) is bytes and header <= PyBytes_GET_SIZE(value) <= most:
            decode = usual.get(PyBytes_FromStringAndSize(PyBytes_AS_STRING(value), header))
            if decode is not None:
                record = decode(value)
        found.append((number, otherwise(value) if record is None else record))
    return found
