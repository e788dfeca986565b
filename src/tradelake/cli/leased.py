"""The lake's writer for a command: it has the lease while the command works."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradelake.etl.writer import LakeWriter
    from tradelake.settings import Settings


@contextmanager
def lake_writer(settings: "Settings") -> "Iterator[LakeWriter | None]":
    """The writer of the home's lake; None where nothing was committed yet."""
    from tradelake.etl.lake import lake_exists
    from tradelake.home import Home
    from tradelake.pipeline import Pipeline

    home = Home(settings.home).require()
    if not lake_exists(home.storage):
        yield None
        return
    with Pipeline(home, settings) as pipeline:
        yield pipeline.writer
