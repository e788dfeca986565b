"""The simulated market: the same for a seed, and shaped like a market."""

import hashlib
import re
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from itertools import islice

import pytest

from tradelake.clock import iso
from tradelake.errors import UsageError
from tradelake.market.chance import Chance, Weighted
from tradelake.market.prices import ASSETS, Prices
from tradelake.market.simulator import Delete, Put, Simulator, Update
from tradelake.taker_rates import DEFAULT_TAKER_RATE, PUBLISHED_TAKER_RATES
from tradelake.trade import parse_amount

START = 1_732_305_600_000_000
ORDERS = 20_000


@pytest.fixture(scope="module")
def events():
    return list(Simulator(seed=42, start_us=START, rate=500).events(ORDERS))


@pytest.fixture(scope="module")
def orders(events):
    return [event.action.transaction for event in events if isinstance(event.action, Put)]


def value(order):
    return Decimal(order.price) * Decimal(order.quantity)


def test_the_same_seed_gives_the_same_events_to_the_last_byte(events):
    assert list(Simulator(seed=42, start_us=START, rate=500).events(ORDERS)) == events


def test_events_of_a_seed_are_the_same_on_every_machine_and_version(events):
    """If this fails after a deliberate change of the market, the new digest is the right one."""
    digest = hashlib.sha256(repr(events).encode()).hexdigest()
    assert digest == "ddf7d7f46b47b028a0f2e98b2e8d9ca9b8e14993bbfeb13583824911bd1128bd"


def test_every_call_plays_the_market_from_its_opening():
    simulator = Simulator(seed=7, start_us=START, rate=100)
    assert list(simulator.events(50)) == list(simulator.events(50))


def test_different_seeds_differ(orders):
    other = [e.action for e in Simulator(43, START, 500).events(100) if isinstance(e.action, Put)]
    assert not {o.transaction.transaction_id for o in other} & {o.transaction_id for o in orders}


def test_a_longer_run_begins_with_the_shorter(events):
    short = list(Simulator(42, START, 500).events(1_000))
    assert events[: len(short)] == short
    assert list(islice(Simulator(42, START, 500).events(), len(short))) == short


def test_exactly_as_many_orders_as_asked_for(orders):
    assert len(orders) == ORDERS
    assert list(Simulator(1, START, 500).events(0)) == []
    (only,) = Simulator(1, START, 500).events(1)
    assert isinstance(only.action, Put)


def test_time_never_steps_back_and_follows_the_rate(events):
    times = [event.at_us for event in events]
    assert times == sorted(times)
    assert times[0] >= START
    assert (times[-1] - START) / 1e6 == pytest.approx(ORDERS / 500, rel=0.05)


def test_an_order_is_placed_pending_then_ends_once_or_stays_open(events):
    placed, ended = {}, {}
    for event in events:
        action = event.action
        if isinstance(action, Put):
            assert action.transaction.trade_status == "PENDING"
            assert action.transaction.timestamp == iso(event.at_us)
            assert action.transaction.transaction_id not in placed
            placed[action.transaction.transaction_id] = event.at_us
            continue
        assert action.transaction_id not in ended
        delay = event.at_us - placed[action.transaction_id]
        assert 200_000 <= delay <= 600_000_000
        ended[action.transaction_id] = action, delay
    outcomes = Counter(
        "deleted" if isinstance(action, Delete) else action.fields["trade_status"]
        for action, _ in ended.values()
    )
    assert all(a.fields.keys() == {"trade_status"} for a, _ in ended.values() if type(a) is Update)
    share = {outcome: count / len(ended) for outcome, count in outcomes.items()}
    assert share == pytest.approx({"SUCCESS": 0.909, "FAILED": 0.061, "deleted": 0.030}, abs=0.01)
    assert 0.005 < 1 - len(ended) / len(placed) < 0.1
    delays = sorted(delay for _, delay in ended.values())
    assert delays[int(len(delays) * 0.95)] < 5_000_000
    assert delays[-1] > 10_000_000


def test_every_risk_class_occurs_and_high_risk_is_about_one_percent(orders):
    high = sum(value(order) > 500_000 for order in orders) / ORDERS
    medium = sum(100_000 < value(order) <= 500_000 for order in orders) / ORDERS
    assert 0.005 < high < 0.015
    assert 0.02 < medium < 0.08


