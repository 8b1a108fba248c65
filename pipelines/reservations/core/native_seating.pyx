# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of `seating.py`: the same choices and the same errors, on words of 64 seats.

The plain module says what is chosen, and why that costs the same in each size of section. Here a change sets its row's
bit for each block size at once, so that nothing is noted. Compiled when the package is installed, where there is a C
compiler.
"""

from functools import lru_cache

from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from pipelines.reservations.core import limits
from pipelines.reservations.core.seating import row_label

SOURCE = "bc52859c064667fd"

cdef extern from *:
    int lowest "__builtin_ctzll"(uint64_t bits) noexcept nogil
    int leading_zeros "__builtin_clzll"(uint64_t bits) noexcept nogil
    int ones "__builtin_popcountll"(uint64_t bits) noexcept nogil

cdef enum:
    BITS = 64  # of a word
    BLOCK_MAX = 10  # seats of the largest block; limits.SEATS_PER_ORDER_MAX
    ON_STACK_MAX = 64  # places that need no memory of their own

assert BLOCK_MAX == limits.SEATS_PER_ORDER_MAX


@lru_cache(maxsize=32)  # the layouts of a house
def _plan(Py_ssize_t rows, Py_ssize_t width):
    """The labels by row, and the place of each: its row's first bit and its own, counted over all rows."""
    cdef Py_ssize_t words = (width + BITS - 1) // BITS
    labels = [[f"{letters}-{seat + 1}" for seat in range(width)] for letters in map(row_label, range(rows))]
    return labels, {
        label: row * words * BITS + seat for row, named in enumerate(labels) for seat, label in enumerate(named)
    }


def _restored(rows, width, claimed, locked, blocked):
    """A section from its pickle."""
    cdef NativeSeating new = NativeSeating(rows, width)
    cdef Py_ssize_t row
    for row in range(new.rows):
        new._fill(new._claimed, row, claimed[row])
        new._fill(new._locked, row, locked[row])
        new._fill(new._blocked, row, blocked[row])
    new._count()
    return new


