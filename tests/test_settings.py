"""Where a setting's value comes from, and what is said when it can't be meant."""

import os
from decimal import Decimal
from pathlib import Path

import pytest

from tradelake import settings
from tradelake.delivery import firehose
from tradelake.errors import UsageError
from tradelake.settings import load
from tradelake.taker_rates import PUBLISHED_TAKER_RATES


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TRADELAKE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def write(home: Path, text: str) -> None:
    (home / "tradelake.toml").write_text(text, encoding="utf-8")


def test_defaults_hold_where_nothing_is_said(home: Path) -> None:
    found = load(home)
    assert found.buffer_seconds == 0.2
    assert found.tombstone_retention is None
    assert set(found.origins.values()) == {"default", "flag --home"}
    assert found.origins.keys() == {*settings.NAMES, "home"}


def test_flag_beats_environment_beats_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, 'buffer_seconds = "5s"\nlist_every = "5m"\nbatch_records = 7\n')
    monkeypatch.setenv("TRADELAKE_BUFFER_SECONDS", "200ms")
    monkeypatch.setenv("TRADELAKE_LIST_EVERY", "2m")
    found = load(home, {"list_every": "90", "threads": None})
    assert (found.list_every, found.origins["list_every"]) == (90, "flag --list-every")
    assert found.buffer_seconds == 0.2
    assert found.origins["buffer_seconds"] == "environment TRADELAKE_BUFFER_SECONDS"
    assert found.origins["batch_records"] == f"file {home / 'tradelake.toml'}"
    assert found.origins["threads"] == "default"


def test_home_is_flag_then_environment_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load().home == tmp_path / ".tradelake"
    monkeypatch.setenv("TRADELAKE_HOME", str(tmp_path / "b"))
    assert (load().home, load().origins["home"]) == (
        tmp_path / "b",
        "environment TRADELAKE_HOME",
    )
    assert load("c").home == tmp_path / "c"


def test_a_home_of_nobody_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'~nobody-here/x': there is no such user"):
        load("~nobody-here/x")


def test_delivery_s_own_defaults_are_the_settings(home: Path) -> None:
    found = load(home)
    assert found.buffer_seconds == firehose.BUFFER_SECONDS
    assert found.buffer_bytes == firehose.BUFFER_BYTES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nbufer_seconds = 1", "line 2: there is no setting 'bufer_seconds'; did you mean"),
        ("a = = 1", "line 1: not TOML"),
        ("threads = 1\nthreads", "line 2: not TOML"),
        ("\n\nbuffer_seconds = 901", "line 3: buffer_seconds: input should be less than or equal"),
        ("buffer_seconds = 'soon'", "line 1: buffer_seconds: 'soon' is not a duration"),
        ("replaced_files_retention = '4m'", "line 1: replaced_files_retention"),
        ("memory_limit = 'much'", "line 1: memory_limit: 'much' is not a size; write 512MB"),
        ("memory_limit = '0GB'", "'0GB' is not a size from 64MB to"),
        ("memory_limit = '63.9MB'", "is not a size from 64MB to"),
        ("memory_limit = '2000TiB'", "is not a size from 64MB to"),
        ("memory_limit = 0", "0 is not a size; write"),
        ("threads = 'many'", "line 1: threads: must be a whole number, not 'many'"),
        ("taker_rates = [1]", "taker_rates: must be a table of exchanges and rates, not '[1]'"),
        ("tombstone_retention = 'soon'", "line 1: tombstone_retention: 'soon' is not a duration"),
        ("list_every = '36501d'", "'36501d' is not a duration of up to 36500d"),
        ("[taker_rates]\nBinance = 'x'", "line 1: taker_rates.Binance: 'x' is not a decimal"),
        ("[taker_rates]\nBinance = 1.5", "is not a rate"),
        ("default_taker_rate = 'NaN'", "is not a rate"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(home: Path, text: str, said: str) -> None:
    write(home, text)
    with pytest.raises(UsageError) as caught:
        load(home)
    assert str(home / "tradelake.toml") in str(caught.value)
    assert said in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_a_file_that_is_not_text_is_named(home: Path) -> None:
    (home / "tradelake.toml").write_bytes(b"threads = 1\nregion = '\xff'")
    with pytest.raises(UsageError, match="line 2: not UTF-8"):
        load(home)


def test_a_mistyped_variable_is_refused_with_the_nearest(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADELAKE_BUFFER_SECOND", "1")
    with pytest.raises(UsageError, match="did you mean TRADELAKE_BUFFER_SECONDS"):
        load(home)


def test_a_variable_like_no_setting_is_another_program_s_and_warned_of(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADELAKE_IMAGE", "x")
    with pytest.warns(UserWarning, match="TRADELAKE_IMAGE is no setting"):
        load(home)


def test_a_bad_variable_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADELAKE_THREADS", "many")
    with pytest.raises(UsageError, match="environment TRADELAKE_THREADS: threads: "):
        load(home)


def test_a_bad_or_unknown_flag_is_named(home: Path) -> None:
    with pytest.raises(UsageError, match="flag --buffer-seconds: buffer_seconds"):
        load(home, {"buffer_seconds": 1000})
    with pytest.raises(UsageError, match="did you mean 'threads'"):
        load(home, {"thread": 1})


def test_taker_rates_add_to_the_published_ones_exactly(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "[taker_rates]\nBinance = 0.00075\n")
    found = load(home)
    assert found.taker_rates["Binance"] == "0.00075"
    assert Decimal(found.taker_rates["Kraken"]) == PUBLISHED_TAKER_RATES["Kraken"]
    assert Decimal(found.default_taker_rate) == Decimal("0.001")
    monkeypatch.setenv("TRADELAKE_TAKER_RATES", '{"OKX": "0.0005"}')
    assert load(home).taker_rates["OKX"] == "0.0005"
    monkeypatch.setenv("TRADELAKE_TAKER_RATES", "OKX")
    with pytest.raises(UsageError, match="TRADELAKE_TAKER_RATES: not a JSON object"):
        load(home)


def test_a_thresholds_file_in_the_file_lies_beside_it(home: Path) -> None:
    write(home, 'thresholds_file = "mine.toml"\n')
    assert load(home).thresholds_file == home / "mine.toml"


def test_settings_can_not_be_changed(home: Path) -> None:
    found = load(home)
    with pytest.raises(ValueError, match="frozen"):
        found.threads = 3  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    for name, field in settings.Settings.model_fields.items():
        assert field.description, name
