"""The contents of landing objects and error objects."""

import base64
import gzip
import json
from collections.abc import Iterator, Sequence

from tradelake.delivery.transform import OK, handler, landing_line
from tradelake.stream.interface import StreamRecord
from tradelake.trade import Rejected

EVENT_RECORDS = 500
EVENT_BYTES = 4 << 20
"""The most in one call of the handler: as base64 within Lambda's 6 MB, either way."""

GZIP_LEVEL = 4
"""10 % smaller than level 1, 2 % larger than level 6, at 3 µs a record; the transform takes 20."""

LAMBDA_ARN = "tradelake.delivery.transform.handler"
"""Stands where Firehose names the function."""


def transform(
    records: Sequence[StreamRecord],
) -> tuple[list[bytes], list[StreamRecord]]:
    """The landing lines of the records that can be used, and the records that can't."""
    lines: list[bytes] = []
    failed: list[StreamRecord] = []
    for batch in _events(records):
        event = {
            "records": [
                {"recordId": str(record.position), "data": base64.b64encode(record.data).decode()}
                for record in batch
            ]
        }
        for record, answer in zip(batch, handler(event, None)["records"], strict=True):
            if answer["result"] == OK:
                lines.append(base64.b64decode(answer["data"]))
            else:
                failed.append(record)
    return lines, failed


def landing_object(lines: Sequence[bytes]) -> bytes:
    """The same lines give the same bytes."""
    return gzip.compress(b"".join(lines), GZIP_LEVEL, mtime=0)


def error_object(failed: Sequence[StreamRecord], ended_us: int) -> bytes:
    """JSON lines in Firehose's error shape; errorMessage is the reason, a colon, and the detail.

    Source: "Handle data transformation failures" in Amazon Data Firehose's guide.
    """
    entries = (
        {
            "attemptsMade": 1,
            "arrivalTimestamp": record.arrived_us // 1000,
            "errorCode": "Lambda.ProcessingFailedStatus",
            "errorMessage": _why(record.data),
            "attemptEndingTimestamp": ended_us // 1000,
            "rawData": base64.b64encode(record.data).decode(),
            "lambdaArn": LAMBDA_ARN,
        }
        for record in failed
    )
    lines = (json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries)
    return gzip.compress("".join(lines).encode(), GZIP_LEVEL, mtime=0)


def _events(records: Sequence[StreamRecord]) -> Iterator[list[StreamRecord]]:
    batch: list[StreamRecord] = []
    size = 0
    for record in records:
        size += len(record.data)
        if batch and (len(batch) == EVENT_RECORDS or size > EVENT_BYTES):
            yield batch
            batch, size = [], len(record.data)
        batch.append(record)
    if batch:
        yield batch


def _why(data: bytes) -> str:
    """The handler's answer has no room for it, so it is asked again."""
    try:
        landing_line(data)
    except Rejected as rejected:
        return str(rejected)
    except Exception as error:  # as the handler does
        return f"{type(error).__name__}: {error}"
    return "ProcessingFailed"
