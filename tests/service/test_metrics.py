"""What a service counts, and how it is asked."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pipelines import HomeOn, Script, World
from tradelake.errors import StoreError, TradelakeError
from tradelake.service.events import PassedOver, Resumed, Tidied, Waiting
from tradelake.service.metrics import Metrics
from tradelake.service.server import STUCK_SECONDS, health, serve
from tradelake.service.service import Service
from tradelake.settings import Settings
from tradelake.status import Stage, count_landed
from tradelake.storage import LocalStorage


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(HomeOn(tmp_path, LocalStorage(tmp_path, sync=False)))
    yield world
    world.close()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_batches_are_counted_by_outcome(world: World) -> None:
    metrics = Metrics(lambda: Stage(7, 2.5), lambda: 3)
    service = Service(world.home, Settings(threads=1), [metrics], world.clock)
    script = Script(world.clock).at(1, lambda: world.write(world.change(), b"poison"))

    service.run(script.stop_at(3))

    for outcome, count in {"received": 2, "applied": 1, "quarantined": 1, "duplicate": 0}.items():
        assert value(metrics, "tradelake_records_total", outcome=outcome) == count
    assert value(metrics, "tradelake_rows_total", change="upserted") == 1
    assert value(metrics, "tradelake_batch_seconds_count") == 1
    committed_us = world.batches()[-1]["committed_at"].timestamp()
    assert value(metrics, "tradelake_last_commit_timestamp_seconds") == pytest.approx(committed_us)
    assert value(metrics, "tradelake_stream_records_waiting") == 7
    assert value(metrics, "tradelake_stream_oldest_seconds") == 2.5
    assert value(metrics, "tradelake_landing_objects_waiting") == 3
    p99 = value(metrics, "tradelake_freshness_seconds", quantile="0.99")
    assert p99 is not None
    assert 0 < p99 < 2


def test_new_poison_shows_though_old_leaves_in_the_same_batch(world: World) -> None:
    metrics = Metrics(lambda: Stage(0), lambda: 0)
    service = Service(world.home, Settings(threads=1), [metrics], world.clock)
    script = Script(world.clock).at(1, lambda: world.write(world.change("a", price="0")))
    script.at(3, lambda: world.write(world.change("a"), world.change("b", price="0")))

    service.run(script.stop_at(6))

    assert value(metrics, "tradelake_records_total", outcome="quarantined") == 2
    assert value(metrics, "tradelake_records_total", outcome="superseded") == 1


def test_landed_objects_are_counted_until_they_are_folded(world: World) -> None:
    world.write()
    world.deliver()
    assert count_landed(world.home) == 1
    world.drain()
    assert count_landed(world.home) == 0


def test_waiting_and_housekeeping_show() -> None:
    metrics = Metrics(lambda: Stage(0), lambda: 3)

    metrics(Waiting("the moon", 1))
    metrics(PassedOver(3, "landing/…: Permission denied"))
    metrics(Tidied("change log", "ten went", 0.5))
    assert value(metrics, "tradelake_waiting") == 1
    assert value(metrics, "tradelake_landing_objects_passed_over") == 3
    assert value(metrics, "tradelake_housekeeping_seconds_total", chore="change log") == 0.5
    metrics(Resumed(1))
    assert value(metrics, "tradelake_waiting") == 0


def test_a_stream_that_cant_be_asked_has_no_number() -> None:
    def fail() -> Stage:
        raise StoreError("gone")

    assert value(Metrics(fail, lambda: 3), "tradelake_stream_records_waiting") is None


@pytest.mark.parametrize("idle", [STUCK_SECONDS - 1, STUCK_SECONDS + 1])
def test_health_knows_who_hangs(world: World, idle: float) -> None:
    service = Service(world.home, Settings(threads=1), (), world.clock)
    world.clock.advance(idle)

    well, said = health(service, world.clock)

    assert well == (idle < STUCK_SECONDS)
    assert said["status"] == ("ok" if well else "stuck")


def ask(port: int, path: str, **more: object) -> tuple[int, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", **more)  # type: ignore[arg-type]
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_port_answers_what_it_knows_and_refuses_the_rest() -> None:
    metrics = Metrics(lambda: Stage(4), lambda: 3)
    with serve(0, metrics.registry, lambda: (True, {"status": "ok"})) as port:
        code, text = ask(port, "/metrics")
        assert (code, "tradelake_stream_records_waiting 4.0" in text) == (200, True)
        assert ask(port, "/healthz") == (200, '{"status": "ok"}\n')
        assert ask(port, "/etc/passwd")[0] == 404
        assert ask(port, "/metrics", method="POST", data=b"x")[0] == 405
        assert ask(port, "/metrics", headers={"Host": "evil.example"})[0] == 400
        assert ask(port, "/healthz", headers={"Host": "localhost:1"})[0] == 200


def test_who_sends_nothing_is_hung_up_on_without_a_word(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradelake.service.server._Handler.timeout", 0.05)
    with (
        serve(0, CollectorRegistry(), lambda: (True, {"status": "ok"})) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as idle,
    ):
        idle.sendall(b"GET /metr")
        assert idle.recv(100) == b"", "it was not hung up on"
        assert ask(port, "/healthz")[0] == 200

    assert capfd.readouterr().err == ""


def test_who_waits_is_not_healthy() -> None:
    said = {"status": "waiting", "waits_for": "room"}
    with serve(0, CollectorRegistry(), lambda: (False, said)) as port:
        code, text = ask(port, "/healthz")

    assert (code, json.loads(text)) == (503, said)


def test_a_taken_port_is_told() -> None:
    with (
        serve(0, CollectorRegistry(), lambda: (True, {})) as port,
        pytest.raises(TradelakeError, match=f"port {port} on 127.0.0.1"),
        serve(port, CollectorRegistry(), lambda: (True, {})),
    ):
        pass
