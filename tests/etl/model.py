"""The contract as a plain Python model: what a set of change records means, in batches.

Written from the contract's text, not from the code that it judges: own regular expressions, own
rules, `Decimal` and `datetime`, one record at a time. Slow and obvious on purpose.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

TEXTS = ("transaction_id", "exchange", "trading_pair", "order_type", "trade_status", "order_source")
AMOUNTS = ("price", "quantity", "trade_fee")
OPTIONAL = ("user_id", "wallet_address")
FIELDS = (
    "transaction_id", "timestamp", "exchange", "trading_pair", "order_type", "price", "quantity",
    "trade_fee", "trade_status", "user_id", "wallet_address", "order_source",
)  # fmt: skip
CHOICES = {
    "order_type": {"BUY", "SELL"},
    "trade_status": {"SUCCESS", "FAILED", "PENDING"},
    "order_source": {"Web", "Mobile", "API"},
}
EVENTS = ("INSERT", "MODIFY", "REMOVE")
OUTCOMES = ("applied", "superseded", "duplicate", "filtered", "quarantined")

FACTORS = {
    "Binance": Decimal("1.00"),
    "Coinbase": Decimal("1.02"),
    "Kraken": Decimal("0.98"),
    "OKX": Decimal("1.01"),
    "FTX": Decimal("0.99"),
    "Bitfinex": Decimal("1.03"),
}
ONE = Decimal(1)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNIT = Decimal("0.00000001")


class Refusal(Exception):
    """The record can't be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Usable:
    """A record with usable values. row: processed_crypto_txn's columns; None where it has none."""

    key: str
    event_id: str
    order: str
    row: dict[str, Any] | None


@dataclass(frozen=True)
class Unusable:
    """A record for the quarantine, and what names it, as far as it can be read."""

    reason: str
    key: str | None = field(default=None, compare=False)
    event_id: str | None = field(default=None, compare=False)
    order: str | None = field(default=None, compare=False)


Verdict = Usable | Unusable


def judge_change_record(raw: bytes) -> Verdict:
    """What a change record, as the stream holds it, is worth."""
    try:
        return _change_record(_strict_json(raw))
    except Refusal as refusal:
        return Unusable(refusal.reason, *_named(raw))


def judge_line(line: bytes) -> Verdict:
    """What a line of the landing zone is worth."""
    try:
        return _landed(_strict_json(line))
    except Refusal as refusal:
        return Unusable(refusal.reason)


def _named(raw: bytes) -> tuple[str | None, str | None, str | None]:
    """Key, eventID and order of a change record that has flaws; None for what they took."""
    try:
        record = _strict_json(raw)
    except Refusal:
        return None, None, None

    def within(value: Any, *path: str) -> Any:
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    key = within(record, "dynamodb", "Keys", "transaction_id", "S")
    key = key if isinstance(key, str) and key else None
    event_id = within(record, "eventID")
    if not isinstance(event_id, str) or not event_id:
        return key, None, None
    inner = within(record, "dynamodb")
    bare = {"eventID": event_id, "eventName": "REMOVE", "dynamodb": {
        "Keys": {"transaction_id": {"S": "any"}},
        "ApproximateCreationDateTime": within(inner, "ApproximateCreationDateTime"),
        "ApproximateCreationDateTimePrecision": (inner or {}).get(
            "ApproximateCreationDateTimePrecision", "MILLISECOND"),
        "SequenceNumber": within(inner, "SequenceNumber"),
    }}  # fmt: skip
    try:
        return key, event_id, _change_record(bare).order
    except Refusal:
        return key, event_id, None


# --- a change record -----------------------------------------------------------------------------


