"""hoodie.properties: what a table says of itself.

A Java properties file. A table is refused here, in one place, when it has a version or a feature
that this package does not maintain.
"""

import re
import zlib
from collections.abc import Mapping

import pyarrow as pa

from tradelake.clock import iso
from tradelake.errors import DamagedTable, UnsupportedTable
from tradelake.hudi.schema import to_avro
from tradelake.hudi.spec import TableSpec

CREATE_SCHEMA = "hoodie.table.create.schema"
METADATA_TABLE = (
    "hoodie.table.metadata.partitions",
    "hoodie.table.metadata.partitions.inflight",
)
_VERSION = "hoodie.table.version"
_KEY_GENERATOR = "hoodie.table.keygenerator.class"
_KEY_GENERATORS = "org.apache.hudi.keygen."
_PARTITION_FIELDS = "hoodie.table.partition.fields"
_URL_ENCODED = "hoodie.datasource.write.partitionpath.urlencode"
_HIVE_STYLE = "hoodie.datasource.write.hive_style_partitioning"
_TIME_ZONE = "hoodie.table.timeline.timezone"

# Property: the only value we handle. A property that is not there has Hudi's default, which is it.
_HANDLED = {
    "hoodie.table.type": "COPY_ON_WRITE",
    "hoodie.timeline.layout.version": "1",
    "hoodie.table.base.file.format": "PARQUET",
    "hoodie.populate.meta.fields": "true",
    "hoodie.datasource.write.drop.partition.columns": "false",
    "hoodie.partition.metafile.use.base.format": "false",
    "hoodie.table.cdc.enabled": "false",
}
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_NAMED = {value: key for key, value in _ESCAPES.items()}


def describe(spec: TableSpec) -> dict[str, str]:
    """The properties of a new table."""
    return {
        "hoodie.table.name": spec.name,
        "hoodie.database.name": spec.database,
        "hoodie.table.type": "COPY_ON_WRITE",
        _VERSION: "6",
        "hoodie.timeline.layout.version": "1",
        "hoodie.table.base.file.format": "PARQUET",
        "hoodie.archivelog.folder": "archived",
        "hoodie.table.recordkey.fields": ",".join(spec.record_key),
        _PARTITION_FIELDS: ",".join(spec.partition_by),
        "hoodie.table.precombine.field": spec.ordering,
        _KEY_GENERATOR: _KEY_GENERATORS + _key_generator(spec),
        "hoodie.populate.meta.fields": "true",
        _HIVE_STYLE: str(spec.hive_style).lower(),
        _URL_ENCODED: "false",
        "hoodie.datasource.write.drop.partition.columns": "false",
        "hoodie.partition.metafile.use.base.format": "false",
        "hoodie.table.cdc.enabled": "false",
        _TIME_ZONE: "UTC",
        CREATE_SCHEMA: to_avro(spec.schema, spec.name),
        "hoodie.table.checksum": str(_checksum(spec.database, spec.name)),
    }


def to_spec(properties: Mapping[str, str], schema: pa.Schema) -> TableSpec:
    """The table that checked properties describe."""
    return TableSpec(
        database=properties.get("hoodie.database.name", ""),
        name=properties["hoodie.table.name"],
        schema=schema,
        record_key=_fields(properties["hoodie.table.recordkey.fields"]),
        partition_by=_fields(properties.get(_PARTITION_FIELDS, "")),
        ordering=properties.get("hoodie.table.precombine.field", ""),
        hive_style=properties.get(_HIVE_STYLE, "false") == "true",
    )


def check_readable(properties: Mapping[str, str], where: str) -> None:
    """Raises UnsupportedTable for another version or feature, DamagedTable for a wrong checksum."""
    version = properties.get(_VERSION)
    if version != "6":
        raise UnsupportedTable(
            f"{where} is a Hudi table of version {version}; this is made for version 6 only"
        )
    for name, handled in _HANDLED.items():
        value = properties.get(name, handled)
        if value.lower() != handled.lower():
            raise UnsupportedTable(f"{where} has {name}={value}; only {handled} is handled")
    if properties.get("hoodie.bootstrap.base.path"):
        raise UnsupportedTable(f"{where} was bootstrapped from another table: not handled")
    for name in ("hoodie.table.name", "hoodie.table.recordkey.fields"):
        if not properties.get(name):
            raise UnsupportedTable(f"{where} lacks {name}")
    found = properties.get("hoodie.table.checksum")
    expected = _checksum(
        properties.get("hoodie.database.name", ""), properties["hoodie.table.name"]
    )
    if found is not None and found != str(expected):
        raise DamagedTable(f"{where} has hoodie.table.checksum={found}, expected {expected}")


def check_writable(properties: Mapping[str, str], spec: TableSpec, where: str) -> None:
    """Raises UnsupportedTable when keys or paths are formed in a way that we do not write."""
    generator = properties.get(_KEY_GENERATOR)
    expected = _key_generator(spec)
    if generator is not None and generator != _KEY_GENERATORS + expected:
        raise UnsupportedTable(
            f"{where} has {_KEY_GENERATOR}={generator}; such a table is written with {expected}"
        )
    if properties.get(_URL_ENCODED, "false") != "false":
        raise UnsupportedTable(f"{where} has {_URL_ENCODED}: not handled")
    spec.check_writable()


def has_utc_timeline(properties: Mapping[str, str]) -> bool:
    """Whether instants of every writer are UTC; Hudi's default is the writer's local time."""
    return properties.get(_TIME_ZONE, "LOCAL") == "UTC"


def parse(data: bytes) -> dict[str, str]:
    """Reads Java properties; raises ValueError if the bytes are none."""
    properties = {}
    lines = iter(re.split(r"\r\n|\r|\n", data.decode("utf-8")))
    for raw in lines:
        line = raw.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while _continues(line):
            line = line[:-1] + next(lines, "").lstrip(" \t\f")
        match = re.match(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL)
        if match:
            properties[_unescape(match[1])] = _unescape(match[2])
    return properties


def to_bytes(properties: Mapping[str, str], saved_at: int) -> bytes:
    """Writes Java properties; `saved_at` in microseconds goes into the head comment."""
    lines = [f"#Properties saved on {iso(saved_at)}"]
    lines += [f"{_escape(key, r' ')}={_escape(value, r'^ ')}" for key, value in properties.items()]
    return ("\n".join(lines) + "\n").encode("ascii")


def _fields(text: str) -> tuple[str, ...]:
    """The names in a list of fields, as Hudi splits it."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _key_generator(spec: TableSpec) -> str:
    """The one that Hudi itself infers from the numbers of fields."""
    if not spec.partition_by:
        return "NonpartitionedKeyGenerator"
    single = len(spec.record_key) == len(spec.partition_by) == 1
    return "SimpleKeyGenerator" if single else "ComplexKeyGenerator"


def _checksum(database: str, table: str) -> int:
    return zlib.crc32(f"{database}.{table}".encode())


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescape(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        escaped = match[1]
        if len(escaped) == 5:
            return chr(int(escaped[1:], 16))
        return _ESCAPES.get(escaped, escaped)

    text = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", replaced, text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16")  # joins escaped pairs


def _escape(text: str, spaces: str) -> str:
    def escaped(match: re.Match[str]) -> str:
        character = match[0]
        if character in _NAMED:
            return "\\" + _NAMED[character]
        if " " <= character <= "~":
            return "\\" + character
        units = character.encode("utf-16-be")
        return "".join(f"\\u{units[i] << 8 | units[i + 1]:04X}" for i in range(0, len(units), 2))

    return re.sub(rf"[\\=:#!]|{spaces}|[^ -~]", escaped, text)
