"""Merging: the small objects of a closed hour become few, and no record is taken twice.

Step 1  Plan     stretches of neighbouring objects of our own delivery that are small together.
Step 2  Write    the landed lines of a stretch as one object, the failed ones as another. Their
                 names are of the same scheme, so the checkpoint's ranges know them as taken.
Step 3  Delete   the parts, once no query can be reading them any more.

Killed anywhere, the next look finds objects that lie in a wider one's positions, and goes on.
"""

from collections import deque
from collections.abc import Iterator

from tradelake.clock import Clock, to_datetime
from tradelake.delivery import state as delivery_state
from tradelake.errors import StorageError
from tradelake.etl.checkpoint import Checkpoint
from tradelake.etl.hourfolder import HourFolder, Merged, MergeLimits
from tradelake.etl.lake import Lake
from tradelake.etl.landing import hour_folder
from tradelake.etl.listing import list_hours
from tradelake.etl.schema import QUARANTINE
from tradelake.etl.sidefiles import SideFile
from tradelake.etl.state import LakeState
from tradelake.etl.stretches import ROOTS
from tradelake.storage import Storage
from tradelake.trade import Reason

GRACE_SECONDS = 600
"""An hour is closed so long after its end: delivery writes within seconds of the time it names."""

FOLDERS_LOOKED_INTO = 100
"""Hour folders in a step that finds nothing to do: at 100 objects each, some 100 ms."""

_SECOND_US = 1_000_000


class Merging:
    """Merges a lake's landing zone, a step at a time. For its one writer: who holds the lease."""

    def __init__(self, lake: Lake, clock: Clock, limits: MergeLimits | None = None) -> None:
        self._lake = lake
        self._clock = clock
        self._limits = limits or MergeLimits()
        self._looked_until = ""
        self._queue: deque[tuple[str, str]] = deque()
        self._unfinished: set[tuple[str, str]] = set()
        self._steps: Iterator[Merged] = iter(())
        self._unreadable: tuple[tuple[SideFile, ...], frozenset[str]] = (), frozenset()

    def step(self, state: LakeState) -> Merged | None:
        """Merges one stretch, or deletes the parts of one; None where nothing is to be done now.

        state: after the newest commit. Each hour folder is looked into once, and again as long as
        there is something left to do in it; the newest first, since a process that makes a single
        step gets no further.

        Raises:
            StorageError: an object can't be written or deleted; a later step tries again.
        """
        if (done := next(self._steps, None)) is not None:
            return done
        if not self._queue:
            self._find_folders()
        saved = [each.checkpoint for each in self._lake.saved_states()] if self._queue else []
        for _ in range(min(FOLDERS_LOOKED_INTO, len(self._queue))):
            self._steps = self._work(*self._queue.popleft(), state, saved)
            if (done := next(self._steps, None)) is not None:
                return done
        return None

    def _find_folders(self) -> None:
        closed = to_datetime(self._clock() - GRACE_SECONDS * _SECOND_US).strftime("%Y/%m/%d/%H")
        since = self._looked_until if self._looked_until <= closed else ""  # the clock went back
        new = list_hours(self._lake.storage, since, closed)
        newest_first = sorted(new | self._unfinished, key=lambda each: each[::-1], reverse=True)
        self._queue.extend(newest_first)
        self._looked_until = closed

    def _work(
        self, stream: str, hour: str, state: LakeState, saved: list[Checkpoint]
    ) -> Iterator[Merged]:
        self._unfinished.add((stream, hour))  # also where it ends in an error
        if _is_in_use(self._lake.storage, stream, hour):
            return
        folder = HourFolder(
            self._lake.storage,
            stream,
            hour,
            state.checkpoint,
            saved,
            self._ever_unreadable(state),
            self._clock,
            self._limits,
        )
        yield from folder.steps()
        if not folder.unfinished:
            self._unfinished.discard((stream, hour))

    def _ever_unreadable(self, state: LakeState) -> frozenset[str]:
        """Objects that are or were in quarantine as a whole: that is where a retry reads them."""
        files = state.files[QUARANTINE]
        if files != self._unreadable[0]:
            events = self._lake.side_log(QUARANTINE, state).read(["reason", "origin"])
            found = (e["origin"] for e in events.to_pylist() if e["reason"] == _UNREADABLE)
            self._unreadable = files, frozenset(found)
        return self._unreadable[1]


_UNREADABLE = Reason.UNREADABLE_FILE.value


def _is_in_use(storage: Storage, stream: str, hour: str) -> bool:
    """Whether delivery may still make, or look for, an object of its last intent in the folder."""
    try:
        current = delivery_state.load(storage, stream)
    except StorageError:
        return True
    if current is None or current.intent is None:
        return False
    folders = {hour_folder(root, stream, hour) for root in ROOTS}
    return any(key.rpartition("/")[0] in folders for key in current.intent.keys)
