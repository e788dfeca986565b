"""Who takes batches of rows into a table: ours, and what else writes one on a laptop.

Each takes the same Arrow rows with the same rule: of a key there is one row, that with the greater
order. A table is one folder; bytes and memory are counted outside.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.rows import KEY, ORDERING, PARTITION, SCHEMA

Upsert = Callable[[pa.Table], None]
_OURS_BYTES = 2 << 20
"""About what file groups of ours have after the first load."""


class Hudi:
    """`tradelake.hudi`, every object synced to disk."""

    name = "tradelake.hudi"

    def load(self, folder: Path, parts: Iterable[pa.Table]) -> None:
        from tradelake.hudi import HudiTable, TableSpec
        from tradelake.storage import LocalStorage

        spec = TableSpec("bench", "trades", SCHEMA, (KEY,), (PARTITION,), ORDERING)
        table = HudiTable.create(LocalStorage(folder), "trades", spec)
        with table.writer("bench") as writer:
            for rows in parts:
                with writer.transaction() as transaction:
                    transaction.upsert(rows)
                    transaction.commit({})

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Upsert]:
        from tradelake.hudi import HudiTable
        from tradelake.storage import LocalStorage

        table = HudiTable.open(LocalStorage(folder), "trades")
        with table.writer("bench") as writer:

            def upsert(rows: pa.Table) -> None:
                with writer.transaction() as transaction:
                    transaction.upsert(rows)
                    transaction.commit({})

            yield upsert


class Delta:
    """deltalake: MERGE by key within the partition, files of its own size or of ours."""

    def __init__(self, name: str, file_bytes: int | None) -> None:
        self.name = name
        self._file_bytes = file_bytes

    def load(self, folder: Path, parts: Iterable[pa.Table]) -> None:
        from deltalake import write_deltalake

        for rows in parts:
            write_deltalake(
                str(folder / "trades"),
                rows,
                mode="append",
                partition_by=[PARTITION],
                **self._sizes(),
            )

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Upsert]:
        from deltalake import DeltaTable

        table = DeltaTable(str(folder / "trades"))

        def upsert(rows: pa.Table) -> None:
            merge = table.merge(
                rows,
                f"t.{PARTITION} = s.{PARTITION} AND t.{KEY} = s.{KEY}",
                source_alias="s",
                target_alias="t",
                writer_properties=self._sizes().get("writer_properties"),
            )
            newer = f"s.{ORDERING} >= t.{ORDERING}"
            merge.when_matched_update_all(newer).when_not_matched_insert_all().execute()

        if self._file_bytes is not None:
            table.alter.set_table_properties({"delta.targetFileSize": str(self._file_bytes)})
        yield upsert

    def _sizes(self) -> dict:
        if self._file_bytes is None:
            return {}
        from deltalake import WriterProperties

        return {
            "target_file_size": self._file_bytes,
            "writer_properties": WriterProperties(compression="ZSTD"),
        }


class Duck:
    """A table of DuckDB's own, with MERGE; no lake format, so a yardstick only."""

    name = "DuckDB's own table"

    def load(self, folder: Path, parts: Iterable[pa.Table]) -> None:
        import duckdb

        with duckdb.connect(str(folder / "trades.db")) as connection:
            connection.execute("SET threads = 2")
            for number, rows in enumerate(parts):
                connection.register("batch", rows)
                begin = "INSERT INTO trades" if number else "CREATE TABLE trades AS"
                connection.execute(f"{begin} SELECT * FROM batch")

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Upsert]:
        import duckdb

        with duckdb.connect(str(folder / "trades.db")) as connection:
            connection.execute("SET threads = 2")

            def upsert(rows: pa.Table) -> None:
                connection.register("batch", rows)
                connection.execute(
                    f"MERGE INTO trades t USING batch s ON t.{KEY} = s.{KEY} "
                    f"WHEN MATCHED AND s.{ORDERING} >= t.{ORDERING} THEN UPDATE "
                    "WHEN NOT MATCHED THEN INSERT"
                )

            yield upsert


class Plain:
    """The floor: the batch written as a Parquet file, not synced, and nothing merged."""

    name = "floor: write_table"

    def load(self, folder: Path, parts: Iterable[pa.Table]) -> None:
        for number, rows in enumerate(parts):
            _write(folder / f"{number}.parquet", rows)

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Upsert]:
        yield lambda rows: _write(folder / "batch.parquet", rows)


def _write(path: Path, rows: pa.Table) -> None:
    pq.write_table(rows, path, compression="zstd")


PEERS = {
    peer.name: peer
    for peer in (
        Hudi(),
        Delta("deltalake", None),
        Delta("deltalake, files of 2 MB", _OURS_BYTES),
        Duck(),
        Plain(),
    )
}
OURS = Hudi.name
LAKES = tuple(name for name, peer in PEERS.items() if isinstance(peer, Delta))
"""Those that leave a lake table, as ours does."""
