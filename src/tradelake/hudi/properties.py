"""hoodie.properties: what a table says of itself, a Java properties file.

What of it is refused stands in `features`.
"""

import json
import re
import zlib
from collections.abc import Mapping

import pyarrow as pa

from tradelake.clock import iso
from tradelake.errors import DamagedTable
from tradelake.hudi.features import (
    KEY_GENERATOR,
    KEY_GENERATORS,
    PAYLOAD,
    PAYLOADS,
    VERSION,
    checksum,
    key_generator,
)
from tradelake.hudi.schema import to_avro
from tradelake.hudi.spec import TableSpec

CREATE_SCHEMA = "hoodie.table.create.schema"
METADATA_TABLE = (
    "hoodie.table.metadata.partitions",
    "hoodie.table.metadata.partitions.inflight",
)
_RECORD_KEY_FIELDS = "hoodie.table.recordkey.fields"
_PARTITION_FIELDS = "hoodie.table.partition.fields"
_ORDERING_FIELD = "hoodie.table.precombine.field"
_URL_ENCODED = "hoodie.datasource.write.partitionpath.urlencode"
_HIVE_STYLE = "hoodie.datasource.write.hive_style_partitioning"
_TIME_ZONE = "hoodie.table.timeline.timezone"
# Ours, beside hoodie.table.checksum, which covers the two names alone and stands last.
CHECKSUM = "tradelake.table.checksum"
_COVERED = (
    "hoodie.database.name",
    "hoodie.table.name",
    _RECORD_KEY_FIELDS,
    _PARTITION_FIELDS,
    _ORDERING_FIELD,
    _HIVE_STYLE,
    _URL_ENCODED,
    _TIME_ZONE,
    CREATE_SCHEMA,
)
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_NAMED = {value: key for key, value in _ESCAPES.items()}


def describe(spec: TableSpec) -> dict[str, str]:
    """The properties of a new table."""
    ordering = {_ORDERING_FIELD: spec.ordering} if spec.ordering else {}
    # So that Hudi's writers, too, keep the row with the greater ordering value; their default is
    # the later row.
    payload = "DefaultHoodieRecordPayload" if spec.ordering else "OverwriteWithLatestAvroPayload"
    told = {
        "hoodie.table.name": spec.name,
        "hoodie.database.name": spec.database,
        "hoodie.table.type": "COPY_ON_WRITE",
        VERSION: "6",
        "hoodie.timeline.layout.version": "1",
        "hoodie.table.base.file.format": "PARQUET",
        "hoodie.archivelog.folder": "archived",
        _RECORD_KEY_FIELDS: ",".join(spec.record_key),
        _PARTITION_FIELDS: ",".join(spec.partition_by),
        **ordering,
        PAYLOAD: PAYLOADS + payload,
        KEY_GENERATOR: KEY_GENERATORS + key_generator(spec),
        "hoodie.populate.meta.fields": "true",
        _HIVE_STYLE: str(spec.hive_style).lower(),
        _URL_ENCODED: str(spec.url_encoded).lower(),
        "hoodie.datasource.write.drop.partition.columns": "false",
        "hoodie.partition.metafile.use.base.format": "false",
        "hoodie.table.cdc.enabled": "false",
        _TIME_ZONE: "UTC",
        CREATE_SCHEMA: to_avro(spec.schema, spec.name),
        "hoodie.table.checksum": str(checksum(spec.database, spec.name)),
    }
    return {CHECKSUM: _checksum(told), **told}


def check_whole(properties: Mapping[str, str], where: str) -> None:
    """Raises DamagedTable if they have our checksum and it is of others.

    Not for a table of another version, whose upgrade may have changed what is covered.
    """
    found = properties.get(CHECKSUM)
    if found is None or properties.get(VERSION, "6") != "6":
        return
    expected = _checksum(properties)
    if found != expected:
        raise DamagedTable(
            f"{where} has {CHECKSUM}={found}, expected {expected}: a part of it is lost or "
            "altered; put it back from a copy, or delete that line if the change was meant"
        )


def to_spec(properties: Mapping[str, str], schema: pa.Schema) -> TableSpec:
    """The table that checked properties describe."""
    return TableSpec(
        database=properties.get("hoodie.database.name", ""),
        name=properties["hoodie.table.name"],
        schema=schema,
        record_key=_fields(properties.get(_RECORD_KEY_FIELDS, "")),
        partition_by=_fields(properties.get(_PARTITION_FIELDS, "")),
        ordering=properties.get(_ORDERING_FIELD) or None,
        hive_style=properties.get(_HIVE_STYLE, "").lower() == "true",
        url_encoded=properties.get(_URL_ENCODED, "").lower() == "true",
    )


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
    """Writes Java properties; `saved_at` in microseconds goes into the head comment.

    Our checksum stands first, so that a file that was cut still has it.
    """
    lines = [f"#Properties saved on {iso(saved_at)}"]
    ordered = sorted(properties.items(), key=lambda item: item[0] != CHECKSUM)
    lines += [f"{_escape(key, r' ')}={_escape(value, r'^ ')}" for key, value in ordered]
    return ("\n".join(lines) + "\n").encode("ascii")


def _checksum(properties: Mapping[str, str]) -> str:
    values = [properties.get(name, "") for name in _COVERED]
    return f"{zlib.crc32(json.dumps(values).encode()):08x}"


def _fields(text: str) -> tuple[str, ...]:
    """The names in a list of fields; CustomKeyGenerator's have `:SIMPLE` or `:TIMESTAMP` behind."""
    names = (name.partition(":")[0].strip() for name in text.split(","))
    return tuple(name for name in names if name)


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
