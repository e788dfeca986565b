"""The lowest and highest values that files tell never make a reader skip a row."""

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from paged_files import SCHEMA, decision, form, numbered, paged, stored_rows

from tradelake.hudi.basefile import decoded
from tradelake.hudi.parquet import thrift
from tradelake.hudi.splicing import splice


@pytest.mark.usefixtures("any_filter")
@pytest.mark.parametrize("name", ["double", "single"])
def test_no_filter_loses_a_value_that_is_not_a_number(tmp_path: Any, name: str) -> None:
    base, random = form(), np.random.default_rng(8)
    old = stored_rows(numbered(0, 12), random)
    at, kind = old.column_names.index(name), SCHEMA.field(name).type
    old = old.set_column(at, name, pa.array([1.0, float("nan"), *range(10)], kind))
    fresh = old.slice(6, 1).set_column(at, name, pa.array([float("nan")], kind))
    anew = base.encode(old, "p", "old.parquet")
    spliced = splice(paged(base, anew), decision(12, updated=[6]), fresh, "p", "new.parquet")
    assert spliced is not None
    for data, wanted in ((anew, 1), (spliced.data, 2)):
        (tmp_path / "file.parquet").write_bytes(data)
        stored = duckdb.read_parquet(str(tmp_path / "file.parquet"))
        for condition in (f"{name} > 100", f"{name} = 'nan'", f"isnan({name})"):
            assert len(stored.filter(condition)) == wanted, condition


@pytest.mark.usefixtures("any_filter")
@pytest.mark.parametrize("changed", ["double", "number"])
def test_bounds_of_floats_in_an_older_file_are_not_copied(changed: str) -> None:
    base, random = form(), np.random.default_rng(9)
    old = stored_rows(numbered(0, 12), random)
    data = damaged_statistics(base.encode(old, "p", "old.parquet"), "double", bytes(8))
    assert statistics(data, "double") is not None
    at = old.column_names.index(changed)
    fresh = old.slice(5, 1).set_column(
        at, changed, pa.array([-(2**50)], SCHEMA.field(changed).type)
    )
    done = splice(paged(base, data), decision(12, updated=[5]), fresh, "p", "new.parquet")
    assert done is not None
    assert statistics(done.data, "double") is None


def statistics(data: bytes, name: str) -> thrift.Struct | None:
    """What the footer tells of a column, by field; pyarrow aborts at bounds of a wrong length."""
    meta = columns(footer(data))[name]
    return meta[12][1] if 12 in meta else None


def damaged_statistics(data: bytes, name: str, bound: bytes, nulls: Any = (thrift.I64, 0)) -> bytes:
    """The file with these bytes as a column's lowest and highest value."""
    found, value = footer(data), (thrift.BINARY, bound)
    columns(found)[name][12] = (thrift.STRUCT, {3: nulls, 5: value, 6: value})
    written = thrift.write(found)
    rest = data[: -8 - int.from_bytes(data[-8:-4], "little")]
    return rest + written + len(written).to_bytes(4, "little") + b"PAR1"


def footer(data: bytes) -> thrift.Struct:
    return thrift.read(data[-8 - int.from_bytes(data[-8:-4], "little") : -8])[0]


def columns(footer: thrift.Struct) -> dict[str, thrift.Struct]:
    """ColumnMetaData by name."""
    (group,) = footer[4][1][1]
    metas = [column[3][1] for column in group[1][1][1]]
    return {meta[3][1][1][0].decode(): meta for meta in metas}


@pytest.mark.usefixtures("any_filter")
@pytest.mark.parametrize("name", ["number", "small", "great", "double", "single"])
@pytest.mark.parametrize("nulls", [(thrift.I64, 0), (thrift.BINARY, b"no number")])
def test_bounds_that_are_no_values_of_their_column_are_told_no_more(name: str, nulls: Any) -> None:
    base, random = form(), np.random.default_rng(10)
    old = stored_rows(numbered(0, 12), random)
    at, kind = old.column_names.index(name), SCHEMA.field(name).type
    old = old.set_column(at, name, pa.array(range(12), pa.int32()).cast(kind))
    fresh = old.slice(5, 1).set_column(at, name, pa.array([50], pa.int32()).cast(kind))
    data = damaged_statistics(base.encode(old, "p", "old.parquet"), name, b"abc", nulls)
    done = splice(paged(base, data), decision(12, updated=[5]), fresh, "p", "new.parquet")
    assert done is not None
    told = statistics(done.data, name)
    assert told is None or not {5, 6} & told.keys()
    assert decoded(done.data, base.stored, "new")[name].to_pylist()[5] == 50
