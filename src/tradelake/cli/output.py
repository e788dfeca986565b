"""How answers leave: aligned text, CSV, JSON and Parquet, streaming where rows may be many.

JSON: integers are numbers, decimals texts, timestamps ISO 8601 in UTC with Z, binary hexadecimal.
Text for people never drives their terminal: control characters are written as escapes. What
programs read, JSON and CSV into a pipe or a file, is exact, and UTF-8 whatever the locale.
"""

import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any, TextIO

from tradelake.cli.layout import write_aligned
from tradelake.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from tradelake.query import Result


class Format(StrEnum):
    """What `sql` writes."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


_DRIVES = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def plain(text: str) -> str:
    """The text with control, invisible and direction-changing characters as escapes."""
    return _DRIVES.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def print_json(value: object, out: TextIO | None = None) -> None:
    """A command's --json: dicts, lists and the value types of the JSON rules."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_json_value)
    print(_escape_json(text), file=_for_programs(out or sys.stdout))


def print_table(
    names: Sequence[str], rows: Iterable[Sequence[object]], out: TextIO | None = None
) -> None:
    """A small table for people; None is shown as nothing, numbers stand to the right.

    Where a terminal has no room for a value it is cut, so a command that prints one has --json.
    """
    out = out or sys.stdout
    shown = [["" if value is None else plain(_text(value)) for value in row] for row in rows]
    kept = list(zip(*shown, strict=True)) if shown else [() for _ in names]
    numbers = [bool(column) and all(map(_is_number, column)) for column in kept]
    if write_aligned([plain(name) for name in names], numbers, iter(shown), out).cut:
        print("(… marks what is cut: --json shows it whole)", file=out)


def write_result(result: "Result", form: Format, out: TextIO | None = None) -> None:
    """Writes a query's result to a text stream (stdout) while it is computed.

    Raises:
        UsageError: Parquet to a terminal.
        QueryError: the query fails on its way; what was written stays written.
    """
    out = out or sys.stdout
    with result:
        if form is Format.PARQUET:
            if out.isatty():
                raise UsageError("parquet is not for the eye; write it to a file: > rows.parquet")
            write_parquet(result, out.buffer)
        elif form is Format.JSON:
            _write_json(result, _for_programs(out))
        elif form is Format.CSV:
            _write_csv(result, _for_programs(out))
        else:
            _write_table(result, out)


def _for_programs(out: TextIO) -> TextIO:
    if isinstance(out, io.TextIOWrapper) and not out.isatty():
        out.reconfigure(encoding="utf-8")
    return out


def write_parquet(result: "Result", sink: IO[bytes]) -> None:
    """Writes a result as one Parquet file, row groups as they come."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = _distinct(result.schema.names)
    schema = pa.schema([field.with_name(n) for field, n in zip(result.schema, names, strict=True)])
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in result.batches():
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))


def _write_json(result: "Result", out: TextIO) -> None:
    keys = [json.dumps(name, ensure_ascii=False) for name in _distinct(result.schema.names)]
    between = "[\n"
    for batch in result.batches():
        columns = [_json_texts(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            pairs = ", ".join(f"{key}: {value}" for key, value in zip(keys, row, strict=True))
            out.write(f"{between}  {_escape_json('{' + pairs + '}')}")
            between = ",\n"
    out.write("[]\n" if between == "[\n" else "\n]\n")


def _json_texts(column: "pa.Array") -> list[str]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind):
        return ["null" if value is None else str(value) for value in column.to_pylist()]
    if _has_plain_text(kind):
        return ["null" if text is None else f'"{text}"' for text in _texts(column)]
    return [
        json.dumps(_finite(value), ensure_ascii=False, default=_json_value)
        for value in column.to_pylist()
    ]


def _write_csv(result: "Result", out: TextIO) -> None:
    """RFC 4180 with \\n; null is nothing, the empty text is \"\", as Athena writes them."""
    field = _csv_field_for_people if out.isatty() else _csv_field
    out.write(",".join(map(field, result.schema.names)) + "\n")
    for batch in result.batches():
        columns = [[field(text) for text in _texts(column)] for column in batch.columns]
        out.writelines(",".join(row) + "\n" for row in zip(*columns, strict=True))


def _csv_field_for_people(text: str | None) -> str:
    return _csv_field(text and plain(text))


def _csv_field(text: str | None) -> str:
    if text is None:
        return ""
    if not text or any(char in text for char in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _write_table(result: "Result", out: TextIO) -> None:
    import pyarrow as pa

    names = [plain(name) for name in result.schema.names]
    kinds = [field.type for field in result.schema]
    numbers = [
        pa.types.is_integer(k) or pa.types.is_decimal(k) or pa.types.is_floating(k) for k in kinds
    ]

    def rows() -> Iterator[list[str]]:
        for batch in result.batches():
            columns = [
                ["" if text is None else plain(text) for text in _texts(column)]
                for column in batch.columns
            ]
            yield from map(list, zip(*columns, strict=True))

    written = write_aligned(names, numbers, rows(), out)
    if out.isatty():
        cut = "; … marks what is cut: --format json shows it whole" if written.cut else ""
        print(f"({written.rows} row{'' if written.rows == 1 else 's'}{cut})", file=out)


def _has_plain_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_decimal(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _texts(column: "pa.Array") -> list[str | None]:
    """Each value's text; whole columns at once where Arrow can."""
    import pyarrow as pa

    kind = column.type
    found: list[str | None]
    if pa.types.is_timestamp(kind):
        found = column.cast(pa.timestamp("us")).cast(pa.string()).to_pylist()
        return [text and text.replace(" ", "T", 1) + "Z" for text in found]
    if _has_plain_text(kind) or pa.types.is_integer(kind) or pa.types.is_string(kind):
        found = column.cast(pa.string()).to_pylist()
        if pa.types.is_decimal(kind):  # Arrow writes 0.00000001 as 1E-8
            return [format(Decimal(text), "f") if text and "E" in text else text for text in found]
        return found
    if pa.types.is_floating(kind):
        return [text and _double_text(text) for text in column.cast(pa.string()).to_pylist()]
    return [None if value is None else _text(value) for value in column.to_pylist()]


def _double_text(text: str) -> str:
    """A double as Athena shows it: 1.5, 1.0E16, Infinity.

    Source: java.lang.Double.toString, an exponent below 10^-3 and from 10^7.
    """
    value = Decimal(text)
    if not value.is_finite():
        return str(value)
    power = value.adjusted()
    if not value or -3 <= power < 7:
        return _with_point(value)
    return f"{_with_point(value.scaleb(-power))}E{power}"


def _with_point(value: Decimal) -> str:
    whole, _, places = format(value, "f").partition(".")
    return f"{whole}.{places.rstrip('0') or '0'}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return json.dumps(_finite(value), ensure_ascii=False, default=_json_value)
    if isinstance(value, int | float):
        return str(value)
    return str(_json_value(value))


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _finite(value: object) -> object:
    """JSON has no NaN and no Infinity; they become texts, as Trino's casts write them."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return value


def _escape_json(text: str) -> str:
    """Within JSON these characters can only stand in texts, where \\uXXXX means the same."""
    return re.sub("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", _unicode_escape, text)


def _unicode_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?[0-9][0-9,]*(\.[0-9]+)?|", text))


def _distinct(names: Sequence[str]) -> list[str]:
    """a, a, b as a, a_1, b: an object has each name once."""
    found: list[str] = []
    for name in names:
        new, number = name, 0
        while new in found:
            number += 1
            new = f"{name}_{number}"
        found.append(new)
    return found
