"""What every command is given: where the home is, and the settings when it asks for them."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from tradelake.cli.progress import note

if TYPE_CHECKING:
    from tradelake.settings import Settings


@dataclass(slots=True)
class Shell:
    """The options that every command takes, as they are met. home: given with --home, else None."""

    home: str | None = None
    debug: bool = False

    def settings(self, **flags: object) -> "Settings":
        """The settings in force, a command's flags (None: not given) strongest.

        Raises:
            UsageError: an unknown or impossible setting.
        """
        from tradelake.settings import load  # pydantic is slow to import

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            settings = load(self.home, flags)
        for warning in caught:
            note(f"tradelake: warning: {warning.message}")
        return settings


def shell_of(context: typer.Context) -> Shell:
    """The options given before or after the command."""
    return context.find_object(Shell) or Shell()
