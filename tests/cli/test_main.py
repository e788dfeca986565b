"""The shell around commands: options anywhere, exit codes, one sentence for a failure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tradelake import __version__
from tradelake.cli import main as cli
from tradelake.cli import query
from tradelake.errors import StorageError, UsageError

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TRADELAKE_")]:
        monkeypatch.delenv(name)


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes the command `tables` raise the error."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(query, "_catalog", fail)


def home_in_force(captured: Captured, *given: str) -> str:
    assert cli.run(given) == 0
    return str(json.loads(captured.readouterr().out)["home"]["value"])


@pytest.mark.parametrize(
    "given",
    [
        ["--home", "/d", "config", "--json"],
        ["config", "--home", "/d", "--json"],
        ["config", "--json", "--home=/d"],
        ["--home", "/e", "config", "--json", "--home", "/d"],
    ],
    ids=" ".join,
)
def test_home_may_stand_before_or_after_the_command(given: list[str], capsys: Captured) -> None:
    assert home_in_force(capsys, *given) == "/d"


@pytest.mark.parametrize(
    "given",
    [
        ["changes", "--home", "/d", "export", "-"],
        ["--home", "/d", "changes", "export", "-"],
        ["changes", "export", "-", "--home", "/d"],
    ],
    ids=" ".join,
)
def test_home_may_stand_anywhere_around_a_group_s_command(
    given: list[str], capsys: Captured
) -> None:
    assert cli.run(given) == 2
    assert "there is no tradelake home at /d;" in capsys.readouterr().err


def test_what_follows_two_dashes_is_no_option(tmp_path: Path, capsys: Captured) -> None:
    assert cli.run(["describe", "--home", str(tmp_path), "--", "--debug"]) == 1
    assert "--debug" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["sql", "--home"], "Option '--home' requires an argument"),
        (["--home", "", "sql"], "--home needs a folder"),
        (["--home", "--", "x"], "--home needs a folder"),
    ],
)
def test_home_without_a_folder_is_wrong_usage(
    given: list[str], said: str, capsys: Captured
) -> None:
    assert cli.run(given) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["sqll"], "tradelake: No such command 'sqll'. Did you mean 'sql'?"),
        (["staus"], "Did you mean 'status'? (see: tradelake --help)"),
        (["changes", "exprot", "-"], "Did you mean 'export'? (see: tradelake changes --help)"),
        (["tables", "--jsn"], "No such option: --jsn. Did you mean '--json'?"),
        (["run", "--onec"], "Did you mean '--once'? (see: tradelake run --help)"),
        (["status", "--hom", "x"], "Did you mean '--home'?"),
        (["help", "statsu"], "Did you mean 'status'?"),
        (["sql"], "Missing argument"),
        (["sql", "select 1", "--format", "xml"], "'xml' is not one of"),
        (["describe", "a", "b"], "unexpected extra argument"),
        ([], "Usage: tradelake"),
    ],
)
def test_wrong_usage_is_two_and_plain(given: list[str], said: str, capsys: Captured) -> None:
    assert cli.run(given) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert "│" not in shown.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("no such thing"), 2, "tradelake: no such thing\n"),
        (StorageError("can't\nread \x1b[2J"), 1, "tradelake: can't read \\x1b[2J\n"),
        (OSError(28, "No space left on device", "/x"), 1, "No space left on device: /x\n"),
        (KeyError("x"), 1, "tradelake: unexpected KeyError: 'x' (run it again with --debug"),
        (typer.Exit(1), 1, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_is_one_sentence_without_traceback(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    failing(monkeypatch, error)
    assert cli.run(["tables"]) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == bool(said)


def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, StorageError("x"))
    with pytest.raises(StorageError):
        cli.run(["tables", "--debug"])


def test_version(capsys: Captured) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"tradelake {__version__}\n"


def test_config_shows_values_and_where_they_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "tradelake.toml").write_text("list_every = '5m'\n")
    monkeypatch.setenv("TRADELAKE_THREADS", "3")
    assert cli.run(["config", "--json", "--home", str(tmp_path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["home"]["value"] == str(tmp_path)
    assert shown["list_every"]["value"] == 300
    assert shown["list_every"]["origin"] == f"file {tmp_path / 'tradelake.toml'}"
    assert shown["threads"]["origin"] == "environment TRADELAKE_THREADS"
    assert all(setting["description"] for setting in shown.values())
    assert cli.run(["config", "--home", str(tmp_path)]) == 0
    assert "environment TRADELAKE_THREADS" in capsys.readouterr().out


def test_a_foreign_variable_is_warned_of_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("TRADELAKE_IMAGE", "x")
    assert cli.run(["config", "--home", str(tmp_path)]) == 0
    assert capsys.readouterr().err.startswith("tradelake: warning: environment TRADELAKE_IMAGE")


def run_process(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tradelake", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload, no-any-return]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tradelake.cli.main import run; run(['--help']); "
        "heavy = {'rich', 'pydantic', 'duckdb', 'pyarrow', 'sqlglot', 'dash', 'flask'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        f"{sys.executable} -m tradelake config --json 2>&1 >/dev/full | cat; "
        f"{sys.executable} -m tradelake config --json | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stdout + done.stderr


def test_the_module_is_the_command() -> None:
    assert run_process("--version").stdout == f"tradelake {__version__}\n"


def test_ctrl_c_ends_a_running_query_quietly(tmp_path: Path) -> None:
    """Python hears a signal only between its steps, and a query may be one step of minutes."""
    numbers = "unnest(sequence(1, 10000)) as {}(x)"
    joined = " cross join ".join(numbers.format(name) for name in "abc")
    code = (
        "import os, signal, sys, threading; from tradelake.query import Engine\n"
        "from tradelake.cli import main, query\n"
        "class Empty:\n"
        "    def load(self, **_): return {}\n"
        "query.open_catalog = lambda _: Empty()\n"
        "from tradelake.query.limits import Limits\n"
        "run = Limits.run\n"
        "def interrupted(*args):\n"
        "    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    return run(*args)\n"
        "Limits.run = interrupted\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.exit(main.run(['sql', 'select count(*) from {joined} where a.x + b.x + c.x = 0']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "TRADELAKE_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
