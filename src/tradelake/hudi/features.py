"""Features: what a table's properties may say for us to read it, and to write it.

Refused here, in one place, each by an error of its own: what would be half understood. A property
that nobody here knows changes nothing and is kept.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from tradelake.errors import DamagedTable, UnsupportedTable
from tradelake.hudi.spec import TableSpec

VERSION = "hoodie.table.version"
KEY_GENERATOR = "hoodie.table.keygenerator.class"
KEY_GENERATORS = "org.apache.hudi.keygen."
PAYLOAD = "hoodie.compaction.payload.class"
PAYLOADS = "org.apache.hudi.common.model."
_CHECKSUM = "hoodie.table.checksum"
_KEY_GENERATOR_TYPE = "hoodie.table.keygenerator.type"
_MERGE_STRATEGIES = ("hoodie.compaction.record.merger.strategy", "hoodie.record.merge.strategy.id")


@dataclass(frozen=True)
class _Handled:
    """A property and the only value that we handle, which is Hudi's default where it is absent."""

    name: str
    value: str
    problem: str
    """What another value means for us, and what to do."""


HANDLED = (
    _Handled(
        "hoodie.table.type",
        "COPY_ON_WRITE",
        "a MERGE_ON_READ table keeps changes in log files, which are not handled; write it as "
        "COPY_ON_WRITE, or read it with Hudi on Spark",
    ),
    _Handled(
        "hoodie.timeline.layout.version",
        "1",
        "the timeline has the layout of Hudi 1; downgrade the table to version 6 with Hudi's "
        "`call downgrade_table`",
    ),
    _Handled(
        "hoodie.table.base.file.format",
        "PARQUET",
        "only base files of Parquet are handled",
    ),
    _Handled(
        "hoodie.table.ro.file.format",
        "PARQUET",
        "only base files of Parquet are handled",
    ),
    _Handled(
        "hoodie.table.multiple.base.file.formats.enable",
        "false",
        "only base files of Parquet are handled",
    ),
    _Handled(
        "hoodie.populate.meta.fields",
        "true",
        "rows without meta columns can't be told apart here; make the table anew with them",
    ),
    _Handled(
        "hoodie.datasource.write.drop.partition.columns",
        "false",
        "files without their partition columns are not handled; make the table anew with them",
    ),
    _Handled(
        "hoodie.partition.metafile.use.base.format",
        "false",
        "partition metadata as Parquet are not handled",
    ),
    _Handled(
        "hoodie.table.cdc.enabled",
        "false",
        "change data capture is not handled; its log files would be left behind: switch it off",
    ),
    _Handled(
        "hoodie.bootstrap.base.path",
        "",
        "a table bootstrapped from another one has rows outside its folder; have Hudi rewrite "
        "them first (full record bootstrap, or clustering)",
    ),
)
_OLDER = range(6)
_KEY_GENERATOR_CLASSES = {
    "SIMPLE": "SimpleKeyGenerator",
    "COMPLEX": "ComplexKeyGenerator",
    "NON_PARTITION": "NonpartitionedKeyGenerator",
}
# Whatever these do, the row with the greater ordering value wins, or the later one: no row is made
# of two.
_WHOLE_ROWS = (
    "OverwriteWithLatestAvroPayload",
    "DefaultHoodieRecordPayload",
    "EventTimeAvroPayload",
)
_BY_ORDERING, _BY_COMMIT, _BY_PAYLOAD = (
    "eeb8d96f-b1e4-49fd-bbf8-28ac514178e5",
    "ce9acb64-bde0-424c-9b91-f6ebba25356d",
    "00000000-0000-0000-0000-000000000000",
)


def check_readable(properties: Mapping[str, str], where: str) -> None:
    """Raises UnsupportedTable for another version or feature, DamagedTable for a wrong checksum."""
    version = properties.get(VERSION)
    if version != "6":
        raise UnsupportedTable(
            f"{where} is a Hudi table of version {version}; this is made for version 6 only: "
            f"{_to_version_6(version)}"
        )
    for handled in HANDLED:
        value = properties.get(handled.name, handled.value)
        if value.lower() != handled.value.lower():
            raise UnsupportedTable(f"{where} has {handled.name}={value}: {handled.problem}")
    if not properties.get("hoodie.table.name"):
        raise UnsupportedTable(f"{where} lacks hoodie.table.name")
    found = properties.get(_CHECKSUM)
    expected = checksum(properties.get("hoodie.database.name", ""), properties["hoodie.table.name"])
    if found is not None and found != str(expected):
        raise DamagedTable(f"{where} has {_CHECKSUM}={found}, expected {expected}")


