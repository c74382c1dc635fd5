"""A symbol as `symbol_info` shows it (pure)."""

from functools import lru_cache
from typing import Any

from Backtest.bars import TIMEFRAMES
from Backtest.simulated_terminal.market import Quote, Series
from Backtest.simulated_terminal.money import Exchange
from Backtest.simulated_terminal.rates import Rates
from Backtest.simulated_terminal.structs import SymbolInfo
from Backtest.simulated_terminal.symbols import SymbolSpec

_DAY = TIMEFRAMES["D1"]
_PLACE = {name: place for place, name in enumerate(SymbolInfo.__match_args__)}


def describe(series: Series, now_msc: int, exchange: Exchange, *, selected: bool) -> SymbolInfo:
    """All 96 fields at one moment; prices are 0.0 before the first quote."""
    row = list(_constant(series.spec))
    moving = _moving(series, now_msc) | _tick_values(series.spec, series.quote_at(now_msc), exchange)
    for name, value in (moving | {"select": selected, "visible": selected}).items():
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
        "point": spec.point,
        "trade_tick_size": spec.tick_size,
        "trade_contract_size": spec.contract_size,
        "volume_min": spec.volume_min,
        "volume_max": spec.volume_max,
        "volume_step": spec.volume_step,
        "volume_limit": spec.volume_limit,
        "margin_initial": spec.margin_initial,
        "margin_hedged": spec.margin_hedged,
        "currency_base": spec.currency_base,
        "currency_profit": spec.currency_profit,
        "currency_margin": spec.currency_margin,
        "description": spec.description,
        "name": spec.name,
        "path": spec.path,
    }
    return tuple(fields.values())


def _moving(series: Series, now_msc: int) -> dict[str, Any]:
    quote, bar = series.quote_at(now_msc), series.bar_at(now_msc)
    if quote is None or bar is None:
        return {}
    high, low, opened = _today(series, now_msc)
    return {
        "time": quote.time_msc // 1000,
        "spread": bar.spread,
        "bid": quote.bid,
        "bidhigh": high,
        "bidlow": low,
        "ask": quote.ask,
        "askhigh": series.ask(high, bar.spread),
        "asklow": series.ask(low, bar.spread),
        "session_open": opened,
    }


def _today(series: Series, now_msc: int) -> tuple[float, float, float]:
    """The day's high, low and open; of the bar, where a bar is a day or more."""
    bar = series.bar_at(now_msc)
    assert bar is not None
    if series.timeframe.seconds >= _DAY.seconds:
        return bar.high, bar.low, bar.open
    days = _days(series)
    day = days.row(days.count_at(now_msc) - 1, now_msc)
    return float(day["high"]), float(day["low"]), float(day["open"])


@lru_cache(maxsize=1024)
def _days(series: Series) -> Rates:
    return Rates(series, _DAY)


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
