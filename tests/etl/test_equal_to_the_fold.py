"""The property: after every commit the lake is the fold of the records taken, whatever they are."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl import model
from etl.harness import NOON_US, Home, change, encode
from tradelake.etl.ledger import Counts
from tradelake.etl.verify import verify

KEYS = st.sampled_from(["t1", "t2", "t3", "t 4", "t:5,x", "ü6", "7", "__null__", "t9", "T1"])
EXCHANGES = st.sampled_from(["Binance", "Binance", "Kraken", "Coinbase", "a B.c_d-e", "binance"])
PAIRS = st.sampled_from(["BTC/USDT", "BTC/USDT", "BTC/USDT", "XRP/ETH,a:b"])
STATUSES = st.sampled_from(["PENDING", "PENDING", "SUCCESS", "SUCCESS", "SUCCESS", "FAILED"])
NEAR = st.integers(0, 4).map(lambda steps: NOON_US + steps)
FAR = st.integers(0, 9999999999999999)
CREATED = st.one_of(NEAR, NEAR, NEAR, NEAR, FAR)
SEQUENCES = st.sampled_from([None, None, "9", "10", "9" * 40])
USERS = st.sampled_from([None, ..., "", "u1", "ü'\"\\"])
REGIONS = st.sampled_from([None, "us-east-1", "eu-west-1"])
UNITS = st.one_of(
    st.integers(1, 10**18 - 1),
    st.integers(1, 300_000_000),
    st.sampled_from([1, 10**8, 2 * 10**8, 5 * 10**12, 10**13, 5 * 10**13, 10**18 - 1]),
)
IN_AN_HOUR = st.sampled_from(
    ["2025-11-22T10:00:00Z", "2025-11-22T10:59:59.9999999", "2025-11-22T12:30:00+02:00"]
)
TRADED = st.one_of(
    IN_AN_HOUR,
    IN_AN_HOUR,
    IN_AN_HOUR,
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat(" ")).filter(
        lambda text: text[-3] == ":"  # historic offsets have seconds, which ISO 8601 has not
    ),
)  # fmt: skip
NASTY_NAMES = st.one_of(
    st.sampled_from(
        ["$.price", "price.x", "Price", "a'b", '"', "", "*", "[0]", "event_id", "change_order",
         "attributes", "region", "rid", "line", "select", "ingestion_time", "_hoodie_record_key"]
    ),
    st.text(max_size=8),
)  # fmt: skip
PLAIN_ATTRIBUTES = st.recursive(
    st.one_of(
        st.builds(lambda text: {"S": text}, st.text(max_size=5)),
        st.sampled_from([{"N": "1e40"}, {"BOOL": False}, {"NULL": True}, {"B": "AA=="}]),
        st.sampled_from([{"SS": ["a", "b"]}, {"NS": ["1", "2"]}, {"BS": []}]),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items: {"L": items}, st.lists(inner, max_size=3)),
        st.builds(
            lambda items: {"M": items}, st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
    ),
    max_leaves=4,
)


def _written(units: int, style: int) -> str:
    """An amount of so many hundred-millionths, written in one of many ways."""
    whole, part = divmod(units, 10**8)
    plain = f"{whole}.{part:08}"
    return [
        plain, plain.rstrip("0"), f"{units}e-8", f"+{plain}00", f"00{plain}", f"{plain}E0",
    ][style]  # fmt: skip


AMOUNTS = st.builds(_written, UNITS, st.integers(0, 5))


@st.composite
def good_records(draw: st.DrawFn) -> dict[str, Any]:
    """A record without a flaw, but for its eventID, which is given later."""
    image = {
        "timestamp": draw(TRADED),
        "exchange": draw(EXCHANGES),
        "trading_pair": draw(PAIRS),
        "price": draw(AMOUNTS),
        "quantity": draw(AMOUNTS),
        "trade_fee": draw(st.one_of(AMOUNTS, st.just("0"))),
        "trade_status": draw(STATUSES),
        "user_id": draw(USERS),
        "wallet_address": draw(USERS),
    }
    record = change(
        key=draw(KEYS),
        created_us=draw(CREATED),
        event=draw(st.sampled_from(["INSERT", "INSERT", "MODIFY", "MODIFY", "MODIFY", "REMOVE"])),
        sequence=draw(SEQUENCES),
        region=draw(REGIONS),
        **image,
    )
    others = draw(st.dictionaries(NASTY_NAMES, PLAIN_ATTRIBUTES, max_size=2))
    new_image = record["dynamodb"].get("NewImage")
    if new_image is not None:
        record["dynamodb"]["NewImage"] = {
            name: value for name, value in others.items() if name not in model.FIELDS
        } | new_image
    return record


Flaw = Callable[[dict[str, Any]], None]


def _image(record: dict[str, Any]) -> dict[str, Any]:
    """The new image; of a REMOVE, one that nobody looks at."""
    return record["dynamodb"].get("NewImage", {})


def _set(name: str, value: Any) -> Flaw:
    return lambda record: _image(record).__setitem__(name, value)


def _cut(name: str) -> Flaw:
    def flaw(record: dict[str, Any]) -> None:
        _image(record).pop(name, None)

    return flaw


def _put(name: str, value: Any) -> Flaw:
    return lambda record: record.__setitem__(name, value)


def _put_inside(name: str, value: Any) -> Flaw:
    return lambda record: record["dynamodb"].__setitem__(name, value)


def _number(text: str) -> dict[str, str]:
    return {"N": text}


REQUIRED = [name for name in model.FIELDS if name not in model.OPTIONAL]
FLAWS = st.one_of(
    st.sampled_from(REQUIRED[1:]).map(_cut),
    st.builds(
        _set,
        st.sampled_from(REQUIRED),
        st.sampled_from([{"S": ""}, {"NULL": True}]),
    ),
    st.builds(
        _set,
        st.sampled_from(model.FIELDS),
        st.sampled_from([{"BOOL": True}, {"M": {}}, {"L": [{"S": "x"}]}, {"S": 7}, {"B": "AA=="}]),
    ),
    st.builds(
        _set, st.sampled_from(["x", "y z"]), st.sampled_from([{"X": "1"}, {}, None, {"N": 1}])
    ),
    st.builds(
        _set,
        st.sampled_from([*model.CHOICES, "exchange", "timestamp", "transaction_id"]),
        st.sampled_from([{"S": "buy "}, {"S": "Ü"}, {"S": "2025-02-30T00:00:00"}, {"S": "a/b\n"}]),
    ),
    *[
        st.builds(_set, st.sampled_from(model.AMOUNTS), st.sampled_from(texts).map(_number))
        for texts in (
            ["1_000", "١٢٣", "NaN", "Infinity", "abc", "+.", ""],
            ["-1", "0", "-0", "0e5", "-1e-20", "-1e10"],
            ["1e-9", "1e10", "9999999999.999999999", "1e999", "9999999999.99999999"],
        )
    ],
    st.sampled_from([
        _put("eventName", "UPSERT"), _put("eventName", None), _put("eventID", 7),
        _put("eventID", ""), _put("dynamodb", []), _put("awsRegion", 1), _put_inside("Keys", None),
        _put_inside("Keys", {}), _put_inside("Keys", {"transaction_id": {"N": "5"}}),
        _put_inside("ApproximateCreationDateTime", "soon"),
        _put_inside("ApproximateCreationDateTime", -1),
        _put_inside("ApproximateCreationDateTimePrecision", "NANOSECOND"),
        _put_inside("SequenceNumber", "one"), _put_inside("NewImage", None),
    ]),
)  # fmt: skip
NO_RECORDS = st.sampled_from(
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"eventID":"\\ud800"}',
        b"NaN",
        b"no\x00thing",
        b"{}\n",
    ]
)


@dataclass(frozen=True)
class Delivered:
    """A batch: its records, how they are named, whether a new process begins before it, and
    whether the quarantine is retried after it.
    """

    records: list[bytes]
    ours: bool
    reopened: bool
    retried: bool


@st.composite
def streams(draw: st.DrawFn) -> list[Delivered]:
    """A stream cut into batches: records in any order, repeats, poison, and what mends it."""
    raws = []
    length = draw(st.integers(1, 24))
    for number in range(length):
        record = draw(good_records())
        own = f"{draw(st.sampled_from('aBz'))}{number}"
        record["eventID"] = draw(st.sampled_from([own, own, own, "twice", "a0"]))
        flawed = draw(st.integers(0, 2)) == 2
        raws.append((record, draw(st.lists(FLAWS, min_size=1, max_size=2)) if flawed else []))
    stream = []
    for record, flaws in raws:
        if flaws and draw(st.booleans()):  # mended at its source and sent again
            mended = record | {"dynamodb": record["dynamodb"] | {
                "ApproximateCreationDateTime": draw(st.sampled_from([NOON_US - 1, NOON_US + 2])),
            }}  # fmt: skip
            mended["eventID"] += draw(st.sampled_from(["", "", "m"]))
            stream.append(encode(draw(st.sampled_from([record, mended]))))
        for flaw in flaws[: 1 if not isinstance(record.get("dynamodb"), dict) else None]:
            if isinstance(record["dynamodb"], dict) and isinstance(_image(record), dict):
                flaw(record)
        stream.append(encode(record))
    stream += draw(st.lists(NO_RECORDS, max_size=2))
    stream += draw(st.lists(st.sampled_from(stream), max_size=6))
    stream = draw(st.permutations(stream))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    batches = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return [Delivered(batch, *(draw(st.booleans()) for _ in range(3))) for batch in batches]


def _play(batches: list[Delivered], connection: duckdb.DuckDBPyConnection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, fold = Home(Path(folder), connection), model.Fold()
        all_judged: list[tuple[bytes, model.Verdict]] = []
        for batch in batches:
            if batch.reopened:
                home.reopen()
            landed = home.land(batch.records, ours=batch.ours)
            all_judged += landed.judged
            for raw, kept in landed.records:
                if kept != raw:
                    assert model.judge_line(kept) == model.judge_change_record(raw)
            counts = home.take(landed).row.counts
            assert counts.as_dict() == fold.take(landed.judged)
            assert counts.balanced
            home.assert_equals(fold)
            if batch.retried:
                outcomes = [done.row.counts for done in home.writer.retry()]
                assert sum(outcomes, Counts()).as_dict() == fold.retry({}), "no rule was mended"
                home.assert_equals(fold)
        assert verify(home.lake, connection, home.rules).differences == ()
        at_once = model.Fold()
        at_once.take(all_judged)
        assert home.rows() == at_once.rows(), "batches must not matter"
        home.close()


SUPPRESSED = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=SUPPRESSED)
@given(batches=streams())
def test_after_every_commit_the_lake_is_the_fold_of_what_was_taken(
    connection: duckdb.DuckDBPyConnection, batches: list[Delivered]
) -> None:
    _play(batches, connection)


@pytest.mark.long
@settings(max_examples=1000, deadline=None, print_blob=True, suppress_health_check=SUPPRESSED)
@given(batches=streams())
def test_after_every_commit_of_thousands_of_streams_the_lake_is_their_fold(
    connection: duckdb.DuckDBPyConnection, batches: list[Delivered]
) -> None:
    _play(batches, connection)
