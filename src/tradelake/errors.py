"""Every error tradelake raises on purpose, as one tree.

    TradelakeError            something failed; the command line says it in one sentence, exit 1
    ├── UsageError            the call was wrong: an option, a setting, a file's format; exit 2
    ├── StorageError          an object could not be read or written
    │   ├── ObjectExists      a create-only put found the object already there
    │   ├── ObjectMissing     the object is not there
    │   └── ObjectUnavailable it is there, and can't be read now
    ├── TableError            a Hudi table can't be used
    │   ├── UnsupportedTable  a version or feature we do not maintain
    │   ├── DamagedTable      a file of the table does not hold what it must
    │   ├── LeaseHeld         another writer holds the table
    │   └── LeaseLost         this writer may not be the only one any more
    ├── StoreError            the transaction store refused a write
    └── QueryError            SQL that is wrong, unsupported or not allowed

A message says what was wrong, where (file, line, key), and what to do.
A record that can't be used is no error: it goes to the quarantine (see `trade.Rejected`).
"""


class TradelakeError(Exception):
    """Base of the tree: str() is a plain sentence for people."""


class UsageError(TradelakeError):
    """What was asked for can't be meant: wrong option, setting or file format."""


class StorageError(TradelakeError):
    """An object could not be read, written, listed or deleted."""


class ObjectExists(StorageError):
    """A create-only put found the object already there."""


class ObjectMissing(StorageError):
    """The object is not there."""


class ObjectUnavailable(StorageError):
    """The object is there and can't be read now (permission, an I/O error); it may be later."""


class TableError(TradelakeError):
    """A Hudi table can't be used as asked."""


class UnsupportedTable(TableError):
    """The table has a version or a feature that this writer does not maintain."""


class DamagedTable(TableError):
    """A file of the table does not hold what it must; the message names the file."""


class LeaseHeld(TableError):
    """Another writer holds the table; the message says who."""


class LeaseLost(TableError):
    """The writer's lock is gone or has run out; it writes nothing more, another one may."""


class StoreError(TradelakeError):
    """The transaction store refused a write."""


class QueryError(TradelakeError):
    """SQL that is wrong, not supported or not allowed here."""


def said_by_system(error: OSError) -> str:
    """What the operating system said, and of which file, without its number."""
    text = error.strerror or str(error)
    return f"{text}: {error.filename}" if error.filename else text
