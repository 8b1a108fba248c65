# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled twin of `avro_writer.py`: the same bytes and the same errors, in a fraction of the time.

A record goes into a buffer of the C stack while it fits. Fields are read from their place in the object, as the first
record's class has it, and by name from objects of other classes. What is not of the schema's types, or a number of
more than 64 bits, is left to the plain writer, which says what is wrong. Compiled when the package is installed, where
there is a C compiler.
"""

import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from schemas import avro_writer
from schemas.struct_fields cimport field as field_of, place_of

SOURCE = "216e7433130b77c0"

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    object PyUnicode_AsUTF8String(object text)
    long long PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1

cdef enum:
    FIELDS_MAX = 64
    STACK_BYTES = 2048
    VARINT_BYTES = 10

cdef enum Kind:
    TEXT, NUMBER, TEXTS

ctypedef struct Field:
    Kind kind
    bint optional
    bint second  # of the second object

ctypedef struct Buffer:
    uint8_t* start
    Py_ssize_t size
    Py_ssize_t capacity
    bint on_heap


cdef int _make_room(Buffer* buffer, Py_ssize_t more) except -1:
    """There are `more` bytes behind what is written."""
    cdef Py_ssize_t capacity
    cdef uint8_t* larger
    if buffer.size + more <= buffer.capacity:
        return 0
    capacity = 2 * (buffer.size + more)
    if buffer.on_heap:
        larger = <uint8_t*> PyMem_Realloc(buffer.start, capacity)
    else:
        larger = <uint8_t*> PyMem_Malloc(capacity)
    if larger == NULL:
        raise MemoryError()
    if not buffer.on_heap:
        memcpy(larger, buffer.start, buffer.size)
    buffer.start, buffer.capacity, buffer.on_heap = larger, capacity, True
    return 0


cdef inline void _put_varint(Buffer* buffer, int64_t number) noexcept:
    """Zigzag. VARINT_BYTES have to be there."""
    cdef uint64_t bits = (<uint64_t> number << 1) ^ <uint64_t> (number >> 63)
    while bits >= 0x80:
        buffer.start[buffer.size] = <uint8_t> (bits & 0x7F | 0x80)
        buffer.size += 1
        bits >>= 7
    buffer.start[buffer.size] = <uint8_t> bits
    buffer.size += 1


cdef inline int _put_sized(Buffer* buffer, const void* data, Py_ssize_t size) except -1:
    _make_room(buffer, size + VARINT_BYTES)
    _put_varint(buffer, size)
    memcpy(buffer.start + buffer.size, data, size)
    buffer.size += size
    return 0


cdef bint _put_text(Buffer* buffer, object text) except -1:
    """Whether `text` is one."""
    cdef bytes encoded
    if not isinstance(text, str):
        return False
    if PyUnicode_IS_COMPACT_ASCII(text):
        _put_sized(buffer, PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    else:
        encoded = PyUnicode_AsUTF8String(text)
        _put_sized(buffer, PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded))
    return True


cdef bint _put_number(Buffer* buffer, object number) except -1:
    """Whether `number` is a whole one of 64 bits."""
    cdef int overflow = 0
    cdef int64_t small
    if not isinstance(number, int):
        return False
    small = PyLong_AsLongLongAndOverflow(number, &overflow)
    if overflow:
        return False
    _make_room(buffer, VARINT_BYTES)
    _put_varint(buffer, small)
    return True


cdef bint _put_texts(Buffer* buffer, object texts) except -1:
    """Whether `texts` is a list of them: one block, and the end of the array."""
    if type(texts) is not list:
        return False
    _make_room(buffer, VARINT_BYTES)
    if len(<list> texts):
        _put_varint(buffer, len(<list> texts))
        for text in <list> texts:
            if not _put_text(buffer, text):
                return False
        _make_room(buffer, 1)
    buffer.start[buffer.size] = 0
    buffer.size += 1
    return True


cdef class NativeWriter:
    """As `avro_writer.Writer`, of at most two objects."""

    cdef bytes _header
    cdef object _plain
    cdef int _count
    cdef bint _compiled
    cdef Field[FIELDS_MAX] _fields
    cdef Py_ssize_t[FIELDS_MAX] _places  # of the fields in objects of `_types`
    cdef tuple _types
    cdef list _names

    def __init__(self, dict schema not None, bytes header not None, *sources):
        self._plain, self._header = avro_writer.Writer(schema, header, *sources), header
        self._names = [sys.intern(field["name"]) for field in schema["fields"]]
        self._count = len(self._names)
        self._compiled = self._count <= FIELDS_MAX and 1 <= len(sources) <= 2
        if not self._compiled:
            return
        for number, field in enumerate(schema["fields"]):
            optional = isinstance(field["type"], list)
            kind = _kind(field["type"][1] if optional else field["type"])
            self._fields[number] = Field(kind, optional, number >= len(sources[0]))

    def write(self, first, second=None):
        """As `avro_writer.Writer.write`."""
        written = self.write_compiled(first, second) if self._compiled else None
        if written is not None:
            return written
        return self._plain.write(first) if second is None else self._plain.write(first, second)

    cpdef bytes write_compiled(self, first, second=None):
        """The bytes, or None when a value is not of its type."""
        cdef uint8_t[STACK_BYTES] stack
        cdef Buffer buffer
        buffer.start, buffer.size, buffer.capacity, buffer.on_heap = stack, 0, STACK_BYTES, False
        try:
            if not self._put(&buffer, first, second):
                return None
            return PyBytes_FromStringAndSize(<char*> buffer.start, buffer.size)
        finally:
            if buffer.on_heap:
                PyMem_Free(buffer.start)

    cdef bint _put(self, Buffer* buffer, object first, object second) except -1:
        cdef Field* field
        cdef int number
        cdef object owner, value
        cdef bint done, known
        if self._types is None:
            self._learn(type(first), type(second))
        known = type(first) is self._types[0] and type(second) is self._types[1]
        _make_room(buffer, PyBytes_GET_SIZE(self._header))
        memcpy(buffer.start, PyBytes_AS_STRING(self._header), PyBytes_GET_SIZE(self._header))
        buffer.size = PyBytes_GET_SIZE(self._header)
        for number in range(self._count):
            field = &self._fields[number]
            owner = second if field.second else first
            value = field_of(owner, self._places[number] if known else -1, self._names[number])
            if field.optional:
                _make_room(buffer, 1)
                buffer.start[buffer.size] = 0 if value is None else 2
                buffer.size += 1
                if value is None:
                    continue
            if field.kind == TEXT:
                done = _put_text(buffer, value)
            elif field.kind == NUMBER:
                done = _put_number(buffer, value)
            else:
                done = _put_texts(buffer, value)
            if not done:
                return False
        return True

    cdef void _learn(self, first, second):
        """Where objects of these types keep their fields."""
        cdef int number
        self._types = first, second
        for number in range(self._count):
            self._places[number] = place_of(second if self._fields[number].second else first, self._names[number])


cdef Kind _kind(object avro_type):
    if avro_type == "string":
        return TEXT
    return TEXTS if isinstance(avro_type, dict) else NUMBER
