"""The home: the one folder under which everything of an embedded tradelake lies."""

from dataclasses import dataclass
from pathlib import Path

from tradelake.errors import UsageError
from tradelake.storage import LocalStorage


@dataclass(frozen=True, slots=True)
class Home:
    """Where things are.

    store.db               transactions and their change log (SQLite)
    delivery/              how far delivery has come
    landing/               gzip JSON by hour
    landing-errors/        what the transform could not use
    lake/crypto/<table>/   the tables
    tmp/                   what folding spills; may be deleted whenever nothing runs
    """

    path: Path

    @property
    def storage(self) -> LocalStorage:
        """The home as a storage: keys begin with landing/, lake/, delivery/."""
        return LocalStorage(self.path)

    @property
    def store_path(self) -> Path:
        """The SQLite file of the transaction store."""
        return self.path / "store.db"

    @property
    def spill_folder(self) -> Path:
        """Where DuckDB may spill."""
        return self.path / "tmp"

    def make(self) -> "Home":
        """Makes the folder where it is missing; raises UsageError where it can't be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
            raise UsageError(f"{self.path} can't be the home: {why}") from error
        return self

    def require(self) -> "Home":
        """Raises UsageError where there is no such folder: a mistyped home must not look empty."""
        if not self.path.is_dir():
            if self.path.exists():
                raise UsageError(f"{self.path} can't be the home: it is no folder")
            raise UsageError(
                f"there is no tradelake home at {self.path}; name one with --home, or begin one "
                "with `tradelake simulate`, `replay`, `run` or `demo`"
            )
        return self
