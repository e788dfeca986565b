"""Where a table's objects lie and how they are called."""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tradelake.clock import to_datetime
from tradelake.errors import DamagedTable, TableError, UnsupportedTable
from tradelake.storage import Storage

PROPERTIES = "hoodie.properties"
PROPERTIES_BACKUP = "hoodie.properties.backup"
LEASE = ".lease"
PARTITION_METADATA = ".hoodie_partition_metadata"
_TIMELINE = ".hoodie"
_MARKERS = "MARKERS"
DEFAULT_PARTITION = "__HIVE_DEFAULT_PARTITION__"

_BASE_FILE = re.compile(r"(?P<file_id>[^_]+)_\d+-\d+-\d+_(?P<instant>\d{14}|\d{17})\.parquet")
_LOG_FILE = re.compile(r"\..+_.*\.log\.\d+(_\d+-\d+-\d+(\.cdc)?)?")
# What a folder can't hold, or Hadoop's Path or an object store can't name: separators, colons,
# control characters; names that are hidden.
_UNUSABLE = re.compile(r"[/\\:\x00-\x1f\x7f\u2028\u2029]|^\.")
# Spark reads the value back from the folder's name, with %XX decoded as Java's parseInt takes it.
_DECODED = re.compile(r"%[\w+-]\w")
_ESCAPED = re.compile(r"[\x00-\x1f\x7f\"#%'*/:=?\\{\[\]^]")
"""What Hudi's PartitionPathEncodeUtils escapes."""
# Folders of other table formats beside a Hudi table's files; hudi-rs looks into neither.
_FOREIGN_FOLDERS = ("metadata", "_delta_log")
_LONGEST_NAME = 255  # bytes, on every common file system


@dataclass(frozen=True)
class DataFile:
    """A base file found on disk, of whatever commit: its name tells file group and instant."""

    partition: str
    file_id: str
    instant: str
    name: str

    @property
    def relative(self) -> str:
        """The path below the table's folder."""
        return join(self.partition, self.name)


def join(folder: str, name: str) -> str:
    """The path of something in a folder below the table's own, which is the empty one."""
    return f"{folder}/{name}" if folder else name


@dataclass(frozen=True)
class NewFile:
    """A base file that a write under way is to make."""

    number: int
    """Among the files of the write."""
    partition: str
    file_id: str
    name: str

    @classmethod
    def named(cls, number: int, partition: str, instant: str, file_id: str | None) -> "NewFile":
        """The next slice of that file group, or the first of a new one."""
        file_id = file_id or f"{uuid.uuid4()}-0"
        return cls(number, partition, file_id, base_file_name(file_id, number, instant))

    @property
    def relative(self) -> str:
        """The path below the table's folder."""
        return f"{self.partition}/{self.name}" if self.partition else self.name


def base_file_name(file_id: str, task: int, instant: str) -> str:
    """The name of a new base file; `task` counts the files of one commit."""
    return f"{file_id}_{task}-1-0_{instant}.parquet"


def parse_data_file(partition: str, name: str) -> DataFile | None:
    """The base file of that name, or None if it is something else."""
    match = _BASE_FILE.fullmatch(name)
    return DataFile(partition, match["file_id"], match["instant"], name) if match else None


def named_file(partition: str, name: str, where: str) -> DataFile:
    """The base file that something on the timeline names, there or not.

    Raises DamagedTable naming `where` for what can be no base file of the table: names come from
    whoever may write to its folder, and must not lead out of it, nor to the timeline.
    """
    folders = partition.split("/") if partition else []
    found = parse_data_file(partition, name)
    if found is None or any(f in ("", ".", "..", ".hoodie") or "\0" in f for f in folders):
        raise DamagedTable(
            f"{where} names {join(partition, name)[:300]!r}, which is no base file of the table; "
            "put it back from a copy, or let Hudi on Spark repair the table"
        )
    return found


