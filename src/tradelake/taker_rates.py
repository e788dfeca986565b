"""The exchanges' published taker rates: the settings' defaults, and the market's."""

from collections.abc import Mapping
from decimal import Decimal

# Taker rate of the lowest volume tier, as the exchanges' public fee schedules had it in mid 2024
# (FTX: 2022, its last). Rates move: the setting `taker_rates` overrides any of them.
PUBLISHED_TAKER_RATES: Mapping[str, Decimal] = {
    "Binance": Decimal("0.0010"),  # binance.com/en/fee/schedule
    "Binance futures": Decimal("0.0005"),  # binance.com/en/fee/futureFee, USD-M
    "Coinbase": Decimal("0.0060"),  # help.coinbase.com, Advanced and Exchange fees
    "Kraken": Decimal("0.0040"),  # kraken.com/features/fee-schedule, Pro
    "OKX": Decimal("0.0010"),  # okx.com/fees
    "FTX": Decimal("0.0007"),  # help.ftx.com, trading fees
    "Bitfinex": Decimal("0.0020"),  # bitfinex.com/fees
}
DEFAULT_TAKER_RATE = Decimal("0.0010")
"""For exchanges without a rate of their own: what most of them publish."""
