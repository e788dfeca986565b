"""The thresholds file: what it changes, and what it says when it is wrong."""

from pathlib import Path

import pytest

from etl.harness import Home, change
from tradelake.errors import UsageError
from tradelake.etl import rules
from tradelake.etl.rules import load_rules

PACKAGED = Path(rules.__file__).with_name("thresholds.toml").read_text("utf-8")


def test_a_copy_of_the_packaged_file_gives_the_packaged_rules(tmp_path: Path) -> None:
    assert load_rules(_file(tmp_path, PACKAGED)) == load_rules()


def test_other_numbers_change_the_rules(tmp_path: Path, home: Home) -> None:
    text = (
        PACKAGED.replace('"500000"', '"10.5"')
        .replace('"0.95"', '"0.5"')
        .replace('"2" ', '"0.25" ')
        .replace('Kraken = "0.98"', 'Kraken = "2.0001"\n"My Exchange" = "0.5"')
        .replace('"50000"', '"10.5"')
    )
    home.rules = load_rules(_file(tmp_path, text))
    home.reopen()

    home.fold(
        change("t1", "e1", exchange="Kraken", price="21", quantity="0.5", trade_fee="1"),
        change("t2", "e2", exchange="My Exchange", price="21.00000002", quantity="0.5"),
    )

    rows = home.rows()
    assert rows["t1"]["risk_flag"] == "LOW_RISK"
    assert rows["t2"]["risk_flag"] == "HIGH_RISK"
    assert str(rows["t1"]["adjusted_trade_fee"]) == "0.50000000"
    assert str(rows["t1"]["normalized_price"]) == "42.00210000"
    assert str(rows["t2"]["normalized_price"]) == "10.50000001"
    assert rows["t1"]["user_category"] == "VIP Trader"


def test_an_exchange_without_any_factor_is_fine(tmp_path: Path, home: Home) -> None:
    home.rules = load_rules(
        _file(tmp_path, PACKAGED.split("[normalization]")[0] + "[normalization]")
    )
    home.reopen()

    home.fold(change(exchange="Coinbase", price="7"))

    assert home.rows()["t1"]["normalized_price"] == 7


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('high = "500000"', "high = 500000", "risk.high"),
        ('high = "500000"', "high = 5e5", "risk.high"),
        ('high = "500000"', 'high = "5e5"', "risk.high"),
        ('high = "500000"', 'high = "500_000"', "risk.high"),
        ('high = "500000"', 'high = "-1"', "risk.high"),
        ('high = "500000"', 'high = "1); DROP TABLE x --"', "risk.high"),
        ('high = "500000"', 'high = "0.123456789"', "risk.high"),
        ('high = "500000"', 'high = "12345678901"', "risk.high"),
        ('high = "500000"', "", "risk.high"),
        ('vip = "2"', 'vip = "٢"', "category.vip"),
        ('"0.90"', '"0.90001"', "fee.large_factor"),
        ('"0.90"', '"NaN"', "fee.large_factor"),
        ('OKX = "1.01"', 'OKX = "100"', "OKX"),
        ('OKX = "1.01"', "OKX = 1.01", "OKX"),
        ("OKX =", '"O\'KX" =', "exchange"),
        ("OKX =", '"Ökx" =', "exchange"),
        ("[risk]", "[rusk]", "risk"),
        ("[category]", "[[category]]", "category"),
        ("[normalization]", "[normal", "thresholds"),
    ],
)
def test_a_wrong_file_is_wrong_usage_and_says_where(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in PACKAGED

    with pytest.raises(UsageError, match=told):
        load_rules(_file(tmp_path, PACKAGED.replace(old, new, 1)))


def test_a_file_that_is_not_there_or_is_no_text_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        load_rules(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="binary"):
        load_rules(tmp_path / "binary.toml")
    with pytest.raises(UsageError):
        load_rules(tmp_path)


def _file(folder: Path, text: str) -> Path:
    path = folder / "thresholds.toml"
    path.write_text(text, "utf-8")
    return path
