"""The door to Backtest/, and the border of two vocabularies: backtesting.py's units and decisions, MetaTrader's lots and requests."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from backtesting import Strategy

from Backtest.bars import Timeframe, timeframe
from Backtest.decisions import Account, Bar, Cancel, Close, Decision, Enter, Protect, WaitingOrder
from Backtest.errors import BadInput
from Backtest.session import StrategySession
from Backtest.strategies import DEFAULTS
from Live.errors import Unreachable
from Live.indicators import with_indicators
from Live.model import BarId, Intent, Kind, Magic, Quote, Side, SymbolSpec, Ticket, client_order_id
from Live.order_requests import COMMENT_LIMIT, TRADE_ACTION_DEAL, Label, Levels, Market, entry_request, faults
from Live.risk import lots_for_risk

DEFAULT_DEVIATION = 20  # points; as the seed documents
WARM_UP_BARS = 1000  # of clock time before from_ts (nights and weekends have none), so that indicators have values there


class BacktestingBridge:
    """Signals, sizing and requests of one strategy.

    `terminal` is anything with the functions of the MetaTrader5 package; without one it is the simulated terminal over
    the prices that backtesting.py ships. `backtest` are the strategy's BACKTEST settings. Raises BadInput when the
    class is no backtesting.py strategy, or its settings cannot be traded.
    """

    def __init__(
        self,
        strategy_class: type[Strategy],
        *,
        terminal: Any = None,
        backtest: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        strategy_id: str = "",
    ) -> None:
        if not (isinstance(strategy_class, type) and issubclass(strategy_class, Strategy)):
            raise BadInput(f"{strategy_class!r} is not a subclass of backtesting.Strategy")
        self.strategy_class = strategy_class
        stated = getattr(sys.modules.get(strategy_class.__module__), "BACKTEST", {})
        self.backtest = {**DEFAULTS, **stated, **(backtest or {})}
        self.params = dict(params or {})
        self.strategy_id = strategy_id or strategy_class.__name__
        self._given_terminal = terminal
        self.session()  # what cannot be carried is refused now, not at the first bar

    def session(self, further: pd.DataFrame | None = None, window: int | None = None) -> StrategySession:
        """A new stepping of the strategy, for one symbol; `further` are columns that its bars have beside those of a terminal, `window`
        is how many of the newest bars init() is evaluated on, all where it is None."""
        return StrategySession(self.strategy_class, self.backtest, self.params, further, window=window)

    # the seed's interface

    def generate_signals(
        self, symbol: str, from_ts: datetime, to_ts: datetime, timeframe: str, indicators: Mapping[str, Mapping[str, Any]] | None = None
    ) -> pd.DataFrame:
        """What the strategy decides on each closed bar between two moments, indexed by bar time.

        Columns `signal` (BUY, SELL, CLOSE, PROTECT, CANCEL or HOLD: the bar's last decision), `confidence` (1.0, of HOLD 0.0), `price`
        (the bar's close) and `strategy_id`; with `indicators`, such as {'RSI': {'timeperiod': 14}}, their columns too. Moments
        without a time zone are on the server's clock. The strategy starts earlier, so that its indicators have values; its
        orders fill as in a backtest. Raises BadInput, Unreachable, or StrategyFailed for what the strategy itself raises.
        """
        steps = _timeframe(timeframe)
        first, last = _epoch(from_ts), _epoch(to_ts)
        if first > last:
            raise BadInput(f"from_ts {from_ts} is after to_ts {to_ts}")
        frame = self._closed_bars(symbol, steps, first - WARM_UP_BARS * steps.seconds, last)
        decided = dict(self.session().warm_up(frame))
        rows = [self._signal_row(decided.get(time, ()), close) for time, close in zip(frame.index, frame["Close"], strict=True)]
        signals = pd.DataFrame(rows, index=frame.index, columns=["signal", "confidence", "price", "strategy_id"])
        signals = with_indicators(signals, frame, indicators or {})
        return signals[signals.index >= pd.Timestamp(first, unit="s")]

    def position_size(self, account_balance: float, risk_pct: float, stop_loss_price: float, entry_price: float, symbol: str) -> float:
        """Lots that lose `risk_pct` percent of the balance between entry and stop; 0.0 when the smallest order risks more.

        Measured by what one lot really loses (`order_calc_profit`). Raises BadInput when nothing is lost between them, or
        the risk is no percentage.
        """
        if stop_loss_price == entry_price:
            raise BadInput(f"the stop loss {stop_loss_price} is the entry price: there is no risk to size by")
        if not 0 <= risk_pct <= 100:
            raise BadInput(f"risk_pct is {risk_pct}; want a percentage of the balance, 0 to 100")
        terminal = self._terminal()
        side = 0 if stop_loss_price < entry_price else 1
        made = _answered(terminal, terminal.order_calc_profit(side, symbol, 1.0, float(entry_price), float(stop_loss_price)), symbol)
        if not made < 0:
            raise BadInput(f"one lot makes {made:,.2f} between {entry_price} and {stop_loss_price}: there is no risk to size by")
        return lots_for_risk(account_balance, risk_pct / 100, -made, spec_of(_answered(terminal, terminal.symbol_info(symbol), symbol)))

    def build_order_request(self, signal_row: Any, volume: float, meta: Mapping[str, Any], symbol_info: Any) -> dict[str, Any]:
        """A dict for `order_send`, every value with the type that the terminal wants.

        `signal_row` has `signal` (BUY, SELL, CLOSE) and `price`; `meta` has `symbol`, and may have `magic`, `sl`, `tp`, `comment` (at most
        16 ASCII characters), `deviation` (points) and, for CLOSE, `position`, `side` (BUY or SELL: of the position); `symbol_info` is
        MetaTrader's, or a dict of it. Raises BadInput for a signal that is no order, and for a volume below the smallest one.
        """
        spec, price = spec_of(symbol_info), float(signal_row["price"])
        if meta.get("symbol", spec.name) != spec.name:
            raise BadInput(f"meta is about {meta['symbol']}, symbol_info about {spec.name}")
        lots = spec.tradable_lots(volume)
        if not lots:
            raise BadInput(
                f"volume {volume} lots is less than the smallest order of {spec.name}, {spec.lot_min:g} lots: there is nothing to send"
            )
        market = Market(spec, Quote(_price(symbol_info, "bid", price), _price(symbol_info, "ask", price), 0.0))
        key = str(meta.get("comment") or self.strategy_id).encode("ascii", "ignore").decode()[:COMMENT_LIMIT] or "live"
        label = Label(Magic(int(meta.get("magic", 0))), key, int(meta.get("deviation", DEFAULT_DEVIATION)))
        signal, side = signal_row["signal"], meta.get("side")
        if signal in ("BUY", "SELL"):
            return entry_request(Side(signal), lots, market, label, Levels(meta.get("sl"), meta.get("tp")))
        if signal == "CLOSE" and meta.get("position") and side in ("BUY", "SELL"):
            return entry_request(Side(side).opposite, lots, market, label) | {"position": int(meta["position"])}
        raise BadInput(f"signal {signal!r} makes no order: want BUY or SELL, or CLOSE with the position's ticket and side in meta")

    def simulate_precheck(self, order_request: Mapping[str, Any], account_info: Any) -> dict[str, Any]:
        """`pass`, `reason` (empty when it passes) and `warnings` for a request, without sending or recording anything."""
        terminal = self._terminal()
        symbol = str(order_request.get("symbol", ""))
        info = _answered(terminal, terminal.symbol_info(symbol), symbol or "a request without a symbol")
        spec, quote = spec_of(info), Quote(info.bid, info.ask, 0.0)
        wrong = faults(order_request, spec, quote)
        warnings = []
        if not wrong and order_request["action"] == TRADE_ACTION_DEAL and not order_request.get("position"):
            margin = terminal.order_calc_margin(order_request["type"], symbol, order_request["volume"], order_request["price"])
            free = float(_field(account_info, "margin_free"))
            if margin is None or margin > free:
                wrong.append(f"the order needs a margin of {margin}, {free:,.2f} is free")
            elif margin > free / 2:
                warnings.append(f"the order binds {margin:,.2f}, more than half of the free margin of {free:,.2f}")
            if not order_request.get("sl"):
                warnings.append("the order has no stop loss")
        return {"pass": not wrong, "reason": "; ".join(wrong), "warnings": warnings}

    # decisions → intents

    def plan(self, decisions: Sequence[Decision], shown: Account, bar: BarId) -> list[tuple[Decision, list[Intent]]]:
        """Each decision with the orders that it may need, in the order in which they are to be sent.

        Where trades of both sides may not stand together, an entry first takes from the opposite ones, oldest first: one intent
        each. One that an entry before it in this bar will have opened has no ticket yet, see `opened_by`.
        """
        return [(decision, list(self._intents(decision, decisions, shown, bar))) for decision in decisions]

    def _intents(self, decision: Decision, all_of_bar: Sequence[Decision], shown: Account, bar: BarId) -> Iterator[Intent]:
        leg = str(decision.leg)
        if isinstance(decision, Cancel):
            side = next((_side_of_size(order.size) for order in shown.orders if _placed_by(order, decision)), Side.BUY)
            placed_on = replace(bar, epoch=int(decision.order_bar.timestamp()))
            yield _intent(bar, Kind.CANCEL, leg, side, cancels=client_order_id(placed_on, Kind.PENDING, str(decision.order_leg)))
        elif isinstance(decision, Protect):
            side, levels = _side_of(shown, decision.ticket), {"sl": decision.sl, "tp": decision.tp}
            yield _intent(bar, Kind.SLTP, leg, side, position=Ticket(decision.ticket), **levels)
        elif isinstance(decision, Close):
            kind = Kind.EXIT if decision.full else Kind.PARTIAL
            side = _side_of(shown, decision.ticket).opposite
            yield _intent(bar, kind, leg, side, size=decision.units, position=Ticket(decision.ticket), tag=decision.tag)
        elif decision.limit or decision.stop:
            levels = {"limit": decision.limit, "stop": decision.stop, "sl": decision.sl, "tp": decision.tp}
            yield _intent(bar, Kind.PENDING, leg, _side_of_size(decision.size), size=decision.size, tag=decision.tag, **levels)
        else:
            side = _side_of_size(decision.size)
            if not self.backtest["hedging"]:
                for part, taken in _taken_from(decision, all_of_bar, shown):
                    yield _intent(bar, Kind.EXIT, f"{leg}.{part}", side, **taken)
            yield _intent(bar, Kind.ENTRY, leg, side, size=decision.size, sl=decision.sl, tp=decision.tp, tag=decision.tag)

    def _signal_row(self, decisions: Sequence[Decision], close: float) -> tuple[str, float, float, str]:
        signal = signal_of(decisions[-1]) if decisions else "HOLD"
        return signal, float(signal != "HOLD"), close, self.strategy_id

    def _closed_bars(self, symbol: str, steps: Timeframe, first: int, last: int) -> pd.DataFrame:
        terminal = self._terminal()
        rates = _answered(terminal, terminal.copy_rates_range(symbol, steps.mt5, max(1, first), last), symbol)
        newest = _answered(terminal, terminal.copy_rates_from_pos(symbol, steps.mt5, 0, 1), symbol)
        forming = newest["time"][-1] if len(newest) else last + 1
        return frame_of([Bar(*row) for row in zip(*(rates[name].tolist() for name in RATES), strict=True) if row[0] < forming])

    def _terminal(self) -> Any:
        if self._given_terminal is None:
            self._given_terminal = importlib.import_module("Backtest.simulated_terminal")
            self._given_terminal.initialize()
        return self._given_terminal


# MetaTrader's names of what SymbolSpec holds, in its order
SPEC_FIELDS = (
    *("name", "digits", "point", "trade_tick_size", "trade_contract_size", "volume_min", "volume_step", "volume_max"),
    *("trade_stops_level", "filling_mode", "trade_exemode", "currency_profit"),
)
_OPENED_BY = "e"
RATES = ("time", "open", "high", "low", "close", "tick_volume", "spread")


def frame_of(bars: Sequence[Bar]) -> pd.DataFrame:
    """Bars as backtesting.py wants them."""
    columns = {"Open": [bar.open for bar in bars], "High": [bar.high for bar in bars], "Low": [bar.low for bar in bars]}
    columns |= {"Close": [bar.close for bar in bars], "Volume": [float(bar.volume) for bar in bars]}
    return pd.DataFrame(columns, index=pd.to_datetime([bar.epoch for bar in bars], unit="s"), dtype="float64")


def signal_of(decision: Decision) -> str:
    """The word for a decision in the table of signals."""
    if isinstance(decision, Enter):
        return "BUY" if decision.size > 0 else "SELL"
    return "CLOSE" if isinstance(decision, Close) else "CANCEL" if isinstance(decision, Cancel) else "PROTECT"


def spec_of(symbol_info: Any) -> SymbolSpec:
    """What the broker allows, from MetaTrader's symbol_info or a dict of it. Raises BadInput for figures that make no sense."""
    try:
        return SymbolSpec(*(_field(symbol_info, name) for name in SPEC_FIELDS))
    except (ValueError, KeyError, AttributeError) as error:
        raise BadInput(f"symbol_info cannot be used: {error!r}") from error


def _intent(bar: BarId, kind: Kind, leg: str, side: Side, **what: Any) -> Intent:
    return Intent(client_order_id(bar, kind, leg), bar, kind, leg, side, **what)


def _taken_from(entry: Enter, all_of_bar: Sequence[Decision], shown: Account) -> Iterator[tuple[str, dict[str, Any]]]:
    """What stands against an entry when its turn comes: trades that no decision of the bar closes, then those of entries before it."""
    closing = {each.ticket for each in all_of_bar if isinstance(each, Close) and each.full}
    opposite = [trade for trade in shown.open if trade.size * entry.size < 0 and trade.ticket not in closing]
    for number, trade in enumerate(opposite):
        yield str(number), {"size": abs(trade.size), "position": Ticket(trade.ticket), "tag": trade.tag}
    for before in all_of_bar:
        if isinstance(before, Enter) and before.leg < entry.leg and before.size * entry.size < 0 and not (before.limit or before.stop):
            yield f"{_OPENED_BY}{before.leg}", {"tag": before.tag}


def opened_by(leg: str) -> str:
    """Of an intent without a ticket, such as leg "2.e1": the leg of the entry whose position it closes."""
    return leg.rpartition(_OPENED_BY)[2]


def _side_of_size(size: float) -> Side:
    return Side.BUY if size > 0 else Side.SELL


def _placed_by(order: WaitingOrder, decision: Cancel) -> bool:
    return (order.bar, order.leg) == (decision.order_bar, decision.order_leg)


def _side_of(shown: Account, ticket: int) -> Side:
    return _side_of_size(next(trade.size for trade in shown.open if trade.ticket == ticket))


def _field(info: Any, name: str) -> Any:
    return info[name] if isinstance(info, Mapping) else getattr(info, name)


def _price(info: Any, name: str, otherwise: float) -> float:
    """A price of symbol_info; the other one where it has none (a dict without quotes, a symbol without a tick yet)."""
    given = info.get(name, 0.0) if isinstance(info, Mapping) else getattr(info, name)
    return float(given) or otherwise


def _timeframe(text: str) -> Timeframe:
    return timeframe(text)


def _epoch(moment: datetime) -> int:
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _answered(terminal: Any, answer: Any, symbol: str) -> Any:
    if answer is None:
        raise Unreachable(f"the terminal has no answer about {symbol}: {terminal.last_error()}")
    return answer
