"""From an answer of SQL to what the page shows, without a browser."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tradelake.dashboard import figures
from tradelake.dashboard.visuals import VISUALS, Aggregation, Kind, Measure, Visual

TRADES = Measure("Trades", Aggregation.COUNT)
FEES = Measure("Trade fee", Aggregation.SUM, "trade_fee", 2)


def answer(labels: list[str], *numbers: list[Any]) -> pa.Table:
    columns = [pa.array(labels, pa.string()), *map(pa.array, numbers)]
    return pa.table(columns, [f"c{place}" for place in range(len(columns))])


def trace(visual: Visual, rows: pa.Table) -> dict[str, Any]:
    (found,) = figures.figure(visual, rows)["data"]
    return dict(found)


@pytest.mark.parametrize(
    ("number", "measure", "shown", "exact"),
    [
        (1234567, TRADES, "1,234,567", "1,234,567"),
        (Decimal("19971.06354598"), FEES, "19,971.06", "19,971.06354598"),
        (Decimal("0.00000001"), FEES, "0.00", "0.00000001"),
        (Decimal("99999999999999999999999999999.99999999"), FEES, None, None),
        (0, TRADES, "0", "0"),
        (None, FEES, "–", "–"),
    ],
)
def test_numbers_are_shown_with_thousands_and_told_to_the_last_digit(
    number: Any, measure: Measure, shown: str | None, exact: str | None
) -> None:
    assert figures.shown(number, measure) == (shown or "100," + "000," * 8 + "000.00")
    assert figures.exact(number) == (exact or "99," + "999," * 8 + "999.99999999")


def test_a_grid_sorts_by_value_and_shows_text() -> None:
    visual = Visual("Fees", Kind.TABLE, (FEES, TRADES), "exchange")
    rows = figures.grid_rows(visual, answer(["OKX"], [Decimal("1234.56789")], [3]))
    assert rows == [
        {
            "dimension": "OKX",
            "value0": 1234.56789,
            "shown0": "1,234.57",
            "exact0": "1,234.56789",
            "value1": 3.0,
            "shown1": "3",
            "exact1": "3",
        }
    ]
    names = [column["headerName"] for column in figures.grid_columns(visual)]
    assert names == ["Exchange", "Trade fee", "Trades"]


def test_bars_have_length_label_and_number() -> None:
    visual = Visual("Volume", Kind.BAR, (FEES,), "trading_pair")
    rows = answer(["BTC/USDT", "ETH/BTC"], [Decimal("2000.5"), Decimal("0.125")])
    made = figures.figure(visual, rows)
    bars = made["data"][0]
    assert bars["x"] == [2000.5, 0.125]
    assert bars["text"] == ["2,000.50", "0.12"]
    assert [told for _, told in bars["customdata"]] == ["2,000.500", "0.125"]
    assert made["layout"]["yaxis"]["ticktext"] == ["BTC/USDT", "ETH/BTC"]
    assert figures.note(visual, rows) == ""


def test_of_many_bars_the_largest_are_shown_and_it_says_so() -> None:
    visual = Visual("Volume", Kind.BAR, (TRADES,), "trading_pair")
    rows = answer([f"P{n}" for n in range(1200)], list(range(1200, 0, -1)))
    bars = trace(visual, rows)
    assert bars["x"] == [float(n) for n in range(1200, 1200 - figures.MOST_BARS, -1)]
    assert figures.note(visual, rows) == f"the {figures.MOST_BARS} largest of 1,200"


@pytest.mark.parametrize(("kind", "hollow"), [(Kind.PIE, False), (Kind.DONUT, True)])
def test_slices_have_angle_label_and_number(kind: Kind, hollow: bool) -> None:
    visual = Visual("Risk", kind, (TRADES,), "risk_flag")
    slices = trace(visual, answer(["LOW_RISK", "HIGH_RISK"], [4426, 34]))
    assert slices["labels"] == ["LOW_RISK", "HIGH_RISK"]
    assert slices["values"] == [4426.0, 34.0]
    assert slices["text"] == ["4,426", "34"]
    assert bool(slices["hole"]) is hollow


def test_a_value_keeps_its_colour_whatever_its_place() -> None:
    visual = Visual("Anything", Kind.PIE, (TRADES,), "exchange")

    def colours(*labels: str) -> dict[str, str]:
        slices = trace(visual, answer(list(labels), [2] * len(labels)))
        return dict(zip(slices["labels"], slices["marker"]["colors"], strict=True))

    assert colours("OKX", "HIGH_RISK", "Kraken") == colours("Kraken", "OKX", "HIGH_RISK")
    assert len(set(colours("OKX", "HIGH_RISK", "Kraken").values())) == 3


def test_text_of_the_lake_is_escaped_before_plotly_takes_it_for_html() -> None:
    evil = "<b>&lt;</b>"
    safe = "&lt;b&gt;&amp;lt;&lt;/b&gt;"
    pie = trace(Visual("x", Kind.PIE, (TRADES,), "order_type"), answer([evil], [1]))
    assert pie["labels"] == [safe]
    made = figures.figure(Visual("x", Kind.BAR, (TRADES,), "trading_pair"), answer([evil], [1]))
    assert made["layout"]["yaxis"]["ticktext"] == [safe]
    assert made["data"][0]["customdata"] == [[safe, "1"]]


def test_labels_that_are_cut_alike_stay_two_bars() -> None:
    visual = Visual("Volume", Kind.BAR, (TRADES,), "trading_pair")
    made = figures.figure(visual, answer(["A" * 100, "A" * 101], [2, 1]))
    assert made["data"][0]["y"] == [0, 1]
    assert len(set(made["layout"]["yaxis"]["ticktext"])) == 1


@pytest.mark.parametrize("visual", VISUALS[1:], ids=lambda visual: visual.title)
def test_a_lake_without_rows_makes_visuals_without_marks(visual: Visual) -> None:
    rows = answer([], *[pa.array([], pa.int64())] * len(visual.measures))
    if visual.kind is Kind.TABLE:
        assert figures.grid_rows(visual, rows) == []
    else:
        assert trace(visual, rows)["text"] == []
