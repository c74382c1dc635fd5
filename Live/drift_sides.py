"""The two sides of every trade of a session: what the record says of it, and what its backtest made of the same decision."""

import json
import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from Backtest.decisions import Account, Enter
from Backtest.fractional import FractionalUnit
from Backtest.session.backtested import STRATEGY, Backtested, BacktestTrade
from Backtest.sizing import Terms, commission_of, margin_available, units_of
from Live.drift_causes import OPEN, Cause, Fill, Opener, Part, Step, Trade
from Live.model import SymbolSpec
from Live.trade_book import EXIT_REASONS, EXPERT, account_of

Row = Mapping[str, Any]
Side = dict[Opener, list[Part]]

BY_HAND = frozenset({0, 1, 2, 6})  # DEAL_REASON_CLIENT, _MOBILE, _WEB, _SO
AGAIN = "+"
AT_MARKET = 1  # TRADE_ACTION_DEAL
NO_SLIP = 0.75  # points; a comment names its level with no more decimals than the symbol's prices have
SAME_RATE = 1e-4  # nearer to 1 than this, the account is in the currency of the prices
NEVER_ARRIVED = frozenset({"FAILED", "ABSENT", "UNRESOLVED", "UNKNOWN", "SUBMITTED"})
NOT_CARRIED_OUT = NEVER_ARRIVED | {"DENIED", "EXPIRED"}


@dataclass(frozen=True, slots=True)
class Chart:
    """One symbol and timeframe of a session, up to the close of its last decided bar; deals after it are left out."""

    epochs: Sequence[int]  # the opens of the decided bars, server seconds
    end: int  # the close of the last one
    last_close: float
    bars: Sequence[Row]
    signals: Sequence[Row]
    orders: Sequence[Row]
    sent: Mapping[str, Mapping[str, Any]]
    fills: Sequence[Row]
    swaps: Mapping[int, float]
    cuts: Mapping[str, float]  # lots that MAX_POSITION_SIZE has cut, by order
    spec: SymbolSpec
    sizing: str  # auto, risk, strategy, fixed
    backtest: Mapping[str, Any]

    @property
    def mark(self) -> Fill:
        """What open positions of both sides are valued at."""
        return Fill(self.last_close, self.last_close, self.last_close)

    @property
    def contract(self) -> float:
        """Units in one lot."""
        return self.spec.contract_size

    def bar_at(self, epoch: int) -> int:
        """The open of the bar that a moment lies in."""
        return self.epochs[max(0, bisect_right(self.epochs, epoch) - 1)]

    def bar_after(self, epoch: int) -> int:
        """The open of the decided bar that follows; the end where none does."""
        place = bisect_right(self.epochs, epoch)
        return self.epochs[place] if place < len(self.epochs) else self.end


# what happened


def live_side(chart: Chart) -> Side:
    """The parts of the trades that were made, by the decision that opened them."""
    orders = {order["client_order_id"]: order for order in chart.orders}
    positions: dict[int, list[Row]] = defaultdict(list)
    for fill in chart.fills:
        if fill["epoch"] < chart.end:
            positions[fill["position_id"]].append(fill)
    rate = usual_rate(positions.values(), chart.contract)
    side: Side = defaultdict(list)
    for position, fills in positions.items():
        if any(fill["entry"] == "IN" for fill in fills):
            side[_opener(fills[0], orders)] += _Told(chart, orders, rate).parts(position, fills)
    return dict(side)


def usual_rate(positions: Iterable[Sequence[Row]], contract: float) -> float:
    """What one unit makes in the account's currency while its price rises by 1, measured on all that was closed."""
    made = moved = 0.0
    for fills in positions:
        bought = [fill for fill in fills if fill["entry"] == "IN"]
        lots = sum(fill["volume"] for fill in bought)
        entry = sum(fill["volume"] * fill["price"] for fill in bought) / lots if lots else 0.0
        for fill in fills:
            if fill["entry"] != "IN" and fill["profit"] and lots:
                made += abs(fill["profit"])
                moved += fill["volume"] * contract * abs(fill["price"] - entry)
    rate = made / moved if moved else 1.0
    return 1.0 if abs(rate - 1) < SAME_RATE else rate