def partition_folder(
    value: str | None, field: str, *, hive_style: bool, url_encoded: bool = False
) -> str:
    """The folder of the rows with this partition value.

    Raises TableError for a value whose folder some reader would not find, or would take for
    another value's.
    """
    if value is None or value == "":
        shown = DEFAULT_PARTITION
    elif url_encoded:
        shown = _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", value)
    else:
        shown = value
    folder = f"{field}={shown}" if hive_style else shown
    if problem := _problem(shown, folder, hive_style=hive_style, url_encoded=url_encoded):
        raise TableError(
            f"{shown[:300]!r} in column {field!r} can't name a partition's folder: {problem}; "
            "change the value, or partition by another column"
        )
    return folder


def _problem(shown: str, folder: str, *, hive_style: bool, url_encoded: bool) -> str | None:
    if _UNUSABLE.search(shown):
        return "it has / \\ : or a control character, or begins with a dot"
    if len(folder.encode()) > _LONGEST_NAME:
        return f"the name would be longer than {_LONGEST_NAME} bytes"
    if parse_data_file("", folder):
        return "it looks like a data file"
    if not url_encoded and _DECODED.search(shown):
        return "readers would decode the %"
    if not hive_style and "=" in shown:
        return "readers would take what stands before the = for a column"
    if folder in _FOREIGN_FOLDERS:
        return "readers expect something else in a folder of this name"
    return None


