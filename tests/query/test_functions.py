"""What each function answers, as data: functions.toml; and that none is without a test."""

import re
import tomllib
from pathlib import Path

import pytest

from tradelake.errors import QueryError
from tradelake.query import Engine
from tradelake.query.functions import FUNCTIONS

HERE = Path(__file__).parent
GROUPS = tomllib.loads((HERE / "functions.toml").read_text("utf-8"))
CASES = [case for group in GROUPS.values() for case in group.items()]
DATA = "".join((HERE / f"{name}.toml").read_text("utf-8") for name in ("functions", "answers"))


@pytest.mark.parametrize(("expression", "text"), CASES, ids=lambda text: str(text)[:70])
def test_an_expression_has_trino_s_value(engine: Engine, expression: str, text: str) -> None:
    if text.startswith("!"):
        with pytest.raises(QueryError, match=f"(?i){re.escape(text[1:])}"):
            engine.execute(f"select {expression}").table()
    else:
        table = engine.execute(f"select {expression}").table()
        assert [str(value) for value in table.column(0).to_pylist()] == [text]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_has_a_test(name: str) -> None:
    assert re.search(rf"(?<![a-z_]){name}\s*\(", DATA), name


def test_the_page_lists_every_function_with_its_arguments_and_no_other() -> None:
    page = (HERE.parents[1] / "docs" / "sql.md").read_text("utf-8")
    section = page.split("\n## Functions\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \| ([\d+-]+) \|", section, re.MULTILINE)
    assert [name for name, _ in listed] == list(FUNCTIONS)
    for name, count in listed:
        least, _, most = count.rstrip("+").partition("-")
        assert FUNCTIONS[name].least == int(least)
        assert (FUNCTIONS[name].most > 100) == count.endswith("+")
        assert count.endswith("+") or FUNCTIONS[name].most == int(most or least)
