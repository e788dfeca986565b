"""The unit, and what systemd is told."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tradelake.errors import UsageError
from tradelake.service.events import PassedOver, Started, Stopped, Waiting
from tradelake.service.systemd import Notifier, unit

FOLDERS = ["plain", "with space", "50%", "a$b", 'a"b', "a;b", "it's", "a\\b", "ä"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_systemd_reads_the_unit_as_it_is_meant_whatever_the_home_is_called(
    tmp_path: Path, folder: str
) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there: install systemd")
    home = tmp_path / folder
    home.mkdir()
    file = tmp_path / "tradelake.service"
    file.write_text(unit(home, "root", ["/bin/echo", "--home", str(home), "run"], {"A": "b c"}))

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", file],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "debug"},
    )

    assert checked.returncode == 0, checked.stderr
    dumped = checked.stdout + checked.stderr
    assert f"ReadWritePaths: {home}\n" in dumped
    assert f"RequiresMountsFor: {home} (" in dumped


def test_a_home_that_no_unit_can_name_is_refused() -> None:
    with pytest.raises(UsageError, match="can't stand in a systemd unit"):
        unit(Path("/a\nExecStartPre=/bin/evil"), "root", ["/bin/true"], {})


def test_the_manager_is_told_how_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        tell = Notifier()
        for event in (Started("process 1", "/srv"), Waiting("room", 2), Stopped()):
            tell(event)
        texts = [manager.recv(4096).decode() for _ in range(3)]

    assert texts[0].startswith("READY=1\nSTATUS=following /srv")
    assert texts[1] == "READY=1\nSTATUS=waits, and tries again in 2 s: room"
    assert texts[2] == "STOPPING=1\nSTATUS=stopped"


def test_what_an_event_names_gives_the_manager_no_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        Notifier()(PassedOver(1, "landing/x\nSTOPPING=1\nMAINPID=1\n.gz: \ud800"))
        text = manager.recv(4096).decode()

    assert "\n" not in text
    assert text.startswith("STATUS=")


@pytest.mark.parametrize(("folder", "private"), [("/tmp/home", False), ("/srv/home", True)])
def test_a_home_in_a_folder_for_passing_things_is_not_hidden_from_its_service(
    folder: str, private: bool
) -> None:
    assert ("PrivateTmp=yes" in unit(Path(folder), "root", ["/bin/true"], {})) == private


def test_where_no_manager_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    Notifier()(Stopped())
    monkeypatch.delenv("NOTIFY_SOCKET")
    Notifier()(Stopped())
