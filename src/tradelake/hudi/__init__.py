"""Apache Hudi tables, COPY_ON_WRITE, table version 6, read and written without Java.

    table = HudiTable.create(LocalStorage("lake"), "trades", spec)
    with table.writer("me") as writer, writer.transaction() as transaction:
        transaction.upsert(rows)
        transaction.commit({"checkpoint": "7"})
    table.snapshot().read(["price"])

The tables are those of Hudi 0.14 and 0.15 (Athena, Glue, Spark), which Hudi 1 and hudi-rs read,
too. A table is one folder of a `tradelake.storage.Storage`; one writer at a time holds its lease.
"""

from tradelake.hudi.basefile import BaseFile
from tradelake.hudi.clustering import ClusterResult
from tradelake.hudi.committing import CommitResult
from tradelake.hudi.groups import MAX_GROUP_ROWS, SMALL_GROUP_ROWS
from tradelake.hudi.keys import record_keys
from tradelake.hudi.savepoints import Savepoint
from tradelake.hudi.snapshot import Snapshot
from tradelake.hudi.spec import TableSpec
from tradelake.hudi.table import HudiTable, TimelineEntry
from tradelake.hudi.transaction import Transaction
from tradelake.hudi.writer import Writer

__all__ = [
    "MAX_GROUP_ROWS",
    "SMALL_GROUP_ROWS",
    "BaseFile",
    "ClusterResult",
    "CommitResult",
    "HudiTable",
    "Savepoint",
    "Snapshot",
    "TableSpec",
    "TimelineEntry",
    "Transaction",
    "Writer",
    "record_keys",
]
