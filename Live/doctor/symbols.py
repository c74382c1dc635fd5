"""Each symbol: under which name, on which terms, quoted how, with how much history; and the settings against that."""

from collections.abc import Iterator
from typing import Any

from Backtest.bars import timeframe
from Live.config import LiveConfig
from Live.doctor.findings import Finding, fail, ok, warn
from Live.doctor.terminal import LookedAt
from Live.explanations import in_words
from Live.model import Quote, SymbolSpec
from Live.mt5_connector.names import not_found
from Live.mt5_connector.shown import spec_of
from Live.order_requests import EXECUTION_MARKET, FOK, IOC, RETURN, fillings

EXECUTIONS = {0: "by request", 1: "instant", 2: "at market", 3: "on exchange"}
FILLINGS = {FOK: "fill or kill", IOC: "immediate or cancel", RETURN: "return"}
# Source: mql5.com, Symbol Properties, ENUM_SYMBOL_TRADE_MODE and SYMBOL_ORDER_*.
DISABLED, LONG_ONLY, SHORT_ONLY, CLOSE_ONLY = range(4)
MARKET_ORDERS, STOP_LOSSES, TAKE_PROFITS = 1, 16, 32
OLD_QUOTE = 600  # seconds
ELSEWHERE = "take another symbol into SYMBOLS, or ask the broker"


def symbol(name: str, looked: LookedAt, config: LiveConfig, server_now: int | None) -> Iterator[Finding]:
    """One symbol; `server_now` is the server's clock in seconds, None where nobody can tell."""
    info = looked.symbol_info(name)
    if info is None:
        names = [found.name for found in looked.symbols_get() or ()]
        sentence, _, remedy = not_found(name, names).partition("; " if "; " in not_found(name, names) else ", and ")
        yield fail(name, sentence, remedy or "see Market Watch, Symbols (Ctrl+U)")
        return
    try:
        spec = spec_of(info)
    except ValueError as error:
        yield fail(name, f"its figures make no sense: {error}", ELSEWHERE)
        return
    yield _terms(info, spec)
    yield from _rules(info, spec)
    yield from _sizes(spec, config)
    yield _quote(info, looked, config, server_now)


def history(name: str, looked: LookedAt, config: LiveConfig) -> Finding:
    """Whether there are as many closed bars as the strategy is to be warmed up with."""
    topic, wanted = f"{name} history", config.warmup_bars
    most = looked.terminal_info().maxbars
    if wanted >= most:
        remedy = f"raise Tools, Options, Charts, Max bars in chart above {wanted:,}, and start the terminal again; or lower WARMUP_BARS"
        return fail(topic, f"the terminal keeps {most:,} bars, WARMUP_BARS={wanted:,} are asked for", remedy)
    bars = looked.copy_rates_from_pos(name, timeframe(config.timeframe).mt5, 0, wanted + 1)
    if bars is None:
        return fail(topic, f"no bars of {config.timeframe}", in_words(looked.last_error()))
    closed = max(0, len(bars) - 1)  # the last one is still forming
    text = f"{closed:,} closed bars of {config.timeframe}, WARMUP_BARS={wanted:,}"
    if closed < wanted:
        remedy = f"open its {config.timeframe} chart and press Home to load more, or lower WARMUP_BARS; it starts with what there is"
        return warn(topic, text, remedy)
    return ok(topic, text)


def _terms(info: Any, spec: SymbolSpec) -> Finding:
    least, most, step, units = map(_plain, (spec.lot_min, spec.lot_max, spec.lot_step, spec.contract_size))
    lots = f"{least} to {most} lots in steps of {step} (1 lot is {units})"
    modes = ", ".join(FILLINGS[mode] for mode in fillings(spec))
    levels = f"stops level {spec.stops_level}, freeze level {info.trade_freeze_level} points"
    watched = "in Market Watch" if info.select else "the trader puts it into Market Watch"
    execution = EXECUTIONS.get(spec.execution, f"of kind {spec.execution}")
    return ok(spec.name, f"{watched}; {spec.digits} digits; {lots}; executed {execution}, {modes}; {levels}")


