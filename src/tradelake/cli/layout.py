"""Aligned text: a table where it fits, on a narrow terminal a record below the other.

Values come as plain text. Nothing is cut where it goes into a pipe or a file; a terminal is spared
what nobody can read there.
"""

import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

LAYOUT_ROWS = 1_000
"""Rows looked at before column widths are settled; later ones stream past in those widths."""

PADDED = 100
"""A column is padded to no more: one huge value must not make every other line as long."""

LEAST = 24
"""What a text keeps at least where the terminal has no room for all: less tells nothing, and the
record has lines of its own then."""

RECORD = 2_000
"""What a text keeps where it has lines of its own: about a terminal full."""


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows were written, and whether values were cut."""

    rows: int
    cut: bool


def write_aligned(
    names: Sequence[str], numbers: Sequence[bool], rows: Iterator[list[str]], out: TextIO
) -> Written:
    """Writes rows under their names; numbers (by column) stand to the right and are never cut."""
    first = [row for row, _ in zip(rows, range(LAYOUT_ROWS), strict=False)]
    widths = [
        max([_width(name), *(_width(row[place]) for row in first)])
        for place, name in enumerate(names)
    ]
    if not out.isatty():
        return _write_table(names, numbers, [min(PADDED, w) for w in widths], [first, rows], out)
    limits = _fitting(names, numbers, widths, shutil.get_terminal_size().columns)
    if limits is None:
        return _write_records(names, numbers, [first, rows], out)
    shorten = _Shorten([None if n else limit for limit, n in zip(limits, numbers, strict=True)])
    parts = [map(shorten, part) for part in (first, rows)]
    return replace(_write_table(names, numbers, limits, parts, out), cut=shorten.cut)


def _fitting(
    names: Sequence[str], numbers: Sequence[bool], widths: Sequence[int], columns: int
) -> list[int] | None:
    """Widths that fit, the widest texts narrowed alike; None where they would tell too little."""
    room = columns - 2 * (len(names) - 1)
    for most in range(max(LEAST, min(room, max(widths))), LEAST - 1, -1):
        limits = [
            width if number else max(_width(name), min(width, most))
            for name, width, number in zip(names, widths, numbers, strict=True)
        ]
        if sum(limits) <= room:
            return limits
    return None


class _Shorten:
    """Cuts the texts of a row to their limits, and remembers whether it did."""

    def __init__(self, limits: Sequence[int | None]) -> None:
        self._limits = limits
        self.cut = False

    def __call__(self, row: list[str]) -> list[str]:
        return [
            text if limit is None or _width(text) <= limit else self._short(text, limit)
            for text, limit in zip(row, self._limits, strict=True)
        ]

    def _short(self, text: str, limit: int) -> str:
        self.cut = True
        kept = text[: limit - 1]
        while _width(kept) > limit - 1:
            kept = kept[:-1]
        return kept + "…"


def _write_table(
    names: Sequence[str],
    numbers: Sequence[bool],
    widths: Sequence[int],
    parts: Sequence[Iterable[list[str]]],
    out: TextIO,
) -> Written:
    out.write(_line(names, widths, numbers) + "\n")
    out.write("  ".join("-" * width for width in widths) + "\n")
    count = 0
    for part in parts:
        for row in part:
            out.write(_line(row, widths, numbers) + "\n")
            count += 1
    return Written(count, False)


def _write_records(
    names: Sequence[str],
    numbers: Sequence[bool],
    parts: Sequence[Iterable[list[str]]],
    out: TextIO,
) -> Written:
    """Too wide for the terminal: a line for each column, records one below the other."""
    margin = max(map(_width, names))
    shorten = _Shorten([None if number else RECORD for number in numbers])
    count = 0
    for part in parts:
        for row in part:
            count += 1
            out.write(f"-- {count}\n")
            for name, value in zip(names, shorten(row), strict=True):
                out.write(f"{name}{' ' * (margin - _width(name))}  {value}\n")
    return Written(count, shorten.cut)


def _line(cells: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    padded = []
    for cell, width, number in zip(cells, widths, numbers, strict=True):
        space = " " * (width - _width(cell))
        padded.append(space + cell if number else cell + space)
    return "  ".join(padded).rstrip()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
