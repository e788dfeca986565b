"""quarantine list, show, retry, export: records that could not be used, and putting them back."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tradelake.cli.context import Shell, shell_of
from tradelake.cli.options import Json
from tradelake.cli.output import plain, print_json, print_table
from tradelake.cli.progress import note
from tradelake.errors import UsageError
from tradelake.trade import Reason

if TYPE_CHECKING:
    from tradelake.etl.quarantine import Entry

_SHOWN = 60
"""Characters of a record's bytes in the list; `show` has them all."""
_HEX_BYTES = 32
"""Bytes in a line of hexadecimal digits: with their offset they fit 80 columns."""
_HEX_SHOWN = 4096
"""Bytes of what is no text that `show` writes; `export` has up to the MiB that is kept."""


def _reasons(incomplete: str) -> list[str]:
    return [reason.value for reason in Reason if reason.startswith(incomplete)]


Reasons = Annotated[
    list[str] | None,
    typer.Option(
        "--reason",
        metavar="REASON",
        help="Only entries with this reason; may be given several times.",
        autocompletion=_reasons,
    ),
]
Origin = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only entries whose origin (object:line) holds this text."),
]


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    quarantine = typer.Typer(
        help="Records that could not be used, and putting them back.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    quarantine.command("list")(list_)
    quarantine.command()(show)
    quarantine.command()(retry)
    quarantine.command()(export)
    app.add_typer(quarantine, name="quarantine")


def list_(
    context: typer.Context,
    reason: Reasons = None,
    origin: Origin = None,
    as_json: Json = False,
) -> None:
    """List the open entries: reason, origin, bytes.

    The last line counts them by reason.

    \b
    tradelake quarantine list
    tradelake quarantine list --reason bad_value --reason not_positive
    tradelake quarantine list --origin 2026/11/22/23 --json
    """
    found = _entries(shell_of(context), reason, origin)
    if as_json:
        print_json([entry.as_json() for entry in found])
        return
    rows = [
        [entry.id, entry.refused.reason, entry.count, entry.refused.origin, _beginning(entry)]
        for entry in found
    ]
    print_table(["id", "reason", "count", "origin", "record"], rows)
    print(_counted(found))


def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(metavar="ID", help="An entry's id, or its beginning.")],
    as_json: Json = False,
) -> None:
    """Show one entry whole: its bytes as they came, and what they say.

    Text stands as it is, with control characters as escapes; other bytes are in hexadecimal digits.

    \b
    tradelake quarantine show 1f2e3d
    tradelake quarantine show 1f2e3d --json
    """
    entry = _find(_entries(shell_of(context)), id)
    if as_json:
        print_json(entry.as_json())
        return
    fields = entry.as_json()
    fields.pop("raw", None)
    fields.pop("raw_base64", None)
    print_table(["field", "value"], list(fields.items()))
    print(f"\nraw ({len(entry.refused.raw):,} bytes)")
    for line in _raw_lines(entry.refused.raw):
        print(line)
    kind = "change record" if entry.refused.is_change_record else "landed line"
    if decoded := _decoded(entry.refused.raw):
        print(f"\ndecoded: {kind}, {entry.refused.reason}: {plain(entry.refused.detail)}")
        for line in decoded:
            print(line)


def retry(
    context: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Entries; without any, all.")
    ] = None,
    reason: Reasons = None,
    origin: Origin = None,
) -> None:
    """Judge entries again, after a rule, a setting or an object was mended.

    What can be used now is folded in at its own order; the rest stays.

    \b
    tradelake quarantine retry
    tradelake quarantine retry --reason does_not_fit
    tradelake quarantine retry 1f2e3d4c5b6a7988
    """
    from tradelake.etl.ledger import Counts
    from tradelake.home import Home
    from tradelake.pipeline import Pipeline

    shell = shell_of(context)
    found = _entries(shell, reason, origin)
    asked = {_find(found, id).id for id in ids} if ids else {entry.id for entry in found}
    settings = shell.settings()
    counts = Counts()
    if asked:
        with Pipeline(Home(settings.home).require(), settings) as pipeline:
            for batch in pipeline.retry(asked):
                counts += batch.row.counts
    left = len(asked - {entry.id for entry in _entries(shell)})
    print(f"{left:,} of {len(asked):,} entries left the quarantine: ", end="")
    print(counts if counts != Counts() else "nothing could be used yet")


