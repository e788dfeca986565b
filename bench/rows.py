"""Rows like those of the lake, a function of their numbers: any of them can be made again.

18 columns in 6 partitions: uuids as keys, short texts that repeat, DECIMAL(18,8)s, timestamps, and
the order of the change as text.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bench.material import START_US

Numbers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

KEY = "transaction_id"
PARTITION = "exchange"
ORDERING = "change_order"

_MOMENT = pa.timestamp("us", tz="UTC")
_AMOUNT = pa.decimal128(18, 8)
SCHEMA = pa.schema(
    [
        (KEY, pa.string()),
        ("timestamp", _MOMENT),
        (PARTITION, pa.string()),
        ("trading_pair", pa.string()),
        ("order_type", pa.string()),
        ("price", _AMOUNT),
        ("quantity", _AMOUNT),
        ("trade_fee", _AMOUNT),
        ("trade_status", pa.string()),
        ("user_id", pa.string()),
        ("wallet_address", pa.string()),
        ("order_source", pa.string()),
        ("change_time", _MOMENT),
        (ORDERING, pa.string()),
        ("risk_flag", pa.string()),
        ("normalized_price", _AMOUNT),
        ("user_category", pa.string()),
        ("hour_bucket", pa.string()),
    ]
)
EXCHANGES = ("Binance", "Bitfinex", "Coinbase", "FTX", "Kraken", "OKX")
_PAIRS = tuple(f"{a}/{b}" for a in ("BTC", "ETH", "XRP", "SOL", "ADA") for b in ("USDT", "EUR"))
_USERS = 20_000
_BETWEEN_US = 1_000  # a thousand trades a second
_RECENT = 5_000
_PART = 1_000_000
_HOUR_US = 3_600_000_000


def base(count: int) -> Iterator[pa.Table]:
    """Rows 0 to `count` in the order of their time, a million at a time."""
    for first in range(0, count, _PART):
        yield rows(np.arange(first, min(first + _PART, count)))


def random_updates(count: int, size: int) -> pa.Table:
    """A batch for rows 0 to `count`: half of it new rows, half updates of any."""
    return _batch(count, size, np.random.default_rng(size).choice(count, size // 2, replace=False))


def recent_updates(count: int, size: int, turn: int = 0) -> pa.Table:
    """The same with updates of the last 5,000 rows, `turn` times such a batch later."""
    there = count + turn * (size - size // 2)
    back = np.random.default_rng(turn).choice(_RECENT, size // 2, replace=False)
    return _batch(there, size, there - 1 - back, turn)


def _batch(there: int, size: int, updated: Numbers, turn: int = 0) -> pa.Table:
    new = np.arange(there, there + size - len(updated))
    return pa.concat_tables([rows(np.sort(updated), turn + 1), rows(new)]).combine_chunks()


def rows(numbers: Numbers, version: int = 0) -> pa.Table:
    """The rows of these numbers, as they are after so many updates."""
    numbers = numbers.astype(np.int64)
    own = _random(numbers, 1)
    seen = _random(numbers + (version << 40), 2)
    time = START_US + numbers * _BETWEEN_US
    changed = time + version * 60_000_000
    user = (_random(numbers, 3) % _USERS).astype(np.int64)
    price = (own % 7_000_000 + 100).astype(np.int64) * 1_000_000
    quantity = (seen % 500_000_000 + 1).astype(np.int64)
    value = price / 1e8 * (quantity / 1e8)
    columns = {
        KEY: _uuids(numbers, 4),
        "timestamp": _moments(time),
        PARTITION: _chosen(EXCHANGES, own >> np.uint64(8)),
        "trading_pair": _chosen(_PAIRS, own >> np.uint64(16)),
        "order_type": _chosen(("BUY", "SELL"), own >> np.uint64(24)),
        "price": _amounts(price),
        "quantity": _amounts(quantity),
        "trade_fee": _amounts(quantity * 7 // 5000 + price // 100_000_000),
        "trade_status": _chosen(("SUCCESS", "PENDING"), seen >> np.uint64(24)),
        "user_id": _chosen([f"user-{i:05}" for i in range(_USERS)], user),
        "wallet_address": _chosen(_uuids(np.arange(_USERS), 5).to_pylist(), user),
        "order_source": _chosen(("Web", "Mobile", "API"), own >> np.uint64(32)),
        "change_time": _moments(changed),
        ORDERING: _orders(changed, numbers, version),
        "risk_flag": _graded(value, 100_000, 500_000, "LOW_RISK", "MEDIUM_RISK", "HIGH_RISK"),
        "normalized_price": _amounts(price // 100 * 102),
        "user_category": _graded(quantity, 10**8, 2 * 10**8, "Casual", "Active", "VIP"),
        "hour_bucket": _hours(time),
    }
    return pa.table(columns, schema=SCHEMA)


def _random(numbers: Numbers, stream: int) -> Words:
    """Splitmix64 of the numbers: 64 random bits for each."""
    word = (numbers.astype(np.uint64) + np.uint64(stream << 56)) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def _uuid_text(numbers: Numbers, stream: int) -> Bytes:
    halves = np.stack([_random(numbers, stream), _random(numbers, stream + 100)], axis=1)
    pairs = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), dtype="u2")
    digits = pairs[halves.view(np.uint8)].view(np.uint8).reshape(len(numbers), 32)
    text = np.full((len(numbers), 36), ord("-"), dtype=np.uint8)
    for start, end, at in ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)):
        text[:, at : at + end - start] = digits[:, start:end]
    return text


def _uuids(numbers: Numbers, stream: int) -> pa.Array:
    return _texts(_uuid_text(numbers, stream))


def _orders(changed: Numbers, numbers: Numbers, version: int) -> pa.Array:
    text = np.full((len(numbers), 94), ord("0"), dtype=np.uint8)
    text[:, 16] = text[:, 57] = ord("-")
    for values, end in ((changed, 16), (numbers, 57)):
        left = values.copy()
        for back in range(1, 17):
            text[:, end - back] = ord("0") + left % 10
            left //= 10
    text[:, 58:] = _uuid_text(numbers + (version << 40), 6)
    return _texts(text)


def _texts(text: Bytes) -> pa.Array:
    count, width = text.shape
    ends = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(text))]
    return pa.Array.from_buffers(pa.string(), count, buffers)


def _amounts(units: Numbers) -> pa.Array:
    """Hundred-millionths as decimals."""
    wide = np.zeros((len(units), 2), dtype=np.int64)
    wide[:, 0] = units
    return pa.Array.from_buffers(_AMOUNT, len(units), [None, pa.py_buffer(wide)])


def _moments(micros: Numbers) -> pa.Array:
    return pa.array(micros, pa.timestamp("us")).cast(_MOMENT)


def _chosen(values: tuple[str, ...] | list[str], which: Words | Numbers) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array((which % len(values)).astype(np.int64)))


def _graded(value: npt.NDArray[np.generic], low: float, high: float, *names: str) -> pa.Array:
    return _chosen(names, (value > low).astype(np.int64) + (value > high))


def _hours(time: Numbers) -> pa.Array:
    hours, which = np.unique(time // _HOUR_US, return_inverse=True)
    names = pc.strftime(_moments(hours * _HOUR_US), format="%Y-%m-%d %H:00:00")
    return names.take(pa.array(which))