def check_writable(properties: Mapping[str, str], spec: TableSpec, where: str) -> None:
    """Raises TableError where keys, folders or rows are formed in a way we do not write."""
    if _CHECKSUM not in properties:
        raise DamagedTable(
            f"{where}/.hoodie/hoodie.properties lacks {_CHECKSUM}, which every writer of Hudi puts "
            "there, so it may be cut; the table can only be read until it is put back from a copy, "
            "or written once by Hudi"
        )
    spec.check_writable()
    generator = _generator(properties)
    if generator is not None and generator not in _generators(spec):
        raise UnsupportedTable(
            f"{where} has {KEY_GENERATOR}={generator}; the table can only be read, since a table "
            f"of these key and partition fields is written with {_generators(spec)[0]}"
        )
    payload = properties.get(PAYLOAD, "")
    if payload and payload.removeprefix(PAYLOADS) not in _WHOLE_ROWS:
        raise UnsupportedTable(
            f"{where} has {PAYLOAD}={payload}, which makes a row of several; the table can only "
            "be read"
        )
    if properties.get("hoodie.record.merge.mode", "").upper() == "CUSTOM":
        raise UnsupportedTable(
            f"{where} has hoodie.record.merge.mode=CUSTOM, a merge of its maker's own; the table "
            "can only be read"
        )
    for name in _MERGE_STRATEGIES:
        strategy = properties.get(name, _BY_ORDERING)
        if strategy not in (_BY_ORDERING, _BY_COMMIT, _BY_PAYLOAD):
            raise UnsupportedTable(
                f"{where} has {name}={strategy}, a merge of its maker's own; the table can only "
                "be read"
            )
    if properties.get("hoodie.table.secondary.indexes.metadata"):
        raise UnsupportedTable(
            f"{where} has secondary indexes, which would be wrong after a commit; drop them first"
        )


def key_generator(spec: TableSpec) -> str:
    """The one that Hudi itself infers from the numbers of fields."""
    return _generators(spec)[0]


def checksum(database: str, table: str) -> int:
    """What hoodie.table.checksum must be."""
    return zlib.crc32(f"{database}.{table}".encode())


def _generators(spec: TableSpec) -> list[str]:
    """Those that give the rows of such a table the keys and folders that we give them."""
    if not spec.partition_by:
        return ["NonpartitionedKeyGenerator"]
    single = len(spec.record_key) == len(spec.partition_by) == 1
    return ["SimpleKeyGenerator", "ComplexKeyGenerator"] if single else ["ComplexKeyGenerator"]


def composes_keys(properties: Mapping[str, str]) -> bool:
    """Whether record keys are made as ComplexKeyGenerator of some version made them."""
    return _generator(properties) == "ComplexKeyGenerator"


def _generator(properties: Mapping[str, str]) -> str | None:
    """The key generator, however the table names it; the Avro ones differ by name only."""
    named = properties.get(KEY_GENERATOR)
    if not named:
        kind = properties.get(_KEY_GENERATOR_TYPE, "").removesuffix("_AVRO")
        return _KEY_GENERATOR_CLASSES.get(kind, kind) or None
    name = named.removeprefix(KEY_GENERATORS)
    plain = name.replace("AvroKeyGenerator", "KeyGenerator")
    return plain if plain in _KEY_GENERATOR_CLASSES.values() else name


def _to_version_6(version: str | None) -> str:
    if version is None:
        return "its properties lack hoodie.table.version, which Hudi writes when it opens the table"
    if version.isdecimal() and int(version) in _OLDER:
        return "a write by Hudi 0.14 or 0.15 upgrades it"
    return (
        "Hudi's `call downgrade_table(table => ..., to_version => 'SIX')` brings it back, and "
        "hoodie.write.table.version=6 with hoodie.write.auto.upgrade=false keeps Hudi 1 at it"
    )