def export(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="Where the lines go; .gz too, - is stdout.")],
    reason: Reasons = None,
    origin: Origin = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="The records themselves, as `changes import` takes them."),
    ] = False,
) -> None:
    """Write the open entries to a file, each a line of JSON as `list --json` has them.

    With --raw, the records as change records. Mended in an editor and imported, each closes its
    entry; keep eventID and transaction_id as they are.

    \b
    tradelake quarantine export entries.jsonl
    tradelake quarantine export --reason not_positive --raw bad.jsonl
    tradelake changes import bad.jsonl
    """
    from tradelake.etl.restored import change_record
    from tradelake.stream.files import write_lines

    found = _entries(shell_of(context), reason, origin)
    if not raw:
        written = write_lines(file, (json.dumps(entry.as_json()).encode() for entry in found))
        note(f"{written:,} entries exported")
        return
    records = [change_record(entry.refused) for entry in found]
    kept = [record for record in records if record is not None]
    note(f"{write_lines(file, kept):,} records exported")
    if len(kept) < len(records):
        note(f"{len(records) - len(kept):,} entries left out: they hold no change record")


def _entries(
    shell: Shell, reasons: Sequence[str] | None = None, origin: str | None = None
) -> "list[Entry]":
    """The open entries with one of the reasons (None: any) and the text in their origin."""
    from tradelake.etl.lake import Lake, lake_exists
    from tradelake.etl.quarantine import entries
    from tradelake.home import Home

    for name in reasons or ():
        if name not in list(Reason):
            raise UsageError(f"{name!r} is no reason; there are {', '.join(Reason)}")
    storage = Home(shell.settings().home).require().storage
    found = entries(Lake(storage).open_entries()) if lake_exists(storage) else []
    return [
        entry
        for entry in found
        if (not reasons or entry.refused.reason in reasons)
        and (origin is None or origin in entry.refused.origin)
    ]


def _find(found: "list[Entry]", id: str) -> "Entry":
    matching = [entry for entry in found if id and entry.id.startswith(id)]
    if len(matching) != 1:
        many = f"{len(matching)} entries have ids that begin so" if matching else "no open entry"
        raise UsageError(f"{id!r}: {many}; `tradelake quarantine list` shows them")
    return matching[0]


def _counted(found: "list[Entry]") -> str:
    counts = Counter(entry.refused.reason for entry in found).most_common()
    of_each = ", ".join(f"{count:,} {reason}" for reason, count in counts)
    return f"{len(found):,} {'entry' if len(found) == 1 else 'entries'}{of_each and ': '}{of_each}"


def _beginning(entry: "Entry") -> str:
    text = entry.refused.raw[: 4 * _SHOWN].decode("utf-8", "backslashreplace")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _raw_lines(raw: bytes) -> Iterator[str]:
    with contextlib.suppress(UnicodeDecodeError):
        yield plain(raw.decode("utf-8"))
        return
    for at in range(0, min(len(raw), _HEX_SHOWN), _HEX_BYTES):
        yield f"{at:06x}  {raw[at : at + _HEX_BYTES].hex()}"
    if len(raw) > _HEX_SHOWN:
        yield f"… {len(raw) - _HEX_SHOWN:,} bytes more: `tradelake quarantine export` has them"


def _decoded(raw: bytes) -> list[str]:
    """The JSON in the bytes, indented; nothing where they are none."""
    try:
        text = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return []
    return [plain(line) for line in text.split("\n")]
