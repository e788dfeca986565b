"""A dump's bytes: plain, gzip or zip, told apart by content; its text by numbered lines."""

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import cast

from tradelake.errors import TradelakeError, UsageError

LONGEST_LINE = 1 << 20
"""Bytes. No dump has rows near it, and a file without line ends must not fill the memory."""

_GZIP = b"\x1f\x8b"
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")  # the second is an empty one


def broken(path: Path, place: str, text: str, why: str) -> TradelakeError:
    """The error for a row that can't be used: nothing of a dump is skipped in silence."""
    shown = text if len(text) <= 200 else text[:197] + "…"
    return TradelakeError(
        f"{path}, {place}: {why}: {shown!r}. Mend or remove it and replay the file again "
        "(rows that are already in are not doubled)"
    )


def first_line(path: Path) -> str | None:
    """The first line that is not blank, or as much of it as a line may have; None for no line."""
    return next((text for _, text in lines(path, whole_lines=False)), None)


def lines(path: Path, *, whole_lines: bool = True) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, numbered from 1, without line ends and byte order mark.

    Bytes that are not UTF-8 become backslash escapes, so that they fail where their row is judged.

    Raises:
        UsageError: the file can't be opened.
        TradelakeError: it is damaged or cut short, or a line has no end.
    """
    with opened(path) as stream:
        number = 0
        while raw := stream.readline(LONGEST_LINE):
            number += 1
            text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
            if whole_lines and len(raw) == LONGEST_LINE:
                raise broken(path, f"line {number}", text, f"longer than {LONGEST_LINE} bytes")
            if number == 1:
                text = text.removeprefix("\ufeff")
            if text and not text.isspace():
                yield number, text


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """The unpacked bytes of a file, as a stream.

    Raises:
        UsageError: it can't be opened, or is a zip that is not one plain file.
        TradelakeError: it is damaged or cut short (raised while reading, too).
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise UsageError(f"{path} can't be read: {error.strerror}") from error
        try:
            magic = file.read(4)
            file.seek(0)
            if magic.startswith(_GZIP):
                yield io.BufferedReader(gzip.GzipFile(fileobj=file))
            elif magic in _ZIPS:
                with _mangled_names():
                    archive = stack.enter_context(zipfile.ZipFile(file))
                    member = archive.open(_only_member(path, archive))
                yield io.BufferedReader(cast(zipfile.ZipExtFile, member))
            else:
                yield file
        except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise TradelakeError(
                f"{path} is damaged or cut short ({error}); download it again"
            ) from error
        except NotImplementedError as error:
            raise UsageError(f"{path} is packed in a way not supported ({error})") from error


def published_names(path: Path) -> list[str]:
    """The names that may tell the pair: the file's own, and that of a zip's member.

    A member's name is only ever matched as text, never used as a path.
    """
    names = [path.name]
    with path.open("rb") as file:
        if file.read(4) not in _ZIPS:
            return names
        with _mangled_names(), zipfile.ZipFile(file) as archive:
            names.append(PurePosixPath(_only_member(path, archive).filename).name)
    return names


@contextmanager
def _mangled_names() -> Iterator[None]:
    """What zipfile lets through when a name or number in a zip's directory is damaged."""
    try:
        yield
    except (ValueError, struct.error) as error:
        raise zipfile.BadZipFile(str(error)) from error


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    if len(members) != 1:
        raise UsageError(
            f"{path} is a zip of {len(members)} files; unpack it and replay the dumps one by one"
        )
    if members[0].flag_bits & 1:
        raise UsageError(f"{path} is encrypted; unpack it first")
    return members[0]
