"""Help: every command has an example that holds, and stands in a section."""

import re
import shlex

import pytest
import typer

from tradelake.cli import main as cli
from tradelake.cli.app import GROUPS, build_command
from tradelake.cli.guide import ShellName

Captured = pytest.CaptureFixture[str]


def leaves(command: typer.core.TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, inner in command.commands.items():
        if isinstance(inner, typer.core.TyperGroup):
            found += leaves(inner, (*path, name))
        else:
            found.append((*path, name))
    return found


LEAVES = leaves(build_command())


def shown(captured: Captured, *arguments: str) -> str:
    assert cli.run(arguments) == 0
    return captured.readouterr().out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_shows_an_example_of_itself(path: tuple[str, ...], capsys: Captured) -> None:
    help_text = shown(capsys, *path, "--help")
    examples = re.findall(rf"\n  .*\btradelake {' '.join(path)}\b", help_text)
    assert examples
    assert "--home DIR" in help_text
    assert "--debug" in help_text


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_example_has_options_that_exist(path: tuple[str, ...], capsys: Captured) -> None:
    help_text = shown(capsys, *path, "--help")
    options = set(re.findall(r"^  (?:-[a-z], )?(--[a-z-]+)", help_text, re.MULTILINE))
    example_lines = [line for line in help_text.splitlines() if "tradelake " in line[:40]]
    for line in example_lines:
        words = shlex.split(line.replace("$(", "").replace(")", ""), comments=True)
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options, line


def test_all_commands_stand_in_the_sections_of_the_first_help(capsys: Captured) -> None:
    lines = shown(capsys, "--help").splitlines()
    for section in GROUPS:
        assert f"{section}:" in lines
    listed = {line.split()[0] for line in lines if line.startswith("  ")}
    assert {path[0] for path in LEAVES} <= listed
    assert "Commands:" not in lines


@pytest.mark.parametrize("group", sorted({path[0] for path in LEAVES if len(path) > 1}))
def test_a_group_shows_an_example_of_each_of_its_commands(group: str, capsys: Captured) -> None:
    help_text = shown(capsys, group, "--help")
    for path in LEAVES:
        if path[0] == group:
            assert f"tradelake {' '.join(path)}" in help_text


def test_help_is_a_command_too(capsys: Captured) -> None:
    assert shown(capsys, "help") == shown(capsys, "--help")
    assert shown(capsys, "help", "run") == shown(capsys, "run", "-h")
    assert shown(capsys, "help", "changes", "export") == shown(
        capsys, "changes", "export", "--help"
    )


def test_every_shell_that_completion_knows_is_named_in_its_help(capsys: Captured) -> None:
    help_text = shown(capsys, "completion", "--help")
    for shell in ShellName:
        assert f"tradelake completion {shell}" in help_text
