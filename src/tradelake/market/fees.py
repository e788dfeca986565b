"""What a taker pays: the exchanges' published rates, and the fee of one trade."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Literal

Market = Literal["spot", "futures"]
"""The two markets an exchange keeps apart: own rates, own id spaces. Swaps are futures here."""

_EIGHT_DECIMALS = Decimal("1E-8")
_EXACT = Context(prec=5000, rounding=ROUND_HALF_UP)
"""Wide enough that no product of two 64-character amounts (exponents to 999) is rounded early."""


def taker_rate(
    rates: Mapping[str, Decimal], exchange: str, market: Market, default: Decimal
) -> Decimal:
    """The rate of an exchange's market; futures look under `<exchange> futures` first."""
    if market == "futures" and f"{exchange} futures" in rates:
        return rates[f"{exchange} futures"]
    return rates.get(exchange, default)


def trade_fee(price: Decimal, quantity: Decimal, rate: Decimal) -> str:
    """price × quantity × rate as text, exact and then half up to 8 decimals."""
    product = _EXACT.multiply(_EXACT.multiply(price, quantity), rate)
    return format(_EXACT.quantize(product, _EIGHT_DECIMALS), "f")
