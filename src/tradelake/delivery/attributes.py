"""DynamoDB JSON: is it possible at all, and as plain JSON.

Standard library only: this module travels with the transform into Lambda.
Source: AttributeValue in the API references of DynamoDB and DynamoDB Streams.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tradelake.trade import Reason, Rejected

DEEPEST = 32
"""DynamoDB's limit on maps and lists within one another."""


def check(value: object, name: str) -> tuple[str, Any]:
    """The type tag and the payload of one attribute value, `{"S": "text"}`.

    Whether an N holds a number and a B base64 is not judged.

    Raises:
        Rejected: wrong_type where no DynamoDB could have written it.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise _impossible(name, "is not an object with exactly one type")
    [(tag, payload)] = value.items()
    if tag in _TEXTS:
        if type(payload) is not str:
            raise _impossible(name, f"has type {tag} and a value that is no text")
    else:
        plain(value, name)
    return tag, payload


def plain(value: object, name: str, depth: int = 0) -> Any:
    """One attribute value as plain JSON: numbers stay decimal text, binary stays base64 text.

    Raises:
        Rejected: as `check`.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise _impossible(name, "is not an object with exactly one type")
    [(tag, payload)] = value.items()
    to_plain = _TO_PLAIN.get(tag)
    if to_plain is None:
        raise _impossible(name, f"has the unknown type {tag[:40]!r}")
    return to_plain(payload, name, depth)


def _impossible(name: str, why: str) -> Rejected:
    return Rejected(Reason.WRONG_TYPE, f"{name[:80]!r} {why}")


def _text(payload: object, name: str, _: int) -> str:
    if type(payload) is not str:
        raise _impossible(name, "has a text type and a value that is no text")
    return payload


def _bool(payload: object, name: str, _: int) -> bool:
    if type(payload) is not bool:
        raise _impossible(name, "has type BOOL and is neither true nor false")
    return payload


def _null(payload: object, name: str, _: int) -> None:
    if payload is not True:
        raise _impossible(name, "has type NULL and is not true")


def _set(payload: object, name: str, _: int) -> list[str]:
    if type(payload) is not list or any(type(item) is not str for item in payload):
        raise _impossible(name, "is a set and not a list of texts")
    return payload


def _map(payload: object, name: str, depth: int) -> dict[str, Any]:
    if not isinstance(payload, Mapping):
        raise _impossible(name, "has type M and is not an object")
    _check_depth(name, depth)
    return {key: plain(item, name, depth + 1) for key, item in payload.items()}


def _list(payload: object, name: str, depth: int) -> list[Any]:
    if type(payload) is not list:
        raise _impossible(name, "has type L and is not a list")
    _check_depth(name, depth)
    return [plain(item, name, depth + 1) for item in payload]


def _check_depth(name: str, depth: int) -> None:
    if depth >= DEEPEST:
        raise _impossible(name, f"is nested more than {DEEPEST} levels deep")


_TEXTS = ("S", "N", "B")
_TO_PLAIN: dict[str, Callable[[Any, str, int], Any]] = {
    "S": _text,
    "N": _text,
    "B": _text,
    "BOOL": _bool,
    "NULL": _null,
    "M": _map,
    "L": _list,
    "SS": _set,
    "NS": _set,
    "BS": _set,
}
