"""Nothing but the lake's tables, whatever the text says: attacks.toml and what no list holds."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tradelake.errors import QueryError
from tradelake.query import Catalog, Engine, TableSource
from tradelake.query.sandbox import open_sandbox
from tradelake.query.statement import MAX_BYTES

ATTACKS = tomllib.loads(Path(__file__).with_name("attacks.toml").read_text(encoding="utf-8"))
LISTED = [sql for group in ATTACKS.values() for sql in group]


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("sql", LISTED, ids=lambda sql: ascii(sql)[1:70])
def test_an_attack_is_refused_and_leaves_nothing_behind(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    engine = Engine(catalog, threads=2, memory_limit="300MB", time_limit=2)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"secret": ["x"]}), other)
    monkeypatch.chdir(tmp_path)
    before = files_below(tmp_path)
    with pytest.raises(QueryError) as caught:
        engine.execute(
            sql.replace("{out}", str(tmp_path / "out")).replace("{other}", str(other))
        ).table()
    assert files_below(tmp_path) == before
    said = str(caught.value)
    assert said
    assert "\n" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "sql",
    [
        "select " + "(" * 10_000 + "1" + ")" * 10_000,
        "select " + "(" * 10_000,
        "select " + "array[" * 5_000 + "1" + "]" * 5_000,
        "select " + "case when true then " * 2_000 + "1" + " end" * 2_000,
        "select " + "not " * 20_000 + "true",
        "select " + "- " * 20_000 + "1",
        "select " + "+".join(["1"] * 20_000),
        "select * from (" + "select * from (" * 30 + "select 1" + ")" * 31 + ")",
        "select 1" + "0" * 10_000,
        "select '" + "x" * MAX_BYTES + "'",
        "select \ud800",
        "select " + "greatest(1, " * 30 + "1" + ")" * 30,
        "select " + "cast(" * 30 + "1" + " as varchar)" * 30,
        "select " + "array[" * 20 + "1" + "]" * 20 + "[1]" * 20,
        "select " + "1.5 / (" * 25 + "1.5" + ")" * 25,
    ],
    ids=range(15),
)
def test_what_is_deep_or_huge_is_refused_not_crashed_on(engine: Engine, sql: str) -> None:
    with pytest.raises(QueryError):
        engine.execute(sql).table()


def test_a_query_that_runs_away_is_stopped(catalog: Catalog) -> None:
    engine = Engine(catalog, threads=2, memory_limit="300MB", time_limit=0.5)
    digits = "unnest(sequence(1, 10000)) as {}(x)"
    joined = " cross join ".join(digits.format(name) for name in "abcd")
    with pytest.raises(QueryError, match=r"longer than 0\.5 s"):
        engine.execute(f"select count(*) from {joined} where a.x + b.x + c.x + d.x = 0").table()


def test_a_query_that_needs_too_much_memory_is_told_so(catalog: Catalog) -> None:
    engine = Engine(catalog, threads=2, memory_limit="40MB", time_limit=60)
    with pytest.raises(QueryError, match="memory_limit"):
        engine.execute(
            "select count(distinct a.x * 10000 + b.x) from unnest(sequence(1, 10000)) as a(x) "
            "cross join unnest(sequence(1, 1000)) as b(x)"
        ).table()


def test_lists_of_lists_that_the_engine_does_not_count_are_stopped_too(catalog: Catalog) -> None:
    engine = Engine(catalog, threads=1, memory_limit="50MB", time_limit=60)
    inner = "transform(sequence(1, 10000), y -> sequence(1, 10000))"
    with pytest.raises(QueryError, match="memory_limit"):
        engine.execute(f"select cardinality(transform(sequence(1, 10000), x -> {inner}))").table()


def test_what_doubles_at_each_step_is_refused_before_it_is_large() -> None:
    # A process of its own: the peak of this one is that of all tests before.
    program = (
        "import sys\n"
        "from tradelake.errors import QueryError\n"
        "from tradelake.query import Engine\n"
        "class Nothing:\n"
        "    def load(self, **_):\n"
        "        return {}\n"
        "for sql in sys.argv[1:]:\n"
        "    try:\n"
        "        Engine(Nothing(), threads=2, memory_limit='1GB').execute(sql).table()\n"
        "    except QueryError:\n"
        "        pass\n"
        "status = open('/proc/self/status').read()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, *ATTACKS["growth"]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(found.stdout) < 400


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to '{out}'",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from '{other}'",
        "attach '{out}' as x",
        "set lock_configuration = false",
        "set memory_limit = '10GB'",
        "install httpfs",
        "load httpfs",
        "select * from glob('/etc/*')",
        "export database '{out}'",
    ],
)
def test_the_engine_itself_is_locked_should_the_guard_ever_miss(
    catalog: Catalog, tmp_path: Path, sql: str
) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"secret": ["x"]}), other)
    before = files_below(tmp_path)
    sources: list[TableSource] = list(catalog.load().values())
    connection = open_sandbox(sources, since=None, threads=1, memory_limit="100MB")
    sql = sql.replace("{out}", str(tmp_path / "out")).replace("{other}", str(other))
    with pytest.raises(
        Exception, match=r"(?i)permission|disabled|locked|cannot|unsupported|no files"
    ):
        connection.execute(sql).fetchall()
    connection.close()
    assert files_below(tmp_path) == before
