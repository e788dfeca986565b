"""The dashboard's visuals, each stated once as data; whatever shows them derives from this list."""

from dataclasses import dataclass
from enum import StrEnum

TITLE = "Crypto Trading Insights Dashboard"
TABLE = "crypto.processed_crypto_txn"


class Kind(StrEnum):
    """How a visual looks."""

    KPI = "kpi"
    TABLE = "table"
    BAR = "bar"
    DONUT = "donut"
    PIE = "pie"


class Aggregation(StrEnum):
    """How the rows of a group become a number."""

    SUM = "sum"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Measure:
    """A number: a column of TABLE aggregated, under the name people read.

    decimals: digits after the point where it is shown rounded.
    """

    label: str
    aggregation: Aggregation
    column: str = "transaction_id"
    decimals: int = 0

    @property
    def sql(self) -> str:
        """The select expression."""
        return f"{self.aggregation}({self.column})"


@dataclass(frozen=True, slots=True)
class Visual:
    """One visual: the measures of each value of the dimension, or of all rows without one.

    Groups are sorted by the first measure, largest first.
    """

    title: str
    kind: Kind
    measures: tuple[Measure, ...]
    dimension: str | None = None

    @property
    def sql(self) -> str:
        """The query behind it, in Athena's SQL: the dimension first, then the measures."""
        measures = ", ".join(f'{m.sql} AS "{m.label}"' for m in self.measures)
        if self.dimension is None:
            return f"SELECT {measures} FROM {TABLE}"
        return (
            f"SELECT {self.dimension}, {measures} FROM {TABLE} "
            f"GROUP BY {self.dimension} ORDER BY 2 DESC, 1"
        )


_FEES = Measure("Trade fee", Aggregation.SUM, "trade_fee", 2)
_QUANTITY = Measure("Quantity", Aggregation.SUM, "quantity", 2)
_TRADES = Measure("Trades", Aggregation.COUNT)

VISUALS: tuple[Visual, ...] = (
    Visual("Trade Fee Collected", Kind.KPI, (_FEES,)),
    Visual("Exchange Comparison", Kind.TABLE, (_QUANTITY, _FEES), "exchange"),
    Visual("Trading Volume per Trading Pair", Kind.BAR, (_QUANTITY,), "trading_pair"),
    Visual("Risk Distribution", Kind.DONUT, (_TRADES,), "risk_flag"),
    Visual("Number of Trades by Status", Kind.PIE, (_TRADES,), "trade_status"),
    Visual("Order Type Distribution", Kind.PIE, (_TRADES,), "order_type"),
    Visual("User Category Distribution", Kind.BAR, (_TRADES,), "user_category"),
)
