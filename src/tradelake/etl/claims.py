"""Claims: positions that a landing object's name says it holds, and delivery's word on them.

Anybody who may write into the landing zone can make an object with a name of ours. What counts as
taken counts by position, so a name must not reach beyond what was delivered.
"""

from tradelake.delivery import state as delivery_state
from tradelake.delivery.names import POSITION_DIGITS, parse_name
from tradelake.errors import StorageError
from tradelake.storage import Storage

_LAST = slice(-POSITION_DIGITS - len(".gz"), -len(".gz"))
_DELIVERY = slice(-2 * POSITION_DIGITS - 13, -2 * POSITION_DIGITS - 5)
"""Where our names have them; looking there costs a tenth of what parsing does."""


class Claims:
    """How far each delivery of a storage has come, as its state says by now.

    Make it after the listing: a delivery saves what it intends before it makes an object.
    Of a delivery whose state is not there, as after a restore, nothing can be said.
    """

    def __init__(self, storage: Storage) -> None:
        self._ends: dict[str, tuple[str, int]] = {}
        try:
            files = storage.children("delivery")
        except StorageError:
            return
        for stream in (file.removesuffix(".json") for file in files if file.endswith(".json")):
            try:
                current = delivery_state.load(storage, stream)
            except StorageError:
                continue
            if current is not None and current.intent is not None:
                self._ends[current.delivery_id] = stream, current.intent.last

    def beyond(self, key: str) -> bool:
        """Whether the object's name claims positions that were never delivered."""
        end = self._ends.get(key[_DELIVERY])
        if end is None or key[_LAST] <= f"{end[1]:0{POSITION_DIGITS}d}":
            return False
        name = parse_name(key)
        return name is not None and name.stream == end[0] and name.last > end[1]
