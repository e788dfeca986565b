"""A stream, and a clock that tests set."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tradelake.stream.changelog import ChangeLog


class SetClock:
    """Says what `now` was set to, in µs."""

    now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def stream(path: Path, clock: SetClock) -> Iterator[ChangeLog]:
    log = ChangeLog(path, clock=clock)
    yield log
    log.close()


@pytest.fixture
def held(stream: ChangeLog) -> Callable[[], list[bytes]]:
    """All that the stream holds."""
    return lambda: [record.data for record in stream.read(0, 10**9, 2**40)]
