"""Spark for the tests that have it judge; one version is alive at a time."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from spark_judge import VERSIONS, SparkJudge, jar

from tradelake.hudi import keycopy


@pytest.fixture(autouse=True)
def _keys_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables, too, have the copy of their keys, which Spark must not mind."""
    monkeypatch.setattr(keycopy, "WORTH_SAVING", 1)


@pytest.fixture(scope="session", params=VERSIONS)
def spark(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkJudge]:
    version = request.param
    if find_spec("pyspark") is None:
        pytest.skip("Spark is not installed: make install EXTRAS=spark")
    if not jar(version).is_file():
        pytest.skip(f"{jar(version)} is missing: install Maven, then make install EXTRAS=spark")
    judge = SparkJudge(version, tmp_path_factory.mktemp(f"spark-{version}"))
    yield judge
    judge.close()
