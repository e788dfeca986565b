"""The commands as one application: their sections in --help, and the options that every one takes.

A command lives in a module of its group; heavy imports belong inside its function, so that --help
and completion stay quick.
"""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tradelake import __version__
from tradelake.cli.context import Shell
from tradelake.errors import UsageError

GROUPS: dict[str, tuple[str, ...]] = {
    "Begin": ("demo",),
    "Trades in": ("market", "changes"),
    "Into the lake": ("run", "quarantine", "table"),
    "Ask": ("query",),
    "Watch": ("watch", "dashboard"),
    "Set up": ("config", "guide"),
}
"""By section of --help, modules of this package, each with `register(app)`; in --help's order."""

COMPLETION_VARIABLE = "_TRADELAKE_COMPLETE"
"""What the shells' scripts set when they ask for completions; typer's name for it."""


def build_command() -> TyperGroup:
    """The application with all its commands, each with the options that stand everywhere."""
    root = typer.main.get_command(build_app())
    assert isinstance(root, TyperGroup)
    # typer brings options that install completion; the command `completion` is our one way.
    root.params = [param for param in root.params if not str(param.name).endswith("_completion")]
    _share([param for param in root.params if param.name in ("home", "debug")], root)
    return root


def build_app() -> typer.Typer:
    """The application as it is registered."""
    app = typer.Typer(
        cls=_Sectioned,
        name="tradelake",
        help="An Apache Hudi lake that follows a store of crypto trades within a second.",
        epilog="Begin with: tradelake demo",
        rich_markup_mode=None,  # rich would cost 0.1 s of every start, and boxes don't pipe
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_everywhere)
    for section, modules in GROUPS.items():
        for module in modules:
            import_module(f"tradelake.cli.{module}").register(app)
        registered: Any  # a command or a group
        for registered in (*app.registered_commands, *app.registered_groups):
            if not isinstance(registered.rich_help_panel, str):
                registered.rich_help_panel = section
    return app


class _Sectioned(TyperGroup):
    """Lists its commands under the sections they are registered in."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's own
        room = formatter.width - 6 - max(map(len, self.commands))
        sections: dict[str, list[tuple[str, str]]] = {}
        command: Any
        for name, command in self.commands.items():
            line = (name, command.get_short_help_str(room))
            sections.setdefault(command.rich_help_panel, []).append(line)
        for section, lines in sections.items():
            with formatter.section(section):
                formatter.write_dl(lines)


def _take_version(wanted: bool) -> None:
    if wanted:
        print(f"tradelake {__version__}")
        raise typer.Exit


def _take_home(context: typer.Context, folder: str | None) -> None:
    shell = context.find_object(Shell)
    if folder in ("", "--"):
        raise UsageError("--home needs a folder")
    if shell and folder:
        shell.home = folder


def _take_debug(context: typer.Context, wanted: bool) -> None:
    shell = context.find_object(Shell)
    if shell and wanted:
        shell.debug = True


def _everywhere(
    home: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="The folder of all state; else $TRADELAKE_HOME, else ./.tradelake.",
            show_default=False,
            callback=_take_home,
            expose_value=False,
        ),
    ] = None,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show tracebacks.", callback=_take_debug, expose_value=False),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_take_version, is_eager=True),
    ] = False,
) -> None:
    """Nothing is left to do: these options act by themselves, wherever they stand."""


def _share(params: list[Any], group: TyperGroup) -> None:
    """Gives all commands below a group its options: they may stand before or after a command."""
    for command in group.commands.values():
        command.params.extend(params)
        if isinstance(command, TyperGroup):
            command.epilog = "\b\n" + "\n".join(_examples(command))
            _share(params, command)


def _examples(group: TyperGroup) -> list[str]:
    """The first example of each of its commands."""
    helps = [(command.help or "").splitlines() for command in group.commands.values()]
    firsts = (next((line for line in lines if "tradelake " in line), "") for lines in helps)
    return [line.strip() for line in firsts if line]
