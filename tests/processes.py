"""Runs the `tradelake` command as people do: as a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "tradelake")

PATIENCE_SECONDS = 60
"""No command of a test takes longer, however busy the machine is."""


@dataclass(frozen=True)
class Done:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)


def environment(**settings: object) -> dict[str, str]:
    """This process's environment with these TRADELAKE_* settings and no others."""
    inherited = {k: v for k, v in os.environ.items() if not k.upper().startswith("TRADELAKE_")}
    given = {f"TRADELAKE_{name.upper()}": str(value) for name, value in settings.items()}
    return inherited | given


def tradelake(
    *arguments: object,
    code: int = 0,
    given: str = "",
    folder: Path | None = None,
    **settings: object,
) -> Done:
    """Runs a command to its end, which must be this exit code, without a traceback.

    given: its standard input. folder: where it works, if not here.
    """
    ended = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=given.encode(),
        capture_output=True,
        check=False,
        cwd=folder,
        timeout=PATIENCE_SECONDS,
        env=environment(**settings),
    )
    done = Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    assert "Traceback" not in done.err, done.err
    assert done.code == code, f"exit {done.code}: {done.err}{done.out}"
    return done


def start(
    *arguments: object, settings: Mapping[str, object] | None = None, log: Path | None = None
) -> "subprocess.Popen[str]":
    """Begins a command. Both its outputs are added to a file if one is given, else piped."""
    with contextlib.ExitStack() as stack:
        out = err = subprocess.PIPE
        if log is not None:
            out = err = stack.enter_context(log.open("a")).fileno()
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=out,
            stderr=err,
            text=True,
            env=environment(**settings or {}),
        )
