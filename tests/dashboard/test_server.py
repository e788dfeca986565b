"""Where the page listens, and what it refuses."""

import importlib.util
import socket
from pathlib import Path

import pytest

from processes import tradelake
from tradelake.dashboard import server
from tradelake.dashboard.page import create_app
from tradelake.dashboard.readings import Readings
from tradelake.errors import TradelakeError, UsageError
from tradelake.storage import LocalStorage


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_it_listens_on_this_machine(host: str) -> None:
    with server.listen(host, 0) as listening:
        assert server.url(listening).startswith("http://127.0.0.")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])
def test_another_host_is_refused_with_the_reason(host: str) -> None:
    with pytest.raises(UsageError, match=r"on this machine only .* does not ask who is looking"):
        server.listen(host, 0)


def test_a_taken_port_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TradelakeError, match=f"port {port} on 127.0.0.1 is taken"):
            server.listen("127.0.0.1", port)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TradelakeError, match=r"pip install 'tradelake\[dashboard\]'"):
        server.require_dash()


def test_a_home_that_is_not_there_is_no_empty_page(tmp_path: Path) -> None:
    done = tradelake("dashboard", code=2, home=tmp_path / "elsewhere")
    assert "there is no tradelake home" in done.err


def test_only_loopback_names_are_answered_and_the_browser_is_told_to_load_nothing_else(
    tmp_path: Path,
) -> None:
    client = create_app(Readings(LocalStorage(tmp_path))).server.test_client()
    answer = client.get("/", headers={"Host": "localhost:8050"})
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    assert client.get("/", headers={"Host": "rebound.example.com"}).status_code == 400
