"""The fold: what a set of records means for the table, whatever their order, repeats and batches.

Works on relations of one DuckDB connection:
    records   what `judge` found usable: rid, and the columns of processed_crypto_txn
    known     of the batch's keys: transaction_id, change_order (the newest known), and present,
              whether it has a row
"""

import duckdb
import pyarrow as pa

from tradelake.change import ORDER_EVENT_ID_AT
from tradelake.etl.engine import fetch
from tradelake.etl.ledger import Counts
from tradelake.etl.schema import PROCESSED_SCHEMA, TOMBSTONE_SCHEMA

_OUTCOMES = f"""CREATE OR REPLACE TEMP TABLE outcomes AS
WITH shared AS (SELECT event_id FROM records GROUP BY event_id HAVING count(*) > 1),
copies AS (
  -- A key's records with the same eventID are one record: of its copies the one with the greatest
  -- order counts, of equal ones the first. Few eventIDs are there twice; only those are numbered.
  SELECT rid, row_number() OVER (
    PARTITION BY transaction_id, event_id ORDER BY change_order DESC, rid
  ) AS copy
  FROM records WHERE event_id IN (FROM shared)
),
unique_records AS (
  SELECT rid, transaction_id, event_id, event_name, trade_status, change_order,
    coalesce(copy, 1) > 1 AS repeated
  FROM records LEFT JOIN copies USING (rid)
),
against_known AS (
  SELECT unique_records.*, known.change_order AS known_order,
    coalesce(known.present, false) AS present,
    repeated OR (
      event_id = substr(known.change_order, {ORDER_EVENT_ID_AT + 1})
      AND unique_records.change_order <= known.change_order
    ) AS duplicate
  FROM unique_records LEFT JOIN known USING (transaction_id)
),
newest AS (
  SELECT transaction_id, max(change_order) AS newest_order
  FROM against_known WHERE NOT coalesce(duplicate, false) GROUP BY transaction_id
)
SELECT rid, transaction_id, change_order,
  CASE
    WHEN duplicate THEN 'duplicate'
    WHEN change_order < known_order OR change_order < newest_order THEN 'superseded'
    WHEN event_name <> 'REMOVE' AND trade_status <> 'FAILED' THEN 'upserted'
    WHEN present THEN 'deleted'
    ELSE 'filtered'
  END AS outcome
FROM against_known LEFT JOIN newest USING (transaction_id)"""

_COLUMNS = ", ".join(PROCESSED_SCHEMA.names)


def keys(connection: duckdb.DuckDBPyConnection) -> pa.Array:
    """The transaction_ids of the usable records, each once."""
    found = fetch(connection, "SELECT DISTINCT transaction_id FROM records")
    return found.column(0).cast(pa.string()).combine_chunks()


def fold(connection: duckdb.DuckDBPyConnection) -> Counts:
    """Decides each usable record's outcome: makes the table `outcomes` (rid, transaction_id,
    change_order, outcome), and counts, received and quarantined left to the caller.
    """
    connection.execute(_OUTCOMES)
    rows = connection.execute("SELECT outcome, count(*) FROM outcomes GROUP BY outcome").fetchall()
    count = dict(rows)
    return Counts(
        applied=count.get("upserted", 0) + count.get("deleted", 0),
        superseded=count.get("superseded", 0),
        duplicate=count.get("duplicate", 0),
        filtered=count.get("filtered", 0),
    )


def upserts(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """The rows to upsert (PROCESSED_SCHEMA)."""
    query = (
        f"SELECT {_COLUMNS} FROM records WHERE rid IN "
        "(SELECT rid FROM outcomes WHERE outcome = 'upserted')"
    )
    return fetch(connection, query).cast(PROCESSED_SCHEMA)


def deletes(connection: duckdb.DuckDBPyConnection) -> pa.Array:
    """The transaction_ids of the rows to delete."""
    found = fetch(connection, "SELECT transaction_id FROM outcomes WHERE outcome = 'deleted'")
    return found.column(0).cast(pa.string()).combine_chunks()


def tombstones(connection: duckdb.DuckDBPyConnection, instant: str) -> pa.Table:
    """The keys that have no row after this batch, with their newest order (TOMBSTONE_SCHEMA).

    instant: of the commit that buries them.
    """
    query = (
        f"SELECT transaction_id, change_order, '{instant}' AS instant FROM outcomes "
        "WHERE outcome IN ('deleted', 'filtered') ORDER BY transaction_id"
    )
    return fetch(connection, query).cast(TOMBSTONE_SCHEMA)
