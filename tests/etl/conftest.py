"""A lake to fold into."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from etl.harness import Home
from tradelake.etl.engine import connect


@pytest.fixture(scope="session")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """One connection for all tests: what a batch leaves behind in it must not matter."""
    with connect(2, "1GB", tmp_path_factory.mktemp("spill")) as opened:
        yield opened


@pytest.fixture
def home(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[Home]:
    """An empty home, its writer open."""
    opened = Home(tmp_path, connection)
    yield opened
    opened.close()
