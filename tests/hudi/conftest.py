"""A table on disk for each test."""

from pathlib import Path

import pytest
from hudi_lake import PATH, SPEC, Clock

from tradelake.hudi import HudiTable, bloom
from tradelake.storage import LocalStorage


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path, sync=False)


@pytest.fixture
def table(storage: LocalStorage, clock: Clock) -> HudiTable:
    return HudiTable.create(storage, PATH, SPEC, clock)


@pytest.fixture
def any_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few rows fill their filters at once."""
    monkeypatch.setattr(bloom, "_FULLEST", 1.0)
