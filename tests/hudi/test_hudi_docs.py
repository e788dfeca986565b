"""docs/hudi.md: its example runs as printed, and it names everything there is."""

import contextlib
import dataclasses
import inspect
import io
import re
from pathlib import Path

import pyarrow as pa
import pytest

from tradelake import hudi
from tradelake.errors import UnsupportedTable
from tradelake.hudi import features
from tradelake.hudi.schema import check_type
from tradelake.hudi.spec import is_key

PAGE = (Path(__file__).parents[2] / "docs" / "hudi.md").read_text("utf-8")
RETURNED = ("CommitResult", "ClusterResult", "TimelineEntry", "Savepoint", "BaseFile")


def section(heading: str) -> str:
    """A section's text, up to the next heading."""
    _, found, rest = PAGE.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The rows of a section's table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_example_has_ten_lines_and_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, shown = re.findall(r"^```(?:python)?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[:2]
    assert len(code.splitlines()) == 10
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert printed.getvalue() == shown
    assert (tmp_path / "lake" / "readings").is_dir()


def public(cls: type) -> set[str]:
    """What somebody who has an object of the class can call or ask."""
    found = {name for name in vars(cls) if not name.startswith("_")}
    if dataclasses.is_dataclass(cls):
        found |= {field.name for field in dataclasses.fields(cls)}
    elif cls is hudi.HudiTable:
        found.add("spec")
    elif cls is hudi.Transaction:
        found |= {"instant", "ended"}
    return found


@pytest.mark.parametrize("name", ["HudiTable", "Snapshot", "Writer", "Transaction"])
def test_every_call_of_a_class_is_documented_with_its_arguments_and_none_that_is_gone(
    name: str,
) -> None:
    cls = getattr(hudi, name)
    documented = [code for row in rows(section(f"### `{name}`")) for code in codes(row[0])]
    assert {code.partition("(")[0] for code in documented} == public(cls)
    for code in documented:
        called, paren, given = code.rstrip(")").partition("(")
        member = inspect.getattr_static(cls, called, None)
        if not paren:
            assert not inspect.isfunction(member), code
            continue
        names = list(inspect.signature(getattr(cls, called)).parameters)
        assert set(filter(None, given.split(", "))) <= set(names), code


def test_every_field_of_a_spec_is_documented() -> None:
    documented = [
        code for row in rows(section("## The table's description")) for code in codes(row[0])
    ]
    assert {code.partition("(")[0] for code in documented} == public(hudi.TableSpec)


def test_every_name_that_is_exported_is_documented() -> None:
    returned = {
        code: row[1] for row in rows(section("### What they return")) for code in codes(row[0])
    }
    for name in RETURNED:
        assert set(codes(returned[name])) >= public(getattr(hudi, name)), name
    named = {code.partition("(")[0] for code in returned}
    sections = {name for name in hudi.__all__ if f"\n### `{name}`\n" in PAGE} | {"TableSpec"}
    assert named | sections == set(hudi.__all__)


TYPES = rows(section("### Types"))


@pytest.mark.parametrize("row", TYPES, ids=lambda row: codes(row[0])[0])
def test_a_type_is_handled_as_the_table_says(row: list[str]) -> None:
    kind = eval(codes(row[0])[0], {"pa": pa})
    check_type(pa.field("x", kind))
    assert is_key(kind) == row[2].startswith("yes")
    spec = hudi.TableSpec("d", "t", pa.schema([("id", pa.string()), ("x", kind)]), ("id",), (), "x")
    if row[3].startswith("yes"):
        spec.check()
    else:
        with pytest.raises(UnsupportedTable):
            spec.check()


def test_every_property_that_refuses_a_table_is_documented() -> None:
    documented = {code for row in rows(section("## What is refused")) for code in codes(row[0])}
    assert documented == {features.VERSION, *(handled.name for handled in features.HANDLED)}