def _opener(fill: Row, orders: Mapping[str, Row]) -> Opener:
    order = orders.get(fill["client_order_id"] or "")
    return (fill["epoch"], f"deal {fill['deal_ticket']}") if order is None else (order["bar_epoch"], order["leg"].rstrip(AGAIN))


@dataclass(frozen=True, slots=True)
class _Told:
    """How deals become parts of trades."""

    chart: Chart
    orders: Mapping[str, Row]
    rate: float

    def parts(self, position: int, fills: Sequence[Row]) -> Iterator[Part]:
        """The parts of one position, and what is left of it at the end."""
        chart = self.chart
        entries, exits = ([fill for fill in fills if (fill["entry"] == "IN") is wanted] for wanted in (True, False))
        lots = sum(fill["volume"] for fill in entries)
        price = sum(fill["volume"] * fill["price"] for fill in entries) / lots
        entry, opened = self._fill(entries[0], price), chart.bar_at(entries[0]["epoch"])
        sign = chart.contract * (1 if entries[0]["side"] == "BUY" else -1)
        costs = sum(fill["commission"] + fill["fee"] for fill in entries)
        for fill in exits:
            size = fill["volume"] * sign
            rest = fill["profit"] - size * (fill["price"] - price) * self.rate
            yield Part(
                size=size,
                entry=entry,
                entry_bar=opened,
                exit=self._fill(fill, fill["price"]),
                exit_bar=chart.bar_at(fill["epoch"]),
                exit_by=EXIT_REASONS.get(fill["reason"], STRATEGY),
                rate=self.rate,
                commission=costs * fill["volume"] / lots + fill["commission"] + fill["fee"],
                swap=fill["swap"],
                rest=0.0 if abs(rest) < 1e-9 else rest,
                cause=Cause.MANUAL if self._is_by_hand(fill) else None,
            )
        left = round(lots - sum(fill["volume"] for fill in exits), 8)
        if left > 0:
            later = chart.swaps.get(position, 0.0)
            yield Part(left * sign, entry, opened, chart.mark, None, OPEN, self.rate, costs * left / lots, later)

    def _is_by_hand(self, fill: Row) -> bool:
        order = self.orders.get(fill["client_order_id"] or "")
        by_others = fill["reason"] == EXPERT and order is None  # a program, and not ours
        return by_others or fill["reason"] in BY_HAND or (order is not None and order["kind"] == "FLATTEN")

    def _fill(self, fill: Row, price: float) -> Fill:
        """The price that was asked for: that of the quote, of the order that waited, or of the stop that was hit."""
        sent = self.chart.sent.get(fill["client_order_id"] or "", {})
        request, quote = sent.get("request", {}), sent.get("quote")
        if request.get("action") == AT_MARKET and quote:
            return Fill(quote["bid"], quote["ask"] if fill["side"] == "BUY" else quote["bid"], price)
        level = request.get("stoplimit") or request.get("price") or _level_in(fill["comment"]) or price
        if abs(level - price) < NO_SLIP * self.chart.spec.point:
            level = price
        return Fill(level, level, price)


def _level_in(comment: str) -> float | None:
    # the server names the level that it has filled: [sl 1.09500]
    found = re.search(r"\[(?:sl|tp) ([0-9.]+)", comment)
    return float(found[1]) if found else None


# what the backtest made


def backtest_side(chart: Chart, told: Backtested, times: Sequence[int], rate: float) -> Side:
    """The parts of the backtest's trades, by the decision that opened them; `times` are the opens of all its bars."""
    side: Side = defaultdict(list)
    for trade in told.trades:
        if trade.opener is not None:
            bar, leg = trade.opener
            side[int(bar.timestamp()), str(leg)].append(_backtest_part(chart, trade, times, rate))
    return dict(side)


