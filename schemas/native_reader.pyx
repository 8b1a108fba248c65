# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled twin of `avro_reader.py`: the same records and the same errors, in a fraction of the time.

What it reads has one meaning, and everything else is left to the plain reader, which says what is wrong, if anything is:
U+0000 in a text, an id of more than ID_CHARS_MAX bytes, a time beyond the calendar, an int beyond 32 bits, a list in
several blocks, a record of more than COMMAND_BYTES_MAX, a schema that changed the type of a field. It never reads beyond
the bytes and keeps nothing of them but SHARED_MAX short texts. Compiled when the package is installed, where there is a
C compiler.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from schemas import avro_reader
from schemas.avro_reader import COMMAND_BYTES_MAX, HEADER_BYTES, ID_CHARS_MAX, TIME_US_MAX
from schemas.facts import Envelope, Fact, RecordedFact

SOURCE = "507dab07b7e4db5e"

cdef extern from "Python.h":
    object PyUnicode_DecodeLatin1(const char* text, Py_ssize_t size, const char* errors)
    object PyUnicode_DecodeUTF8(const char* text, Py_ssize_t size, const char* errors)

cdef enum:
    FIELDS_MAX = 64
    NOWHERE = -1

cdef enum Kind:
    TEXT, SHARED_TEXT, ID, SHARED_ID, INT, LONG, TIME, TEXTS, SHARED_TEXTS

ctypedef struct Field:
    Kind kind
    bint optional
    int part  # 0 the envelope of a fact, 1 the record, NOWHERE: read and dropped
    int place

ctypedef struct Cursor:
    const uint8_t* at
    const uint8_t* end

SHARED = frozenset({"event_id", "ticket_type_id", "currency", "reason"})  # texts that many records have in common
SHARED_MAX = 50_000  # the seats of the largest sections
SHARED_BYTES_MAX = 63
cdef Py_ssize_t _shared_max = SHARED_MAX
cdef int64_t _shared_bytes_max = SHARED_BYTES_MAX
cdef int _envelope_size = len(Envelope.__struct_fields__)
cdef Py_ssize_t _header_bytes = HEADER_BYTES
cdef Py_ssize_t _record_max = COMMAND_BYTES_MAX
cdef int64_t _id_max = ID_CHARS_MAX
cdef int64_t _time_max = TIME_US_MAX
cdef int32_t INT_MIN = -0x80000000
cdef int32_t INT_MAX = 0x7FFFFFFF
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


cdef object _text(Cursor* cursor, int64_t most, bint shared):
    """A text of at most `most` bytes, or None. Whether it is ASCII and without U+0000 is found in one pass."""
    cdef int64_t size, place
    cdef uint8_t high = 0
    cdef bint zero = False
    cdef const uint8_t* start
    cdef object text
    if not _long(cursor, &size) or not 0 <= size <= most or size > cursor.end - cursor.at:
        return None
    start = cursor.at
    for place in range(size):
        high |= start[place]
        zero |= start[place] == 0
    if zero:
        return None
    if high < 0x80:
        text = PyUnicode_DecodeLatin1(<const char*> start, size, NULL)
    else:
        try:
            text = PyUnicode_DecodeUTF8(<const char*> start, size, NULL)
        except UnicodeDecodeError:
            return None
    cursor.at += size
    if not shared or size > _shared_bytes_max:
        return text
    if len(_shared) >= _shared_max:
        _shared.clear()
    return _shared.setdefault(text, text)


cdef object _texts(Cursor* cursor, bint shared):
    """A list in one block, or None."""
    cdef int64_t count, end
    cdef object text
    cdef list items = []
    if not _long(cursor, &count) or not 0 <= count <= cursor.end - cursor.at:
        return None
    if count == 0:
        return items
    for _ in range(count):
        text = _text(cursor, _record_max, shared)
        if text is None:
            return None
        items.append(text)
    if not _long(cursor, &end) or end != 0:
        return None
    return items


cdef object _value(Cursor* cursor, Kind kind):
    """What stands at the cursor, or None."""
    cdef int64_t number
    if kind == TEXT or kind == SHARED_TEXT:
        return _text(cursor, _record_max, kind == SHARED_TEXT)
    if kind == ID or kind == SHARED_ID:
        return _text(cursor, _id_max, kind == SHARED_ID)
    if kind == TEXTS or kind == SHARED_TEXTS:
        return _texts(cursor, kind == SHARED_TEXTS)
    if not _long(cursor, &number):
        return None
    if (kind == INT and not INT_MIN <= number <= INT_MAX) or (kind == TIME and not 0 <= number <= _time_max):
        return None
    return number


