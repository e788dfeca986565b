"""Change records, a stream to deliver, and what has landed of it."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tradelake.delivery.firehose import Delivery
from tradelake.storage import LocalStorage
from tradelake.stream.changelog import ChangeLog

SECOND = 1_000_000


class SetClock:
    """Says what `now` was set to, in µs."""

    now = 1_795_376_400_000_000  # 2026-11-22T19:40:00Z

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def storage(home: Path) -> LocalStorage:
    return LocalStorage(home, sync=False)


@pytest.fixture
def stream(home: Path) -> Iterator[ChangeLog]:
    log = ChangeLog(home / "store.db")
    yield log
    log.close()


@pytest.fixture
def record() -> Callable[..., bytes]:
    """A change record that the transform can use, told apart by its eventID."""

    def make(event_id: str = "e1", **dynamodb: Any) -> bytes:
        images = {
            "ApproximateCreationDateTime": 1_763_842_800_123,
            "Keys": {"transaction_id": {"S": "t1"}},
            "NewImage": {"price": {"N": "1.50"}},
        }
        return json.dumps(
            {"eventID": event_id, "eventName": "INSERT", "dynamodb": images | dynamodb}
        ).encode()

    return make


@pytest.fixture
def new_delivery(
    stream: ChangeLog, storage: LocalStorage, clock: SetClock
) -> Callable[..., Delivery]:
    """A delivery as a new process would begin it."""
    return lambda **options: Delivery(stream, options.pop("to", storage), clock=clock, **options)


class Landed:
    """What is in the landing zone, in the order of names."""

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage

    @property
    def keys(self) -> list[str]:
        return self._storage.list("landing")

    @property
    def error_keys(self) -> list[str]:
        return self._storage.list("landing-errors")

    @property
    def event_ids(self) -> list[str]:
        return [json.loads(line)["event_id"] for line in self._lines(self.keys)]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines(self.error_keys)]

    @property
    def failed(self) -> list[bytes]:
        return [base64.b64decode(error["rawData"]) for error in self.errors]

    def _lines(self, keys: list[str]) -> list[bytes]:
        by_name = sorted(keys, key=lambda key: key.rpartition("/")[2])
        return [
            line
            for key in by_name
            for line in gzip.decompress(self._storage.get(key)).splitlines(keepends=True)
        ]


@pytest.fixture
def landed(storage: LocalStorage) -> Landed:
    return Landed(storage)
