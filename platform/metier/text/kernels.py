"""The compiled loops of deduplication: bytes to words to shingles, signatures, buckets, clusters. Over NumPy arrays only.

All of them and their constants stand in this one file, because Numba's cache notices no change in any other. What each is
for is said where it is called: `shingles`, `minhash`, `similarity`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

SPACE, MARK, WORD, ALONE = range(4)
"""What a character is: white space, a mark, part of a word, or a word of its own (in scripts that put no spaces)."""
SLOW, KIND_SHIFT, KINDS, CHARACTER = 1 << 31, 24, 0x7F, (1 << 24) - 1
"""An entry of the folding table: folded by Python or here, the kind, the code point that it folds to."""
TABLED = 0x20000  # beyond lie rare ideographs, each a word of its own, and what is not assigned

_SEED, _PRIME, _STIR, _OTHER, _GAP = (
    np.uint64(n) for n in (0xCBF29CE484222325, 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, 0xA5A5A5A5A5)
)
_33 = np.uint64(33)


@numba.njit(inline="always")
def _mixed(value: Any) -> Any:
    """A bijection of 64 bits in which every bit depends on every other (the finaliser of MurmurHash3)."""
    value = (value ^ (value >> _33)) * _STIR
    value = (value ^ (value >> _33)) * _OTHER
    return value ^ (value >> _33)


@numba.njit(inline="always")
def _decoded(data: Any, at: int, end: int) -> Any:
    """The code point at a byte, and where the next begins. What is cut off is a replacement character."""
    code = np.uint32(data[at])
    if code < 0x80:
        return code, at + 1
    length = 2 if code < 0xE0 else 3 if code < 0xF0 else 4
    if at + length > end:
        return np.uint32(0xFFFD), end
    code &= np.uint32(0xFF >> (length + 1))
    for i in range(1, length):
        code = np.uint32((code << np.uint32(6)) | (data[at + i] & np.uint32(0x3F)))
    return code, at + length


@numba.njit(inline="always")
def _looked_up(code: Any, entries: Any) -> Any:
    return entries[code] if code < TABLED else np.uint32(SLOW | (ALONE << KIND_SHIFT) | code)


@numba.njit(cache=True, nogil=True)
def _scan(data: Any, at: int, end: int, entries: Any, trusted: bool, words: Any, exact: Any) -> int:
    """Cuts the bytes of one row into words: their hashes into `words`, 128 bits of all but the layout into `exact`.

    Gives the number of words, or -1 where the row has to be folded first.
    """
    count, gap, began = 0, False, False
    one, two = _SEED, _OTHER
    while at < end:
        code, after = _decoded(data, at, end)
        entry = _looked_up(code, entries)
        if entry & SLOW and not trusted:
            return -1
        kind = (entry >> KIND_SHIFT) & KINDS
        at = after
        if kind == SPACE:
            gap = began
            continue
        token = (_SEED ^ np.uint64(entry & CHARACTER)) * _PRIME
        if kind == WORD:
            while at < end:
                code, after = _decoded(data, at, end)
                entry = _looked_up(code, entries)
                if (entry >> KIND_SHIFT) & KINDS != WORD or (entry & SLOW and not trusted):
                    break
                token = (token ^ np.uint64(entry & CHARACTER)) * _PRIME
                at = after
        token = _mixed(token)
        if kind >= WORD:
            words[count] = token
            count += 1
        if gap:
            token ^= _GAP
        one, two = one * _PRIME + token, (two ^ token) * _OTHER
        gap, began = False, True
    exact[0], exact[1] = _mixed(one), _mixed(two)
    return count


@numba.njit(inline="always")
def _shingled(words: Any, count: int, width: int) -> int:
    """Hashes of words to hashes of runs of `width` words, in their place; fewer words are one run. Gives their number."""
    runs, length = max(1, count - width + 1), min(count, width)
    for i in range(runs):
        run = _SEED
        for k in range(i, i + length):
            run = run * _PRIME + words[k]
        words[i] = max(_mixed(run), np.uint64(1))  # zero is a free slot
    return runs


@numba.njit(inline="always")
def _most_words(offsets: Any) -> int:
    """Room for the words of the longest row: a word is a byte and a gap, or the two and more bytes of a word of its own."""
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    return longest // 2 + 2


@numba.njit(inline="always")
def size_for(entries: int) -> int:
    """Slots for so many values: a power of two, at most half full."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@numba.njit(inline="always")