def _backtest_part(chart: Chart, trade: BacktestTrade, times: Sequence[int], rate: float) -> Part:
    left = trade.exit_bar
    if left is not None and chart.backtest["trade_on_close"] and trade.exit_by == STRATEGY:
        left += 1  # booked at the close before, but decided there: live it is filled in the bar that follows
    return Part(
        size=trade.size,
        entry=_filled(chart.spec, trade.entry_level, trade.unspread_price, trade.entry_price),
        entry_bar=times[trade.entry_bar],
        exit=_filled(chart.spec, _as_named(chart.spec, trade.exit_level, trade.exit_price), trade.exit_price, trade.exit_price),
        exit_bar=None if left is None or left >= len(times) else times[left],
        exit_by=trade.exit_by,
        rate=rate,
        commission=-trade.costs * rate,
    )


def _as_named(spec: SymbolSpec, level: float | None, price: float) -> float | None:
    """The level of a stop as a server would name it in the comment of its deal: that is all that is known of it live."""
    if level is None or abs(level - price) < NO_SLIP * spec.point:
        return None
    return round(level, spec.digits)


def _filled(spec: SymbolSpec, level: float | None, before_spread: float, price: float) -> Fill:
    """A gap beyond the price that an order waited for is slippage in a backtest, too."""
    base = before_spread if level in (None, before_spread) else spec.on_grid(level or 0.0)
    return Fill(base, base + (price - before_spread), price)


# both


def trades_of(chart: Chart, live: Side, backtest: Side, told: Backtested) -> list[Trade]:
    """Both sides of every trade, in the order of the decisions; what was decided on the last bar has no time to be filled."""
    both = _Both(chart, live, backtest, told)
    last = chart.epochs[-1]
    return [both.trade(opener) for opener in sorted({*live, *backtest}) if opener[0] < last]


