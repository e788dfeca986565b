"""The `tradelake` command: its options, its exit codes, and how it says that something failed.

Exit 0 on success, 2 on wrong usage, 1 on any other failure, 130 on Ctrl-C. A command lives in a
module of its group; heavy imports belong inside its function, so that --help stays quick.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer
from typer.exceptions import TyperException

from tradelake import __version__
from tradelake.cli.context import Shell
from tradelake.errors import TradelakeError, UsageError

GROUPS = ("demo", "market", "changes", "run", "query", "watch", "dashboard", "quarantine", "config")
"""Modules of this package, each with `register(app)`; their order is the order in --help."""

_EVERYWHERE = (
    "--home DIR (where all state lies; else $TRADELAKE_HOME, else ./.tradelake) and --debug "
    "(tracebacks) may stand before or after any command."
)
_COMPLETION_VARIABLE = "_TRADELAKE_COMPLETE"


def build_app() -> typer.Typer:
    """The application with all its commands."""
    app = typer.Typer(
        name="tradelake",
        help="An Apache Hudi lake that follows a store of crypto trades within a second.",
        epilog="Begin with: tradelake demo",
        rich_markup_mode=None,  # rich would cost 0.1 s of every start, and boxes don't pipe
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_everywhere)
    for group in GROUPS:
        import_module(f"tradelake.cli.{group}").register(app)
    _append_epilog(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tradelake {__version__}")
        raise typer.Exit


def _everywhere(
    context: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The folder of all state; else $TRADELAKE_HOME, else ./.tradelake.",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[  # noqa: ARG001 - acts by itself
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    context.obj = Shell(home, debug)


def _append_epilog(app: typer.Typer) -> None:
    for command in app.registered_commands:
        if not isinstance(command.epilog, str):
            command.epilog = _EVERYWHERE
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _append_epilog(group.typer_instance)


def hoist(arguments: Sequence[str]) -> list[str]:
    """Moves --home and --debug to the front; what follows `--` is left alone.

    Raises:
        UsageError: --home without a folder.
    """
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument == "--debug":
            front.append(argument)
        elif argument == "--home":
            if (folder := next(waiting, "")) in ("", "--"):
                raise UsageError("--home needs a folder")
            front += [argument, folder]
        elif argument.startswith("--home="):
            front += ["--home", argument.removeprefix("--home=")]
        else:
            rest.append(argument)
    return front + rest


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and exits."""
    if os.environ.get(_COMPLETION_VARIABLE):
        build_app()(prog_name="tradelake")
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Runs one command; returns its exit code. Failures are told on stderr in one sentence."""
    debug = "--debug" in (argv[: argv.index("--")] if "--" in argv else argv)
    try:
        code = _invoke(hoist(argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `tradelake sql … | head` has what it wants
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TyperException as error:
        return _say_usage(error)
    except Exception as error:
        if debug:
            raise
        return _say(error)
    return code


def _invoke(arguments: list[str]) -> int:
    command = typer.main.get_command(build_app())
    try:
        with command.make_context("tradelake", arguments) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return 130
    return 0


def _say_usage(error: TyperException) -> int:
    message = error.format_message()
    if message.startswith("Usage:"):  # a group without its command: that is its help
        print(message, file=sys.stderr)
    else:
        context = getattr(error, "ctx", None)
        hint = f" (see: {context.command_path} --help)" if context is not None else ""
        print(f"tradelake: {_sentence(message)}{hint}", file=sys.stderr)
    return error.exit_code


def _say(error: Exception) -> int:
    if isinstance(error, TradelakeError):
        text = _sentence(str(error))
    elif isinstance(error, OSError) and error.strerror:
        text = _sentence(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    else:
        text = (
            f"unexpected {type(error).__name__}: {_sentence(str(error))} "
            "(run it again with --debug to see where)"
        )
    print(f"tradelake: {text}", file=sys.stderr)
    return 2 if isinstance(error, UsageError) else 1


def _sentence(text: str) -> str:
    """One line that can't drive the terminal."""
    from tradelake.cli.output import plain

    return plain(" ".join(text.split()))
