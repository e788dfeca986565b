"""The footers of Parquet files are read and written again as they were."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tradelake.hudi.parquet import thrift


def footer() -> bytes:
    """The Thrift bytes of a footer with all that pyarrow writes."""
    table = pa.table(
        {"text": ["a", None] * 400, "number": pa.array(range(800), pa.int64()), "yes": [True] * 800}
    )
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, write_page_index=True) as writer:
        for part in range(20):  # more row groups than a short list holds
            writer.write_table(table.slice(part * 40, 40))
        writer.add_key_value_metadata({"key": "value" * 100})
    data = sink.getvalue().to_pybytes()
    return data[-8 - int.from_bytes(data[-8:-4], "little") : -8]


def test_a_footer_that_is_read_and_written_is_the_same() -> None:
    data = footer()
    found, end = thrift.read(data)
    assert (end, thrift.write(found)) == (len(data), data)
    assert found[3] == (thrift.I64, 800)


def test_every_kind_of_value_is_written_as_it_is_read() -> None:
    fields: thrift.Struct = {
        1: (thrift.TRUE, True),
        2: (thrift.FALSE, False),
        3: (thrift.BYTE, 7),
        4: (thrift.I16, -300),
        5: (thrift.I64, -(2**62)),
        6: (thrift.DOUBLE, 0.5),
        40: (thrift.BINARY, b"\x00text"),
        41: (thrift.LIST, (thrift.I32, list(range(-20, 20)))),
        42: (thrift.LIST, (thrift.TRUE, [1, 2])),
        43: (thrift.STRUCT, {1: (thrift.LIST, (thrift.STRUCT, [{}, {2: (thrift.I32, 1)}]))}),
    }
    data = thrift.write(fields)
    assert thrift.read(b"before" + data, 6) == (fields, 6 + len(data))


def test_a_footer_that_ends_too_early_is_none() -> None:
    data = footer()
    for length in range(len(data)):
        with pytest.raises(ValueError, match="Thrift"):
            thrift.read(data[:length])


def test_a_number_without_end_is_refused_at_once() -> None:
    most = thrift.write({1: (thrift.I64, -(2**63))})
    assert thrift.read(most)[0] == {1: (thrift.I64, -(2**63))}
    with pytest.raises(ValueError, match="64 bits"):
        thrift.read(b"\x16" + b"\xff" * 10 + b"\x01\x00")


def test_what_parquet_never_uses_is_refused() -> None:
    a_map = b"\x1b\x00\x00"
    with pytest.raises(ValueError, match="type 11"):
        thrift.read(a_map)
    with pytest.raises(ValueError, match="without end"):
        thrift.read(b"\x1c" * 100)
