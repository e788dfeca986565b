"""The fold as data: every story in `fold/` comes out as told, in the lake and in the model."""

from pathlib import Path
from typing import Any

import pytest

from etl import model
from etl.harness import Home
from etl.stories import Story, read_story

STORIES = sorted((Path(__file__).parent / "fold").glob("*.txt"))


def test_there_are_stories() -> None:
    assert len(STORIES) > 20


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_comes_out_as_told(path: Path, home: Home) -> None:
    story, fold = read_story(path), model.Fold()
    assert {"change records", "table"} <= story.told
    ledger = []
    for batch in story.batches:
        landed = home.land(batch)
        counted = home.take(landed).row.counts.as_dict()
        assert counted == fold.take(landed.judged)
        ledger.append(counted)
        home.assert_equals(fold)

    _assert_rows(home.rows(), story)
    if story.ledger:
        assert [
            {n: row[n] for n in told} for row, told in zip(ledger, story.ledger, strict=True)
        ] == (story.ledger)
    reasons: dict[str, int] = {}
    for entry in home.quarantine().values():
        reasons[entry.reason] = reasons.get(entry.reason, 0) + entry.count
    assert reasons == story.quarantine


def _assert_rows(rows: dict[str, dict[str, Any]], story: Story) -> None:
    told = {row["transaction_id"]: row for row in story.table}
    shown = {
        key: {name: row[name] for name in told.get(key, ["transaction_id"])}
        for key, row in rows.items()
    }
    assert shown == told


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_a_story_told_backwards_in_one_batch_ends_the_same(path: Path, home: Home) -> None:
    story = read_story(path)

    home.fold(*reversed([record for batch in story.batches for record in batch]))

    _assert_rows(home.rows(), story)
