"""A delivering process killed at random moments repeats nothing and loses nothing."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

DELIVERER = Path(__file__).with_name("deliverer.py")


@pytest.mark.parametrize("rounds", [4, pytest.param(200, marks=pytest.mark.long)])
def test_after_kill_9_each_position_landed_exactly_once(
    rounds, home, new_delivery, stream, clock, landed
):
    chance = random.Random(rounds)
    for _ in range(rounds):
        deliver_until_killed(home, chance.randint(0, 20), chance.random() * 0.01)
    clock.now = 2**51  # after all that the processes wrote
    new_delivery().deliver(flush=True)
    positions = range(1, stream.latest() + 1)
    assert landed.event_ids == [str(n) for n in positions if n % 7]
    assert landed.failed == [b"bad %d" % n for n in positions if n % 7 == 0]


def deliver_until_killed(home: Path, calls: int, then_seconds: float) -> None:
    """Kills the process so long after so many calls: anywhere in the next ones."""
    command = [sys.executable, str(DELIVERER), str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        for _ in range(calls):
            assert process.stdout.readline(), "the process ended by itself"
        timer = threading.Timer(then_seconds, process.kill)
        timer.start()
        process.wait()
        timer.join()
