"""Reads the stories in `fold/*.txt`: change records, batch by batch, and the tables they lead to.

    A title, and what it is about.

    change records                          one a line, oldest arrival first; two spaces or more
    created   id  event   status   price    between columns; columns left out have plain values
    10:00:01  t1  INSERT  PENDING  100
    - - -                                   a commit: what follows is the next batch
    10:00:02  t1  REMOVE
    table                                   all rows of processed_crypto_txn, some columns
    id  price
    ledger                                  a row a batch
    quarantine                              reasons, and how often the bytes were met

`null` is DynamoDB's NULL, `absent` leaves the attribute out, `''` is the empty text, `{…}` is
DynamoDB JSON as it stands, and `raw: …` a record of any bytes. Event names number the records
e1, e2 … where there is no column `event_id`; `same as e1` repeats an earlier record.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from etl import harness
from tradelake.clock import to_micros

NAMES = {
    "id": "transaction_id",
    "traded": "timestamp",
    "pair": "trading_pair",
    "side": "order_type",
    "fee": "trade_fee",
    "status": "trade_status",
    "user": "user_id",
    "wallet": "wallet_address",
    "source": "order_source",
    "event": "event_name",
    "risk": "risk_flag",
    "normalized": "normalized_price",
    "net_fee": "adjusted_trade_fee",
    "category": "user_category",
    "hour": "hour_bucket",
    "created": "change_time",
}
DECIMALS = {"price", "quantity", "trade_fee", "normalized_price", "adjusted_trade_fee"}
HEADINGS = ("change records", "table", "ledger", "quarantine")
DAY = "2025-11-22"


@dataclass
class Story:
    """A story: batches of records, and what is expected after them."""

    title: str
    batches: list[list[bytes]] = field(default_factory=lambda: [[]])
    table: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, int]] = field(default_factory=list)
    quarantine: dict[str, int] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)


def read_story(path: Path) -> Story:
    """The story in a file."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    starts = [at for at, line in enumerate(lines) if line in HEADINGS]
    story = Story(" ".join(lines[: starts[0]]))
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        heading, body = lines[start], lines[start + 1 : end]
        story.told.add(heading)
        if heading == "change records":
            _read_batches(story, body)
        elif heading == "table":
            names, *rows = (_cells(line) for line in body)
            story.table = [_row(dict(zip(names, row, strict=True))) for row in rows]
        elif heading == "ledger":
            names, *rows = (_cells(line) for line in body)
            story.ledger = [dict(zip(names, map(int, row), strict=True)) for row in rows]
        else:
            story.quarantine = {reason: int(n) for reason, n in (_cells(line) for line in body)}
    return story


def _cells(line: str) -> list[str]:
    return re.split(r"  +", line.strip(" "))


def _read_batches(story: Story, body: list[str]) -> None:
    names, made = _cells(body[0]), {}
    for line in body[1:]:
        if line.startswith("- - -"):
            story.batches.append([])
        elif line.startswith("raw: "):
            story.batches[-1].append(line.removeprefix("raw: ").encode())
        elif line.startswith("same as "):
            story.batches[-1].append(made[line.removeprefix("same as ").strip()])
        else:
            cells = _cells(line)
            cells += [""] * (len(names) - len(cells))  # a REMOVE needs no more than its key
            values = {"event_id": f"e{len(made) + 1}"} | dict(zip(names, cells, strict=True))
            made[values["event_id"]] = harness.encode(_record(dict(values)))
            story.batches[-1].append(made[values["event_id"]])


def _record(values: dict[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "key": values.pop("id", "t1"),
        "event_id": values.pop("event_id"),
        "event": values.pop("event", "INSERT"),
        "created_us": _micros(values.pop("created", "10:00:00")),
        "sequence": values.pop("sequence", "") or None,
    }
    return harness.change(**options, **{
        NAMES.get(name, name): _attribute(text) for name, text in values.items() if text
    })  # fmt: skip


def _attribute(text: str) -> Any:
    if text.startswith("{"):
        return json.loads(text)
    return {"null": None, "absent": ..., "''": ""}.get(text, text)


def _micros(text: str) -> int:
    moment = datetime.fromisoformat(text if "T" in text else f"{DAY}T{text}")
    return to_micros(moment.replace(tzinfo=UTC))


def _row(cells: dict[str, str]) -> dict[str, Any]:
    return {
        NAMES.get(name, name): _cell(NAMES.get(name, name), text) for name, text in cells.items()
    }


def _cell(name: str, text: str) -> Any:
    if text == "null":
        return None
    if name in DECIMALS:
        return Decimal(text)
    if name in ("timestamp", "change_time"):
        return datetime.fromisoformat(text if "T" in text else f"{DAY}T{text}Z")
    return "" if text == "''" else text
