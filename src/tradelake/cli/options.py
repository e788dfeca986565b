"""Options that several commands share, and numbers that are read strictly.

Python would take `1_000`, ` 7` and `inf` for numbers; nobody means these on a command line.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]

TABLES = (
    "crypto_table_crypto_data_project_nrt",
    "hourly_trade_stats",
    "pipeline_ledger",
    "processed_crypto_txn",
    "quarantine",
)
"""What completion offers; the catalog itself takes half a second to import."""

HUDI_TABLES = ("processed_crypto_txn", "hourly_trade_stats")
"""The tables that Hudi keeps, which have a timeline; the one that others follow first."""


def beginning(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Completion with those of the names that go on from what is typed."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


Table = Annotated[
    str,
    typer.Argument(help="A table, with or without crypto.", autocompletion=beginning(TABLES)),
]
HudiTable = Annotated[
    str,
    typer.Argument(
        help="A Hudi table, with or without crypto.", autocompletion=beginning(HUDI_TABLES)
    ),
]

DEFAULT_RATE = 100.0
"""Orders a second: some 200 changes, enough to see every kind of trade within seconds."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})", re.ASCII)


def whole(least: int, most: int) -> Callable[[object], int]:
    """Reads a whole number within bounds; anything else is wrong usage."""

    def read(value: object) -> int:
        text = str(value)
        if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
            raise typer.BadParameter(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def number(least: float, most: float) -> Callable[[object], float]:
    """Reads a number within bounds, such as 0.5; anything else is wrong usage."""

    def read(value: object) -> float:
        text = str(value)
        if not _NUMBER.fullmatch(text) or not least <= float(text) <= most:
            raise typer.BadParameter(
                f"{text!r} is not a number from {_plainly(least)} to {_plainly(most)}"
            )
        return float(text)

    return read


def _plainly(number: float) -> str:
    """Without an exponent: 1e-06 is no way to tell a bound."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
