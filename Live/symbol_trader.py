"""One symbol: its closed bars become decisions, and these become signals and intents on record before anything is sent."""

import logging
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from Backtest.decisions import Bar, Close, Decision, Enter, Protect
from Backtest.session import StrategyFailed
from Live.audit_logger import to_json
from Live.backtesting_bridge import frame_of, signal_of
from Live.bar_watch import BarWatch
from Live.desk import Desk
from Live.further_columns import EVENT as FURTHER_COLUMNS
from Live.further_columns import facts_of as facts_of_columns
from Live.heartbeat import Phase
from Live.intent_carrier import IntentCarrier
from Live.model import BarId, Intent, Order, Status
from Live.state_manager import Bare
from Live.trade_book import facts_of

log = logging.getLogger("LiveTrader")

A_FEW_BARS = 4  # what a turn of the loop asks for; more only after a pause
DRAWN_BEFORE = 300  # bars of the warm-up on which the indicators are put down, for those who draw them
Planned = Sequence[tuple[Decision, list[Intent]]]


class SymbolTrader:
    """The strategy on one symbol. Each closed bar is decided once, ever."""

    def __init__(self, symbol: str, desk: Desk) -> None:
        self.symbol = symbol
        self.failure = desk.heartbeat.given_up.get(symbol, "")  # why the strategy decides nothing more on this symbol
        self.forming: int | None = None  # the open of the bar that was forming at the last look, server seconds
        self._desk, self._number = desk, desk.config.symbols.index(symbol)
        self._carrier = IntentCarrier(symbol, desk)
        self._watch = BarWatch(symbol, desk)
        self._further = _further_columns(symbol, desk)
        self._session = desk.bridge.session(self._further, desk.config.indicator_bars)
        self._last = desk.record.last_bar(desk.slot, symbol, desk.timeframe.name)
        self._told_warming_up = self._told_all_bars = False
        self._lines = 0  # of indicators, once they are on record
        self._started = False

    def _start(self) -> bool:
        """Warm the strategy up on the bars before the one that is to be decided next; False where they cannot be true."""
        desk = self._desk
        bars, forming = desk.connector.closed_bars(self.symbol, desk.timeframe, desk.config.warmup_bars)
        if not self._watch.are_sound(bars, forming):
            return False
        history = bars[:-1] if self._last is None else [bar for bar in bars if bar.epoch <= self._last]
        self._watch.begin(history)
        self._tell_further_columns()
        # a strategy that was stopped becomes what it was: it is shown again what it was shown then
        shown = desk.state.shown_before(self.symbol, desk.timeframe.name, history[0].epoch) if history else {}
        with desk.heartbeat.thinking(Phase.WARMING_UP, self._number, 0):
            self._guarded(lambda: self._session.warm_up(frame_of(history), shown))
        for order in desk.state.waiting:
            self._carrier.size_at_fill(order.intent)
        self._started = True
        if self._last is None and history:
            self._last = history[-1].epoch
        return True

    def _tell_further_columns(self) -> None:
        if self._further is not None:
            facts = facts_of_columns(self._further, self.symbol, self._desk.config.sim_prices.get(self.symbol))
            text = f"{self.symbol}: the strategy is shown further columns: {', '.join(facts['columns'])}"
            self._desk.record.event(FURTHER_COLUMNS, text, details=facts)

    def turn(self) -> int:
        """Decide and act on what has closed since the last turn; the number of bars decided. Raises Unreachable."""
        desk = self._desk
        if not self.failure and not self._started and not self._start():
            return 0
        self._finish_pending()
        if not self._started:
            return 0
        bars, forming = self._new_bars()
        self.forming = forming
        decided = 0
        followers = [bar.epoch for bar in bars[1:]] + ([] if forming is None else [forming])
        for bar, follower in zip(bars, followers, strict=False):
            if self.failure:
                break
            desk.switch.check()  # a long pause leaves many bars
            self._guarded(lambda bar=bar, follower=follower: self._decide(bar, follower, act=follower == forming))  # type: ignore[misc]
            decided += not self.failure
        return decided

    def _finish_pending(self) -> None:
        """Carry out what was decided and could not be sent: by a run that ended, or while the terminal did not answer."""
        desk = self._desk
        pending = [
            order.intent.bar for order in desk.record.orders_with((Status.PENDING,), desk.slot) if order.intent.symbol == self.symbol
        ]
        for bar in dict.fromkeys(pending):
            orders = desk.record.orders_of(bar)
            self._carrier.carry_out([order.intent for order in orders if order.status is Status.PENDING], orders)

    def cover(self, bare: Bare) -> None:
        """Give a position the stop loss that it was to have."""
        self._carrier.cover(bare)

    def decide_again(self, order: Order) -> None:
        """Put down what takes the place of an order that is proved not to have happened, where it is still wanted."""
        self._carrier.decide_again(order)

    def carry_out_again(self, order: Order) -> None:
        """Carry that out."""
        self._carrier.carry_out_again(order)

    def _new_bars(self) -> tuple[list[Bar], int | None]:
        desk = self._desk
        new: list[Bar] = []
        forming = None
        for count in (A_FEW_BARS, desk.config.warmup_bars):
            bars, forming = desk.connector.closed_bars(self.symbol, desk.timeframe, count)
            new = [bar for bar in bars if self._last is None or bar.epoch > self._last]
            if len(new) < len(bars) or len(bars) < count:
                break
        if not self._watch.are_sound(bars, forming):
            return [], forming
        self._watch.compare(bars)
        return self._watch.decidable(new, self._last), forming

    def _decide(self, bar: Bar, follower: int, *, act: bool) -> None:
        """One bar: its decisions, their signals and intents in one transaction, and only then the orders."""
        desk = self._desk
        name = BarId(desk.slot, self.symbol, desk.timeframe.name, bar.epoch, desk.connector.utc(bar.epoch))
        shown = desk.state.shown(self.symbol, before=follower)
        with desk.heartbeat.thinking(Phase.DECIDING, self._number, bar.epoch):
            decisions = self._session.on_bar(bar, shown)
        self._tell_all_bars()
        reason = self._carrier.too_old(follower) if act else "missed: the bar closed while the trader was away"
        planned = desk.bridge.plan(decisions, shown, name)
        intents = [intent for _, needed in planned for intent in needed] if reason is None else []
        with desk.record.transaction(durable=bool(intents)):
            facts = {"shown": to_json(facts_of(shown)), "indicators": self._indicators()}
            desk.record.add_bar(name, _bar_row(bar, acted=reason is None) | facts)
            self._record_signals(planned, bar, name, reason)
            for intent in intents:
                desk.record.add_intent(intent)
        self._last = bar.epoch
        self._carrier.carry_out(intents)

    def _indicators(self) -> str | None:
        """The values of the strategy's indicators on the bar, as the record has them; before the first, what they are called."""
        if not self._lines and (lines := self._session.lines(DRAWN_BEFORE + 1)):
            rows = [
                {"name": line.name, "overlay": int(line.overlay), "scatter": int(line.scatter), "before": to_json(line.values[:-1])}
                for line in lines
            ]
            self._desk.record.add_indicators(self._desk.slot, self.symbol, self._desk.timeframe.name, rows)
            self._lines = len(lines)
        values = [line.values[-1] for line in self._session.lines()]
        return to_json(values) if values and len(values) == self._lines else None

    def _record_signals(self, planned: Planned, bar: Bar, name: BarId, reason: str | None) -> None:
        record, strategy_id = self._desk.record, name.slot.strategy_id
        common: dict[str, Any] = {
            "strategy_id": strategy_id,
            "symbol": name.symbol,
            "timeframe": name.timeframe,
            "bar_time": name.time.isoformat(),
        }
        common["price"] = bar.close
        if not planned:
            record.add_signal({**common, "signal": "HOLD", "confidence": 0.0, "reason": self._session.warming_up or None})
            self._tell_warming_up()
        for decision, intents in planned:
            order_id = intents[-1].order_id if reason is None else None
            record.add_signal({**common, **signal_row(decision), "client_order_id": order_id, "reason": reason})
        if planned and reason is not None:
            words = [signal_of(decision) for decision, _ in planned]
            text = f"{self.symbol} {name.time:%Y-%m-%d %H:%M}: {', '.join(words)} not acted upon: {reason}"
            record.event("MISSED_SIGNAL", text, severity="WARNING")

    def _tell_warming_up(self) -> None:
        if self._session.warming_up and not self._told_warming_up:
            self._told_warming_up = True
            self._desk.record.event("WARMING_UP", f"{self.symbol}: {self._session.warming_up}")

    def _tell_all_bars(self) -> None:
        window = self._session.window
        if window.bars and window.refused and not self._told_all_bars:
            self._told_all_bars = True
            text = f"{self.symbol}: indicators are computed on all bars, the newest {window.bars:,} are not enough: {window.refused}"
            self._desk.record.event("INDICATORS_ON_ALL_BARS", text, severity="WARNING")

    def _guarded(self, step: Callable[[], Any]) -> None:
        """A strategy that fails stops its symbol; its positions keep their stops on the server, other symbols go on."""
        try:
            step()
        except StrategyFailed as error:
            self.failure = f"{self.symbol}: {error}"
            trace = "".join(traceback.format_exception(error.__cause__ or error))
            held = [position for position in self._desk.state.positions if position.symbol == self.symbol]
            bare = ", ".join(str(position.ticket) for position in held if position.sl is None)
            text = f"{self.failure}; no more decisions on this symbol in this run" + (f"; open without a stop loss: {bare}" if bare else "")
            self._desk.record.event("STRATEGY_FAILED", text, severity="CRITICAL", details={"traceback": trace})
            log.critical(text)


def _further_columns(symbol: str, desk: Desk) -> pd.DataFrame | None:
    """What a replayed price file has beside the columns of a terminal, where it is traded in its own timeframe."""
    return None if desk.replayed is None else desk.replayed.further_columns(symbol, desk.timeframe)


def _bar_row(bar: Bar, *, acted: bool) -> dict[str, Any]:
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    return {**prices, "tick_volume": int(bar.volume), "spread": bar.spread, "acted": int(acted)}


def signal_row(decision: Decision) -> dict[str, Any]:
    """The columns of a decision in the table of signals."""
    row: dict[str, Any] = {"signal": signal_of(decision), "confidence": 1.0, "leg": decision.leg}
    if isinstance(decision, (Enter, Protect)):
        row |= {"stop_loss": decision.sl, "take_profit": decision.tp}
    if isinstance(decision, Enter):
        row |= {"size": decision.size, "limit_price": decision.limit, "stop_price": decision.stop}
    if isinstance(decision, Close):
        row |= {"size": decision.units}
    if isinstance(decision, (Enter, Close)):
        row |= {"tag": None if decision.tag is None else to_json(decision.tag)}
    return row
