"""docs/story.md, typed line by line as a reader would."""

import os
import re
import subprocess
import sys
from pathlib import Path

from processes import PATIENCE_SECONDS, environment
from test_docs import DOCS, blocks

STORY = (DOCS / "story.md").read_text("utf-8")


def test_every_line_of_the_story_does_what_the_page_shows(tmp_path: Path) -> None:
    steps = [
        step.partition("\n")[::2]
        for block in blocks(STORY, "console")
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]
    said = type_in([*blocks(STORY, "sh"), *(f"{command}; echo" for command, _ in steps)], tmp_path)

    assert len(steps) > 20
    assert masked(said) == masked("".join(f"{shown}\n" for _, shown in steps))


def type_in(lines: list[str], folder: Path) -> str:
    """What a shell says on standard output, where `tradelake` is this one."""
    commands = folder / "bin"
    commands.mkdir()
    (commands / "tradelake").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tradelake "$@"\n')
    (commands / "tradelake").chmod(0o755)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        capture_output=True,
        check=False,
        cwd=folder,
        env=environment() | {"PATH": path},
        text=True,
        timeout=2 * PATIENCE_SECONDS,
    )
    return done.stdout


def masked(text: str) -> str:
    """Without what is another at each time."""
    return re.sub(r"\b20[0-9]{15}\b", "<instant>", text)
