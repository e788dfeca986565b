"""What has arrived in the landing zone and is not folded yet."""

from collections.abc import Iterable

from tradelake.clock import Clock
from tradelake.delivery.names import parse_name
from tradelake.delivery.state import Delivered
from tradelake.etl.checkpoint import Checkpoint
from tradelake.etl.lake import Lake
from tradelake.etl.landing import LandingObject, NotTaken, landing_object
from tradelake.etl.listing import list_objects
from tradelake.etl.state import LakeState


class Arrivals:
    """Landing objects that wait: handed over by our own delivery, or found by listing.

    pending: those that can be taken, in order. listed_at: when the zone was last listed, µs.
    """

    def __init__(self, lake: Lake, clock: Clock) -> None:
        self._lake = lake
        self._clock = clock
        self.pending: list[LandingObject] = []
        self.listed_at = 0
        self._known: set[str] = set()
        self._unreadable: dict[str, NotTaken] = {}
        self._passed_by: list[NotTaken] = []
        self._tried_again: dict[str, NotTaken] = {}

    @property
    def unreadable(self) -> list[NotTaken]:
        """Objects that wait, and folders of them: those that can't be read now, and those with a
        name of ours that can't be ours.
        """
        return [*(self._unreadable | self._tried_again).values(), *self._passed_by]

    @property
    def set_aside(self) -> list[LandingObject]:
        """Where those are that are not tried again before the next listing."""
        return [each.place for each in self._unreadable.values()]

    def hand_over(self, delivered: Delivered, checkpoint: Checkpoint) -> None:
        """Takes note of what our own delivery made."""
        for key in delivered.keys:
            if landed := landing_object(key):
                self._add(landed, checkpoint)

    def list(self, state: LakeState, *, rescan: bool = False) -> None:
        """Looks for objects nobody handed over; with rescan in every folder there ever was."""
        self.listed_at = self._clock()
        checkpoint = state.checkpoint
        taken: set[str] = set()
        if rescan:
            ledger = self._lake.ledger(state)
            taken = set(ledger.column("objects").combine_chunks().flatten().to_pylist())
        for key, not_taken in self._unreadable.items():
            if landed := landing_object(key):
                self._tried_again[key] = not_taken
                self.pending.append(landed)
        not_listed: list[NotTaken] = []
        since = "" if rescan else checkpoint.watermark
        for landed in list_objects(self._lake.storage, since, not_listed, checkpoint.has):
            if rescan and landed.hour < checkpoint.watermark and not parse_name(landed.key):
                if landed.key not in taken and landed.key not in self._known:
                    self._known.add(landed.key)
                    self.pending.append(landed)
            else:
                self._add(landed, checkpoint)
        self._passed_by = [each for each in not_listed if landing_object(each.key)]
        self._unreadable = {each.key: each for each in not_listed if not landing_object(each.key)}
        self.pending.sort()

    def settle(self, taken: Iterable[str], not_taken: Iterable[NotTaken]) -> None:
        """What became of the pending ones that a batch looked at."""
        done = set(taken)
        self._known -= done
        for each in not_taken:
            done.add(each.key)
            if each.gone:
                self._known.discard(each.key)
            else:
                self._unreadable[each.key] = each
        for key in done:
            self._tried_again.pop(key, None)
        self.pending = [landed for landed in self.pending if landed.key not in done]

    def _add(self, landed: LandingObject, checkpoint: Checkpoint) -> None:
        if landed.key not in self._known and not checkpoint.has(landed):
            self._known.add(landed.key)
            self.pending.append(landed)
