"""Dumps of real trades, as exchanges and collectors publish them, read as transactions."""

from tradelake.market.replay.dumps import Dump, open_dump

__all__ = ["Dump", "open_dump"]
