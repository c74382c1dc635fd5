"""`python -m Live costs`: what trading a symbol costs at this broker, as arguments for `backtesting.Backtest`.

The spread is measured on the terminal's ticks (or bars, where it has no ticks), the commission on the account's own deals, the
margin is the terminal's answer to what a lot would bind, the swap and the step of volumes are read off the symbol. Nothing is sent.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from Backtest.bars import timeframe
from Backtest.simulated_terminal import MarketEnded
from Live.clock import Clock
from Live.config import LiveConfig
from Live.errors import Misconfigured, Unreachable
from Live.mt5_connector import MT5Connector, look_at_terminal
from Live.mt5_connector.names import not_found

Numbers = npt.NDArray[np.float64]

DAY, HOUR = 86_400, 3_600
COPY_TICKS_INFO, BUY = 1, 0  # MetaTrader5/__init__.py 5.0.6231
LATER = 2 * DAY  # so far ahead of the newest tick no deal can be: the server's clock is of no interest
A_MOVE = 0.01  # of the price, by which the worth of a lot is measured
LONG_REPLAY = 10**9  # seconds
NIGHTS_OF_A_YEAR = 365
# Source: mql5.com, Symbol Properties, ENUM_SYMBOL_SWAP_MODE.
SWAP_DISABLED, SWAP_POINTS, SWAP_CURRENCY_SYMBOL, SWAP_CURRENCY_MARGIN, SWAP_CURRENCY_DEPOSIT, SWAP_INTEREST, SWAP_INTEREST_OPEN = range(7)
BANK_YEAR = 360  # days
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


@dataclass(frozen=True, slots=True)
class Spread:
    """Measured spreads in points; `by_hour` are the means of the hours of the server's day that had any."""

    least: float
    median: float
    mean: float
    most: float
    by_hour: dict[int, float]
    fraction: float  # the mean, as a fraction of the price
    count: int
    source: str  # "ticks", "bars"


@dataclass(frozen=True, slots=True)
class Costs:
    """What one symbol costs. Fractions are of the value of a position; money is in the account's currency."""

    symbol: str
    currency: str  # of the account
    price: float
    days: int
    spread: Spread | None  # None: the terminal has neither ticks nor bars with a spread
    commission: float | None  # fraction of the value, of each deal; None: there is no deal to measure it on
    commission_varies: float  # standard deviation of the same over the deals
    deals: int
    margin: float  # fraction of the value that a position binds, 1 / leverage; at most 1
    swap_long: float | None  # fraction of the value, a night; negative costs; None: of a mode that this cannot count
    swap_short: float | None
    triple_night: str  # the weekday whose night counts three times
    step_lots: float  # volumes are whole numbers of this
    step_units: float  # the same in units

    @property
    def fractional_unit(self) -> float | None:
        """What `FractionalBacktest` is to count in, where volumes are finer than the whole units of a backtest; else None."""
        return self.step_units if self.step_units < 1 else None

    def arguments(self) -> dict[str, float]:
        """What `backtesting.Backtest` takes of it, rounded up to three digits: a cost is rather too high than too low."""
        found = {"spread": self.spread.fraction if self.spread else None, "commission": self.commission, "margin": self.margin}
        return {name: _up(value) for name, value in found.items() if value is not None}


def print_costs(config: LiveConfig, days: int, *, as_json: bool = False) -> int:
    """Measure the costs of each of SYMBOLS over the last `days` and print them; 0.

    Raises Misconfigured for a symbol that the terminal does not have, Unreachable when it does not answer.
    """
    opened = look_at_terminal(config)
    connector = MT5Connector(config, opened.functions, opened.clock, simulated=opened.name == "simulated")
    connector.start_terminal()
    try:
        if opened.name == "simulated":
            _play_to_the_end(opened.clock)
        found = [costs_of(opened.functions, symbol, timeframe(config.timeframe).mt5, days) for symbol in config.symbols]
    finally:
        connector.shutdown()
    out = Console(highlight=False, soft_wrap=True)
    if as_json:
        out.out(json.dumps([_facts(each) for each in found], indent=2, allow_nan=False))
    else:
        for each in found:
            _print(out, each)
    return 0


