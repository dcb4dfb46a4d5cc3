"""Hash texts by SipHash-2-4, all at once, in NumPy.

Covers: `hash_texts`, with the values of pandas' `hash_array`, which takes half a second to import.
Does not cover: hashes of integers, and what hashes are for (ids.py).

The values decide in which part of a dataset a user's ratings are, so they must never change. SipHash is by Aumasson and
Bernstein (2012); pandas mixes its result once more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.mix import scrambled

Words = npt.NDArray[np.uint64]

_KEY = np.frombuffer(b"0123456789123456", "<u8")  # pandas' default
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_WORD = 8
_PIECE = 1 << 14  # texts whose states fit the cache


def hash_texts(texts: pa.Array) -> Words:
    """Return a uint64 hash of each text, `pa.string()` (n,), without nulls."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    words = _words_at(bytes(texts.buffers()[2] or b""))
    hashes = np.empty(len(texts), np.uint64)
    by_length = np.argsort(np.diff(offsets) // _WORD, kind="stable")
    for start in range(0, len(texts), _PIECE):
        rows = by_length[start : start + _PIECE]
        hashes[rows] = scrambled(_sip_hashes(words, offsets[rows], offsets[rows + 1] - offsets[rows]))
    return hashes


def _sip_hashes(words: Words, begins: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> Words:
    """Return the hash of each text; those with fewer words come first, and leave first."""
    whole = lengths // _WORD
    state = [np.full(len(begins), np.uint64(start) ^ _KEY[n % 2]) for n, start in enumerate(_START)]
    for word in range(int(whole.max(initial=0))):
        first = int(np.searchsorted(whole, word, "right"))
        _absorb([part[first:] for part in state], words[begins[first:] + word * _WORD])
    of_rest = ~(~np.uint64(0) << (8 * (lengths % _WORD)).astype(np.uint64))
    rest = words[begins + whole * _WORD] & of_rest
    _absorb(state, rest | (lengths & 0xFF).astype(np.uint64) << np.uint64(56))
    state[2] ^= np.uint64(0xFF)
    for _ in range(4):
        _turn(state)
    return np.asarray(state[0] ^ state[1] ^ state[2] ^ state[3])


def _words_at(letters: bytes) -> Words:
    """Return the eight bytes from each place on, the first one lowest; zeros follow the last."""
    return np.ndarray((len(letters) + 1,), "<u8", letters + bytes(_WORD), strides=(1,))


def _absorb(state: list[Words], words: Words) -> None:
    state[3] ^= words
    for _ in range(2):
        _turn(state)
    state[0] ^= words


def _turn(state: list[Words]) -> None:
    """Turn the state by one round, in place."""
    a, b, c, d = state
    for first, second, turn, other in ((a, b, 13, 32), (c, d, 16, 0), (a, d, 21, 0), (c, b, 17, 32)):
        first += second
        _rotate(second, turn)
        second ^= first
        if other:
            _rotate(first, other)


def _rotate(values: Words, bits: int) -> None:
    high = values << np.uint64(bits)
    values >>= np.uint64(64 - bits)
    values |= high
