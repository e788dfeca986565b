"""What can be done to one transaction, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

from tradelake.trade import Transaction


@dataclass(frozen=True, slots=True)
class Put:
    """The transaction becomes exactly this, whether or not it was there."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Update:
    """These fields of a transaction change; where it is not there, nothing happens."""

    transaction_id: str
    fields: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Delete:
    """The transaction goes; where it is not there, nothing happens."""

    transaction_id: str


Action = Put | Update | Delete
