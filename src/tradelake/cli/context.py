"""What every command is given: where the home is, and the settings when it asks for them."""

import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tradelake.settings import Settings


@dataclass(frozen=True, slots=True)
class Shell:
    """The options that every command takes. home: as given with --home, else None."""

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
            print(f"tradelake: warning: {warning.message}", file=sys.stderr)
        return settings


def shell_of(context: typer.Context) -> Shell:
    """The options given before or after the command."""
    return context.find_object(Shell) or Shell()
