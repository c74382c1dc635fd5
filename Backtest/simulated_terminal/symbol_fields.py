"""A symbol as `symbol_info` shows it (pure)."""

from functools import lru_cache
from typing import Any

from Backtest.simulated_terminal.market import Charted, Quote
from Backtest.simulated_terminal.money import Exchange
from Backtest.simulated_terminal.structs import SymbolInfo
from Backtest.simulated_terminal.symbols import SymbolSpec

BOOK_DEPTH = 1  # lines of each side that market_book_get shows
_PLACE = {name: place for place, name in enumerate(SymbolInfo.__match_args__)}


def describe(series: Charted, now_msc: int, exchange: Exchange, *, selected: bool, visible: bool) -> SymbolInfo:
    """All 96 fields at one moment; prices are 0.0 before the first quote, and of a symbol that is not selected."""
    row = list(_constant(series.spec))
    moving = _moving(series, now_msc) | _tick_values(series.spec, series.quote_at(now_msc), exchange) if selected else {}
    for name, value in (moving | {"select": selected, "visible": visible}).items():
        row[_PLACE[name]] = value
    return SymbolInfo(row)


@lru_cache(maxsize=1024)
def _constant(spec: SymbolSpec) -> tuple[Any, ...]:
    zeros = {"bool": False, "int": 0, "float": 0.0, "str": ""}
    fields = {name: zeros[kind if isinstance(kind, str) else kind.__name__] for name, kind in SymbolInfo.__annotations__.items()}
    fields |= {
        "digits": spec.digits,
        "spread_float": True,
        "trade_calc_mode": spec.calc_mode,
        "trade_mode": spec.trade_mode,
        "trade_stops_level": spec.stops_level,
        "trade_freeze_level": spec.freeze_level,
        "trade_exemode": spec.execution,
        "swap_mode": spec.swap_mode,
        "swap_long": spec.swap_long,
        "swap_short": spec.swap_short,
        "swap_rollover3days": spec.swap_rollover3days,
        "trade_face_value": spec.face_value,
        "trade_liquidity_rate": spec.liquidity_rate,
        "margin_hedged_use_leg": spec.margin_hedged_use_leg,
        "expiration_mode": spec.expiration_mode,
        "filling_mode": spec.filling_mode,
        "order_mode": spec.order_mode,
        "order_gtc_mode": spec.order_gtc_mode,
        "ticks_bookdepth": BOOK_DEPTH,
        "point": spec.point,
        "trade_tick_size": spec.tick_size,
        "trade_contract_size": spec.contract_size,
        "volume_min": spec.volume_min,
        "volume_max": spec.volume_max,
        "volume_step": spec.volume_step,
        "volume_limit": spec.volume_limit,
        "margin_initial": spec.margin_initial,
        "margin_maintenance": spec.margin_maintenance,
        "margin_hedged": spec.margin_hedged,
        "currency_base": spec.currency_base,
        "currency_profit": spec.currency_profit,
        "currency_margin": spec.currency_margin,
        "description": spec.description,
        "name": spec.name,
        "path": spec.path,
    }
    return tuple(fields.values())


def _moving(series: Charted, now_msc: int) -> dict[str, Any]:
    quote, today = series.quote_at(now_msc), series.today_at(now_msc)
    if quote is None or today is None:
        return {}
    return {
        "time": quote.time_msc // 1000,
        "spread": series.spec.points(quote.ask - quote.bid),
        "bid": quote.bid,
        "bidhigh": today.high,
        "bidlow": today.low,
        "ask": quote.ask,
        "askhigh": today.ask_high,
        "asklow": today.ask_low,
        "session_open": today.open,
    }


def _tick_values(spec: SymbolSpec, quote: Quote | None, exchange: Exchange) -> dict[str, float]:
    """What one tick earns and costs per lot, in the account's currency, not rounded."""
    if quote is None:
        return {}
    if spec.currency_profit != exchange.account == spec.currency_base:
        gain: float | None = 1 / quote.ask
        loss: float | None = 1 / quote.bid
    else:
        gain = exchange.into_account(1.0, spec.currency_profit, selling=True)
        loss = exchange.into_account(1.0, spec.currency_profit, selling=False)
    values = {"trade_tick_value": gain, "trade_tick_value_profit": gain, "trade_tick_value_loss": loss}
    return {name: _tick_value(spec, rate or 0.0) for name, rate in values.items()}


def _tick_value(spec: SymbolSpec, rate: float) -> float:
    # in the order of operations that gives three of the documentation's four figures to the last bit, the other but for that
    return spec.tick_value * rate if spec.tick_value else (spec.tick_size or spec.point) * rate * spec.contract_size
