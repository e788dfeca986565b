"""Ctrl-C and SIGTERM ask for an end; a second Ctrl-C does not ask."""

import signal

import pytest

from tradelake.cli.progress import Ticker, note, stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_asks_for_an_end_and_interrupts_nothing(number: signal.Signals) -> None:
    with stopping() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    with stopping() as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.is_set()


def test_a_second_sigterm_goes_on_asking() -> None:
    with stopping() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="x"), stopping():
        raise ValueError("x")
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    note("here")
    assert capsys.readouterr() == ("", "here\n")


def test_a_ticker_lets_a_line_through_now_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("tradelake.cli.progress.time.monotonic", lambda: now)
    ticker = Ticker(seconds=2)
    assert not ticker.due()
    now = 102.0
    assert ticker.due()
    assert not ticker.due()
    now = 104.5
    assert ticker.due()
