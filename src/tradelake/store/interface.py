"""What every transaction store can do."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from tradelake.actions import Action
from tradelake.trade import Transaction


class TransactionStore(Protocol):
    """The current transactions, by transaction_id.

    Every change is written together with its change record: no change without a record and no
    record without a change, whatever kills the writer. A write that leaves a transaction as it
    is changes nothing and has no record.

    The store is schemaless as DynamoDB is: it judges that a key has 1 to 128 characters and that
    an amount is a number, and raises StoreError where not; all else is judged downstream.
    """

    def put(self, transaction: Transaction) -> bool:
        """Makes the transaction exactly this; returns whether anything changed."""

    def put_many(self, transactions: Iterable[Transaction]) -> int:
        """Puts all, in order and in batches; returns how many changed anything.

        Each batch is whole or not at all; an error leaves the batches before it written.
        """

    def put_if_absent(self, transaction: Transaction) -> bool:
        """Puts only where no transaction has this id; returns whether it did."""

    def update(self, transaction_id: str, fields: Mapping[str, str | None]) -> bool:
        """Changes some fields; returns whether anything changed: False where it is not there."""

    def delete(self, transaction_id: str) -> bool:
        """Deletes; returns whether it was there."""

    def delete_many(self, transaction_ids: Iterable[str]) -> int:
        """Deletes all, in batches as `put_many`; returns how many were there."""

    def apply(self, actions: Iterable[Action]) -> int:
        """Does all in order, whole or not at all; returns how many changed anything."""

    def get(self, transaction_id: str) -> Transaction | None:
        """The transaction, or None."""

    def count(self) -> int:
        """How many transactions there are."""

    def close(self) -> None:
        """Lets go of files and connections; the store is of no more use."""