cdef class NativeReader:
    """As `avro_reader.Reader`."""

    cdef object _plain, _record
    cdef int _count, _own_size
    cdef bint _compiled, _is_fact, _begins_with_envelope
    cdef Field[FIELDS_MAX] _fields

    def __init__(self, record, dict written not None, dict newest=None):
        self._plain, self._record = avro_reader.Reader(record, written, newest), record
        self._is_fact = issubclass(record, Fact)
        self._own_size = len(record.__struct_fields__)
        self._count = len(written["fields"])
        self._compiled = self._count <= FIELDS_MAX and (newest is None or _only_grew(written, newest))
        if not self._compiled:
            return
        places = {name: (1, place) for place, name in enumerate(record.__struct_fields__)}
        if self._is_fact:
            places |= {name: (0, place) for place, name in enumerate(Envelope.__struct_fields__)}
        for number, field in enumerate(written["fields"]):
            part, place = places.get(field["name"], (NOWHERE, 0))
            optional = isinstance(field["type"], list)
            kind = _kind(field["name"], field["type"][1] if optional else field["type"])
            self._fields[number] = Field(kind, optional, part, place)
        self._begins_with_envelope = self._is_fact and avro_reader.begins_with_envelope(written, newest or written)

    cpdef object read(self, bytes value):
        """As `avro_reader.Reader.read`."""
        record = self.read_compiled(value)
        return self._plain.read(value) if record is None else record

    cpdef object envelope(self, bytes value):
        """As `avro_reader.Reader.envelope`."""
        envelope = self.envelope_compiled(value)
        return self._plain.envelope(value) if envelope is None else envelope

    cpdef object envelope_compiled(self, bytes value):
        """The envelope of the fact in `value`, or None when that is left to the plain reader."""
        cdef Cursor cursor
        cdef tuple envelope
        cdef object found
        cdef int number
        if value is None or not self._begins_with_envelope or PyBytes_GET_SIZE(value) < _header_bytes:
            return None
        envelope = _nones(_envelope_size)
        cursor.at = <const uint8_t*> PyBytes_AS_STRING(value) + _header_bytes
        cursor.end = cursor.at + PyBytes_GET_SIZE(value) - _header_bytes
        for number in range(_envelope_size):
            found = _value(&cursor, self._fields[number].kind)
            if found is None:
                return None
            _set(envelope, number, found)
        return Envelope(*envelope)

    cpdef object read_compiled(self, bytes value):
        """The record in `value`, or None when that is left to the plain reader."""
        cdef Cursor cursor
        cdef Field* field
        cdef tuple envelope, own
        cdef object found
        cdef int number
        cdef bint absent
        if value is None or not self._compiled or not _header_bytes <= PyBytes_GET_SIZE(value) <= _record_max:
            return None
        envelope = _nones(_envelope_size) if self._is_fact else None
        own = _nones(self._own_size)
        cursor.at = <const uint8_t*> PyBytes_AS_STRING(value) + _header_bytes
        cursor.end = cursor.at + PyBytes_GET_SIZE(value) - _header_bytes
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
                _set(envelope if field.part == 0 else own, field.place, found)
        if cursor.at != cursor.end:
            return None
        return RecordedFact(Envelope(*envelope), self._record(*own)) if self._is_fact else self._record(*own)


cdef inline tuple _nones(int size):
    cdef tuple values = PyTuple_New(size)
    cdef int place
    for place in range(size):
        Py_INCREF(None)
        PyTuple_SET_ITEM(values, place, None)
    return values


cdef inline void _set(tuple values, int place, object value):
    """Replace None, in a tuple that no other code has seen yet."""
    Py_DECREF(None)
    Py_INCREF(value)
    PyTuple_SET_ITEM(values, place, value)


def _only_grew(dict written not None, dict newest not None):
    """Whether the fields that both have are the same, or optional since, and the others of the newest are null."""
    before = {field["name"]: field["type"] for field in written["fields"]}
    after = {field["name"]: field for field in newest["fields"]}
    return all(
        after[name]["type"] in (kind, ["null", kind]) for name, kind in before.items() if name in after
    ) and all(field.get("default", "") is None for name, field in after.items() if name not in before)


def _kind(str name not None, avro_type):
    if avro_type == "string":
        if name.endswith("_id"):
            return SHARED_ID if name in SHARED else ID
        return SHARED_TEXT if name in SHARED else TEXT
    if avro_type == "int":
        return INT
    if avro_type == "long":
        return TIME if name == "log_time" or name.endswith("_at") else LONG
    if avro_type == {"type": "array", "items": "string"}:
        return TEXTS if name == "ticket_ids" else SHARED_TEXTS
    raise TypeError(f"{name} is {avro_type}, which a flat record does not have")


def read_all(list records not None, dict readers not None, otherwise not None):
    """As `avro_reader.read_all`."""
    cdef list found = []
    cdef object reader
    for number, value in records:
        reader = None
        if type(value) is bytes and PyBytes_GET_SIZE(value) >= _header_bytes:
            reader = readers.get(PyBytes_FromStringAndSize(PyBytes_AS_STRING(value), _header_bytes))
        found.append((number, otherwise(value) if reader is None else (<NativeReader?> reader).read(value)))
    return found
