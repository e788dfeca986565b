"""Exchanges and pairs by one name each, whatever a dump calls them."""

import re
from dataclasses import dataclass

from tradelake.market.fees import Market


@dataclass(frozen=True, slots=True)
class Venue:
    """An exchange by the name it has here; futures: only derivatives trade under the given name."""

    exchange: str
    futures: bool = False


# Left: names in lower case, as people and Tardis write them (docs.tardis.dev, historical data).
_VENUES = {
    "binance": Venue("Binance"),
    "binance-futures": Venue("Binance", futures=True),
    "binance-delivery": Venue("Binance", futures=True),
    "binance-options": Venue("Binance", futures=True),
    "binance-us": Venue("Binance US"),
    "bitfinex": Venue("Bitfinex"),
    "bitfinex-derivatives": Venue("Bitfinex", futures=True),
    "coinbase": Venue("Coinbase"),
    "coinbase-pro": Venue("Coinbase"),
    "gdax": Venue("Coinbase"),
    "ftx": Venue("FTX"),
    "ftx-us": Venue("FTX US"),  # a company and an id space of its own
    "kraken": Venue("Kraken"),
    "cryptofacilities": Venue("Kraken", futures=True),
    "kraken-futures": Venue("Kraken", futures=True),
    "kucoin": Venue("KuCoin"),
    "kucoin-futures": Venue("KuCoin", futures=True),
    "okex": Venue("OKX"),
    "okex-futures": Venue("OKX", futures=True),
    "okex-swap": Venue("OKX", futures=True),
    "okex-options": Venue("OKX", futures=True),
    "okex-spreads": Venue("OKX", futures=True),
    "okx": Venue("OKX"),
    "okx-futures": Venue("OKX", futures=True),
    "okx-swap": Venue("OKX", futures=True),
}
_FUTURES_NAME = re.compile(r".*-(futures|swap|delivery|derivatives|options|perp|linear)")


def venue(name: str) -> Venue:
    """The exchange a name stands for; one that is not known keeps its name as it is."""
    folded = name.lower().replace("_", "-").replace(" ", "-")
    return _VENUES.get(folded) or Venue(name, bool(_FUTURES_NAME.fullmatch(folded)))


_CONTRACT = re.compile(
    r"(?i).*[-_](perp|swap|perpetual)"  # FTX BTC-PERP, OKX BTC-USDT-SWAP, Binance BTCUSD_PERP
    r"|.*[-_]([0-9]{4}|[0-9]{6}|[0-9]{8})"  # FTX BTC-0624, BTCUSDT_240628
    r"|.*-[0-9]{1,2}[A-Z]{3}[0-9]{2}"  # Deribit BTC-28JUN24
    r"|.*-[0-9.]+-[CP]"  # options
    r"|.*-(perp|move|swap)-.*"  # BTC-PERP-INTX, BTC-MOVE-WK-0624
)
_SLASH_IS_SPOT = ("FTX", "FTX US")
"""Here every symbol without a slash is a derivative."""


def is_contract(symbol: str, exchange: str) -> bool:
    """Whether a symbol names a dated or perpetual contract or an option, not a pair."""
    if exchange in _SLASH_IS_SPOT and "/" not in symbol:
        return True
    return bool(_CONTRACT.fullmatch(symbol))


def market_of(symbol: str, at: Venue) -> Market:
    """The market a symbol trades on at a venue."""
    return "futures" if at.futures or is_contract(symbol, at.exchange) else "spot"


_QUOTES = {
    *("USD", "USDT", "USDC", "FDUSD", "USDP", "USDS", "USD1", "DAI", "PAX", "VAI", "UST", "UDC"),
    *("EUR", "EURI", "GBP", "JPY", "AUD", "CAD", "CHF", "TRY", "BRL", "UAH", "RUB", "ZAR", "PLN"),
    *("RON", "ARS", "MXN", "NGN", "KRW", "INR", "IDR", "IDRT", "BIDR", "CZK", "COP"),
    *("BTC", "XBT", "ETH", "BNB", "SOL", "XRP", "TRX", "DOGE", "XDG", "DOT", "KCS"),
}
_BINANCE_QUOTES = (_QUOTES | {"TUSD", "BUSD"}) - {"USD", "UST", "UDC"}
"""TUSD and BUSD only where USD is no quote: elsewhere DOTUSD is DOT/USD, not DO/TUSD."""

_KRAKEN_LONG = {
    **{"XXBT": "BTC", "XXDG": "DOGE", "XETH": "ETH", "XETC": "ETC", "XXRP": "XRP", "XLTC": "LTC"},
    **{"XXLM": "XLM", "XXMR": "XMR", "XZEC": "ZEC", "XREP": "REP", "XMLN": "MLN", "XICN": "ICN"},
    **{"ZUSD": "USD", "ZEUR": "EUR", "ZGBP": "GBP", "ZJPY": "JPY", "ZCAD": "CAD", "ZAUD": "AUD"},
    "ZKRW": "KRW",
}
_ASSETS = {"XBT": "BTC", "XDG": "DOGE"}
_ASSETS_AT = {
    "Kraken": _KRAKEN_LONG,
    "Bitfinex": {"UST": "USDT", "UDC": "USDC"},  # api-pub.bitfinex.com, pub:map:currency:sym
}


def pair_name(symbol: str, exchange: str) -> str:
    """`BTC/USDT` for a pair however the exchange writes it.

    A contract, and a symbol whose quote asset is not known, keep the exchange's own symbol.
    """
    if is_contract(symbol, exchange):
        return symbol
    parts = re.split(r"[-/_:]", symbol.upper())
    if len(parts) == 1:
        parts = _split(parts[0], exchange)
    if len(parts) != 2 or not all(parts):
        return symbol
    if ("_" in symbol or ":" in symbol) and parts[1] not in _quotes(exchange):
        return symbol  # PI_XBTUSD, BTCF0:USTF0: no pairs
    return "/".join(_asset(part, exchange) for part in parts)


def _split(symbol: str, exchange: str) -> list[str]:
    if exchange == "Kraken" and symbol[-4:] in _KRAKEN_LONG:
        base = symbol[:-4]
        if base in _KRAKEN_LONG or base == "USDT":  # not XTZUSD, which is XTZ and USD
            return [base, symbol[-4:]]
    quotes = _quotes(exchange)
    for length in range(5, 2, -1):  # FDUSD is the longest
        if len(symbol) > length and symbol[-length:] in quotes:
            return [symbol[:-length], symbol[-length:]]
    return [symbol]


def _quotes(exchange: str) -> set[str]:
    return _BINANCE_QUOTES if exchange == "Binance" else _QUOTES


def _asset(name: str, exchange: str) -> str:
    return _ASSETS_AT.get(exchange, {}).get(name) or _ASSETS.get(name, name)


_PUBLISHED = re.compile(r"(\w+)-(?:trades|aggTrades)-[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?\..*")
"""data.binance.vision: BTCUSDT-aggTrades-2024-08.zip, BTCUSDT_240628-trades-2024-06-01.csv."""


def published_symbol(file_name: str) -> str | None:
    """The symbol in a file name as Binance publishes it; None for any other name."""
    match = _PUBLISHED.fullmatch(file_name)
    return match[1] if match else None