def _place(slots: Any, mask: int, value: Any) -> Any:
    """The slot that holds the value, or the free one where it belongs. Zero is a free slot and never a value."""
    slot = np.int64(value & np.uint64(mask))
    while slots[slot] != 0 and slots[slot] != value:
        slot = (slot + 1) & mask
    return slot


@numba.njit(cache=True, nogil=True)
def collect(data: Any, offsets: Any, entries: Any, trusted: bool, width: int, values: Any, starts: Any, ends: Any,
             exact: Any) -> int:  # fmt: skip
    """The distinct shingles of each row into `values`; a row that must be folded first ends before it starts."""
    words, slots, filled = np.empty(_most_words(offsets), np.uint64), np.empty(1024, np.uint64), 0
    for row in range(len(offsets) - 1):
        starts[row] = filled
        count = _scan(data, offsets[row], offsets[row + 1], entries, trusted, words, exact[row])
        if count < 0:
            ends[row] = -1
            continue
        runs = _shingled(words, count, width)
        size = size_for(runs)
        if size > len(slots):
            slots = np.empty(size, np.uint64)
        slots[:size] = 0
        for i in range(runs):
            slot = _place(slots, size - 1, words[i])
            if slots[slot] == 0:
                slots[slot] = words[i]
                values[filled] = words[i]
                filled += 1
        ends[row] = filled
    return filled


@numba.njit(cache=True, nogil=True)
def overlap(one: Any, other: Any, slots: Any) -> float:
    """Jaccard similarity of two sets without repeats, neither empty. `slots`: room for twice the first, a power of two."""
    size = size_for(len(one))
    slots[:size] = 0
    for value in one:
        slots[_place(slots, size - 1, value)] = value
    shared = 0
    for value in other:
        shared += slots[_place(slots, size - 1, value)] == value
    return shared / (len(one) + len(other) - shared)


@numba.njit(cache=True, nogil=True)
def sign(data: Any, offsets: Any, entries: Any, trusted: bool, places: Any, salts: Any, width: int, multiply: Any,
          add: Any, keys: Any, slow: Any) -> int:  # fmt: skip
    """The band keys of each row into `keys`; rows that must be folded first into `slow`. Gives the number of those."""
    most = _most_words(offsets)
    words, hashes, exact = np.empty(most, np.uint64), np.empty(most, np.uint32), np.empty(2, np.uint64)
    bands, waiting = keys.shape[0], 0
    each = len(multiply) // bands
    for row in range(len(offsets) - 1):
        place = places[row]
        count = _scan(data, offsets[row], offsets[row + 1], entries, trusted, words, exact)
        if count < 0:
            slow[waiting] = row
            waiting += 1
            continue
        salt = salts[place]
        runs = _shingled(words, count, width)
        for i in range(runs):
            hashes[i] = np.uint32(words[i] >> np.uint64(32))
        for band in range(bands):
            key = _mixed(salt + np.uint64(band + 1) * _PRIME)
            for j in range(band * each, (band + 1) * each):
                a, b, least = multiply[j], add[j], np.uint32(0xFFFFFFFF)
                for i in range(runs):
                    least = min(least, np.uint32(np.uint32(a * hashes[i]) + b))
                key = (key ^ np.uint64(least)) * _PRIME
            keys[band, place] = _mixed(key)
    return waiting


@numba.njit(cache=True, nogil=True)
def equal_keys(packed: Any, low: Any, keys: Any, members: Any, offsets: Any) -> Any:
    """The rows of each key that occurs twice or more into `members`, where each ends into `offsets`; gives both lengths.

    `packed`: the keys, sorted, with the row's number in place of their `low` bits.
    """
    number, count, groups, start = len(packed), 0, 0, 0
    offsets[0] = 0
    while start < number:
        end = start + 1
        while end < number and (packed[end] ^ packed[start]) <= low:
            end += 1
        if end - start > 1:
            rows = (packed[start:end] & low).astype(np.int64)
            rows = rows[np.argsort(keys[rows], kind="mergesort")]  # stable: rows of one key stay in their order
            first = 0
            for i in range(1, len(rows) + 1):
                if i == len(rows) or keys[rows[i]] != keys[rows[first]]:
                    if i - first > 1:
                        members[count : count + i - first] = rows[first:i]
                        count += i - first
                        groups += 1
                        offsets[groups] = count
                    first = i
        start = end
    return count, groups


