"""The model itself, where the contract gives the answer outright."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from etl import model
from etl.harness import change, encode


def test_the_model_rounds_half_up_and_keeps_eight_decimals() -> None:
    record = change(exchange="Coinbase", price="0.00000025", trade_fee="0.00000005", quantity="2")

    verdict = model.judge_change_record(encode(record))

    assert isinstance(verdict, model.Usable)
    assert verdict.row is not None
    assert verdict.row["normalized_price"] == Decimal("0.00000026")
    assert verdict.row["user_category"] == "Active Trader"


def test_the_model_counts_every_record_once() -> None:
    fold = model.Fold()
    batch = [
        b"{",
        encode(change("a")),
        encode(change("a")),
        encode(change("b", "e2", event="REMOVE")),
    ]

    counts = fold.take((raw, model.judge_change_record(raw)) for raw in batch)

    assert counts == {
        "received": 4, "applied": 1, "superseded": 0, "duplicate": 1, "filtered": 1,
        "quarantined": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-11-22T10:00:00Z", datetime(2025, 11, 22, 10, tzinfo=UTC)),
        ("2025-11-22 10:00:00.1234567", datetime(2025, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2025-11-22T01:30:00+05:30", datetime(2025, 11, 21, 20, tzinfo=UTC)),
    ],
)
def test_the_model_reads_times(text: str, moment: datetime) -> None:
    assert model.read_timestamp(text) == moment
