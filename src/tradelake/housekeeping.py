"""What a pipeline does for its home between two commits, a bounded step at a time."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tradelake.clock import Clock
from tradelake.errors import StorageError, StoreError


@dataclass(frozen=True, slots=True)
class Chore:
    """Work that keeps a home small.

    every: seconds from one look to the next. step: does a bounded part, a fraction of a second,
    and says in words what it did; an empty text means that there was nothing to do.
    can_wait: where it fails, nothing else is touched by it, and it is tried at its next time.
    """

    name: str
    every: float
    step: Callable[[], str]
    can_wait: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """A step that found something to do. failed: why it could not be done now."""

    chore: str
    did: str
    seconds: float
    failed: str = ""


class Housekeeping:
    """Chores by turns. All are due at the beginning: a schedule of short runs is a service too."""

    def __init__(self, chores: Iterable[Chore], clock: Clock) -> None:
        self._waiting = deque(chores)
        self._clock = clock
        self._looked_at: dict[str, int] = {}

    def step(self) -> Done | None:
        """One step of the next chore that is due; None where none is, or it had nothing to do.

        A chore that found work is due again at once, when the others have had their turn.

        Raises:
            StorageError, StoreError: of a chore that can't wait.
        """
        for _ in range(len(self._waiting)):
            chore = self._waiting[0]
            self._waiting.rotate(-1)
            if self._is_due(chore):
                return self._do(chore)
        return None

    def round(self) -> Iterator[Done]:
        """A step of each chore, whether or not it is due."""
        self._looked_at.clear()
        for _ in range(len(self._waiting)):
            if done := self.step():
                yield done

    def _do(self, chore: Chore) -> Done | None:
        began, did, failed = time.monotonic(), "", ""
        try:
            did = chore.step()
        except (StorageError, StoreError) as error:
            if not chore.can_wait:
                raise
            failed = str(error)
        if did:
            self._looked_at.pop(chore.name, None)
        else:
            self._looked_at[chore.name] = self._clock()
        if not did and not failed:
            return None
        return Done(chore.name, did, time.monotonic() - began, failed)

    def _is_due(self, chore: Chore) -> bool:
        looked_at = self._looked_at.get(chore.name)
        return looked_at is None or not 0 <= self._clock() - looked_at < chore.every * 1_000_000
