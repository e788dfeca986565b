"""What queries answer, as data: answers.toml."""

import tomllib
from pathlib import Path

import pytest

from tradelake.query import Engine

CASES = tomllib.loads(Path(__file__).with_name("answers.toml").read_text(encoding="utf-8"))["query"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["sql"].strip()[:70])
def test_a_query_answers_as_trino_would(engine: Engine, case: dict[str, list[object]]) -> None:
    table = engine.execute(str(case["sql"])).table()
    if "columns" in case:
        assert table.column_names == case["columns"]
    if "rows" in case:
        columns = [column.to_pylist() for column in table.columns]
        assert [[str(value) for value in row] for row in zip(*columns, strict=True)] == case["rows"]