cdef class NativeSeating:
    """As `seating.Seating`."""

    cdef readonly Py_ssize_t rows, width, free
    cdef Py_ssize_t _words, _row_words  # of a row's seats, and of a bitmap of rows
    cdef uint64_t* _memory
    cdef uint64_t* _full  # one row
    cdef uint64_t* _claimed
    cdef uint64_t* _locked
    cdef uint64_t* _blocked
    cdef uint64_t* _withheld  # locked or blocked
    cdef uint64_t* _maybe  # by block size: rows with a tidy place, perhaps
    cdef uint64_t* _maybe_whole  # … with any contiguous place, perhaps
    cdef uint64_t* _mask  # of the row that is examined
    cdef uint64_t* _starts
    cdef list _labels
    cdef dict _places

    def __cinit__(self, Py_ssize_t rows, Py_ssize_t width):
        cdef Py_ssize_t seats, bitmaps, seat, row, block
        if rows < 0 or width < 0:
            raise ValueError("negative shift count")  # as the plain bitmaps say it
        self.rows, self.width, self.free = rows, width, rows * width
        self._words, self._row_words = (width + BITS - 1) // BITS, (rows + BITS - 1) // BITS
        seats, bitmaps = rows * self._words, (BLOCK_MAX + 1) * self._row_words
        self._memory = <uint64_t*> PyMem_Calloc(4 * seats + 3 * self._words + 2 * bitmaps + 1, sizeof(uint64_t))
        if self._memory == NULL:
            raise MemoryError()
        self._claimed = self._memory
        self._locked = self._claimed + seats
        self._blocked = self._locked + seats
        self._withheld = self._blocked + seats
        self._maybe = self._withheld + seats
        self._maybe_whole = self._maybe + bitmaps
        self._full = self._maybe_whole + bitmaps
        self._mask = self._full + self._words
        self._starts = self._mask + self._words
        for seat in range(width):
            self._full[seat // BITS] |= <uint64_t> 1 << (seat % BITS)
        for row in range(rows):
            self._changed(row, True)
        self._labels, self._places = _plan(rows, width)

    def __dealloc__(self):
        PyMem_Free(self._memory)

    def __reduce__(self):
        locked, blocked = [tuple(self._number(bits, row) for row in range(self.rows)) for bits in range(1, 3)]
        return _restored, (self.rows, self.width, self.claimed_rows(), locked, blocked)

    @classmethod
    def of_claimed(cls, width, claimed):
        """As `Seating.of_claimed`."""
        none = (0,) * len(claimed)
        return _restored(len(claimed), width, claimed, none, none)

    def claimed_rows(self):
        """As `Seating.claimed_rows`."""
        return tuple(self._number(0, row) for row in range(self.rows))

    def __contains__(self, label):
        return label in self._places

    def is_free(self, label):
        """As `Seating.is_free`."""
        cdef Py_ssize_t place = self._places[label]
        return not (self._claimed[place // BITS] | self._withheld[place // BITS]) >> (place % BITS) & 1

    def is_locked(self, label):
        """As `Seating.is_locked`."""
        cdef Py_ssize_t place = self._places[label]
        return bool(self._locked[place // BITS] >> (place % BITS) & 1)

    def free_rows(self):
        """As `Seating.free_rows`."""
        return tuple(self._number(3, row) for row in range(self.rows))

    def claim(self, labels):
        """As `Seating.claim`."""
        self._set(labels, True)

    def release(self, labels):
        """As `Seating.release`."""
        self._set(labels, False)

    def lock(self, label):
        """As `Seating.lock`."""
        self._hold_back(self._locked, self._places[label], True)

    def unlock(self, label):
        """As `Seating.unlock`."""
        self._hold_back(self._locked, self._places[label], False)

    def block(self, labels):
        """As `Seating.block`."""
        for place in [self._places[label] for label in labels]:
            self._hold_back(self._blocked, place, True)

    def unblock(self, labels):
        """As `Seating.unblock`."""
        for place in [self._places[label] for label in labels]:
            self._hold_back(self._blocked, place, False)

    def used(self):
        """As `Seating.used`."""
        cdef Py_ssize_t row, seat, word
        cdef list found = [], named
        for row in range(self.rows):
            named = self._labels[row]
            for seat in range(self.width):
                word = row * self._words + seat // BITS
                if (self._claimed[word] | self._blocked[word]) >> (seat % BITS) & 1:
                    found.append(named[seat])
        return found

    def resized(self, rows, width):
        """As `Seating.resized`."""
        cdef NativeSeating new = NativeSeating(rows, width)
        cdef Py_ssize_t row, word, own, other
        for row in range(min(new.rows, self.rows)):
            for word in range(min(new._words, self._words)):
                own, other = row * new._words + word, row * self._words + word
                new._claimed[own] = self._claimed[other] & new._full[word]
                new._locked[own] = self._locked[other] & new._full[word]
                new._blocked[own] = self._blocked[other] & new._full[word]
        new._count()
        return new

    def best_available(self, Py_ssize_t quantity):
        """As `Seating.best_available`."""
        cdef Py_ssize_t row, start
        if quantity > self.free:
            return None
        if quantity > BLOCK_MAX:
            raise IndexError("list index out of range")  # as the plain lists by block size say it
        if quantity < 1:
            return []
        if self._find(quantity, True, &row, &start) or self._find(quantity, False, &row, &start):
            return (<list> self._labels[row])[start : start + quantity]
        return self._split(quantity)

    # --- the search ---------------------------------------------------------------------------------------------------

    cdef bint _find(self, Py_ssize_t quantity, bint tidy, Py_ssize_t* row, Py_ssize_t* start) noexcept:
        """Whether there is a block, tidy or any contiguous one; the front-most row that has it, and its first seat."""
        cdef uint64_t* maybe = (self._maybe if tidy else self._maybe_whole) + quantity * self._row_words
        cdef Py_ssize_t word, bit
        for word in range(self._row_words):
            while maybe[word]:
                bit = lowest(maybe[word])
                row[0] = word * BITS + bit
                start[0] = self._find_in(row[0], quantity, tidy)
                if start[0] >= 0:
                    return True
                maybe[word] ^= <uint64_t> 1 << bit
        return False

    cdef Py_ssize_t _find_in(self, Py_ssize_t row, Py_ssize_t quantity, bint tidy) noexcept:
        """The first seat of the row's best block, or -1."""
        cdef uint64_t* mask = self._mask
        cdef uint64_t* starts = self._starts
        cdef Py_ssize_t words = self._words, first = row * self._words, word, done = 1, step
        cdef uint64_t any_start = 0
        for word in range(words):
            mask[word] = self._full[word] ^ (self._claimed[first + word] | self._withheld[first + word])
            starts[word] = mask[word]
        while done < quantity:  # doubling: log2(quantity) steps
            step = min(done, quantity - done)
            for word in range(words):
                starts[word] &= _right(starts, words, word, step)
            done += step
        for word in range(words):
            if tidy:  # untidy: the seat left (or right) of the block is free, and its other neighbour is not
                starts[word] &= ~(
                    _left(mask, word, 1) & ~_left(mask, word, 2)
                    | _right(mask, words, word, quantity) & ~_right(mask, words, word, quantity + 1)
                )
            any_start |= starts[word]
        return self._nearest_middle(quantity) if any_start else -1

    cdef Py_ssize_t _nearest_middle(self, Py_ssize_t quantity) noexcept:
        """The start whose block's centre is nearest the row's centre; of two, the left."""
        cdef Py_ssize_t ideal = (self.width - quantity) // 2, word = ideal // BITS, left = -1, right = -1, other
        cdef uint64_t until = (<uint64_t> 2 << (ideal % BITS)) - 1, bits
        for other in range(word, -1, -1):
            bits = self._starts[other] & until if other == word else self._starts[other]
            if bits:
                left = other * BITS + BITS - 1 - leading_zeros(bits)
                break
        for other in range(word, self._words):
            bits = self._starts[other] & ~until if other == word else self._starts[other]
            if bits:
                right = other * BITS + lowest(bits)
                break
        if right < 0:
            return left
        if left < 0:
            return right
        # Distances of twice the centre, so that they stay whole numbers.
        return left if self.width - quantity - 2 * left <= 2 * right - (self.width - quantity) else right

    cdef list _split(self, Py_ssize_t quantity):
        """No contiguous block is left: the largest blocks there are, each by the rules above."""
        cdef list chosen = []
        cdef Py_ssize_t[BLOCK_MAX] rows, starts, sizes
        cdef Py_ssize_t wanted = quantity, block = quantity - 1, taken = 0, number
        while wanted:
            block = min(block, wanted)
            assert block > 0, "fewer seats are free than were counted"
            if not (
                self._find(block, True, &rows[taken], &starts[taken])
                or self._find(block, False, &rows[taken], &starts[taken])
            ):
                block -= 1
                continue
            sizes[taken] = block
            chosen += (<list> self._labels[rows[taken]])[starts[taken] : starts[taken] + block]
            self._flip(rows[taken], starts[taken], block)  # so the next block comes from the rest
            self._changed(rows[taken], False)
            wanted -= block
            taken += 1
        for number in range(taken):
            self._flip(rows[number], starts[number], sizes[number])
            self._changed(rows[number], True)
        return chosen

    cdef void _flip(self, Py_ssize_t row, Py_ssize_t start, Py_ssize_t seats) noexcept:
        """Claim free seats of a row, or give claimed ones back."""
        cdef Py_ssize_t seat
        for seat in range(start, start + seats):
            self._claimed[row * self._words + seat // BITS] ^= <uint64_t> 1 << (seat % BITS)

    # --- changes ------------------------------------------------------------------------------------------------------

    cdef int _set(self, labels, bint claimed) except -1:
        """Claim seats, or give them back, one run of seats in the same row after the other."""
        cdef Py_ssize_t[ON_STACK_MAX] some
        cdef Py_ssize_t* places = some
        cdef Py_ssize_t count = len(labels), number
        if count > ON_STACK_MAX:
            places = <Py_ssize_t*> PyMem_Malloc(count * sizeof(Py_ssize_t))
            if places == NULL:
                raise MemoryError()
        try:
            for number in range(count):
                places[number] = self._places[labels[number]]
            self._set_places(places, count, claimed)
        finally:
            if places != some:
                PyMem_Free(places)
        return 0

    cdef int _set_places(self, Py_ssize_t* places, Py_ssize_t count, bint claimed) except -1:
        cdef Py_ssize_t first = 0, last, number, word, row, wrong, row_bits = self._words * BITS
        cdef uint64_t bit
        while first < count:
            row, last, wrong = places[first] // row_bits, first, -1
            while last < count and places[last] // row_bits == row:
                if <bint> (self._claimed[places[last] // BITS] >> (places[last] % BITS) & 1) == claimed:
                    wrong = places[last] if wrong < 0 else min(wrong, places[last])
                last += 1
            if wrong >= 0:
                label = self._labels[row][wrong - row * row_bits]
                raise AssertionError(f"seat {label} is {'claimed already' if claimed else 'not claimed'}")
            for number in range(first, last):
                word, bit = places[number] // BITS, <uint64_t> 1 << (places[number] % BITS)
                if (self._claimed[word] & bit != 0) == claimed:
                    continue  # the seat is named twice
                self._claimed[word] ^= bit
                if not self._withheld[word] & bit:
                    self.free += -1 if claimed else 1
            self._changed(row, not claimed)
            first = last
        return 0

    cdef void _hold_back(self, uint64_t* bits, Py_ssize_t place, bint on) noexcept:
        """The seat is locked or blocked from here on, or it is not any more."""
        cdef Py_ssize_t word = place // BITS
        cdef uint64_t bit = <uint64_t> 1 << (place % BITS)
        cdef bint was_free = not (self._claimed[word] | self._withheld[word]) & bit, is_free
        if on:
            bits[word] |= bit
        else:
            bits[word] &= ~bit
        self._withheld[word] = self._locked[word] | self._blocked[word]
        is_free = not (self._claimed[word] | self._withheld[word]) & bit
        self.free += is_free - was_free
        self._changed(word // self._words, is_free and not was_free)

    cdef void _changed(self, Py_ssize_t row, bint freed) noexcept:
        """The next searches look at the row again: for a tidy block always, for any block when a seat became free."""
        cdef Py_ssize_t word = row // BITS, block
        cdef uint64_t bit = <uint64_t> 1 << (row % BITS)
        for block in range(1, BLOCK_MAX + 1):
            self._maybe[block * self._row_words + word] |= bit
            if freed:
                self._maybe_whole[block * self._row_words + word] |= bit

    # --- whole rows ---------------------------------------------------------------------------------------------------

    cdef void _fill(self, uint64_t* bits, Py_ssize_t row, object number):
        """Set a row's bitmap."""
        cdef bytes data = number.to_bytes(self._words * sizeof(uint64_t), "little")
        memcpy(bits + row * self._words, <const char*> data, self._words * sizeof(uint64_t))

    cdef object _number(self, int which, Py_ssize_t row):
        """A row's bitmap as a whole number: 0 claimed, 1 locked, 2 blocked, 3 free."""
        cdef Py_ssize_t word, at
        cdef uint64_t bits
        cdef object number = 0
        for word in range(self._words - 1, -1, -1):
            at = row * self._words + word
            if which == 0:
                bits = self._claimed[at]
            elif which == 1:
                bits = self._locked[at]
            elif which == 2:
                bits = self._blocked[at]
            else:
                bits = self._full[word] ^ (self._claimed[at] | self._withheld[at])
            number = number << BITS | bits
        return number

    cdef void _count(self) noexcept:
        """Derive what is withheld and how many seats are free."""
        cdef Py_ssize_t row, word, at
        self.free = 0
        for row in range(self.rows):
            for word in range(self._words):
                at = row * self._words + word
                self._withheld[at] = self._locked[at] | self._blocked[at]
                self.free += ones(self._full[word] ^ (self._claimed[at] | self._withheld[at]))


cdef inline uint64_t _right(const uint64_t* bits, Py_ssize_t words, Py_ssize_t word, Py_ssize_t by) noexcept:
    """A word of the bitmap shifted right by 1 to 63."""
    cdef uint64_t more = bits[word + 1] << (BITS - by) if word + 1 < words else 0
    return bits[word] >> by | more


cdef inline uint64_t _left(const uint64_t* bits, Py_ssize_t word, Py_ssize_t by) noexcept:
    """A word of the bitmap shifted left by 1 to 63."""
    cdef uint64_t more = bits[word - 1] >> (BITS - by) if word > 0 else 0
    return bits[word] << by | more
