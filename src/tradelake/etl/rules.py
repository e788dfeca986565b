"""The rules as SQL: rules.sql with the numbers of a thresholds file filled in."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from tradelake.errors import UsageError

_NUMBER = re.compile(r"[0-9]{1,10}(\.[0-9]{1,8})?")
_FACTOR = re.compile(r"[0-9]{1,2}(\.[0-9]{1,4})?")
"""Factors are DECIMAL(6,4): a product with DECIMAL(18,8) stays far inside 38 digits."""

_NUMBERS = {"risk": ("high", "medium"), "fee": ("large_from", "medium_from")} | {
    "category": ("vip", "active")
}
_FACTORS = {"fee": ("large_factor", "medium_factor")}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules, ready to run.

    sql: a SELECT over the relation `trades`, giving the columns of processed_crypto_txn.
    """

    sql: str


def load_rules(thresholds_file: Path | None = None) -> Rules:
    """The rules with the packaged thresholds, or those of a file.

    Raises:
        UsageError: the file can't be read, or a number is missing or is none.
    """
    if thresholds_file is None:
        return _packaged_rules()
    try:
        return _render(tomllib.loads(thresholds_file.read_text("utf-8")), str(thresholds_file))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"can't read the thresholds file {thresholds_file}: {error}") from error


@cache
def _packaged_rules() -> Rules:
    folder = resources.files("tradelake.etl")
    return _render(tomllib.loads(folder.joinpath("thresholds.toml").read_text("utf-8")), "packaged")


def _render(thresholds: Mapping[str, Any], origin: str) -> Rules:
    values = {"one": _decimal("1", _FACTOR, "", origin)}
    for names, pattern in ((_NUMBERS, _NUMBER), (_FACTORS, _FACTOR)):
        for section, keys in names.items():
            for key in keys:
                value = _section(thresholds, section, origin).get(key)
                values[f"{section}_{key}"] = _decimal(value, pattern, f"{section}.{key}", origin)
    values["normalization_factor"] = _factor_by_exchange(
        _section(thresholds, "normalization", origin), origin
    )
    text = resources.files("tradelake.etl").joinpath("rules.sql").read_text("utf-8")
    return Rules(Template(text).substitute(values))


def _section(thresholds: Mapping[str, Any], name: str, origin: str) -> Mapping[str, Any]:
    section = thresholds.get(name)
    if not isinstance(section, dict):
        raise UsageError(f"the thresholds file ({origin}) has no section [{name}]")
    return section


def _decimal(value: object, pattern: re.Pattern[str], name: str, origin: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UsageError(
            f"{name} in the thresholds file ({origin}) must be decimal text such as "
            f'"{"0.95" if pattern is _FACTOR else "100000"}", not {value!r}'
        )
    precision = "DECIMAL(6,4)" if pattern is _FACTOR else "DECIMAL(18,8)"
    return f"CAST('{value}' AS {precision})"


def _factor_by_exchange(factors: Mapping[str, Any], origin: str) -> str:
    cases = "".join(
        f" WHEN {_text(exchange)} THEN {_decimal(value, _FACTOR, exchange, origin)}"
        for exchange, value in factors.items()
    )
    one = _decimal("1", _FACTOR, "", origin)
    return f"CASE exchange{cases} ELSE {one} END" if cases else one


def _text(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9 ._-]+", value):
        raise UsageError(f"{value!r} in [normalization] is no exchange name")
    return f"'{value}'"
