"""The embedded transaction store."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from tradelake.actions import Action, Delete, Put, Update
from tradelake.errors import StoreError
from tradelake.store import database, schema
from tradelake.trade import AMOUNT_PATTERN, FIELD_NAMES, FIELDS, KEY, Kind, Transaction

BATCH = 1_000
"""Writes in one database transaction: one sync to disk for all, and held for some 30 ms only, so
that other writers come between."""

_T = TypeVar("_T")
_Row = tuple[str | None, ...]
_Statements = tuple[str, ...]
"""Alternatives: the first that changes anything is the last that is tried."""

_AMOUNTS = frozenset(field.name for field in FIELDS if field.kind is Kind.AMOUNT)
_AMOUNT = re.compile(AMOUNT_PATTERN)
_KEY_LENGTHS = range(1, 129)
_values: Callable[[Transaction], _Row] = attrgetter(*FIELD_NAMES)

_OTHERS = [name for name in FIELD_NAMES if name != KEY]
_MARKS = {name: f"?{place}" for place, name in enumerate(FIELD_NAMES, start=1)}
# Not ON CONFLICT: that would have the triggers keep the row in the way, at half the speed.
_PUT_IF_ABSENT = f"""INSERT INTO transactions ({schema.columns()})
    SELECT {", ".join(_MARKS.values())}
    WHERE NOT EXISTS (SELECT 1 FROM transactions WHERE {KEY} = {_MARKS[KEY]})"""
_PUT_IF_DIFFERENT = f"""UPDATE transactions
    SET {", ".join(f"{name} = {_MARKS[name]}" for name in _OTHERS)}
    WHERE {KEY} = {_MARKS[KEY]}
    AND ({", ".join(_OTHERS)}) IS NOT ({", ".join(_MARKS[name] for name in _OTHERS)})"""
_PUT = (_PUT_IF_ABSENT, _PUT_IF_DIFFERENT)
_DELETE = (f"DELETE FROM transactions WHERE {KEY} = ?",)
_GET = f"SELECT {schema.columns()} FROM transactions WHERE {KEY} = ?"


class SqliteStore:
    """A `TransactionStore` in one SQLite file. Any thread may use it; so may other processes."""

    def __init__(self, path: Path, *, region: str | None = None, read_only: bool = False) -> None:
        """region: what the change records name as awsRegion from now on; None leaves it.

        read_only: needs no write access, and makes no store where there is none: StoreError.
        """
        self.path = path
        self._connection = (database.connect_read_only if read_only else database.connect)(path)
        self._lock = threading.Lock()
        if region is not None:
            self._name_region(region)

    def _name_region(self, region: str) -> None:
        with database.translated(self.path), self._lock:
            self._connection.execute(
                "UPDATE settings SET region = ?1 WHERE region IS NOT ?1", (region,)
            )

    def put(self, transaction: Transaction) -> bool:
        return self._change(_PUT, [_row(transaction)]) == 1

    def put_many(self, transactions: Iterable[Transaction]) -> int:
        return self._change_in_batches(_PUT, transactions, _row)

    def put_if_absent(self, transaction: Transaction) -> bool:
        return self._change((_PUT_IF_ABSENT,), [_row(transaction)]) == 1

    def update(self, transaction_id: str, fields: Mapping[str, str | None]) -> bool:
        return self.apply([Update(transaction_id, fields)]) == 1

    def delete(self, transaction_id: str) -> bool:
        return self._change(_DELETE, [_key_row(transaction_id)]) == 1

    def delete_many(self, transaction_ids: Iterable[str]) -> int:
        return self._change_in_batches(_DELETE, transaction_ids, _key_row)

    def apply(self, actions: Iterable[Action]) -> int:
        writes = [_write(action) for action in actions]
        with self._writing():
            return sum(self._execute(statements, row) for statements, row in writes)

    def get(self, transaction_id: str) -> Transaction | None:
        with self._lock, database.translated(self.path):
            row = self._connection.execute(_GET, (transaction_id,)).fetchone()
        return None if row is None else Transaction(*row)

    def count(self) -> int:
        with self._lock, database.translated(self.path):
            found = self._connection.execute("SELECT count(*) FROM transactions").fetchone()
        return int(found[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with (
            self._lock,
            database.translated(self.path),
            database.transaction(self._connection),
        ):
            yield

    def _change(self, statements: _Statements, rows: Sequence[_Row]) -> int:
        with self._writing():
            return sum(self._execute(statements, row) for row in rows)

    def _execute(self, statements: _Statements, row: _Row) -> int:
        return int(any(self._connection.execute(sql, row).rowcount for sql in statements))

    def _change_in_batches(
        self, statements: _Statements, things: Iterable[_T], to_row: Callable[[_T], _Row]
    ) -> int:
        remaining = iter(things)
        changed = 0
        # The iterable runs outside the transaction: it may be slow.
        while rows := [to_row(thing) for thing in islice(remaining, BATCH)]:
            changed += self._change(statements, rows)
        return changed


def _write(action: Action) -> tuple[_Statements, _Row]:
    match action:
        case Put(transaction):
            return _PUT, _row(transaction)
        case Delete(transaction_id):
            return _DELETE, _key_row(transaction_id)
        case Update(transaction_id, fields):
            return _update(transaction_id, fields)


def _update(transaction_id: str, fields: Mapping[str, str | None]) -> tuple[_Statements, _Row]:
    for name, value in fields.items():
        if name not in _OTHERS:
            what = "the key" if name == KEY else "no field of a transaction"
            raise StoreError(f"{transaction_id!r}: {name!r} is {what} and can't be updated")
        if name in _AMOUNTS:
            _check_amount(transaction_id, name, value)
    key = _key_row(transaction_id)
    if not fields:
        return (), key
    marks = [f"?{place}" for place in range(2, len(fields) + 2)]
    sql = f"""UPDATE transactions
        SET {", ".join(f"{name} = {mark}" for name, mark in zip(fields, marks, strict=True))}
        WHERE {KEY} = ?1 AND ({", ".join(fields)}) IS NOT ({", ".join(marks)})"""
    return (sql,), (*key, *fields.values())


def _row(transaction: Transaction) -> _Row:
    key = transaction.transaction_id
    _key_row(key)
    _check_amount(key, "price", transaction.price)
    _check_amount(key, "quantity", transaction.quantity)
    _check_amount(key, "trade_fee", transaction.trade_fee)
    return _values(transaction)


def _key_row(transaction_id: str) -> _Row:
    if len(transaction_id) not in _KEY_LENGTHS:
        raise StoreError(
            f"transaction_id {transaction_id[:40]!r} has {len(transaction_id)} characters; "
            "it must have 1 to 128"
        )
    return (transaction_id,)


def _check_amount(key: str, name: str, value: str | None) -> None:
    if not (isinstance(value, str) and _AMOUNT.fullmatch(value)):
        raise StoreError(f"{key!r}: {name} {value!r} is not a number written as text")