class _Both:
    def __init__(self, chart: Chart, live: Side, backtest: Side, told: Backtested) -> None:
        self._chart, self._live, self._backtest = chart, live, backtest
        entries = (order for order in chart.orders if order["kind"] in ("ENTRY", "PENDING"))
        self._entries = {(order["bar_epoch"], order["leg"]): order for order in entries}
        epochs = {bar["bar_time"]: bar["bar_epoch"] for bar in chart.bars}
        self._held_back = {
            (epochs[row["bar_time"]], str(row["leg"])): row for row in chart.signals if row["reason"] and row["bar_time"] in epochs
        }
        self._decided = {
            (int(bar.timestamp()), str(each.leg)) for bar, made in told.decisions.items() for each in made if isinstance(each, Enter)
        }
        self._shown = {bar["bar_epoch"]: bar["shown"] for bar in chart.bars}

    def trade(self, opener: Opener) -> Trade:
        """One trade; where a side has nothing, why."""
        backtest, live = self._backtest.get(opener, []), self._live.get(opener, [])
        if backtest and live and (backtest[0].size > 0) == (live[0].size > 0):
            return Trade(opener, backtest, live, self._sizes(opener, backtest, live), self._held(opener))
        cause, note = self._why_not_live(opener) if backtest else self._why_not_backtested(opener)
        return Trade(opener, backtest, live, missing=cause, note=note)

    # sizes

    def _sizes(self, opener: Opener, backtest: Sequence[Part], live: Sequence[Part]) -> tuple[Step, ...]:
        wanted, filled = (sum(part.size for part in side) for side in (backtest, live))
        order = self._entries.get(opener)
        if order is None or math.isclose(wanted, filled):
            return ()
        unit = self._chart.contract * (1 if filled > 0 else -1)
        asked = (order["volume"] or 0.0) * unit
        whole = self._chart.cuts.get(order["client_order_id"], order["volume"] or 0.0) * unit
        steps = [Step(Cause.SIZING, whole)] if self._is_our_size(order) else list(self._rounded(order, wanted, whole))
        return (*steps, Step(Cause.LIMITS, asked), Step(Cause.REFUSED, filled))

    def _is_our_size(self, order: Row) -> bool:
        rule = self._chart.sizing
        return rule in ("risk", "fixed") or (rule == "auto" and order["sl"] is not None)

    def _rounded(self, order: Row, wanted: float, whole: float) -> Iterator[Step]:
        """From the backtest's size to that of the account as it was, and from there down to the grid of lots."""
        grid = self._chart.spec.lot_step * self._chart.contract
        meant = next((size for size in (wanted, self._meant(order)) if size and 0 <= abs(size) - abs(whole) < grid), whole)
        yield Step(Cause.FOLLOWS, meant)
        yield Step(Cause.ROUNDING, whole)

    def _meant(self, order: Row) -> float | None:
        """The units that the strategy's size was on the account that it was shown."""
        shown = self._shown.get(order["bar_epoch"])
        if shown is None or order["price"] is None or order["size"] is None:
            return None
        account: Account = account_of(json.loads(shown), ())
        backtest = self._chart.backtest
        terms = Terms(order["price"], backtest["margin"], commission_of(backtest), unit=FractionalUnit.of(backtest))
        return float(units_of(order["size"], margin_available(account.cash, account.open, terms), terms))

    # exits

    def _held(self, opener: Opener) -> dict[int, Cause]:
        """By the bar of an exit that was decided and did not happen: what held it back."""
        chart = self._chart
        held = {chart.bar_after(bar["bar_epoch"]): Cause.LIMITS for bar in chart.bars if not bar["acted"]}
        entry = self._entries.get(opener)
        ticket = None if entry is None else entry["mt5_order_id"]
        for order in chart.orders:
            is_close = order["position_ticket"] == ticket is not None and order["kind"] in ("EXIT", "PARTIAL")
            if is_close and order["status"] in NOT_CARRIED_OUT:
                held[chart.bar_after(order["bar_epoch"])] = _fate_of(order)[0]
        return held

    # what only one side has

    def _why_not_live(self, opener: Opener) -> tuple[Cause, str]:
        order, signal = self._entries.get(opener), self._held_back.get(opener)
        if order is not None:
            return _fate_of(order)
        if signal is not None:
            return Cause.LIMITS, str(signal["reason"])
        if opener[0] not in self._shown:
            return Cause.DATA, "the bar was not decided"
        return self._decided_otherwise(opener, "live it was not decided")

    def _why_not_backtested(self, opener: Opener) -> tuple[Cause, str]:
        if opener in self._decided:
            return Cause.FOLLOWS, "the backtest could not pay it, or its price was not reached there"
        return self._decided_otherwise(opener, "the backtest did not decide it")

    def _decided_otherwise(self, opener: Opener, what: str) -> tuple[Cause, str]:
        """A strategy that holds the same on both sides and decides otherwise has seen something else."""
        same = _open_at(self._live, opener[0]) == _open_at(self._backtest, opener[0])
        return (Cause.DATA, f"{what}, though it held the same") if same else (Cause.FOLLOWS, f"{what}, as it held something else")


def _open_at(side: Side, bar: int) -> set[Opener]:
    return {
        opener
        for opener, parts in side.items()
        if any(part.entry_bar <= bar and (part.exit_bar is None or part.exit_bar > bar) for part in parts)
    }


def _fate_of(order: Row) -> tuple[Cause, str]:
    """Why an order that was decided on both sides came to nothing."""
    status, message = order["status"], order["message"] or ""
    if status in NEVER_ARRIVED or "a close before it ended FAILED" in message:
        return Cause.REFUSED, message
    if "smallest order" in message and "DEFAULT_RISK_PCT" not in message:
        return Cause.ROUNDING, message
    if "the backtest would have cancelled it" in message or message.startswith(("not needed", "the order was used up")):
        return Cause.FOLLOWS, message
    if order["kind"] == "PENDING" and status in ("PLACED", "CANCELLED") and "emergency" not in message:
        # a purchase waits for the ask, that of a backtest for the bid
        return Cause.SPREAD if order["side"] == "BUY" else Cause.TIMING, "its price was not reached"
    return Cause.LIMITS, message
