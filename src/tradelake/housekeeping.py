"""What a pipeline does for its home between two commits, a bounded step at a time."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tradelake.clock import Clock


@dataclass(frozen=True, slots=True)
class Chore:
    """Work that keeps a home small.

    every: seconds from one look to the next. step: does a bounded part, a fraction of a second,
    and says in words what it did; an empty text means that there was nothing to do.
    """

    name: str
    every: float
    step: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Done:
    """A step that found something to do."""

    chore: str
    did: str
    seconds: float


class Housekeeping:
    """Chores by turns. All are due at the beginning: a schedule of short runs is a service too."""

    def __init__(self, chores: Iterable[Chore], clock: Clock) -> None:
        self._waiting = deque(chores)
        self._clock = clock
        self._looked_at: dict[str, int] = {}

    def step(self) -> Done | None:
        """One step of the next chore that is due; None where none is, or it had nothing to do.

        A chore that found work is due again at once, when the others have had their turn.
        """
        for _ in range(len(self._waiting)):
            chore = self._waiting[0]
            self._waiting.rotate(-1)
            if self._is_due(chore):
                began = time.monotonic()
                did = chore.step()
                if not did:
                    self._looked_at[chore.name] = self._clock()
                    return None
                self._looked_at.pop(chore.name, None)
                return Done(chore.name, did, time.monotonic() - began)
        return None

    def round(self) -> Iterator[Done]:
        """A step of each chore, whether or not it is due."""
        self._looked_at.clear()
        for _ in range(len(self._waiting)):
            if done := self.step():
                yield done

    def _is_due(self, chore: Chore) -> bool:
        looked_at = self._looked_at.get(chore.name)
        return looked_at is None or not 0 <= self._clock() - looked_at < chore.every * 1_000_000
