"""Rows that are nearly alike: found by MinHash over groups of four letters.

A text's sketch is, for each of 16 hash functions, the least hash of its groups; two
sketches agree in about as many places as the texts have groups in common (Broder, 1997).
A row is compared with the first and with the last one before it whose sketches agree with its
own in a band of four places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tuneglm.data.encoded import Array

HASHES, BAND = 16, 4
GROUP = 4
# of 16 places: about four fifths of the groups in common
ALIKE = 13
# characters of a row that are looked at
LOOKED_AT = 4000
# characters hashed, or rows compared, at once: they fit into a processor's cache
PART = 1 << 16
_NOTHING = np.uint32(0xFFFFFFFF)
# random and odd: each is another hash function
_FACTORS = np.random.default_rng(20).integers(1, 1 << 31, HASHES, np.uint32) * np.uint32(2) + 1


@dataclass(frozen=True, eq=False)
class NearRows:
    """Rows that are nearly an earlier row: their places, and that of the earlier one."""

    rows: Array
    earlier: Array


def sketches(texts: Sequence[str]) -> Array:
    """(texts, HASHES) uint32; case, spaces and punctuation do not count."""
    result = np.full((len(texts), HASHES), _NOTHING)
    start = characters = 0
    for number, text in enumerate(texts, 1):
        characters += min(len(text), LOOKED_AT)
        if characters > PART or number == len(texts):
            result[start:number] = _sketches(texts[start:number])
            start, characters = number, 0
    return result


def _sketches(texts: Sequence[str]) -> Array:
    # zeros behind each text end its last groups
    padded = [text[:LOOKED_AT] + "\0" * GROUP for text in texts]
    points = np.frombuffer("".join(padded).encode("utf-32-le", "replace"), np.uint32)
    letters = _letters()[np.minimum(points, 0xFFFF)]
    beyond = points > 0xFFFF
    letters[beyond] = points[beyond]
    kept = (letters > 0) | (points == 0)
    ends = np.cumsum(kept)[np.cumsum([len(text) for text in padded]) - 1]
    letters = letters[kept]
    starts = np.concatenate(([0], ends[:-1]))
    groups = _groups(letters)
    result = np.full((len(texts), HASHES), _NOTHING)
    filled = ends - GROUP > starts
    pairs = np.stack([starts, ends - GROUP], axis=1)[filled].reshape(-1)
    if not len(pairs):
        return result
    hashed = np.empty_like(groups)
    for number, factor in enumerate(_FACTORS):
        np.multiply(groups, factor, out=hashed)
        result[filled, number] = np.minimum.reduceat(hashed, pairs)[::2]
    return result


def _groups(letters: Array) -> Array:
    """(letters,) a well mixed hash of each letter with those that follow it."""
    mixed = letters.copy()
    for ahead in range(1, GROUP):
        mixed[:-ahead] += letters[ahead:] * np.uint32((0x01000193**ahead) & 0xFFFFFFFF)
    # the end of murmur3's hash, which lets every bit decide on every other one
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    return mixed


@cache
def _letters() -> Array:
    """(65536,) a letter's or a digit's lower case; 0 for what does not count."""
    table = np.zeros(0x10000, np.uint32)
    for code in range(0x10000):
        if chr(code).isalnum():
            lower = chr(code).lower()
            table[code] = ord(lower) if len(lower) == 1 else code
    return table


def near_rows(found: Array, texts: Array) -> NearRows:
    """Of rows with these sketches, those that are nearly an earlier one, and no copy of one.

    found  (rows, HASHES)
    texts  (rows,) digests: rows with the same are copies
    """
    first = _first_of(texts)
    unique = np.flatnonzero((first == np.arange(len(texts))) & (found[:, 0] != _NOTHING))
    chosen = found[unique]
    earlier = np.full(len(unique), -1, np.int64)
    for band in range(0, HASHES, BAND):
        numbers = _one_number(chosen[:, band : band + BAND])
        # where many rows begin alike, the first of them is not the one that is near
        for others in (_first_of(numbers), _last_before(numbers)):
            new = (earlier < 0) & (others != np.arange(len(unique))) & _alike(chosen, others)
            earlier[new] = others[new]
    near = earlier >= 0
    return NearRows(unique[near], unique[earlier[near]])


def _alike(found: Array, others: Array) -> Array:
    """(rows,) whether each row is nearly the other one; a part at once, as they are large."""
    result = np.zeros(len(found), bool)
    for start in range(0, len(found), PART):
        part = slice(start, start + PART)
        result[part] = (found[part] == found[others[part]]).sum(axis=1) >= ALIKE
    return result


def _first_of(values: Array) -> Array:
    """For each entry the place of the first one that equals it."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    places: Array = first[inverse]
    return places


def _last_before(values: Array) -> Array:
    """For each entry the place of the last one before it that equals it; its own where none is."""
    order = np.argsort(values, kind="stable")
    places = np.arange(len(values))
    equal = values[order[1:]] == values[order[:-1]]
    places[order[1:][equal]] = order[:-1][equal]
    return places


def _one_number(columns: Array) -> Array:
    """(rows,) uint64 that tells rows apart."""
    number = np.zeros(len(columns), np.uint64)
    for column in columns.T:
        number = (number ^ column) * np.uint64(0x9E3779B97F4A7C15)
        number ^= number >> np.uint64(29)
    return number
