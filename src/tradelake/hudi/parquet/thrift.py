"""Thrift's compact protocol, in which Parquet's footers and page headers are written.

After https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md, as far as
Parquet uses it: no maps, no sets, no messages. What a field means is not known here, so what is
read and written again loses nothing.
"""

import struct
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
_INTEGERS = (I16, I32, I64)
_LONG_LIST = 15
_DEEPEST = 16
_LAST_SHIFT = 63  # of a number's tenth byte; what goes on costs the square of its length

Struct = dict[int, tuple[int, Any]]
"""Field number to type and value; the value of a list is a pair, the type of its items and them."""


def read(data: bytes | memoryview, at: int = 0) -> tuple[Struct, int]:
    """The struct that begins there, and where it ends; raises ValueError if there is none."""
    try:
        return _struct(data, at, 0)
    except (IndexError, struct.error) as error:
        raise ValueError("a Thrift struct ends too early") from error


def write(fields: Struct) -> bytes:
    """The bytes of a struct."""
    out = bytearray()
    _put_struct(out, fields)
    return bytes(out)


def _struct(data: bytes | memoryview, at: int, depth: int) -> tuple[Struct, int]:
    fields: Struct = {}
    number = 0
    while head := data[at]:
        at += 1
        kind = head & 0x0F
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        if kind in (TRUE, FALSE):
            fields[number] = (kind, kind == TRUE)
        else:
            value, at = _value(data, at, kind, depth)
            fields[number] = (kind, value)
    return fields, at + 1


def _value(data: bytes | memoryview, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _signed(data, at)
    if kind == BINARY:
        length, at = _unsigned(data, at)
        if at + length > len(data):
            raise IndexError
        return bytes(data[at : at + length]), at + length
    if depth > _DEEPEST:
        raise ValueError("Thrift structs in structs without end")
    if kind == STRUCT:
        return _struct(data, at, depth + 1)
    if kind == LIST:
        return _list(data, at, depth + 1)
    if kind == DOUBLE:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind in (TRUE, FALSE, BYTE):  # booleans only in lists
        return data[at], at + 1
    raise ValueError(f"Thrift type {kind} is none that Parquet uses")


def _list(data: bytes | memoryview, at: int, depth: int) -> tuple[tuple[int, list[Any]], int]:
    head = data[at]
    kind, count = head & 0x0F, head >> 4
    at += 1
    if count == _LONG_LIST:
        count, at = _unsigned(data, at)
    if count > len(data):
        raise IndexError
    items = []
    for _ in range(count):
        item, at = _value(data, at, kind, depth)
        items.append(item)
    return (kind, items), at


def _signed(data: bytes | memoryview, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at


def _unsigned(data: bytes | memoryview, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    value = byte & 0x7F
    shift = 7
    while byte & 0x80:
        if shift > _LAST_SHIFT:
            raise ValueError("a Thrift number of more than 64 bits")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, at


def _put_struct(out: bytearray, fields: Struct) -> None:
    before = 0
    for number in sorted(fields):
        kind, value = fields[number]
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        if 0 < number - before < _LONG_LIST + 1:
            out.append(number - before << 4 | kind)
        else:
            out.append(kind)
            _put_signed(out, number)
        before = number
        if kind not in (TRUE, FALSE):
            _put(out, kind, value)
    out.append(0)


def _put(out: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _put_signed(out, value)
    elif kind == BINARY:
        _put_unsigned(out, len(value))
        out += value
    elif kind == STRUCT:
        _put_struct(out, value)
    elif kind == LIST:
        item_kind, items = value
        if len(items) < _LONG_LIST:
            out.append(len(items) << 4 | item_kind)
        else:
            out.append(_LONG_LIST << 4 | item_kind)
            _put_unsigned(out, len(items))
        for item in items:
            _put(out, item_kind, item)
    elif kind == DOUBLE:
        out += struct.pack("<d", value)
    else:
        out.append(value)


def _put_signed(out: bytearray, value: int) -> None:
    _put_unsigned(out, value << 1 if value >= 0 else (-value << 1) - 1)


def _put_unsigned(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
