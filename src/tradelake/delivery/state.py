"""How far a delivery has come, kept in the storage it delivers to."""

import json
from dataclasses import asdict, dataclass

from tradelake.errors import ObjectMissing, StorageError
from tradelake.storage import Storage


@dataclass(frozen=True, slots=True)
class Delivered:
    """The positions `first` to `last` of a stream as objects in the landing zone.

    landing_key is None where no record was usable, error_key where all were. records counts all
    of them, failed those in the error object. arrived_us is when they were flushed.
    """

    first: int
    last: int
    landing_key: str | None
    error_key: str | None
    records: int
    failed: int
    arrived_us: int

    @property
    def keys(self) -> list[str]:
        """The objects there are."""
        return [key for key in (self.landing_key, self.error_key) if key is not None]


@dataclass(frozen=True, slots=True)
class State:
    """What a delivery must know to go on.

    intent: what is being written, or was last; it is saved before its objects are made, so the
    one before it is done. done: its objects are there, and may since have been moved elsewhere.
    fingerprint: of the record at the intent's last position, to tell a stream that was set back
    to an older copy and has grown past that position again.
    """

    delivery_id: str
    stream_identity: str
    intent: Delivered | None = None
    done: bool = True
    fingerprint: str = ""


def load(storage: Storage, stream_name: str) -> State | None:
    """The state last saved, or None.

    Raises:
        StorageError: there is one, and it can't be read.
    """
    key = _key(stream_name)
    try:
        data = storage.get(key)
    except ObjectMissing:
        return None
    try:
        fields = json.loads(data)
        intent = fields.pop("intent")
        return State(**fields, intent=None if intent is None else Delivered(**intent))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(
            f"{url(storage, stream_name)} is damaged ({error}); without it delivery begins "
            "anew, and what is repeated is recognised by its eventID"
        ) from error


def save(storage: Storage, stream_name: str, state: State) -> None:
    """Replaces the state, whole and durably."""
    storage.put(_key(stream_name), json.dumps(asdict(state), indent=1).encode() + b"\n")


def url(storage: Storage, stream_name: str) -> str:
    """Where the state is, for people."""
    return storage.url(_key(stream_name))


def _key(stream_name: str) -> str:
    return f"delivery/{stream_name}.json"