def costs_of(terminal: Any, symbol: str, steps: int, days: int) -> Costs:
    """The costs of one symbol. `terminal` is anything with the functions of the MetaTrader5 package, `steps` its timeframe constant.

    Raises Misconfigured, or Unreachable for a question that is not answered.
    """
    info = terminal.symbol_info(symbol)
    if info is None:
        raise Misconfigured(not_found(symbol, [each.name for each in terminal.symbols_get() or ()]))
    tick = _asked(terminal, "symbol_info_tick", symbol)
    price = float(tick.bid)
    if not price > 0:
        raise Unreachable(f"{symbol} has no price yet; open its chart in the terminal, and ask again when its market is open")
    # money per lot while the price moves by 1
    worth = _asked(terminal, "order_calc_profit", BUY, symbol, 1.0, price, price * (1 + A_MOVE)) / (price * A_MOVE)
    deals = _deals(terminal, symbol, int(tick.time))
    rates = commission_rates(deals, worth)
    swaps = [swap_rate(info, points, price, worth) for points in (info.swap_long, info.swap_short)]
    return Costs(
        symbol=symbol,
        currency=str(_asked(terminal, "account_info").currency),
        price=price,
        days=days,
        spread=_spread(terminal, info, steps, (int(tick.time) - days * DAY, int(tick.time))),
        commission=float(np.average(rates[0], weights=rates[1])) if len(deals) else None,
        commission_varies=float(np.std(rates[0])) if len(deals) else 0.0,
        deals=len(deals),
        margin=min(1.0, _asked(terminal, "order_calc_margin", BUY, symbol, 1.0, float(tick.ask)) / (worth * tick.ask)),
        swap_long=swaps[0],
        swap_short=swaps[1],
        triple_night=WEEKDAYS[int(info.swap_rollover3days) % len(WEEKDAYS)],
        step_lots=float(info.volume_step),
        step_units=float(f"{info.volume_step * info.trade_contract_size:.12g}"),
    )


def spread_of(points: Numbers, prices: Numbers, epochs: npt.NDArray[np.int64], *, point: float, source: str) -> Spread:
    """The measures of many spreads (in points) at these prices and seconds of the server's clock.

    >>> prices, epochs = np.array([1.0, 1.0, 1.0]), np.array([0, 60, 3600])
    >>> spread = spread_of(np.array([10.0, 30.0, 20.0]), prices, epochs, point=0.00001, source="ticks")
    >>> spread.by_hour, spread.most
    ({0: 20.0, 1: 20.0}, 30.0)
    """
    hours = epochs % DAY // HOUR
    return Spread(
        least=float(points.min()),
        median=float(np.median(points)),
        mean=float(points.mean()),
        most=float(points.max()),
        by_hour={int(hour): float(points[hours == hour].mean()) for hour in np.unique(hours)},
        fraction=float((points * point / prices).mean()),
        count=len(points),
        source=source,
    )


def commission_rates(deals: Sequence[Any], worth: float) -> tuple[Numbers, Numbers]:
    """Of each deal what was paid, as a fraction of its value, and that value; `worth` is that of a lot while the price is 1.

    >>> from types import SimpleNamespace
    >>> deal = SimpleNamespace(volume=0.5, price=1.25, commission=-1.25, fee=0.0)
    >>> commission_rates([deal], 100_000)[0].tolist()
    [2e-05]
    """
    values = np.array([deal.volume * worth * deal.price for deal in deals], dtype=float)
    paid = np.array([-(deal.commission + deal.fee) for deal in deals], dtype=float)
    return paid / values, values


def swap_rate(info: Any, rate: float, price: float, worth: float) -> float | None:
    """What a night brings a position, as a fraction of its value; None in a mode that this cannot count.

    >>> from types import SimpleNamespace
    >>> swap_rate(SimpleNamespace(swap_mode=1, point=0.00001), -6.0, 1.2, 100_000)
    -5e-05
    """
    value = worth * price  # of one lot
    by_mode = {
        SWAP_DISABLED: 0.0,
        SWAP_POINTS: rate * info.point / price,
        SWAP_CURRENCY_DEPOSIT: rate / value,
        SWAP_INTEREST: rate / 100 / BANK_YEAR,
        SWAP_INTEREST_OPEN: rate / 100 / BANK_YEAR,
    }
    if info.swap_mode == SWAP_CURRENCY_SYMBOL:
        return float(rate / info.trade_contract_size)  # in the base currency, of which a lot is so many units
    found = by_mode.get(info.swap_mode)
    return None if found is None else float(round(found, 12))


def _spread(terminal: Any, info: Any, steps: int, between: tuple[int, int]) -> Spread | None:
    first, last = between
    parts = []
    for begin in range(first, last + 1, DAY):  # a day at a time: a week of a busy symbol is millions of ticks
        ticks = terminal.copy_ticks_range(info.name, _moment(begin), _moment(min(begin + DAY - 1, last)), COPY_TICKS_INFO)
        if ticks is not None and len(ticks):
            parts.append((ticks["bid"].astype(float), ticks["ask"].astype(float), ticks["time"].astype("int64")))
    if parts:
        bid, ask, time = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        sane = (bid > 0) & (ask >= bid)
        if sane.any():
            points = np.round((ask - bid)[sane] / info.point, 3)  # the difference of two prices has stray last bits
            return spread_of(points, bid[sane], time[sane], point=info.point, source="ticks")
    bars = terminal.copy_rates_range(info.name, steps, _moment(first), _moment(last))
    if bars is None or not len(bars) or not bars["spread"].any():
        return None
    points, closes, times = bars["spread"].astype(float), bars["close"].astype(float), bars["time"].astype("int64")
    return spread_of(points, closes, times, point=info.point, source="bars")


