"""What a batch takes in: lines, and what can't be one."""

import pytest

from etl.harness import Home, change, encode, foreign_key, transform
from tradelake.etl import intake
from tradelake.etl.quarantine import RAW_LIMIT
from tradelake.etl.verify import verify


def test_a_line_longer_than_any_record_costs_only_itself(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LONGEST_LINE", 1 << 20)
    (good,) = transform([encode(change("t1"))])
    assert good is not None
    long = b'{"a":"' + b"x" * (3 << 20) + b'"}'
    landed = home.put(foreign_key("long"), long + b"\n" + good)

    counts = home.take([landed]).row.counts

    assert (counts.received, counts.applied, counts.quarantined) == (2, 1, 1)
    (raw,) = home.quarantine()
    assert raw == long[:RAW_LIMIT]
    assert verify(home.lake, home.connection, home.rules).differences == ()
