"""What every test may ask for."""

from pathlib import Path

import pytest

SHARED_TRADES = Path(__file__).parents[2] / "shared" / "data" / "trades"


@pytest.fixture
def real_trades() -> Path:
    """The folder of real dumps that lies beside the checkout in the team's workspace and in CI."""
    if not SHARED_TRADES.is_dir():
        pytest.skip(f"the real trades are not at {SHARED_TRADES}; put the team's data folder there")
    return SHARED_TRADES
