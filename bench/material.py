"""What the figures are measured on: landing objects of change records, made from the simulator."""

import gzip
import json
import uuid
from pathlib import Path

from tradelake.actions import Delete, Put, Update
from tradelake.clock import to_datetime
from tradelake.delivery.transform import landing_line
from tradelake.market.simulator import Simulator
from tradelake.trade import FIELDS, Kind, Transaction

START_US = 1_767_225_600_000_000  # 2026-01-01
OBJECT_RECORDS = 100_000


def write_landing(home: Path, records: int, seed: int = 7) -> None:
    """Fills a home's landing zone with so many records of order lifecycles."""
    lines: list[bytes] = []
    written = 0
    known: dict[str, Transaction] = {}
    for number, event in enumerate(Simulator(seed, START_US, 1000.0).events()):
        action = event.action
        if isinstance(action, Put):
            known[action.transaction.transaction_id] = action.transaction
            name, key, image = "INSERT", action.transaction.transaction_id, action.transaction
        elif isinstance(action, Update):
            key = action.transaction_id
            image = Transaction.from_dict(known[key].as_dict() | dict(action.fields))
            name = "MODIFY"
        else:
            assert isinstance(action, Delete)
            name, key, image = "REMOVE", action.transaction_id, None
        lines.append(landing_line(_change(number, event.at_us, name, key, image)))
        if len(lines) == min(OBJECT_RECORDS, records - written):
            _write(home, written, lines)
            written += len(lines)
            lines = []
        if written == records:
            return


def _change(number: int, at_us: int, name: str, key: str, image: Transaction | None) -> bytes:
    dynamodb = {
        "ApproximateCreationDateTime": at_us,
        "ApproximateCreationDateTimePrecision": "MICROSECOND",
        "Keys": {"transaction_id": {"S": key}},
    }
    if image is not None:
        values = image.as_dict()
        dynamodb["NewImage"] = {
            field.name: {"N" if field.kind is Kind.AMOUNT else "S": values[field.name]}
            for field in FIELDS
            if values[field.name] is not None
        }
    event_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number}"))
    return json.dumps(
        {"eventID": event_id, "eventName": name, "awsRegion": "us-east-1", "dynamodb": dynamodb}
    ).encode()


def _write(home: Path, first: int, lines: list[bytes]) -> None:
    moment = to_datetime(START_US)
    folder = home / f"landing/bench/{moment:%Y/%m/%d/%H}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"bench-{first:09d}.gz").write_bytes(gzip.compress(b"".join(lines), 6))
