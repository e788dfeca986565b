"""The bloom filter that Hudi keeps in each base file's footer.

Spark's index asks it which files may hold a key; without one its upserts fail. Layout after
org.apache.hudi.common.bloom: a header `-1, hashes, 1 (Murmur), bits` in big-endian, then the bits;
the dynamic filter is a row of such filters behind a header of its own.
"""

import base64
import binascii
import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tradelake.hudi.murmur import Hashes, chain

# A false hit costs Spark the key column of one small file, so a thousandth is enough, where Hudi's
# default is a billionth. Five hashes take half the time of the ten that need the fewest bits, and a
# fifth more bits: 2.2 bytes a key instead of 1.8.
FALSE_POSITIVES = 1e-3
HASHES = 5
# Of a new filter's bits a quarter is set, and a quarter to the fifth is a thousandth; here it is a
# quarter of a hundredth.
_FULLEST = 0.30

_HEADER = struct.Struct(">iibi")
_DYNAMIC = struct.Struct(">iii")
_VERSION = -1
_MURMUR = 1


def build(keys: pa.Array, false_positives: float = FALSE_POSITIVES) -> bytes:
    """A filter of Hudi's type SIMPLE, sized for these keys, as base64 text."""
    share_set = false_positives ** (1 / HASHES)
    size = math.ceil(max(1, len(keys)) * -HASHES / math.log1p(-share_set))
    bits = np.zeros(size, dtype=np.bool_)
    bits[positions(chain(keys, HASHES), size)] = True
    return _text(HASHES, bits)


def extended(text: bytes, keys: pa.Array) -> bytes | None:
    """A filter as `build` makes them with more keys; None if it is none, or too full then."""
    try:
        old = BloomFilter.parse(text, dynamic=False)
    except ValueError:
        return None
    if old.hashes != HASHES:  # and so never as many as the file likes
        return None
    (bits,) = old.rows
    bits[positions(chain(keys, HASHES), len(bits))] = True
    return _text(HASHES, bits) if bits.mean() <= _FULLEST else None


def _text(hashes: int, bits: npt.NDArray[np.bool_]) -> bytes:
    header = _HEADER.pack(_VERSION, hashes, _MURMUR, len(bits))
    return base64.b64encode(header + np.packbits(bits, bitorder="little").tobytes())


@dataclass(frozen=True)
class BloomFilter:
    """A filter read from a footer: one set of bits (SIMPLE) or several (DYNAMIC_V0)."""

    hashes: int
    rows: tuple[npt.NDArray[np.bool_], ...]

    @classmethod
    def parse(cls, text: bytes, *, dynamic: bool) -> "BloomFilter":
        """Reads the base64 text of a footer; raises ValueError if it is no such filter."""
        try:
            data = base64.b64decode(text, validate=True)
            hashes, size = _header(data, 0)
            if not dynamic:
                return cls(hashes, (_bits(data, _HEADER.size, size),))
            _, _, count = _DYNAMIC.unpack_from(data, _HEADER.size)
            at = _HEADER.size + _DYNAMIC.size
            step = _HEADER.size + (size + 7) // 8
            starts = [at + i * step for i in range(count)]
            return cls(hashes, tuple(_bits(data, s + _HEADER.size, size) for s in starts))
        except (struct.error, binascii.Error) as error:
            raise ValueError(f"not a bloom filter: {error}") from error

    def may_hold(self, keys: pa.Array) -> npt.NDArray[np.bool_]:
        """For each key: False if the file surely lacks it."""
        hashes = chain(keys, self.hashes)
        found = np.zeros(len(keys), dtype=np.bool_)
        for bits in self.rows:
            found |= bits[positions(hashes, len(bits))].all(axis=0)
        return found


def positions(hashes: Hashes, size: int) -> Hashes:
    """The bits that hashes stand for: Java's abs(hash % size), the hash being signed."""
    magnitude = np.where(hashes >> np.uint32(31), np.uint32(0) - hashes, hashes)
    return magnitude % np.uint32(size)


def _header(data: bytes, at: int) -> tuple[int, int]:
    version, hashes, kind, size = _HEADER.unpack_from(data, at)
    if version != _VERSION or kind != _MURMUR or size <= 0 or hashes <= 0:
        raise ValueError(f"not a bloom filter: {data[at : at + _HEADER.size]!r}")
    return hashes, size


def _bits(data: bytes, at: int, size: int) -> npt.NDArray[np.bool_]:
    packed = np.frombuffer(data, dtype=np.uint8, count=(size + 7) // 8, offset=at)
    return np.unpackbits(packed, count=size, bitorder="little").astype(np.bool_)
