"""Dropping the metadata table that Spark writers make by default.

It is a second Hudi table that lists the files of the first. A writer that doesn't maintain it makes
its readers lose files, so it goes before our first change, as Hudi itself does when told
`hoodie.metadata.enable=false`: first from the properties, then from disk.
"""

from tradelake.clock import Clock
from tradelake.hudi import properties
from tradelake.hudi.layout import PROPERTIES, TableFolder

_FOLDER = "metadata"


def drop_metadata_table(folder: TableFolder, clock: Clock) -> None:
    """Removes the metadata table, if there is one. Call it under the lease only."""
    key = folder.meta(PROPERTIES)
    found = properties.parse(folder.storage.get(key))
    kept = {k: v for k, v in found.items() if k not in properties.METADATA_TABLE}
    if kept != found:
        # The checksum file goes first: beside new content it would make Hadoop refuse the file.
        folder.storage.delete(folder.meta(f".{PROPERTIES}.crc"))
        folder.storage.put(key, properties.to_bytes(kept, clock()))
    if _FOLDER in folder.storage.children(folder.meta("")[:-1]):
        folder.delete_below(folder.meta(_FOLDER))
