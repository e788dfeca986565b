"""Which columns a table has: those that its newest commit tells."""

from collections.abc import Mapping

import pyarrow as pa

from tradelake.errors import DamagedTable
from tradelake.hudi import properties
from tradelake.hudi.commits import SCHEMA, CommitLog
from tradelake.hudi.layout import PROPERTIES, TableFolder
from tradelake.hudi.schema import from_avro
from tradelake.hudi.timeline import Timeline


def columns_of(
    folder: TableFolder,
    timeline: Timeline,
    log: CommitLog,
    found: Mapping[str, str],
    as_of: str | None = None,
) -> pa.Schema:
    """The columns by the newest commit that tells them, else as the table was created.

    found: the table's properties. as_of: only commits at or before this instant count.

    Raises DamagedTable if nobody tells, or what is told is no schema.
    """
    for instant in reversed(timeline.writes):
        if as_of is not None and instant.time > as_of:
            continue
        commit = log.get(timeline, instant)
        if commit is not None and SCHEMA in commit.extra:
            where = folder.meta(f"{instant.time}.{instant.action}")
            return _parsed(commit.extra[SCHEMA], where)
    if properties.CREATE_SCHEMA in found:
        return _parsed(found[properties.CREATE_SCHEMA], folder.meta(PROPERTIES))
    raise DamagedTable(f"{folder.path}: neither a commit nor {PROPERTIES} tells the columns")


def _parsed(text: str, where: str) -> pa.Schema:
    try:
        return from_avro(text, where)
    except ValueError as error:
        raise DamagedTable(f"{where}: {error}") from error
