"""Read-only SQL over the lake, in Athena's dialect, closed in.

with Engine(catalog) as engine:
    for batch in engine.execute("select count(*) from crypto.processed_crypto_txn").batches():
        ...
"""

from tradelake.query.catalog import (
    DATABASE,
    Catalog,
    Column,
    HistoryEntry,
    Kind,
    LazyTables,
    TableSource,
)
from tradelake.query.engine import Engine
from tradelake.query.result import Result

__all__ = [
    "DATABASE",
    "Catalog",
    "Column",
    "Engine",
    "HistoryEntry",
    "Kind",
    "LazyTables",
    "Result",
    "TableSource",
]
