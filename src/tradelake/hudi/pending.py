"""A write under way: its files on the timeline and its markers.

Requested, inflight, markers, base files, completed, markers gone: in this order, so that a death
anywhere leaves a pending write that can be undone, or a complete one.
"""

from collections.abc import Mapping
from contextlib import suppress

from tradelake.errors import StorageError
from tradelake.hudi.layout import TableFolder
from tradelake.hudi.timeline import COMPLETED, INFLIGHT, REQUESTED, state_name


class PendingWrite:
    """A commit or replacecommit from its beginning until it is complete."""

    def __init__(self, folder: TableFolder, instant: str, action: str) -> None:
        self._folder = folder
        self._storage = folder.storage
        self._instant = instant
        self._action = action

    def request(self, plan: bytes = b"") -> None:
        """From here on a death leaves a pending write."""
        self._storage.put(self._name(REQUESTED), plan, create=True)

    def begin(self, profile: bytes, files: Mapping[str, bool]) -> None:
        """Says what is planned, and announces base files: path, and whether it replaces another."""
        self._storage.put(self._name(INFLIGHT), profile)
        if files:
            self._folder.mark(self._instant, files)

    def complete(self, content: bytes) -> None:
        """Creates the completed file: the moment the write is visible.

        A storage may fail although it created the object (an answer lost on the network), and
        then say on a retry that it exists: if it holds what we wrote, the write is complete.
        """
        name = self._name(COMPLETED)
        try:
            self._storage.put(name, content, create=True)
        except StorageError:
            if not self._storage.exists(name) or self._storage.get(name) != content:
                raise
            self._storage.put(name, content)

    def remove_markers(self) -> None:
        """Failing here does not undo the write: the next writer sweeps old markers."""
        with suppress(StorageError):
            self._folder.delete_below(self._folder.meta(f".temp/{self._instant}"))

    def _name(self, state: str) -> str:
        return self._folder.meta(state_name(self._instant, self._action, state))
