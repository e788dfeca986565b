"""Fees: exact, half up to 8 decimals, at the rate of the exchange and market."""

from decimal import Decimal

import pytest

from tradelake.market.fees import taker_rate, trade_fee
from tradelake.taker_rates import PUBLISHED_TAKER_RATES


@pytest.mark.parametrize(
    ("price", "quantity", "rate", "fee"),
    [
        ("61837.63000000", "0.02000000", "0.0010", "1.23675260"),
        ("0.00001", "1", "0.0005", "0.00000001"),  # 5E-9, half: up
        ("0.00000999", "1", "0.0005", "0.00000000"),
        ("0.00003", "1", "0.0005", "0.00000002"),  # 1.5E-8
        ("9999999999.99999999", "9999999999.99999999", "0.001", "99999999999999999.80000000"),
        ("1e999", "0", "0.001", "0.00000000"),
        ("1", "1", "0", "0.00000000"),
    ],
)
def test_a_fee_is_exact_and_half_up(price, quantity, rate, fee):
    assert trade_fee(Decimal(price), Decimal(quantity), Decimal(rate)) == fee


def test_the_largest_amounts_that_replay_lets_through_have_a_fee():
    fee = trade_fee(Decimal("9" * 59 + "e+999"), Decimal("9" * 59 + "e+999"), Decimal("0.0011"))
    assert len(fee.partition(".")[0]) == 59 * 2 + 999 * 2 - 2


def test_futures_have_their_own_rate_and_fall_back_on_the_exchanges():
    default = Decimal("0.5")
    rate = PUBLISHED_TAKER_RATES
    assert taker_rate(rate, "Binance", "spot", default) == Decimal("0.0010")
    assert taker_rate(rate, "Binance", "futures", default) == Decimal("0.0005")
    assert taker_rate(rate, "FTX", "futures", default) == Decimal("0.0007")
    assert taker_rate(rate, "elsewhere", "futures", default) == default
