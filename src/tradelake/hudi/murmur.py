"""Hudi's Murmur hash over whole columns of keys.

Hudi's bloom filters use MurmurHash2 with 32 bits, little-endian words, except for the last one to
three bytes: those are taken from the end as signed bytes and mixed in without the usual masks
(org.apache.hudi.common.bloom / Hadoop's MurmurHash). Hash i of a key is seeded with hash i - 1.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint32]

_M = np.uint32(0x5BD1E995)
_R = np.uint32(24)
# Keys hashed at a time: their words then stay in the processor's cache over all seeds.
_BLOCK = 16_384


def chain(keys: pa.Array, count: int) -> Hashes:
    """The first `count` chained hashes of each key.

    keys     a string array without nulls
    returns  uint32, shape (count, number of keys)
    """
    data, bounds = _bytes_of(keys)
    hashes = np.empty((count, len(keys)), dtype=np.uint32)
    for first in range(0, len(keys), _BLOCK):
        part = bounds[first : first + _BLOCK + 1]
        block = _Block(data, part[:-1], np.diff(part))
        seed = np.zeros(len(part) - 1, dtype=np.uint32)
        for i in range(count):
            seed = block.hash(seed)
            hashes[i, first : first + _BLOCK] = seed
    return hashes


def hash64(keys: pa.Array) -> npt.NDArray[np.uint64]:
    """The first two chained hashes of each key as one number of 64 bits."""
    high, low = chain(keys, 2)
    hashes: npt.NDArray[np.uint64] = (high.astype(np.uint64) << np.uint64(32)) | low
    return hashes


class _Block:
    """Keys whose words are read and mixed once, to be hashed with one seed after the other."""

    def __init__(
        self,
        data: npt.NDArray[np.uint8],
        starts: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
    ) -> None:
        self._lengths = lengths.astype(np.uint32)
        self._words = [
            (rows, _mixed(_word(data, starts[rows] + 4 * i)))
            for i, rows in enumerate(_rows_by_word(lengths >> 2))
        ]
        self._tail_rows = np.flatnonzero(lengths & 3)
        self._tails = _tails(data, starts[self._tail_rows], lengths[self._tail_rows])

    def hash(self, seed: Hashes) -> Hashes:
        value = seed ^ self._lengths
        for rows, word in self._words:
            value[rows] = (value[rows] * _M) ^ word
        value[self._tail_rows] = (value[self._tail_rows] ^ self._tails) * _M
        value ^= value >> np.uint32(13)
        value *= _M
        value ^= value >> np.uint32(15)
        return value


def _bytes_of(keys: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of all strings, and where each begins (one more than strings)."""
    _, offsets, data = keys.buffers()
    if not len(keys) or data is None:
        return np.zeros(0, dtype=np.uint8), np.zeros(len(keys) + 1, dtype=np.int64)
    bounds = np.frombuffer(offsets, dtype=np.int32)[keys.offset : keys.offset + len(keys) + 1]
    return np.frombuffer(data, dtype=np.uint8), bounds.astype(np.int64)


def _rows_by_word(words: npt.NDArray[np.int64]) -> list[slice | npt.NDArray[np.int64]]:
    """For each word position the keys that are that long; all of them as a slice, for speed."""
    if not len(words):
        return []
    shortest = int(words.min())
    rows: list[slice | npt.NDArray[np.int64]] = [slice(None)] * shortest
    longer = np.flatnonzero(words > shortest)
    position = shortest
    while len(longer):
        rows.append(longer)
        position += 1
        longer = longer[words[longer] > position]
    return rows


def _word(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> Hashes:
    """The four bytes at each place as a little-endian number, aligned or not."""
    every = np.ndarray((len(data) - 3,), dtype="<u4", buffer=data, strides=(1,))
    return every[at].astype(np.uint32, copy=False)


def _mixed(word: Hashes) -> Hashes:
    word = word * _M
    word ^= word >> _R
    word *= _M
    return word


def _tails(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> Hashes:
    signed = data.view(np.int8)
    ends = starts + lengths
    left = lengths & 3
    tails = np.zeros(len(starts), dtype=np.int32)
    for back in (1, 2, 3):
        rows = left >= back
        tails[rows] ^= signed[ends[rows] - back].astype(np.int32) << np.int32(8 * (back - 1))
    return tails.view(np.uint32)