@numba.njit(inline="always")
def _root(parent: Any, row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@numba.njit(inline="always")
def _join(parent: Any, one: int, other: int) -> None:
    """The smaller root becomes the root of both (Tarjan 1975, path halving)."""
    one, other = _root(parent, one), _root(parent, other)
    if one < other:
        parent[other] = one
    else:
        parent[one] = other


@numba.njit(cache=True, nogil=True)
def link(parent: Any, members: Any, offsets: Any) -> None:
    """Joins all rows of each bucket, verified or not: what can't be connected need not be looked at together."""
    for bucket in range(len(offsets) - 1):
        for i in range(offsets[bucket] + 1, offsets[bucket + 1]):
            _join(parent, members[offsets[bucket]], members[i])


@numba.njit(cache=True, nogil=True)
def roots(parent: Any) -> Any:
    """The root of every row."""
    found = np.empty(len(parent), np.int64)
    for row in range(len(parent)):
        found[row] = _root(parent, row)
    return found


@numba.njit(cache=True, nogil=True)
def join_alike(parent: Any, members: Any, offsets: Any, values: Any, starts: Any, ends: Any, threshold: float,
               slots: Any) -> int:  # fmt: skip
    """Joins the rows of each bucket that are alike; gives the number of comparisons.

    Within a bucket each row is compared with the groups before it until one holds a row that is like it. Rows that are
    connected already are not compared: n copies cost n comparisons, not n squared.
    """
    compared = 0
    for bucket in range(len(offsets) - 1):
        rows = members[offsets[bucket] : offsets[bucket + 1]]
        following = np.full(len(rows), -1)  # the next of its group
        heads, lasts, groups = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64), 0
        for i in range(len(rows)):
            own = -1  # the group that this row is in
            group = 0
            while group < groups:
                same = _root(parent, rows[heads[group]]) == _root(parent, rows[i])
                at = heads[group]
                while not same and at >= 0:
                    compared += 1
                    a, b = rows[at], rows[i]
                    same = overlap(values[starts[a] : ends[a]], values[starts[b] : ends[b]], slots) >= threshold
                    at = following[at]
                if not same:
                    group += 1
                    continue
                _join(parent, rows[heads[group]], rows[i])
                if own < 0:
                    following[lasts[group]], lasts[group], own = i, i, group
                    group += 1
                else:  # the row connects two groups: the later is hung behind the first
                    following[lasts[own]], lasts[own] = heads[group], lasts[group]
                    groups -= 1
                    heads[group], lasts[group] = heads[groups], lasts[groups]
            if own < 0:
                heads[groups], lasts[groups] = i, i
                groups += 1
    return compared


@numba.njit(cache=True, nogil=True)
def represent(ranked: Any, offsets: Any, values: Any, starts: Any, ends: Any, fixed: Any, floor: float, slots: Any,
              kept_by: Any, similarity: Any) -> None:  # fmt: skip
    """Which rows of each cluster stay. `ranked`: its rows, the best first.

    The best stays, and those that are `fixed`. Each other one goes where a row that stays is at least `floor` like it: the
    most similar is written into `kept_by`, and how similar into `similarity`. So nothing goes on the word of a row that
    went itself.
    """
    for cluster in range(len(offsets) - 1):
        rows = ranked[offsets[cluster] : offsets[cluster + 1]]
        kept, staying = np.empty(len(rows), np.int64), 0
        for row in rows:
            nearest, most = -1, -1.0
            for i in range(staying):
                other = kept[i]
                share = overlap(values[starts[row] : ends[row]], values[starts[other] : ends[other]], slots)
                if share > most:
                    nearest, most = other, share
            if most >= floor and not fixed[row]:
                kept_by[row], similarity[row] = nearest, most
            else:
                kept_by[row], similarity[row] = -1, 1.0
                kept[staying] = row
                staying += 1