def test_every_user_category_occurs(orders):
    vip = sum(Decimal(order.quantity) > 2 for order in orders) / ORDERS
    active = sum(1 < Decimal(order.quantity) <= 2 for order in orders) / ORDERS
    assert 0.2 < vip < 0.6
    assert 0.02 < active < 0.2
    assert vip + active < 0.8


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_shares_hold_for_any_seed(seed):
    market = Simulator(seed, START, 500).events(ORDERS)
    values = [value(e.action.transaction) for e in market if isinstance(e.action, Put)]
    assert 0.005 < sum(each > 500_000 for each in values) / ORDERS < 0.015


def test_amounts_fit_the_tables_and_fees_are_exact(orders):
    for order in orders:
        for text in (order.price, order.quantity, order.trade_fee):
            assert re.fullmatch(r"[0-9]+(\.[0-9]{1,8})?", text)
            parse_amount(text)
        assert Decimal(order.price) > 0
        assert Decimal(order.quantity) > 0
        rate = PUBLISHED_TAKER_RATES.get(order.exchange, DEFAULT_TAKER_RATE)
        fee = (value(order) * rate).quantize(Decimal("0.00000001"), ROUND_HALF_UP)
        assert Decimal(order.trade_fee) == fee


def test_prices_lie_near_where_the_market_is_and_exchanges_near_each_other(orders):
    near = {"BTC/USDT": 60_000, "ETH/USDT": 2_600, "XRP/USDT": 0.52, "XRP/ETH": 0.0002}
    for pair, middle in near.items():
        prices = [float(order.price) for order in orders if order.trading_pair == pair]
        assert len(prices) > 100
        assert 0.9 * middle < min(prices) < max(prices) < 1.1 * middle
        # 40 seconds of market: some basis points of walk, some of quotes around it.
        assert max(prices) / min(prices) < 1.01


def test_all_exchanges_sources_and_sides_occur_and_some_wallets_are_null(orders):
    assert {order.exchange for order in orders} == {
        *("Binance", "Coinbase", "Kraken", "OKX", "FTX", "Bitfinex", "KuCoin")
    }
    assert {order.order_source for order in orders} == {"Web", "Mobile", "API"}
    assert {order.order_type for order in orders} == {"BUY", "SELL"}
    assert 0 < sum(order.wallet_address is None for order in orders) < 0.15 * ORDERS


def test_users_have_habits(orders):
    by_user: dict[str, list] = {}
    for order in orders:
        by_user.setdefault(order.user_id, []).append(order)
    assert 300 < len(by_user) <= 400
    busiest = max(by_user.values(), key=len)
    assert len(busiest) > 5 * ORDERS / len(by_user)
    assert all(len({o.wallet_address for o in of_one}) <= 3 for of_one in by_user.values())
    assert all(re.fullmatch("0x[0-9a-f]{40}", o.wallet_address) for o in orders if o.wallet_address)


def test_ids_are_version_4_uuids(orders):
    pattern = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(pattern.fullmatch(order.transaction_id) for order in orders)


def test_a_market_of_years_keeps_its_prices_in_order_of_magnitude():
    prices = Prices(Chance(5), START)
    for day in range(1, 3_650):
        prices.advance(START + day * 86_400_000_000)
        for asset in ASSETS:
            assert asset.dollars / 10 < prices.dollars[asset.name] < asset.dollars * 10


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e-9, 1e9])
def test_rates_that_make_no_sense_are_refused(rate):
    with pytest.raises(UsageError, match="orders per second"):
        Simulator(1, START, rate)


def test_a_negative_seed_is_refused():
    with pytest.raises(UsageError, match="seed is -1"):
        Simulator(-1, START, 10)


def test_chance_draws_what_it_says():
    chance = Chance(3)
    draws = range(20_000)
    bell = [chance.bell() for _ in draws]
    assert sum(bell) / len(bell) == pytest.approx(0, abs=0.03)
    assert sum(each * each for each in bell) / len(bell) == pytest.approx(1, abs=0.05)
    assert sum(chance.exponential(3.0) for _ in draws) / len(draws) == pytest.approx(3, rel=0.03)
    lognormal = sorted(chance.lognormal(200, 1.25) for _ in draws)
    assert lognormal[0] > 0
    assert lognormal[10_000] == pytest.approx(200, rel=0.05)
    pareto = [chance.pareto(10, 1_000) for _ in draws]
    assert (min(pareto), max(pareto)) == (pytest.approx(10, rel=0.01), 1_000)
    assert sum(each > 100 for each in pareto) / len(pareto) == pytest.approx(0.1, abs=0.01)
    things = Weighted([("often", 3.0), ("rarely", 1.0)])
    often = sum(chance.pick(things) == "often" for _ in draws) / len(draws)
    assert often == pytest.approx(0.75, abs=0.02)
