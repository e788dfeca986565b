"""Completion on Tab: in a real bash, and by the answers that zsh and fish are given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from processes import environment, tradelake
from tradelake.cli.options import HUDI_TABLES, TABLES
from tradelake.errors import QueryError
from tradelake.query.lake import LakeCatalog
from tradelake.storage import LocalStorage


@pytest.fixture
def path_with_tradelake(tmp_path: Path) -> str:
    """A search path on which `tradelake` is this interpreter's."""
    command = tmp_path / "tradelake"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tradelake "$@"\n')
    command.chmod(0o755)
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"


def completed(words: list[str], path: str) -> list[str]:
    """What bash would offer for the last of the words."""
    script = (
        'eval "$(tradelake completion bash)"\n'
        "complete -p tradelake >&2\n"
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
        '_tradelake_completion tradelake "${COMP_WORDS[COMP_CWORD]}"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", script, "bash", *words],
        capture_output=True,
        text=True,
        check=True,
        env=environment() | {"PATH": path},
    )
    assert "-F _tradelake_completion tradelake" in done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("tradelake stat", {"status"}),
        ("tradelake quarantine sh", {"show"}),
        ("tradelake run --o", {"--once"}),
        ("tradelake status --ho", {"--home"}),
        ("tradelake --home /d status --js", {"--json"}),
        ("tradelake sql --format p", {"parquet"}),
        ("tradelake completion ", {"bash", "zsh", "fish"}),
        ("tradelake help quarantine l", {"list"}),
        ("tradelake describe p", {"pipeline_ledger", "processed_crypto_txn"}),
        ("tradelake history p", {"processed_crypto_txn"}),
        ("tradelake changes import ", set()),  # bash goes on with the names of files
        ("tradelake sql 'select", set()),
    ],
)
def test_bash_completes(words: str, offered: set[str], path_with_tradelake: str) -> None:
    assert set(completed(words.split(" "), path_with_tradelake)) == offered


@pytest.mark.parametrize(
    ("shell", "binds"),
    [
        ("bash", "complete -o default -F _tradelake_completion tradelake"),
        ("zsh", "compdef _tradelake_completion tradelake"),
        ("fish", "complete --command tradelake"),
    ],
)
def test_a_shell_s_script_binds_the_command(shell: str, binds: str) -> None:
    script = tradelake("completion", shell).out
    assert binds in script
    assert "_TRADELAKE_COMPLETE=complete_" + shell in script


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({"_TRADELAKE_COMPLETE": "complete_zsh"}, '"status":"Show'),
        (
            {
                "_TRADELAKE_COMPLETE": "complete_fish",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
            "status\tShow",
        ),
    ],
    ids=["zsh", "fish"],
)
def test_zsh_and_fish_are_answered_with_names_and_meanings(
    asked: dict[str, str], answered: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tradelake"],
        capture_output=True,
        text=True,
        check=True,
        env=environment() | {"_TYPER_COMPLETE_ARGS": "tradelake stat"} | asked,
    )
    assert answered in done.stdout
    assert done.stdout.count("\n") == 1


def test_the_tables_offered_are_those_there_are(tmp_path: Path) -> None:
    catalog = LakeCatalog(LocalStorage(tmp_path))
    assert set(TABLES) == set(catalog.load())
    for name in set(TABLES) - set(HUDI_TABLES):
        with pytest.raises(QueryError, match="no timeline"):
            catalog.history(name)
    assert [catalog.history(name) for name in HUDI_TABLES] == [[], []]


def test_a_shell_that_is_not_known_is_wrong_usage() -> None:
    assert (
        "'tcsh' is not one of 'bash', 'zsh', 'fish'" in tradelake("completion", "tcsh", code=2).err
    )
