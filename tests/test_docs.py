"""The pages in docs/ name everything there is, nothing that is gone, and their examples hold."""

import dataclasses
import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tradelake import errors
from tradelake.change import change_order
from tradelake.cli import main as cli
from tradelake.cli.app import build_command
from tradelake.cli.logs import report_fields
from tradelake.delivery.transform import landing_line
from tradelake.etl import engine
from tradelake.etl.judge import judge
from tradelake.etl.ledger import Counts, LedgerRow
from tradelake.etl.rules import load_rules
from tradelake.etl.schema import DATABASE
from tradelake.etl.writer import Batch
from tradelake.home import Home
from tradelake.pipeline import Pipeline, Report
from tradelake.query import Engine
from tradelake.query.lake import LakeCatalog
from tradelake.service.events import Event, Folded
from tradelake.service.metrics import Metrics
from tradelake.settings import ENV_PREFIX, FILE_NAME, HOME_VARIABLE, NAMES, Settings
from tradelake.settings import load as load_settings
from tradelake.status import Stage
from tradelake.storage import LocalStorage
from tradelake.trade import Reason, Rejected
from tradelake.units import duration_text

Captured = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
COMMANDS, SETTINGS, TABLES, OPERATIONS = (
    (DOCS / f"{name}.md").read_text("utf-8")
    for name in ("commands", "settings", "tables", "operations")
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)


def variables() -> list[str]:
    return [HOME_VARIABLE, *(f"{ENV_PREFIX}{name.upper()}" for name in NAMES)]


def sections(page: str, level: int) -> dict[str, str]:
    """The text below each heading of a level, by the heading without its backticks."""
    parts = re.split(rf"^{'#' * level} (.+)$", page, flags=re.MULTILINE)
    below = (re.split(rf"^#{{1,{level}}} ", text, flags=re.MULTILINE)[0] for text in parts[2::2])
    return dict(zip((name.replace("`", "") for name in parts[1::2]), below, strict=True))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def table_rows(text: str, head: str) -> list[list[str]]:
    """The cells of the rows of the Markdown table whose head begins so."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(head):
            next(lines)
            break
    else:
        raise AssertionError(f"no table begins with {head!r}")
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        rows.append([cell.strip() for cell in cells])
    return rows


def code(cell: str) -> str:
    """What stands in a cell's backticks; nothing where there are none."""
    match = re.search(r"`([^`]+)`", cell)
    return match[1] if match else ""


# Commands


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from leaves(inner, (*path, name))
    else:
        yield " ".join(path), command


APP = build_command()
LEAVES = dict(leaves(APP))
COMMAND_SECTIONS = {
    name.removeprefix("tradelake "): text
    for name, text in sections(COMMANDS, 2).items()
    if name.startswith("tradelake ")
}


def options(command: Any) -> set[str]:
    found = {name for parameter in command.params for name in parameter.opts if name[:2] == "--"}
    return found - {"--help"} - (options(APP) if command is not APP else set())


def test_every_command_has_a_section_and_no_section_is_of_a_command_that_is_gone() -> None:
    assert set(COMMAND_SECTIONS) == set(LEAVES)


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_and_argument_of_a_command_is_documented(name: str) -> None:
    text, command = COMMAND_SECTIONS[name], LEAVES[name]
    named = set(re.findall(r"`(--[a-z-]+)", text))
    assert options(command) <= named
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            assert f"`{parameter.metavar or parameter.name}`" in text, parameter.name


@pytest.mark.parametrize("name", LEAVES)
def test_every_documented_option_exists(name: str) -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)", COMMAND_SECTIONS[name], re.MULTILINE)
    assert set(rows) <= options(LEAVES[name])


def test_options_that_stand_everywhere_are_documented() -> None:
    documented = set(re.findall(r"`(--[a-z-]+)", sections(COMMANDS, 2)["Everywhere"]))
    assert options(APP) == documented


