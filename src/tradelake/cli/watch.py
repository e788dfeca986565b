"""status, ledger, verify: whether all is well."""

from typing import TYPE_CHECKING

import typer

from tradelake.cli.context import shell_of
from tradelake.cli.options import Json
from tradelake.cli.output import plain, print_json, print_table

if TYPE_CHECKING:
    from tradelake.status import Status


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    for command in (status, ledger, verify):
        app.command()(command)


def status(context: typer.Context, as_json: Json = False) -> None:
    """Show whether all is well and, if not, what to do; and how far each stage is.

    \b
    tradelake status
    tradelake status --json
    tradelake status --json | jq -e .well     # for a monitor: exits 1 when it is not
    """
    from tradelake.home import Home
    from tradelake.status import read_status
    from tradelake.verdict import judge

    now = read_status(Home(shell_of(context).settings().home).require())
    verdict = judge(now)
    if as_json:
        print_json(verdict.as_json() | now.as_json())
        return
    print(verdict)
    for finding in verdict.findings:
        print(f"{'!' if finding.serious else '-'} {plain(finding.what)}\n    {finding.do}")
    print()
    print_table(["stage", "state"], _stages(now))


def _stages(now: "Status") -> list[list[object]]:
    age = now.delivery.age_seconds
    fresh = now.freshness["p50"], now.freshness["p99"]
    service = now.service
    return [
        ["service", "none follows" if service is None else f"{service.process} follows"],
        ["store", f"{now.transactions:,} transactions"],
        [
            "delivery",
            f"{now.delivery.waiting:,} records waiting"
            + (f", the oldest for {age:,.1f} s" if age is not None else ""),
        ],
        ["etl", f"{now.etl.waiting:,} records waiting, {now.batches:,} batches done"],
        ["lake", f"{now.rows:,} rows, last commit {now.last_instant or 'none'}"],
        [
            "freshness",
            "unknown" if fresh[0] is None else f"p50 {fresh[0]} s, p99 {fresh[1]} s",
        ],
        ["quarantine", f"{now.open_quarantine:,} entries open"],
        ["ledger", "balanced" if now.balanced else "DOES NOT BALANCE"],
        ["disk", f"{now.free_bytes / 1e6:,.0f} MB free"],
    ]


def ledger(context: typer.Context, as_json: Json = False) -> None:
    """Show what became of every record received, per batch and in sum.

    \b
    tradelake ledger
    tradelake ledger --json
    """
    from tradelake.clock import iso, to_micros
    from tradelake.etl.lake import Lake, lake_exists
    from tradelake.etl.state import LakeState
    from tradelake.home import Home

    storage = Home(shell_of(context).settings().home).require().storage
    state, batches = LakeState(), []
    if lake_exists(storage):
        lake = Lake(storage)
        state = lake.state()
        batches = lake.ledger(state).to_pylist()
    total = state.totals.as_dict()
    if as_json:
        for batch in batches:
            batch["committed_at"] = iso(to_micros(batch["committed_at"]))
        print_json({"total": total, "batches": batches})
        return
    names = list(total)
    rows = [
        [batch["batch"], batch["instant"], *(batch[name] for name in names)] for batch in batches
    ]
    print_table(["batch", "instant", *names], [*rows, ["total", "", *total.values()]])


def verify(context: typer.Context, as_json: Json = False) -> None:
    """Recompute the tables from the landing zone and compare them, row by row and file by file.

    Exits 1 on any difference.

    \b
    tradelake verify
    """
    from tradelake.etl import engine
    from tradelake.etl.lake import Lake, lake_exists
    from tradelake.etl.rules import load_rules
    from tradelake.etl.verify import Verdict
    from tradelake.etl.verify import verify as check
    from tradelake.home import Home

    settings = shell_of(context).settings()
    home = Home(settings.home).require()
    verdict = Verdict(0, 0, 0, ())
    if lake_exists(home.storage):
        with engine.connect(
            settings.threads, settings.memory_limit, home.spill_folder
        ) as connection:
            verdict = check(Lake(home.storage), connection, load_rules(settings.thresholds_file))
    if as_json:
        print_json(
            {
                "rows": verdict.rows,
                "files": verdict.files,
                "objects": verdict.objects,
                "differences": list(verdict.differences),
            }
        )
    else:
        for difference in verdict.differences:
            print(plain(difference))
        print(
            f"{verdict.rows:,} rows in {verdict.files:,} files against {verdict.objects:,} landing "
            f"objects: {len(verdict.differences) or 'no'} "
            f"{'difference' if len(verdict.differences) == 1 else 'differences'}"
        )
    if verdict.differences:
        raise typer.Exit(1)