@dataclass(frozen=True)
class TableFolder:
    """A table's folder in a storage."""

    storage: Storage
    path: str

    def key(self, relative: str) -> str:
        """The storage key of a path below the table's folder."""
        return f"{self.path}/{relative}"

    def meta(self, name: str) -> str:
        """The storage key of something in `.hoodie`."""
        return f"{self.path}/.hoodie/{name}"

    def delete(self, key: str) -> None:
        """Deletes an object and the checksum file that Hadoop may have put beside it.

        A checksum that outlives its file makes Hadoop fail on the next file of that name.
        """
        self.storage.delete(key)
        self.delete_checksum(key)

    def delete_checksum(self, key: str) -> None:
        """Deletes only the checksum file, because the object is about to have other content."""
        folder, _, name = key.rpartition("/")
        self.storage.delete(f"{folder}/.{name}.crc")

    def delete_below(self, key: str) -> None:
        """Deletes everything in a folder."""
        for found in self.storage.list(key):
            self.storage.delete(found)

    def data_files(self) -> tuple[list[DataFile], set[str]]:
        """All base files on disk, and the partitions that have their metadata file.

        Those of another table that lies in a folder of this one are not among them. Raises
        UnsupportedTable for a log file: its rows would be left out.
        """
        files: list[DataFile] = []
        described: set[str] = set()

        def take(partition: str, name: str) -> None:
            if name == PARTITION_METADATA:
                described.add(partition)
            elif found := parse_data_file(partition, name):
                files.append(found)
            elif _LOG_FILE.fullmatch(name):
                raise UnsupportedTable(
                    f"{self.key(join(partition, name))} is a log file, which a copy-on-write table "
                    "does not have; let Hudi on Spark compact the table first"
                )

        for child in self.storage.children(self.path):
            if child.startswith("."):
                take("", child)
                continue
            take("", child)
            skip = len(self.path) + 1
            for relative in _own(key[skip:] for key in self.storage.list(self.key(child))):
                partition, _, name = relative.rpartition("/")
                take(partition, name)
        return files, described

    def files_in(self, partitions: Iterable[str]) -> list[DataFile]:
        """All base files on disk in these partitions, but for what is of another table."""
        found = []
        partitions = sorted(partitions)
        above = {p[: end.start()] for p in partitions for end in re.finditer("/", p)}
        inner = {f for f in above if self.storage.exists(self.key(f"{f}/{_TIMELINE}/{PROPERTIES}"))}
        for partition in partitions:
            folder = self.key(partition) if partition else self.path
            names = self.storage.children(folder)
            within = any(partition.startswith(f"{other}/") for other in inner)
            if within or (partition and _TIMELINE in names):
                continue
            parsed = (parse_data_file(partition, name) for name in names)
            found += [file for file in parsed if file]
        return found

    def is_table(self) -> bool:
        """Whether a table, of any version, lies here."""
        return any(self.storage.exists(self.meta(n)) for n in (PROPERTIES, PROPERTIES_BACKUP))

    def check_there(self) -> None:
        """Raises TableError if the table is gone: what is left would read as an empty one."""
        if not self.is_table():
            raise TableError(
                f"there is no Hudi table at {self.storage.url(self.path)} any more; put back what "
                "was deleted there, or make a new table and open that"
            )

    def neighbour(self) -> str | None:
        """The path of a table in whose folder this one lies, or that lies in this one's.

        Either's files would be taken for those of the other, by whatever reads and cleans them.
        """
        above = self.path
        while above:
            above = above.rpartition("/")[0]
            properties = (join(above, f"{_TIMELINE}/{n}") for n in (PROPERTIES, PROPERTIES_BACKUP))
            if any(map(self.storage.exists, properties)):
                return above
        own = self.meta("")
        for key in self.storage.list(self.path):
            below, found, name = key.rpartition(f"/{_TIMELINE}/")
            if found and name in (PROPERTIES, PROPERTIES_BACKUP) and not key.startswith(own):
                return below
        return None

    def describe_partition(self, partition: str, instant: str, now: int) -> None:
        """Writes the file without which Spark sees no rows in a partition, unless it is there."""
        depth = len(partition.split("/")) if partition else 0
        text = (
            f"#partition metadata\n#{_java_date(to_datetime(now))}\n"
            f"commitTime={instant}\npartitionDepth={depth}\n"
        )
        self.storage.put(self.key(join(partition, PARTITION_METADATA)), text.encode())

    def mark(self, instant: str, files: Mapping[str, bool]) -> None:
        """Announces base files before they are written: path, and whether it replaces another.

        In the form of Hudi's timeline server, one file with all markers: an object for each, as
        Hudi's direct markers are, would double the objects that a commit writes.
        """
        lines = [
            f"{file}.marker.{'MERGE' if replaces else 'CREATE'}\n"
            for file, replaces in files.items()
        ]
        self.storage.put(self.meta(f".temp/{instant}/{_MARKERS}.type"), b"TIMELINE_SERVER_BASED")
        self.storage.put(self.meta(f".temp/{instant}/{_MARKERS}0"), "".join(lines).encode())

    def marked(self, instant: str) -> list[DataFile]:
        """The base files that a commit's markers of either form announce, written or not."""
        folder = self.meta(f".temp/{instant}")
        markers: list[tuple[str, str]] = []
        for key in self.storage.list(folder):
            name = key[len(folder) + 1 :]
            if re.fullmatch(rf"{_MARKERS}\d+", name):
                try:
                    listed = self.storage.get(key).decode()
                except UnicodeDecodeError as error:
                    raise DamagedTable(f"{key} does not hold markers: {error}") from error
                markers += [(key, marker) for marker in listed.split("\n")]
            else:
                markers.append((key, name))
        return list(_announced(markers))


def _own(paths: Iterable[str]) -> list[str]:
    """Those of these paths that don't lie in a folder with a timeline of its own."""
    paths = list(paths)
    inner = f"/{_TIMELINE}/"
    others = tuple({f"{path[: path.index(inner)]}/" for path in paths if inner in path})
    return [path for path in paths if not path.startswith(others)] if others else paths


def _announced(markers: Iterable[tuple[str, str]]) -> Iterable[DataFile]:
    for key, marker in markers:
        file, found, _ = marker.rpartition(".marker.")
        partition, _, name = file.rpartition("/")
        if found and parse_data_file(partition, name):
            yield named_file(partition, name, key)


def _java_date(moment: datetime) -> str:
    return f"{moment:%a %b %d %H:%M:%S UTC %Y}"
