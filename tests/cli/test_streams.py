"""The process's streams as people leave them: closed, full, of another encoding; and its end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from processes import environment, tradelake


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with something in it."""
    folder = tmp_path_factory.mktemp("home")
    tradelake("simulate", "--trades", 500, "--seed", 1, home=folder)
    tradelake("run", "--once", home=folder)
    return folder


def in_bash(
    script: str, home: Path, folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Runs a bash script in which `tradelake` is this interpreter's, on the home."""
    return subprocess.run(
        ["bash", "-c", f'tradelake() {{ "{sys.executable}" -m tradelake "$@"; }}\n{script}'],
        capture_output=True,
        check=False,
        cwd=folder,
        env=environment(home=home) | variables,
    )


ROWS = "select * from crypto.processed_crypto_txn"
ANSWERS = [
    "--help",
    "--version",
    "status",
    "config --json",
    "changes export -",
    "completion bash",
    *(f"sql --format {form} '{ROWS}'" for form in ("table", "csv", "json", "parquet")),
]


@pytest.mark.parametrize("command", ANSWERS)
def test_a_full_output_is_a_failure_told_in_one_sentence(command: str, home: Path) -> None:
    done = in_bash(f"tradelake {command} >/dev/full", home)
    assert done.returncode == 1
    assert done.stderr == b"tradelake: No space left on device: standard output\n"


@pytest.mark.parametrize("command", ANSWERS)
def test_a_reader_that_stops_early_has_what_it_wants(command: str, home: Path) -> None:
    done = in_bash(f"tradelake {command} | head -c 1 >/dev/null; exit $PIPESTATUS", home)
    assert done.returncode == 0
    assert b"tradelake:" not in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "run --once", "simulate --trades 5", "--help"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(command: str, closed: str, tmp_path: Path) -> None:
    done = in_bash(f"tradelake {command} {closed}", tmp_path)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"orders placed" not in file.read_bytes()


def test_a_closed_input_can_not_be_read(home: Path) -> None:
    done = in_bash("tradelake changes import - <&-", home)
    assert done.returncode == 2
    assert done.stderr == b"tradelake: can't read -: Bad file descriptor\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("<&-", "Bad file descriptor"),
        ("< <(printf 'select \\xff')", "the query is not UTF-8 at byte 8; save it as UTF-8"),
        ("< <(printf 'select 1' | iconv -t utf-16)", "the query is not UTF-8 at byte 1"),
        ("< <(yes)", "the query has more than 262144 bytes"),
    ],
)
def test_a_query_that_can_not_be_read_is_told_in_one_sentence(
    given: str, said: str, home: Path
) -> None:
    done = in_bash(f"tradelake sql - {given}", home)
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"tradelake: can't read -: {said}")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_query_is_read_as_utf_8_whatever_the_locale(encoding: str, home: Path) -> None:
    command = "printf '\\xef\\xbb\\xbf%s' \"select '\u20ac' as x\" | tradelake sql --format json -"
    done = in_bash(command, home, PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout) == [{"x": "\u20ac"}]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-16"])
@pytest.mark.parametrize(
    "command", ["status", 'sql "select chr(8364) x"', "demo --help", "config", "staßtus"]
)
def test_no_encoding_is_too_narrow(encoding: str, command: str, home: Path) -> None:
    done = in_bash(f"tradelake {command}", home, PYTHONIOENCODING=encoding)
    assert done.returncode == (2 if command == "staßtus" else 0)
    said = done.stdout.decode(encoding) + done.stderr.decode(encoding)
    assert "unexpected" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}], ids=str)
def test_what_programs_read_is_exact_in_any_locale(variables: dict[str, str], home: Path) -> None:
    query = "select chr(8364) || chr(128512) as x"
    as_json = in_bash(f"tradelake sql --format json '{query}'", home, **variables)
    assert json.loads(as_json.stdout) == [{"x": "€😀"}]
    as_csv = in_bash(f"tradelake sql --format csv '{query}'", home, **variables)
    assert as_csv.stdout == "x\n€😀\n".encode()


def in_a_deleted_folder(command: str, home: Path, tmp_path: Path) -> tuple[int, str]:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = in_bash(f'rmdir "{gone}"; tradelake {command}', home, gone)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("command", ["--help", "status", "config --home /d"])
def test_a_deleted_folder_is_no_matter_where_the_home_is_named_whole(
    command: str, home: Path, tmp_path: Path
) -> None:
    code, said = in_a_deleted_folder(command, home, tmp_path)
    assert (code, "tradelake:" in said) == (0, False)


def test_a_home_within_a_deleted_folder_is_wrong_usage(home: Path, tmp_path: Path) -> None:
    code, said = in_a_deleted_folder("status --home here", home, tmp_path)
    assert code == 2
    assert "tradelake: the current folder has been deleted; go to another" in said


LOADED = ("tradelake.cli", "typer")
INTERRUPTED = """
import builtins, os, signal, sys
from tradelake.cli import main
really = builtins.__import__
def watched(name, *rest):
    if name.startswith(sys.argv[1]):
        builtins.__import__ = really
        os.kill(os.getpid(), signal.SIGINT)
    return really(name, *rest)
builtins.__import__ = watched
main.main(["config"])
"""


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """A program that is `tradelake config`, with a Ctrl-C when a module is first imported."""
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    return script


@pytest.mark.parametrize("module", LOADED)
def test_ctrl_c_while_modules_are_loaded_is_quiet(
    module: str, interrupted: Path, home: Path
) -> None:
    done = in_bash(f"{sys.executable} {interrupted} {module}", home)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


MASKED = """
import os, signal
from tradelake.cli import main
from tradelake.cli.context import Shell
def settings(self):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("initialization failed") from None
Shell.settings = settings
main.main(["config"])
"""


def test_ctrl_c_is_one_even_where_a_module_makes_another_error_of_it(
    tmp_path: Path, home: Path
) -> None:
    """As DuckDB's and pydantic's compiled parts do."""
    script = tmp_path / "masked.py"
    script.write_text(MASKED)
    done = in_bash(f"{sys.executable} {script}", home)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("module", LOADED)
def test_who_ignores_ctrl_c_goes_on_ignoring_it(module: str, interrupted: Path, home: Path) -> None:
    done = in_bash(f"trap '' INT; {sys.executable} {interrupted} {module}", home)
    assert done.returncode == 0
    assert done.stdout.startswith(b"setting ")
