"""help, completion: finding one's way on the command line."""

import os
from enum import StrEnum
from typing import Annotated, Any

import typer


class ShellName(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    """Adds the group's commands."""
    app.command("help")(help_)
    app.command()(completion)


def _next_words(context: typer.Context, incomplete: str) -> list[str]:
    """The commands that may follow the words that are there."""
    command: Any = context.find_root().command
    for word in context.params.get("command") or ():
        command = getattr(command, "commands", {}).get(word)
    return [name for name in getattr(command, "commands", ()) if name.startswith(incomplete)]


def help_(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND", help="Such as: run, quarantine list.", autocompletion=_next_words
        ),
    ] = None,
) -> None:
    """Show what a command does, as its --help; without one, all commands.

    \b
    tradelake help
    tradelake help quarantine list
    """
    root = context.find_root().command
    with root.make_context("tradelake", [*(command or ()), "--help"]) as named:
        root.invoke(named)


def completion(
    shell: Annotated[ShellName, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the script that lets a shell complete commands, options and values on Tab.

    \b
    eval "$(tradelake completion bash)"      # in ~/.bashrc
    eval "$(tradelake completion zsh)"       # in ~/.zshrc, after compinit
    tradelake completion fish | source       # in ~/.config/fish/config.fish
    """
    from tradelake.cli.app import COMPLETION_VARIABLE, build_command

    os.environ[COMPLETION_VARIABLE] = f"source_{shell}"
    build_command().main(prog_name="tradelake")
