"""The `tradelake` process: its exit codes, its standard streams, and how it says what failed.

Exit 0 on success, 2 on wrong usage, 1 on any other failure, 130 on Ctrl-C. The commands are put
together in `app.py`, which is imported when Ctrl-C is quiet already.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from tradelake.errors import TradelakeError, UsageError, said_by_system

if TYPE_CHECKING:
    from typer.exceptions import TyperException

    from tradelake.cli.context import Shell

INTERRUPTED = 130
"""As shells count a process that Ctrl-C ended: 128 and the signal's number."""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and exits."""
    interrupt = signal.getsignal(signal.SIGINT)
    patient = interrupt is signal.default_int_handler  # else nohup's, or another's wish
    if patient:
        signal.signal(signal.SIGINT, _leave)

    from tradelake.cli import streams

    streams.prepare()
    from tradelake.cli.app import COMPLETION_VARIABLE, build_command

    if os.environ.get(COMPLETION_VARIABLE):
        build_command().main(prog_name="tradelake")
    if patient:
        signal.signal(signal.SIGINT, _interrupt)
    code = run(sys.argv[1:] if argv is None else argv)
    if patient:
        signal.signal(signal.SIGINT, _leave)
    streams.settle()
    # Without the interpreter's own ending: threads of Arrow that still let go of their buffers
    # would abort the process in it, after all is done and said.
    os._exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    """Ends at once where nothing is open: while modules are loaded, and after the work is done."""
    del number, frame
    os._exit(INTERRUPTED)


_interrupted = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Raises KeyboardInterrupt, and remembers it: some modules make another error of it."""
    del number, frame
    _interrupted.set()
    raise KeyboardInterrupt


def run(argv: Sequence[str]) -> int:
    """Runs one command; returns its exit code. Failures are told on stderr in one sentence."""
    from typer.exceptions import TyperException

    from tradelake.cli.context import Shell

    shell = Shell()
    try:
        code = _invoke(shell, list(argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `tradelake sql … | head` has what it wants
        return 0
    except TyperException as error:
        return _say_usage(error)
    except Exception as error:
        if _interrupted.is_set():
            return INTERRUPTED
        if shell.debug:
            raise
        return _say(error)
    return code


def _invoke(shell: "Shell", arguments: list[str]) -> int:
    import typer

    from tradelake.cli import app

    command = app.build_command()
    try:
        with command.make_context("tradelake", arguments, obj=shell) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return INTERRUPTED
    return 0


def _say_usage(error: "TyperException") -> int:
    from tradelake.cli.progress import note

    message = error.format_message()
    if message.startswith("Usage:"):  # a group without its command: that is its help
        note(message)
    else:
        if near := getattr(error, "possibilities", None):
            message = f"{error.message}. Did you mean {near[0]!r}?"
        context = getattr(error, "ctx", None)
        hint = f" (see: {context.command_path} --help)" if context is not None else ""
        note(f"tradelake: {_sentence(message.replace('Value error, ', ''))}{hint}")
    return error.exit_code


def _say(error: Exception) -> int:
    from tradelake.cli.progress import note

    if isinstance(error, TradelakeError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = said_by_system(error)
    else:
        text = (
            f"unexpected {type(error).__name__}: {error} (run it again with --debug to see where)"
        )
    note(f"tradelake: {_sentence(text)}")
    return 2 if isinstance(error, UsageError) else 1


def _sentence(text: str) -> str:
    """One line that can't drive the terminal."""
    from tradelake.cli.output import plain

    return plain(" ".join(text.split()))
