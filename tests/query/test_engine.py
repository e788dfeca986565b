"""Time travel, changed rows, streaming, and what is said when a query is wrong."""

import gzip
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tradelake.errors import QueryError
from tradelake.query import Catalog, Column, Engine, Kind, LazyTables, TableSource


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select * from proccessed_crypto_txn", "did you mean processed_crypto_txn"),
        ("select * from nowhere", "there are: crypto_table_crypto_data_project_nrt, hourly"),
        ("select prise from processed_crypto_txn", "no column 'prise' here; did you mean price?"),
        ("select t.prise from processed_crypto_txn t", "'prise' here; did you mean price?"),
        ("select sum(price from\nprocessed_crypto_txn", "syntax error at line 1, column"),
        ("select 1,\n  from where", "syntax error at line 2, column"),
        ("explain select 1 +", "syntax error at line 1"),
        ("selec 1", "did you mean SELECT"),
        ("drop table x", "only queries are possible"),
        ("select soundex('x')", "the function soundex is not supported"),
        ("select my_func(1)", "the function my_func is not supported"),
        ("select 1; select 2", "one statement at a time"),
        ("select cast('x' as integer)", "a text can not be cast to integer"),
        ("select 1 / 0", "ivision by zero"),
        ("select cast(1 as decimal)", "decimal(18,8)"),
        ("select * from other.t", "no database 'other'; the lake's is crypto"),
        ("select sequence(1, 10001)", "at most 10000 entries"),
        ("show columns from nowhere", "there is no table 'nowhere'"),
        ("select * from processed_crypto_txn for version as of 1", "use --as-of"),
        ("select * from pipeline_ledger for timestamp as of 5", "takes a date or a timestamp"),
        ("select * from pipeline_ledger for timestamp as of x", "no column 'x' here"),
        ("select sum(x) from (values 9223372036854775807, 1) as t(x)", "out of range"),
        ("select approx_percentile(batch, -0.5) from pipeline_ledger", "fractions from 0 to 1"),
        ("select date_diff('day', 'a', 1)", "date_diff takes dates and timestamps"),
        ("select cast(12345 as varchar(2))", "does not fit the size of varchar"),
        ("select * from pipeline_ledger natural join pipeline_ledger x", "NATURAL JOIN"),
        ("select * from pipeline_ledger a join pipeline_ledger b using (batch)", "* with USING"),
        ("select batch from pipeline_ledger a left semi join pipeline_ledger b on true", "SEMI"),
        ("select batch from pipeline_ledger a asof join pipeline_ledger b on true", "ASOF JOIN"),
        ("select 1 fetch first 1 row with ties", "WITH TIES"),
        ("select 5 between symmetric 9 and 1", "BETWEEN SYMMETRIC"),
        ("select distinct on (batch) received from pipeline_ledger", "DISTINCT ON"),
        ("select count(distinct batch, received) from pipeline_ledger", "takes one argument"),
        ("select batch from pipeline_ledger tablesample bernoulli (10)", "TABLESAMPLE"),
        ("select batch from pipeline_ledger group by all", "GROUP BY ALL"),
        ("select batch from pipeline_ledger group by distinct rollup (batch)", "GROUP BY"),
        ("select max(batch) within group (order by batch) from pipeline_ledger", "WITHIN GROUP"),
        ("select sum(batch) ignore nulls over () from pipeline_ledger", "IGNORE NULLS goes"),
        ("select now() at time zone 'Asia/Tokyo' union all select now()", "several zones"),
    ],
)
def test_an_error_is_one_sentence_that_helps(engine: Engine, sql: str, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        engine.execute(sql).table()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_as_of_and_since_reach_the_catalog(catalog: Catalog) -> None:
    with Engine(catalog, as_of="20251122200000000", since="20251122190000000") as engine:
        engine.execute("select 1").table()
    assert catalog.asked == [("20251122200000000", "20251122190000000")]  # type: ignore[attr-defined]


def test_a_query_names_its_own_moment(catalog: Catalog) -> None:
    sql = (
        "with t as (select * from processed_crypto_txn for timestamp as of "
        "timestamp '2025-11-22 20:00:00.5 UTC') select count(*) from t"
    )
    with Engine(catalog) as engine:
        engine.execute(sql).table()
        engine.execute(sql.replace("20:00:00.5 UTC", "15:00:00.25 America/New_York")).table()
    assert catalog.asked == [  # type: ignore[attr-defined]
        ("20251122200000500", None),
        ("20251122200000250", None),
    ]
    with pytest.raises(QueryError, match="neither with --as-of"):
        Engine(catalog, as_of="20251122200000000").execute(sql)


def test_since_shows_only_rows_committed_after_it(catalog: Catalog) -> None:
    engine = Engine(catalog, since="20251122200000000")
    found = engine.execute("select transaction_id from processed_crypto_txn").table()
    assert found.to_pydict() == {"transaction_id": ["c"]}
    ledger = engine.execute("select count(*) as n from pipeline_ledger").table()
    assert ledger.to_pydict() == {"n": [2]}


def test_sums_of_integers_are_bigints_and_decimals_keep_their_scale(engine: Engine) -> None:
    schema = engine.execute(
        "select sum(received) a, sum(received) / 2 b from pipeline_ledger"
    ).schema
    assert [field.type for field in schema] == [pa.int64(), pa.int64()]
    schema = engine.execute(
        "select sum(price) a, price * quantity b, price / 3 c from processed_crypto_txn "
        "group by price, quantity"
    ).schema
    assert [str(field.type) for field in schema] == [
        "decimal128(38, 8)",
        "decimal128(36, 16)",
        "decimal128(18, 8)",
    ]


def test_rows_come_in_batches_and_a_query_can_be_left_halfway(engine: Engine) -> None:
    sql = (
        "select a.x from unnest(sequence(1, 10000)) as a(x) "
        "cross join unnest(sequence(1, 1000)) as b(x)"
    )
    with engine.execute(sql) as result:
        first = next(result.batches())
    assert 0 < first.num_rows <= 10_000
    engine.close()


def test_only_the_tables_a_query_names_are_looked_up(catalog: Catalog) -> None:
    def fail() -> TableSource:
        raise AssertionError("not asked for")

    ledger = replace(catalog.load()["pipeline_ledger"], name="a")
    lazy = LazyTables({"a": lambda: ledger, "b": fail})

    class Lazy:
        def load(self, **_: object) -> LazyTables:
            return lazy

    found = Engine(Lazy()).execute("select count(*) from a").table()  # type: ignore[arg-type]
    assert found.to_pydict() == {"_col0": [2]}


def test_a_damaged_landing_object_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"transaction_id": "a"}\n' * 1000)
    (tmp_path / "x.gz").write_bytes(whole[:-12])
    source = TableSource(
        "raw", (Column("transaction_id", "varchar"),), (str(tmp_path / "x.gz"),), Kind.LANDING
    )

    class One:
        def load(self, **_: object) -> dict[str, TableSource]:
            return {"raw": source}

    with pytest.raises(QueryError, match=r"x\.gz"):
        Engine(One()).execute("select * from raw").table()  # type: ignore[arg-type]


def test_millions_of_rows_stream_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    numbers = pa.table({"a": pa.array(range(500_000))})
    with pq.ParquetWriter(path, numbers.schema) as writer:
        for _ in range(6):
            writer.write_table(numbers, row_group_size=100_000)
    # A process of its own: the peak of this one is that of all tests before.
    program = (
        "import sys\n"
        "from tradelake.query import Column, Engine, TableSource\n"
        "class One:\n"
        "    def load(self, **_):\n"
        "        return {'x': TableSource('x', (Column('a', 'bigint'),), (sys.argv[1],))}\n"
        "sql = 'select a, cast(a as varchar), round(a / 3e0, 2) from x'\n"
        "print(sum(batch.num_rows for batch in Engine(One()).execute(sql).batches()))\n"
        # Not ru_maxrss: that begins with what the process that forked it had.
        "status = open('/proc/self/status').read()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    rows, megabytes = map(int, found.stdout.split())
    assert rows == 3_000_000
    assert megabytes < 500


def test_a_memory_limit_of_nothing_is_refused(catalog: Catalog) -> None:
    with pytest.raises(QueryError, match="memory_limit is 0GB"):
        Engine(catalog, memory_limit="0GB").execute("select 1")
