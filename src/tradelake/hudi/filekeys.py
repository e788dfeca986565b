"""The keys of base files, as the key index takes them in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tradelake.hudi.basefile import BaseFile, read
from tradelake.hudi.keyruns import Groups, Hashes64
from tradelake.hudi.murmur import hash64
from tradelake.hudi.schema import RECORD_KEY
from tradelake.storage import Storage

_KEY_ONLY = pa.schema([pa.field(RECORD_KEY, pa.string())])


@dataclass(frozen=True)
class FileKeys:
    """The hashes of all keys of some files, ascending."""

    files: tuple[BaseFile, ...]
    rows: tuple[int, ...]
    """Per file: how many keys it has."""
    hashes: Hashes64
    place: Groups
    """Per hash: the position of its file in `files`."""


def read_keys(storage: Storage, files: Sequence[BaseFile]) -> FileKeys:
    """Reads the key column of files, one after the other; the keys themselves are let go."""
    parts = [_hashes(storage, file) for file in files]
    rows = tuple(map(len, parts))
    hashes = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
    order = np.argsort(hashes)
    place = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    return FileKeys(tuple(files), rows, hashes[order], place[order])


def _hashes(storage: Storage, file: BaseFile) -> Hashes64:
    return hash64(read(storage, file.path, _KEY_ONLY).column(RECORD_KEY).combine_chunks())
