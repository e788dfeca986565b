"""The lake's state: what each commit of processed_crypto_txn carries in its metadata.

That commit is the only truth. It holds the checkpoint, the newest ledger rows, the running totals,
and the names of the side files, which mean nothing until it completes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tradelake.errors import DamagedTable
from tradelake.etl.checkpoint import Checkpoint
from tradelake.etl.ledger import Counts, LedgerRow
from tradelake.etl.schema import LEDGER, QUARANTINE, TOMBSTONES
from tradelake.etl.sidefiles import SideFile, side_files

METADATA_KEY = "tradelake.state"
SOURCE_INSTANT_KEY = "source_instant"
_VERSION = 1
SIDE_LOGS = (TOMBSTONES, QUARANTINE, LEDGER)


@dataclass(frozen=True, slots=True)
class LakeState:
    """What is known after a commit.

    recent: ledger rows that are not in a side file yet, oldest first, this commit's last.
    freshness: this commit's histogram.
    """

    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    totals: Counts = field(default_factory=Counts)
    batch: int = 0
    recent: tuple[LedgerRow, ...] = ()
    files: Mapping[str, tuple[SideFile, ...]] = field(
        default_factory=lambda: dict.fromkeys(SIDE_LOGS, ())
    )
    freshness: Mapping[int, int] = field(default_factory=dict)

    def dumps(self) -> str:
        """The text of the metadata value."""
        return json.dumps(
            {
                "version": _VERSION,
                "checkpoint": self.checkpoint.as_json(),
                "totals": self.totals.as_dict(),
                "batch": self.batch,
                "recent": [row.as_json() for row in self.recent],
                "files": {
                    name: [file.as_json() for file in files] for name, files in self.files.items()
                },
                "freshness": {str(bucket): count for bucket, count in self.freshness.items()},
            },
            separators=(",", ":"),
        )

    @classmethod
    def loads(cls, text: str | None) -> "LakeState":
        """The state in a metadata value; the empty lake's for None.

        Raises:
            DamagedTable: it is not what `dumps` writes, or is a newer tradelake's.
        """
        if text is None:
            return cls()
        try:
            values = json.loads(text)
            if values["version"] != _VERSION:
                raise DamagedTable(
                    f"the lake's state is of version {values['version']}; this tradelake reads "
                    f"version {_VERSION}: use the tradelake that wrote it, or a newer one"
                )
            return cls(
                Checkpoint.from_json(values["checkpoint"]),
                Counts(**values["totals"]),
                values["batch"],
                tuple(LedgerRow.from_json(row) for row in values["recent"]),
                {name: side_files(values["files"].get(name, ())) for name in SIDE_LOGS},
                {int(bucket): count for bucket, count in values["freshness"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedTable(
                f"{METADATA_KEY} in the newest commit is damaged: {error!r}"
            ) from error
