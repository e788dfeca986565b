"""The record: what a transaction is, its fields and what each may hold. Written once, here.

Standard library only: this module travels with the transform into Lambda.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

DECIMAL_PRECISION = 18
DECIMAL_SCALE = 8
"""Amounts are DECIMAL(18,8): the original's (10,2) turned XRP/ETH 0.0014 into 0.00."""


class Kind(StrEnum):
    """What a field holds; its DynamoDB and column types follow from it."""

    TEXT = "text"
    TIMESTAMP = "timestamp"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a transaction.

    required: present, not null and not empty. choices: the only values allowed.
    pattern: what the whole text must match. forbidden: what it must not, all the same.
    above_zero: amounts > 0 rather than >= 0.
    """

    name: str
    kind: Kind = Kind.TEXT
    required: bool = True
    choices: tuple[str, ...] = ()
    pattern: str = ""
    forbidden: str = ""
    above_zero: bool = False


TRANSACTION_ID_PATTERN = r"(?s).{1,128}"
EXCHANGE_PATTERN = r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?"
EXCHANGE_FORBIDDEN = r".+_[0-9]+-[0-9]+-[0-9]+_[0-9]+\.parquet"
"""The exchange names the partition's folder; one called like a data file makes readers of the
table (hudi-rs among them) open the folder as a file, and fail on the whole table."""

FIELDS: tuple[Field, ...] = (
    Field("transaction_id", pattern=TRANSACTION_ID_PATTERN),
    Field("timestamp", Kind.TIMESTAMP),
    Field("exchange", pattern=EXCHANGE_PATTERN, forbidden=EXCHANGE_FORBIDDEN),
    Field("trading_pair"),
    Field("order_type", choices=("BUY", "SELL")),
    Field("price", Kind.AMOUNT, above_zero=True),
    Field("quantity", Kind.AMOUNT, above_zero=True),
    Field("trade_fee", Kind.AMOUNT),
    Field("trade_status", choices=("SUCCESS", "FAILED", "PENDING")),
    Field("user_id", required=False),
    Field("wallet_address", required=False),
    Field("order_source", choices=("Web", "Mobile", "API")),
)
FIELD_NAMES: tuple[str, ...] = tuple(field.name for field in FIELDS)
KEY = "transaction_id"


@dataclass(frozen=True, slots=True)
class Transaction:
    """A trade as its source states it: amounts and times as text, exactly as written."""

    transaction_id: str
    timestamp: str
    exchange: str
    trading_pair: str
    order_type: str
    price: str
    quantity: str
    trade_fee: str
    trade_status: str
    user_id: str | None
    wallet_address: str | None
    order_source: str

    def as_dict(self) -> dict[str, str | None]:
        """The twelve fields by name, in the order of FIELDS."""
        return {name: getattr(self, name) for name in FIELD_NAMES}

    @classmethod
    def from_dict(cls, values: Mapping[str, str | None]) -> "Transaction":
        """The inverse of `as_dict`; absent user_id and wallet_address are null."""
        return cls(**{name: values.get(name) for name in FIELD_NAMES})  # type: ignore[arg-type]


class Reason(StrEnum):
    """Why a record is in quarantine."""

    MALFORMED_JSON = "malformed_json"
    NOT_A_CHANGE_RECORD = "not_a_change_record"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_VALUE = "bad_value"
    NOT_POSITIVE = "not_positive"
    DOES_NOT_FIT = "does_not_fit"
    UNREADABLE_FILE = "unreadable_file"


class Rejected(Exception):
    """A record can't be used: the reason for the quarantine and a sentence of detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


AMOUNT_PATTERN = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
"""ASCII on purpose: engines differ on 1_000 and on other scripts' digits."""

_AMOUNT = re.compile(AMOUNT_PATTERN)
_LARGEST_DIGITS = DECIMAL_PRECISION - DECIMAL_SCALE


def parse_amount(text: str) -> Decimal:
    """The exact value of an amount's text.

    Raises:
        Rejected: bad_value where it is no number, does_not_fit where DECIMAL(18,8) can't hold it
            exactly (1.500000000 fits, 0.000000001 does not).
    """
    if not _AMOUNT.fullmatch(text):
        raise Rejected(Reason.BAD_VALUE, f"{_short(text)} is not a number")
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)  # the pattern lets no NaN or Infinity through
    significant = "".join(map(str, digits)).lstrip("0")
    stripped = significant.rstrip("0")
    exponent += len(significant) - len(stripped)
    if not stripped:
        return Decimal(0)
    if exponent < -DECIMAL_SCALE or len(stripped) + exponent > _LARGEST_DIGITS:
        raise Rejected(Reason.DOES_NOT_FIT, f"{_short(text)} does not fit DECIMAL(18,8) exactly")
    return Decimal((sign, tuple(map(int, stripped)), exponent))


_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:(Z)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


def parse_timestamp(text: str) -> datetime:
    """The UTC moment of an ISO 8601 text: fractions cut (not rounded) to µs, UTC without an offset.

    Raises:
        Rejected: bad_value where it is not one, or lies outside the years 1 to 9999.
    """
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        raise Rejected(Reason.BAD_VALUE, f"{_short(text)} is not an ISO 8601 date and time")
    year, month, day, hour, minute, second, fraction, _, sign, off_hours, off_minutes = (
        match.groups()
    )
    try:
        moment = datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")),
            tzinfo=UTC,
        )
        if sign:
            if int(off_hours) > 23 or int(off_minutes or 0) > 59:
                raise ValueError("offset")  # noqa: TRY301 - one exit for everything out of range
            offset = timedelta(hours=int(off_hours), minutes=int(off_minutes or 0))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        raise Rejected(Reason.BAD_VALUE, f"{_short(text)} is no real date and time") from None
    return moment


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")