def _strict_json(raw: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise Refusal("malformed_json") from None
    return value


def _change_record(record: Any) -> Usable:
    _demand(isinstance(record, dict), "not_a_change_record")
    event_id, event_name = record.get("eventID"), record.get("eventName")
    region, dynamodb = record.get("awsRegion"), record.get("dynamodb")
    _demand(isinstance(event_id, str) and event_id, "not_a_change_record")
    _demand(isinstance(event_name, str) and event_name in EVENTS, "not_a_change_record")
    _demand(region is None or isinstance(region, str), "not_a_change_record")
    _demand(isinstance(dynamodb, dict), "not_a_change_record")
    image = {} if event_name == "REMOVE" else dynamodb.get("NewImage", {})
    keys, created = dynamodb.get("Keys"), dynamodb.get("ApproximateCreationDateTime")
    _demand(isinstance(image, dict) and isinstance(keys, dict), "not_a_change_record")
    _demand(type(created) is int, "not_a_change_record")

    precision = dynamodb.get("ApproximateCreationDateTimePrecision", "MILLISECOND")
    _demand(precision in ("MILLISECOND", "MICROSECOND"), "bad_value")
    micros = created * (1000 if precision == "MILLISECOND" else 1)
    _demand(0 <= micros <= 9999999999999999, "bad_value")
    sequence = dynamodb.get("SequenceNumber") or ""
    _demand(
        isinstance(sequence, str) and re.fullmatch(r"[0-9]{0,40}", sequence) is not None,
        "bad_value",
    )

    # Whose record it is comes first, then whether DynamoDB could have written the rest.
    for value in keys.values():
        _demand(_is_possible(value), "wrong_type")
    key = (
        _plain_field(keys["transaction_id"], "transaction_id") if "transaction_id" in keys else None
    )
    if "transaction_id" in image:
        _demand(_is_possible(image["transaction_id"]), "wrong_type")
        again = _plain_field(image["transaction_id"], "transaction_id")
        _demand(not isinstance(key, str) or again is None or isinstance(again, str), "wrong_type")
        _demand(not isinstance(key, str) or again == key, "bad_value")
    for value in image.values():
        _demand(_is_possible(value), "wrong_type")
    values = {name: _plain_field(value, name) for name, value in image.items() if name in FIELDS}
    values["transaction_id"] = key
    order = f"{micros:016}-{sequence:0>40}-{event_id}"
    return _transaction(values, event_name, event_id, region, order)


def _demand(holds: object, reason: str) -> None:
    if not holds:
        raise Refusal(reason)


def _is_possible(value: Any) -> bool:
    """Whether DynamoDB could have written the attribute value."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(tag, held)] = value.items()
    if tag in ("S", "N", "B"):
        return isinstance(held, str)
    if tag in ("SS", "NS", "BS"):
        return isinstance(held, list) and all(isinstance(item, str) for item in held)
    if tag == "M":
        return isinstance(held, dict) and all(_is_possible(item) for item in held.values())
    if tag == "L":
        return isinstance(held, list) and all(_is_possible(item) for item in held)
    if tag == "BOOL":
        return isinstance(held, bool)
    return tag == "NULL" and held is True


def _plain_field(value: dict[str, Any], name: str) -> Any:
    """Text, None for null, or something that is neither where the type is not the field's."""
    [(tag, held)] = value.items()
    if tag == "NULL":
        return None
    if tag == "S" or (tag == "N" and name in AMOUNTS):
        return held
    return value


# --- a line of the landing zone ------------------------------------------------------------------


def _landed(line: Any) -> Usable:
    _demand(isinstance(line, dict), "not_a_change_record")
    event_name, event_id = line.get("event_name"), line.get("event_id")
    order, region = line.get("change_order"), line.get("region")
    _demand(isinstance(event_name, str) and event_name in EVENTS, "not_a_change_record")
    _demand(isinstance(event_id, str) and event_id, "not_a_change_record")
    _demand(
        isinstance(order, str)
        and re.match(r"[0-9]{16}-[0-9]{40}-", order)
        and order[58:] == event_id,
        "not_a_change_record",
    )
    _demand(region is None or isinstance(region, str), "not_a_change_record")
    return _transaction(line, event_name, event_id, region, order)


# --- a transaction -------------------------------------------------------------------------------


def _transaction(
    values: dict[str, Any], event_name: str, event_id: str, region: str | None, order: str
) -> Usable:
    """The first reason in their order counts, and each is asked of all fields in theirs."""
    names = ("transaction_id",) if event_name == "REMOVE" else FIELDS
    given = {name: values.get(name) for name in names}
    for name in names:
        _demand(name in OPTIONAL or given[name] not in (None, ""), "missing_field")
    for name in names:
        _demand(given[name] is None or isinstance(given[name], str), "wrong_type")
    read = {name: _read(name, given[name]) for name in names}
    if event_name == "REMOVE":
        return Usable(read["transaction_id"], event_id, order, None)
    amounts = {name: read[name] for name in AMOUNTS}
    _demand(amounts["price"] > 0 and amounts["quantity"] > 0, "not_positive")
    _demand(amounts["trade_fee"] >= 0, "not_positive")
    for name in AMOUNTS:
        read[name] = _fitting(amounts[name])
    row = _row(read, event_name, event_id, region, order)  # what has no row must fit as well
    failed = read["trade_status"] == "FAILED"
    return Usable(read["transaction_id"], event_id, order, None if failed else row)


def _read(name: str, text: str | None) -> Any:
    if text is None or name in OPTIONAL or name == "trading_pair":
        return text
    if name in AMOUNTS:
        return read_amount(text)
    if name == "timestamp":
        return read_timestamp(text)
    if name in CHOICES:
        _demand(text in CHOICES[name], "bad_value")
    if name == "transaction_id":
        _demand(len(text) <= 128, "bad_value")
    if name == "exchange":
        _demand(len(text) <= 64 and re.fullmatch(r"[a-zA-Z0-9 ._-]+", text), "bad_value")
        _demand(text[0] not in " ._-" and text[-1] not in " ._-", "bad_value")
        _demand(
            not re.fullmatch(r".+_\d+-\d+-\d+_\d+\.parquet", text), "bad_value"
        )  # a data file's
    return text


_AMOUNT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def read_amount(text: str) -> Fraction:
    """The exact value, whether it fits or not."""
    _demand(_AMOUNT.fullmatch(text), "bad_value")
    return Fraction(Decimal(text))


def _fitting(value: Fraction) -> Decimal:
    """The value as DECIMAL(18,8), which must hold it exactly."""
    units = value * 10**8
    _demand(units.denominator == 1 and abs(units) < 10**18, "does_not_fit")
    return Decimal(int(units)).scaleb(-8)


_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


def read_timestamp(text: str) -> datetime:
    """UTC without an offset; the fraction cut to microseconds."""
    match = _TIMESTAMP.fullmatch(text)
    _demand(match, "bad_value")
    assert match is not None
    day, time, seconds, fraction, offset = match.groups("")
    _demand(int(seconds or 0) < 60, "bad_value")
    away = timedelta(0)
    if offset not in ("", "Z"):
        digits = offset[1:].replace(":", "") + "00"
        hours, minutes = int(digits[:2]), int(digits[2:4])
        _demand(hours < 24 and minutes < 60, "bad_value")
        away = timedelta(hours=hours, minutes=minutes) * (-1 if offset[0] == "-" else 1)
    try:
        moment = datetime.strptime(f"{day} {time}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        moment += timedelta(seconds=int(seconds or 0), microseconds=int((fraction + "000000")[:6]))
        return moment - away
    except (ValueError, OverflowError):
        raise Refusal("bad_value") from None


def _row(
    values: dict[str, Any], event_name: str, event_id: str, region: str | None, order: str
) -> dict[str, Any]:
    price, quantity, fee = (values[name] for name in AMOUNTS)
    with localcontext(prec=60):
        value = quantity * price
        discount = Decimal("0.90") if value >= 100000 else ONE
        if 50000 <= value < 100000:
            discount = Decimal("0.95")
        normalized = _half_up(price * FACTORS.get(values["exchange"], ONE))
        adjusted = _half_up(fee * discount)
    _demand(normalized < 10**10, "does_not_fit")
    risk = "HIGH_RISK" if value > 500000 else "MEDIUM_RISK" if value > 100000 else "LOW_RISK"
    category = "VIP" if quantity > 2 else "Active" if quantity > 1 else "Casual"
    return values | {
        "event_name": event_name,
        "event_id": event_id,
        "region": region,
        "change_time": EPOCH + timedelta(microseconds=int(order[:16])),
        "change_order": order,
        "risk_flag": risk,
        "normalized_price": normalized,
        "adjusted_trade_fee": adjusted,
        "user_category": f"{category} Trader",
        "hour_bucket": hour_bucket(values["timestamp"]),
    }


def hour_bucket(moment: datetime) -> str:
    """yyyy-MM-dd HH:00:00; strftime pads years below 1000 on some systems only."""
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02} {moment.hour:02}:00:00"


def _half_up(value: Decimal) -> Decimal:
    return value.quantize(UNIT, rounding=ROUND_HALF_UP)


# --- the fold ------------------------------------------------------------------------------------


@dataclass
class OpenEntry:
    """A quarantined record: why, how often its bytes were met, and what names it."""

    reason: str
    count: int
    of: Unusable | None = field(default=None, compare=False)


@dataclass
class Fold:
    """What is known after the batches so far."""

    newest: dict[str, Usable] = field(default_factory=dict)
    quarantine: dict[bytes, OpenEntry] = field(default_factory=dict)
    totals: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("received", *OUTCOMES), 0)
    )

    def take(self, batch: Iterable[tuple[bytes, Verdict]]) -> dict[str, int]:
        """Folds a batch of records, each with the bytes that a quarantine would keep."""
        counts = dict.fromkeys(("received", *OUTCOMES), 0)
        batch = list(batch)
        counts["received"] += len(batch)
        usable = [verdict for _, verdict in batch if isinstance(verdict, Usable)]
        self._close(usable, counts)
        for raw, verdict in batch:
            if isinstance(verdict, Unusable):
                counts["quarantined"] += 1
                entry = self.quarantine.setdefault(raw, OpenEntry(verdict.reason, 0, verdict))
                entry.count += 1
        self._fold(usable, counts)
        for name, count in counts.items():
            self.totals[name] += count
        return counts

    def retry(self, mended: dict[bytes, Usable]) -> dict[str, int]:
        """Records of the quarantine that turned out usable, folded at their own order; and those
        go that still can't be used, and could change nothing any more.
        """
        counts = dict.fromkeys(("received", *OUTCOMES), 0)
        again = []
        for raw, verdict in mended.items():
            count = self.quarantine.pop(raw).count
            counts["quarantined"] -= count
            again += [verdict] * count
        self._close(again, counts)
        self._fold(again, counts)
        for raw, entry in list(self.quarantine.items()):
            assert entry.of is not None
            known = self.newest.get(entry.of.key or "")
            if known and entry.of.order and known.order >= entry.of.order:
                is_copy = known.event_id == entry.of.event_id
                counts["duplicate" if is_copy else "superseded"] += entry.count
                counts["quarantined"] -= entry.count
                del self.quarantine[raw]
        for name, count in counts.items():
            self.totals[name] += count
        return counts

    def _close(self, usable: list[Usable], counts: dict[str, int]) -> None:
        """A usable record closes the entries open before that it leaves nothing to change."""
        for raw, entry in list(self.quarantine.items()):
            bad = entry.of
            assert bad is not None
            of_key = [record for record in usable if record.key == bad.key]
            copies = [record for record in of_key if record.event_id == bad.event_id]
            newer = [record for record in of_key if bad.order and record.order >= bad.order]
            if copies or newer:
                counts["duplicate" if copies else "superseded"] += entry.count
                counts["quarantined"] -= entry.count
                del self.quarantine[raw]

    def _fold(self, usable: list[Usable], counts: dict[str, int]) -> None:
        before, had_row = dict(self.newest), set(self.rows())
        copies: dict[tuple[str, str], Usable] = {}
        for record in usable:
            copy = copies.setdefault((record.key, record.event_id), record)
            if record.order > copy.order:
                copies[record.key, record.event_id] = record
        counts["duplicate"] += len(usable) - len(copies)
        fresh = []
        for record in copies.values():
            known = before.get(record.key)
            if known and known.event_id == record.event_id and record.order <= known.order:
                counts["duplicate"] += 1
            else:
                fresh.append(record)
        for record in fresh:
            known = self.newest.get(record.key)
            if known is None or record.order > known.order:
                self.newest[record.key] = record
        for record in fresh:
            if self.newest[record.key] is not record:
                counts["superseded"] += 1
            elif record.row is not None or record.key in had_row:
                counts["applied"] += 1
            else:
                counts["filtered"] += 1

    def rows(self) -> dict[str, dict[str, Any]]:
        """processed_crypto_txn by transaction_id, without ingestion_time."""
        return {key: newest.row for key, newest in self.newest.items() if newest.row is not None}

    def statistics(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """hourly_trade_stats by exchange, trading_pair and hour_bucket, without source_instant."""
        groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for row in self.rows().values():
            group = (row["exchange"], row["trading_pair"], row["hour_bucket"])
            groups.setdefault(group, []).append(row)
        return {group: _statistics(group, rows) for group, rows in groups.items()}


def _statistics(group: tuple[str, str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: (row["timestamp"], row["transaction_id"]))
    prices = [row["price"] for row in rows]
    with localcontext(prec=60):
        value = sum(row["quantity"] * row["price"] for row in rows)
        return {
            "exchange": group[0],
            "trading_pair": group[1],
            "hour_bucket": group[2],
            "trades": len(rows),
            "high_risk": sum(row["risk_flag"] == "HIGH_RISK" for row in rows),
            "medium_risk": sum(row["risk_flag"] == "MEDIUM_RISK" for row in rows),
            "low_risk": sum(row["risk_flag"] == "LOW_RISK" for row in rows),
            "quantity": sum(row["quantity"] for row in rows),
            "fees": sum(row["trade_fee"] for row in rows),
            "value": value if value < Decimal(10) ** 22 else None,
            "open": prices[0],
            "high": max(prices),
            "low": min(prices),
            "close": prices[-1],
        }