def command_lines(page: str) -> Iterator[str]:
    """Calls of tradelake in a page's fenced blocks and in its code between backticks."""
    fenced = re.findall(r"^```[a-z]*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    candidates = [line for block in fenced for line in block.splitlines()]
    candidates += re.findall(r"(?<!`)`(tradelake [^`\n]+)`", page)
    for line in candidates:
        if match := re.match(r"(?:\$ )?(?:\S*/)?tradelake ([a-z].*)", line):
            yield match[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_call_shown_is_of_a_command_that_exists_with_options_that_exist(page: Path) -> None:
    for line in command_lines(page.read_text("utf-8")):
        words = shlex.split(line, comments=True)
        name = " ".join(words[:2]) if " ".join(words[:2]) in LEAVES else words[0]
        assert name in LEAVES or name in {leaf.split()[0] for leaf in LEAVES}, line
        if name in LEAVES:
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= options(LEAVES[name]) | options(APP) | {"--help"}, line


@pytest.mark.parametrize("command", ["status", "ledger", "verify"])
def test_json_has_the_shape_shown(command: str, tmp_path: Path, capsys: Captured) -> None:
    assert cli.run([command, "--json", "--home", str(tmp_path)]) == 0
    given = json.loads(capsys.readouterr().out)
    shown = json.loads(blocks(COMMAND_SECTIONS[command], "json")[0])
    assert keys(given) <= keys(shown)
    assert keys(shown) - keys(given) <= {
        f"batches.{name}" for name in columns_of("pipeline_ledger")
    }


def keys(value: Any, path: str = "") -> set[str]:
    """The paths of all members, lists' elements taken together."""
    if isinstance(value, list):
        return {found for item in value for found in keys(item, path)}
    if not isinstance(value, dict):
        return set()
    found = set()
    for name, inner in value.items():
        found |= {f"{path}{name}", *keys(inner, f"{path}{name}.")}
    return found


# Settings

SETTING_SECTIONS = sections(SETTINGS, 3)
FIELDS = Settings.model_fields


def test_every_setting_has_a_section_and_no_section_is_of_a_setting_that_is_gone() -> None:
    assert set(SETTING_SECTIONS) == {"home", *NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_names_its_variable_its_line_and_its_default(name: str) -> None:
    text = SETTING_SECTIONS[name]
    assert f"`{ENV_PREFIX}{name.upper()}=" in text
    assert f"`{name} = " in text or f"[{name}]" in text
    default = re.search(r"Default: (.+?)(?: · |\n)", text)
    assert default is not None
    value = FIELDS[name].get_default(call_default_factory=True)
    if name == "threads":
        assert default[1] == "the machine's processors"
    elif name == "taker_rates":
        assert dict(re.findall(r"`([^`]+)` ([0-9.]+)", default[1])) == value
    elif isinstance(value, float):
        assert code(default[1]) == duration_text(value)
    else:
        assert code(default[1]) == ("none" if value is None else str(value))


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_names_its_bounds(name: str) -> None:
    bounds = re.search(r"Bounds: (.+)", SETTING_SECTIONS[name])
    for rule in FIELDS[name].metadata:
        for kind in ("ge", "gt", "le", "lt"):
            if (limit := getattr(rule, kind, None)) is not None:
                assert bounds is not None
                words = re.findall(r"[0-9.]+", bounds[1])
                assert str(limit) in words, (kind, limit)


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_s_variable_and_line_are_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SETTING_SECTIONS[name]
    if line := re.search(rf"`({name} = [^`]+)`", text):
        (tmp_path / FILE_NAME).write_text(line[1], "utf-8")
        assert load_settings(tmp_path).origins[name].startswith("file ")
    variable = re.search(rf"`({ENV_PREFIX}{name.upper()})=([^`]+)`", text)
    assert variable is not None
    monkeypatch.setenv(variable[1], variable[2])
    assert load_settings(tmp_path).origins[name] == f"environment {variable[1]}"


def test_the_example_file_is_read(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(blocks(SETTINGS, "toml")[0], "utf-8")
    found = load_settings(tmp_path)
    assert found.buffer_seconds == 0.2
    assert found.taker_rates["Binance futures"] == "0.0004"


def test_the_thresholds_shown_are_the_packaged_ones() -> None:
    packaged = resources.files("tradelake.etl").joinpath("thresholds.toml").read_text("utf-8")
    assert tomllib.loads(blocks(SETTINGS, "toml")[1]) == tomllib.loads(packaged)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_named_exists(page: Path) -> None:
    named = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]+\b", page.read_text("utf-8")))
    assert named <= set(variables())


# Tables

TABLE_SECTIONS = {
    name.removeprefix(f"{DATABASE}."): text
    for name, text in sections(TABLES, 2).items()
    if name.startswith(f"{DATABASE}.")
}


@pytest.fixture
def catalog(tmp_path: Path) -> LakeCatalog:
    return LakeCatalog(LocalStorage(tmp_path))


def columns_of(table: str) -> list[str]:
    rows = table_rows(TABLE_SECTIONS[table], "| column | type |")
    return [code(row[0]) for row in rows]


def test_every_table_has_a_section_and_no_section_is_of_a_table_that_is_gone(
    catalog: LakeCatalog,
) -> None:
    assert set(TABLE_SECTIONS) == set(catalog.load())


@pytest.mark.parametrize("name", TABLE_SECTIONS)
def test_every_column_stands_in_its_order_with_its_type(name: str, catalog: LakeCatalog) -> None:
    rows = table_rows(TABLE_SECTIONS[name], "| column | type |")
    documented = [(code(row[0]), code(row[1])) for row in rows]
    assert documented == [(column.name, column.type) for column in catalog.load()[name].columns]


@pytest.mark.parametrize("sql", blocks(TABLES, "sql"))
def test_every_query_shown_runs_on_an_empty_lake(sql: str, catalog: LakeCatalog) -> None:
    with Engine(catalog, threads=1) as opened:
        assert opened.execute(sql).table().num_rows <= 1


RECORD = blocks(sections(TABLES, 2)["The change record"], "json")[0].strip()
LANDED = blocks(sections(TABLES, 2)["The landing zone"], "json")[0].strip()
Judged = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def judged(line: bytes, folder: Path) -> Judged:
    """What becomes of a landed line: rows of records, rows of rejected."""
    with engine.connect(1, "200MB", folder) as connection:
        lines = pa.table(
            {"rid": pa.array([0], pa.int64()), "line": pa.array([line.decode()], pa.large_string())}
        )
        connection.register("lines", lines)
        judge(connection, load_rules(), 0)
        records = engine.fetch(connection, "SELECT * FROM records").to_pylist()
        return records, engine.fetch(connection, "SELECT * FROM rejected").to_pylist()


def test_the_record_shown_lands_as_the_line_shown_in_the_order_shown(tmp_path: Path) -> None:
    assert landing_line(RECORD.encode()).decode().strip() == LANDED
    assert change_order(1763842800123456, "", "e1") in TABLES
    records, rejected = judged(LANDED.encode(), tmp_path)
    assert (len(records), rejected) == (1, [])


BOUNDARIES = table_rows(TABLES, "| exchange | price |")


@pytest.mark.parametrize("row", BOUNDARIES, ids=lambda row: "-".join(row[:3]))
def test_the_rows_at_the_boundaries_are_as_shown(row: list[str], tmp_path: Path) -> None:
    exchange, price, quantity, fee, *derived = row
    line = json.loads(LANDED)
    line |= {"exchange": exchange, "price": price, "quantity": quantity, "trade_fee": fee}
    ((record,), _) = judged(json.dumps(line).encode(), tmp_path)
    names = ("risk_flag", "normalized_price", "adjusted_trade_fee", "user_category")
    found = [record[name] for name in names]
    assert [format(value, "f") if isinstance(value, Decimal) else value for value in found] == (
        derived
    )


REASONS = {code(row[0]): row for row in table_rows(TABLES, "| reason | the record |")}


def test_every_quarantine_reason_is_documented_and_none_that_is_gone() -> None:
    assert list(REASONS) == [reason.value for reason in Reason]


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.UNREADABLE_FILE])
def test_the_example_of_a_reason_causes_it(reason: Reason, tmp_path: Path) -> None:
    piece, instead = map(code, REASONS[reason][2:4])
    assert RECORD.count(piece) == 1
    assert reason_of(RECORD.replace(piece, instead), tmp_path) == reason


def reason_of(record: str, folder: Path) -> str | None:
    try:
        line = landing_line(record.encode())
    except Rejected as rejected:
        return rejected.reason
    _, rejected_rows = judged(line, folder)
    return rejected_rows[0]["reason"] if rejected_rows else None


@pytest.mark.parametrize("page", [COMMANDS, TABLES], ids=["commands", "tables"])
def test_the_ledgers_shown_balance(page: str) -> None:
    rows = re.findall(r"^(?:\d+ +\d{17}|total)((?: +-?\d+){6})$", page, re.MULTILINE)
    assert rows
    for row in rows:
        assert Counts(*map(int, row.split())).balanced, row


# Errors, links


def tree(base: type[Exception]) -> Iterator[type[Exception]]:
    yield base
    for below in base.__subclasses__():
        yield from tree(below)


def test_every_error_is_documented_with_its_exit_code() -> None:
    rows = table_rows(sections(OPERATIONS, 2)["Errors"], "| error ")
    documented = {code(row[0]): row[1] for row in rows}
    ours = [error for error in tree(errors.TradelakeError) if inspect.getmodule(error) is errors]
    assert documented == {
        error.__name__: "2" if issubclass(error, errors.UsageError) else "1" for error in ours
    }


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_relative_link_is_dead(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[a-z]+\.md)\)", PAGES[0].read_text("utf-8")))
    assert linked == {f"docs/{page.name}" for page in PAGES[1:]}