def _rules(info: Any, spec: SymbolSpec) -> Iterator[Finding]:
    topic = f"{spec.name} trading"
    if info.trade_mode == DISABLED:
        yield fail(topic, "it cannot be traded", ELSEWHERE)
    elif info.trade_mode == CLOSE_ONLY:
        yield fail(topic, "positions can be closed only", ELSEWHERE)
    elif info.trade_mode in (LONG_ONLY, SHORT_ONLY):
        which = "bought" if info.trade_mode == LONG_ONLY else "sold"
        yield warn(topic, f"it can only be {which}", f"orders the other way are refused; {ELSEWHERE}")
    if not info.order_mode & MARKET_ORDERS:
        yield fail(topic, "it takes no market orders", ELSEWHERE)
    missing = [words for bit, words in ((STOP_LOSSES, "stop losses"), (TAKE_PROFITS, "take profits")) if not info.order_mode & bit]
    if missing:
        yield warn(topic, f"it takes no {' and no '.join(missing)}", f"orders that have one are refused; {ELSEWHERE}")
    if spec.execution == EXECUTION_MARKET and not spec.filling_mode & 0b11:
        text = "executed at market, and it says neither fill or kill nor immediate or cancel"
        yield warn(topic, text, "fill or kill is tried; python -m Live explain 10030 if it is refused")


def _sizes(spec: SymbolSpec, config: LiveConfig) -> Iterator[Finding]:
    topic = f"{spec.name} sizes"
    if not spec.tradable_lots(config.max_position_size):
        text = (
            f"MAX_POSITION_SIZE={config.max_position_size:g} lots is below its smallest lot, {spec.lot_min:g}: every entry would be denied"
        )
        yield fail(topic, text, f"set MAX_POSITION_SIZE to {spec.lot_min:g} or more")
    if config.sizing != "fixed":
        return
    lots = spec.tradable_lots(config.fixed_lots)
    if not lots:
        text = f"FIXED_LOTS={config.fixed_lots:g} is below its smallest lot, {spec.lot_min:g}: nothing would be traded"
        yield fail(topic, text, f"set FIXED_LOTS to {spec.lot_min:g} or more")
    elif lots < config.fixed_lots:
        yield warn(topic, f"FIXED_LOTS={config.fixed_lots:g} is traded as {lots:g}", f"set FIXED_LOTS to a multiple of {spec.lot_step:g}")


def _quote(info: Any, looked: LookedAt, config: LiveConfig, server_now: int | None) -> Finding:
    topic = f"{info.name} quote"
    tick = looked.symbol_info_tick(info.name)
    if tick is None:
        return warn(topic, "no quote yet", "put the symbol into Market Watch (Ctrl+M), and look again while the market is open")
    quote = Quote(float(tick.bid), float(tick.ask), float(tick.time))
    if not quote.is_sane():
        return warn(topic, f"{quote.bid}/{quote.ask} cannot be traded on", "look again while the market is open")
    spread = round((quote.ask - quote.bid) / info.point)
    text = f"{quote.bid:.{info.digits}f}/{quote.ask:.{info.digits}f}, spread {spread} points"
    age = None if server_now is None else server_now - int(tick.time)
    if age is not None and age > OLD_QUOTE:
        remedy = "if its session is open (Market Watch, Specification), see whether the terminal is connected"
        return warn(topic, f"{text}; {_long(age)} old: is the market closed?", remedy)
    if config.max_spread_points and spread > config.max_spread_points:
        remedy = "no entries while it is wider: wait for busier hours, or raise MAX_SPREAD_POINTS"
        return warn(topic, f"{text}, more than MAX_SPREAD_POINTS={config.max_spread_points}", remedy)
    return ok(topic, text if age is None else f"{text}, {max(0, age)} seconds old")


def _plain(number: float) -> str:
    return f"{number:,.8f}".rstrip("0").rstrip(".")


def _long(seconds: int) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds // 60} minutes"