def _moment(epoch: int) -> datetime:
    """Server seconds as the package takes them for UTC; mt5linux 0.1.10 takes no numbers here."""
    return datetime.fromtimestamp(max(1, epoch), UTC)


def _deals(terminal: Any, symbol: str, now: int) -> list[Any]:
    found = _asked(terminal, "history_deals_get", 1, now + LATER)
    return [deal for deal in found if deal.symbol == symbol and deal.type in (0, 1) and deal.volume > 0 and deal.price > 0]


def _asked(terminal: Any, function: str, *words: Any) -> Any:
    answer = getattr(terminal, function)(*words)
    if answer is None:
        raise Unreachable(f"{function}({', '.join(map(str, words))}) failed: {terminal.last_error()}")
    return answer


def _play_to_the_end(clock: Clock) -> None:
    """A replay begins without a past: let all its prices come."""
    try:
        clock.sleep(LONG_REPLAY)
    except MarketEnded:
        return


def _up(value: float) -> float:
    """Three significant digits, rounded up; the last bits of a sum are no fourth one."""
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return float(f"{math.ceil(value / step - 1e-6) * step:.12g}")


def _facts(costs: Costs) -> dict[str, Any]:
    return {**asdict(costs), "fractional_unit": costs.fractional_unit, "arguments": costs.arguments()}


def _print(out: Console, costs: Costs) -> None:
    table = Table(title=f"{costs.symbol} at {costs.price:g}", title_justify="left", title_style="bold", box=None, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for row in (*_spread_rows(costs), *_other_rows(costs)):
        table.add_row(*row)
    out.print(table)
    unit = costs.fractional_unit
    given = costs.arguments() if unit is None else {"fractional_unit": unit, **costs.arguments()}
    arguments = ", ".join(f"{name}={value:.12g}" for name, value in given.items())
    out.print(f"\n{'Backtest' if unit is None else 'FractionalBacktest'}(data, Strategy, {arguments})\n", markup=False)
    if costs.commission is None:
        out.print("commission= is not measured: take it from the broker's contract, or ask again after a trade.", markup=False)
    out.print("Backtest knows no swap; a position that is held overnight pays the one above beside it.")


def _spread_rows(costs: Costs) -> list[tuple[str, str]]:
    spread = costs.spread
    if spread is None:
        return [("Spread", "not measured: the terminal has no ticks and no spreads of bars of these days")]
    figures = {"least": spread.least, "median": spread.median, "mean": spread.mean, "most": spread.most}
    points = ", ".join(f"{name} {value:.1f}" for name, value in figures.items())
    of = f"{spread.count:,} ticks" if spread.source == "ticks" else f"{spread.count:,} bars, which keep the smallest spread of their time"
    widest = max(spread.by_hour, key=lambda hour: spread.by_hour[hour])
    hours = " ".join(f"{hour:02}h {value:.1f}" for hour, value in spread.by_hour.items())
    rows = [("Spread", f"{points} points, of {of} in {costs.days} days; spread= is the mean")]
    return [*rows, ("By hour", f"{hours} (server time, means; widest at {widest:02}h)")]


def _other_rows(costs: Costs) -> list[tuple[str, str]]:
    rows = [("Margin", f"{costs.margin:.4g} of the value (1:{1 / costs.margin:.0f}), as the terminal calculates it for one lot bought now")]
    if costs.commission is not None:
        varies = f", varying by {costs.commission_varies:.2g}" if costs.commission_varies > 0.05 * abs(costs.commission) else ""
        rows.append(("Commission", f"{costs.commission:.3g} of the value of each deal{varies}, of {costs.deals:,} deals of this account"))
    for name, rate in (("Swap long", costs.swap_long), ("Swap short", costs.swap_short)):
        what = "of a mode that is not counted here; see the symbol's specification"
        if rate is not None:
            what = f"{rate:+.3g} of the value a night ({rate * NIGHTS_OF_A_YEAR:+.2%} a year), thrice on {costs.triple_night}"
        rows.append((name, what))
    return [*rows, ("Step", _step(costs))]


def _step(costs: Costs) -> str:
    step = f"volumes are whole numbers of {costs.step_lots:g} lots, {costs.step_units:,.12g} units of {costs.symbol}"
    if costs.fractional_unit is None:
        return f"{step}: a backtest's sizes are rounded down to them"
    return f"{step}, and of a backtest whole units: fractional_unit={costs.step_units:.12g} in the strategy's BACKTEST makes both the same"
