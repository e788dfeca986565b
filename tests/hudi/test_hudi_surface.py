"""What the package offers."""

from tradelake import hudi


def test_the_exported_names_are_these() -> None:
    assert hudi.__all__ == [
        "MAX_GROUP_ROWS",
        "SMALL_GROUP_ROWS",
        "BaseFile",
        "ClusterResult",
        "CommitResult",
        "HudiTable",
        "Savepoint",
        "Snapshot",
        "TableSpec",
        "TimelineEntry",
        "Transaction",
        "Writer",
        "record_keys",
    ]
    assert all(hasattr(hudi, name) for name in hudi.__all__)