# --- the service

SERVICE = (DOCS / "service.md").read_text("utf-8")


def test_every_metric_is_documented_with_its_type_and_none_that_is_gone() -> None:
    metrics = Metrics(lambda: Stage(0), lambda: 3).registry.collect()
    there = {
        f"`{metric.name}{'_total' if metric.type == 'counter' else ''}`": metric.type
        for metric in metrics
        if metric.name.startswith("tradelake_")
    }
    assert {row[0]: row[1] for row in table_rows(SERVICE, "| metric |")} == there


def test_every_event_is_documented_with_its_level_and_fields_and_none_that_is_gone() -> None:
    documented = {row[0]: row for row in table_rows(SERVICE, "| event |")}
    assert set(documented) == {f"`{event.name}`" for event in Event.__args__}
    for event in Event.__args__:
        _, level, fields = documented[f"`{event.name}`"]
        assert level == event.level
        for field in () if event is Folded else dataclasses.fields(event):
            assert f"`{field.name}`" in fields


def test_the_line_of_the_log_that_is_shown_has_the_fields_there_are() -> None:
    (shown,) = map(json.loads, blocks(SERVICE, "json"))
    counts = Counts(**{name: shown[name] for name in Counts().as_dict()})
    row = LedgerRow(shown["batch"], shown["instant"], 0, counts, 0, 0, ())
    assert list(shown) == ["time", "level", "event", *report_fields(Report(Batch(row, {}), 0, 0.1))]
    assert counts.balanced


def test_every_chore_is_documented_and_none_that_is_gone(tmp_path: Path) -> None:
    with Pipeline(Home(tmp_path), Settings(threads=1)) as pipeline:
        chores = {f"`{chore.name}`": duration_text(chore.every) for chore in pipeline.chores}
    rows = table_rows(SERVICE, "| chore |")
    assert {row[0]: row[2].replace(" ", "") for row in rows} == chores
