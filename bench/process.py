"""Runs a whole process and says what it cost."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of a whole process, and the most memory it held, in MB."""

    wall: float
    cpu: float
    peak_mb: float


def tradelake(home: str, *arguments: str) -> Cost:
    """Runs `tradelake --home home …` from cold and fails where it fails."""
    return run([sys.executable, "-m", "tradelake", "--home", home, *arguments])


def run(command: Sequence[str]) -> Cost:
    """Runs a command with its output thrown away, but for what it says when it fails."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {said.decode(errors='replace')}")
    return Cost(
        time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    )
