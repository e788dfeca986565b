"""No piece of a result is larger than a row may be, and nothing is lost in cutting."""

import pyarrow as pa
import pytest

from tradelake.errors import QueryError
from tradelake.query import Engine
from tradelake.query.pieces import MAX_ROW, pieces

NUMBERS = MAX_ROW // 16 // 4


def batch_of(column: pa.Array) -> pa.RecordBatch:
    return pa.record_batch([column], ["x"])


def test_a_small_batch_stays_whole() -> None:
    batch = batch_of(pa.array([[1, 2], None, []]))
    assert list(pieces(batch)) == [batch]


@pytest.mark.parametrize(
    "row",
    [
        pa.array([list(range(NUMBERS))]),
        pa.array([[True] * NUMBERS]),
        pa.array([[{"a": 1, "b": [2]}] * (NUMBERS // 2)]),
        pa.array([[(1, 2)] * (NUMBERS // 2)], pa.map_(pa.int8(), pa.int8())),
        pa.array(["x" * (MAX_ROW // 4 - 64)]),
        pa.array([{"a": {"b": "x" * (MAX_ROW // 4 - 64)}}]),
    ],
    ids=["numbers", "flags", "rows", "maps", "text", "nested"],
)
def test_a_large_batch_is_cut_between_its_rows_and_a_row_too_large_is_refused(
    row: pa.Array,
) -> None:
    batch = batch_of(pa.concat_arrays([row] * 9)).slice(1, 8)
    found = list(pieces(batch))
    assert [piece.num_rows for piece in found] == [4, 4]
    assert pa.Table.from_batches(found).equals(pa.Table.from_batches([batch]))
    whole = pa.array([row.to_pylist() * 5], pa.list_(row.type))
    with pytest.raises(QueryError, match="larger than 32 MB"):
        list(pieces(batch_of(whole)))


def test_a_row_of_millions_of_entries_is_refused_before_it_is_shown(engine: Engine) -> None:
    joined = "unnest(sequence(1, 10000)) as a(x) cross join unnest(sequence(1, 300)) as b(x)"
    with pytest.raises(QueryError, match="a row of the result is larger than 32 MB"):
        engine.execute(f"select array_agg(a.x) from {joined}").table()
