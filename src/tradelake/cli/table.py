"""table …: what a pipeline does for its tables between commits, by hand; and going back."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradelake.cli import goingback
from tradelake.cli.context import shell_of
from tradelake.cli.leased import lake_writer
from tradelake.cli.options import HUDI_TABLES, Json, beginning
from tradelake.cli.output import print_json
from tradelake.cli.progress import Ticker, note, stopping
from tradelake.errors import UsageError

if TYPE_CHECKING:
    from tradelake.hudi import ClusterResult

Table = Annotated[
    str | None,
    typer.Argument(
        help="One of the Hudi tables; without it, both.", autocompletion=beginning(HUDI_TABLES)
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    table = typer.Typer(
        help="Services of the Hudi tables, and going back to an earlier commit.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    table.command()(clean)
    table.command()(cluster)
    goingback.register(table)
    app.add_typer(table, name="table")


def clean(context: typer.Context, table: Table = None, as_json: Json = False) -> None:
    """Delete files that were replaced long ago, and shorten the timeline.

    How long ago, and how short, the settings replaced_files_retention and timeline_instants say.

    \b
    tradelake table clean
    tradelake table clean processed_crypto_txn --json
    """
    settings = shell_of(context).settings()
    names = _named(table)
    done: list[dict[str, Any]] = []
    with lake_writer(settings) as writer:
        for name in names:
            note(f"cleaning {name}")
            files = instants = 0
            if writer is not None:
                cleaned = writer.clean_table(
                    name, settings.replaced_files_retention, settings.timeline_instants
                )
                files, instants = cleaned.files, cleaned.instants
            done.append({"table": name, "files_deleted": files, "instants_removed": instants})
    if as_json:
        print_json(done)
        return
    said = [
        f"{d['table']}: {d['files_deleted']:,} replaced files deleted, "
        f"{d['instants_removed']:,} instants off the timeline"
        for d in done
    ]
    print("; ".join(said))


@dataclass(slots=True)
class Clustered:
    """What became of a table's small file groups."""

    table: str
    steps: int = 0
    groups_replaced: int = 0
    groups_written: int = 0
    rows: int = 0
    bytes_written: int = 0

    def add(self, step: "ClusterResult") -> None:
        """Counts a step in."""
        self.steps += 1
        self.groups_replaced += step.replaced
        self.groups_written += step.files
        self.rows += step.rows
        self.bytes_written += step.bytes_written

    def __str__(self) -> str:
        if not self.steps:
            return f"{self.table}: nothing worth merging"
        return (
            f"{self.table}: {self.groups_replaced:,} file groups became {self.groups_written:,}, "
            f"{self.rows:,} rows, {self.bytes_written / 1e6:,.1f} MB"
        )


def cluster(context: typer.Context, table: Table = None, as_json: Json = False) -> None:
    """Merge small files into larger ones, until nothing is worth merging.

    Each step is a commit of its own that changes no row; Ctrl-C ends after the step under way.

    \b
    tradelake table cluster
    tradelake table cluster processed_crypto_txn --json
    """
    settings = shell_of(context).settings()
    done = [Clustered(name) for name in _named(table)]
    ticker = Ticker()
    with stopping() as stop, lake_writer(settings) as writer:
        for one in done:
            while writer is not None and not stop.is_set():
                step = writer.cluster_table(one.table)
                if step is None:
                    break
                one.add(step)
                if ticker.due():
                    note(str(one))
    if as_json:
        print_json([asdict(one) for one in done])
    else:
        print("; ".join(map(str, done)))


def _named(table: str | None) -> tuple[str, ...]:
    """The tables meant; a name may have its database in front."""
    if table is None:
        return HUDI_TABLES
    name = table.lower().removeprefix("crypto.")
    if name not in HUDI_TABLES:
        raise UsageError(f"{table!r} is not kept by Hudi; {' and '.join(HUDI_TABLES)} are")
    return (name,)
