"""Faults of order_send that do a part now: partial fills, and market orders that wait."""

import math
from dataclasses import dataclass
from typing import Any

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.faults.calls import Call, Go, Reply, answer, changed
from Backtest.simulated_terminal.faults.firing import Firing
from Backtest.simulated_terminal.faults.sending import leaves, outcome
from Backtest.simulated_terminal.faults.truth import Rows, Truth
from Backtest.simulated_terminal.retcodes import TEXTS
from Backtest.simulated_terminal.structs import TradeOrder, TradeRequest

_NO_SERVERS_TICKET, _SECOND_DEAL = 1_000_000, 1_000_000_000_000
_MONEY = ("profit", "commission", "swap", "fee")


def filled_in_part(call: Call, go: Go, firing: Firing) -> Reply:
    """Only a part is filled; the rest is `cancelled` at once, `cancelled later`, or `filled later`."""
    request = leaves(call, firing)
    part = _part(request, firing) if request is not None else 0.0
    if request is None or not part:
        return go(call)
    truth, rest = firing.truth, firing.params["rest"]
    grows = rest == "filled later" and _opens_apart(request, truth)
    reply = go(call if grows else call.with_request(volume=part))
    if reply.value is None:
        return reply
    told = changed(reply.value, request=changed(reply.value.request, volume=request.volume))
    if told.retcode != c.TRADE_RETCODE_DONE:
        return Reply(told, reply.error)
    active = _at_work(told.order, truth, asked=request.volume, done=part)
    until = truth.now + (firing.params["seconds"] if rest != "cancelled" else 0.0)
    truth.trace(_Growing(active, until) if grows else _Cut(active, until))
    firing.injected(call, f"{request.volume if grows else part:g} lots executed: {outcome(reply)}")
    retcode = firing.params["retcode"]
    return Reply(changed(told, retcode=retcode, comment=TEXTS[retcode], volume=part), reply.error)


def placed(call: Call, go: Go, firing: Firing) -> Reply:
    """A market order is acknowledged and works for a while; then it is `filled` or `rejected`."""
    request = leaves(call, firing)
    if request is None or request.action != c.TRADE_ACTION_DEAL:
        return go(call)
    if firing.params["ends"] == "filled":
        return _fills_later(call, go, firing)
    truth, ticket = firing.truth, _NO_SERVERS_TICKET + call.number
    active = _new_order(request, ticket, _server_msc(request.symbol, truth))
    truth.trace(_Rejected(active, truth.now + firing.params["seconds"]))
    firing.injected(call, f"never executed; shown as order {ticket}")
    return answer(call, request, c.TRADE_RETCODE_PLACED, order=ticket, volume=request.volume)


def _fills_later(call: Call, go: Go, firing: Firing) -> Reply:
    truth, before = firing.truth, firing.truth.rows("positions_get") or []
    reply = go(call)
    if reply.value is None or reply.value.retcode != c.TRADE_RETCODE_DONE:
        return reply
    told = reply.value
    met = {deal.position_id for deal in truth.raw("history_deals_get") or [] if deal.order == told.order}
    active = _at_work(told.order, truth, asked=told.request.volume, done=0.0)
    truth.trace(_Waiting(active, truth.now + firing.params["seconds"], frozenset(met), tuple(before)))
    firing.injected(call, f"executed at once, to be seen {firing.params['seconds']:g} s later: {outcome(reply)}")
    return Reply(changed(told, retcode=c.TRADE_RETCODE_PLACED, comment=TEXTS[c.TRADE_RETCODE_PLACED], deal=0, price=0.0), reply.error)


def _part(request: TradeRequest, firing: Firing) -> float:
    """The lots that are filled: on the symbol's grid, more than nothing and less than all; 0.0 where that cannot be."""
    info = firing.truth.ask("symbol_info", request.symbol).value if request.action == c.TRADE_ACTION_DEAL else None
    if info is None:
        return 0.0
    lots = round(math.floor(request.volume * firing.params["part"] / info.volume_step + 1e-9) * info.volume_step, 8)
    return float(lots) if info.volume_min <= lots < request.volume else 0.0


def _opens_apart(request: TradeRequest, truth: Truth) -> bool:
    """Whether it opens a position of its own, which can be shown growing."""
    return not request.position and bool(truth.ask("account_info").value.margin_mode == c.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING)


def _at_work(ticket: int, truth: Truth, *, asked: float, done: float) -> Any:
    """The row of an executed order as it would be if no more than `done` lots were filled yet."""
    row = next(row for row in truth.raw("history_orders_get") or [] if row.ticket == ticket)
    state = c.ORDER_STATE_PARTIAL if done else c.ORDER_STATE_PLACED
    return changed(row, state=state, time_done=0, time_done_msc=0, volume_initial=asked, volume_current=round(asked - done, 8))


def _server_msc(symbol: str, truth: Truth) -> int:
    tick = truth.ask("symbol_info_tick", symbol).value
    return truth.epoch * 1000 if tick is None else int(tick.time_msc)


def _new_order(request: TradeRequest, ticket: int, moment: int) -> TradeOrder:
    times = (moment // 1000, moment, 0, 0, 0)
    kinds = (request.type, 0, request.type_filling, c.ORDER_STATE_PLACED, request.magic, request.position, 0, c.ORDER_REASON_EXPERT)
    prices = (request.volume, request.volume, request.price, request.sl, request.tp, request.price, 0.0)
    return TradeOrder((ticket, *times, *kinds, *prices, request.symbol, request.comment, ""))


@dataclass(frozen=True, slots=True)
class _Working:
    """A trace: an order that is shown as active until a moment, and only then among the finished ones."""

    active: Any  # its row
    until: float

    def __call__(self, name: str, rows: Rows, now: float) -> Rows:
        works = now < self.until
        if name == "orders_get":
            return [*rows, self.active] if works else rows
        if name == "history_orders_get":
            return [row for row in rows if row.ticket != self.active.ticket] if works else self.ended(rows)
        return self.effects(name, rows, works=works)

    def ended(self, rows: Rows) -> Rows:
        return rows

    def effects(self, _: str, rows: Rows, *, works: bool) -> Rows:  # noqa: ARG002 - what others need
        return rows


class _Cut(_Working):
    """The rest is cancelled."""

    __slots__ = ()

    def ended(self, rows: Rows) -> Rows:
        volumes = {"volume_initial": self.active.volume_initial, "volume_current": self.active.volume_current}
        return [changed(row, state=c.ORDER_STATE_CANCELED, **volumes) if row.ticket == self.active.ticket else row for row in rows]


class _Rejected(_Working):
    """It was never executed."""

    __slots__ = ()

    def ended(self, rows: Rows) -> Rows:
        times = {"time_done": self.active.time_setup, "time_done_msc": self.active.time_setup_msc}
        return [*rows, changed(self.active, state=c.ORDER_STATE_REJECTED, **times)]


class _Growing(_Working):
    """The rest is filled when its time has come, by a deal of its own."""

    __slots__ = ()

    def effects(self, name: str, rows: Rows, *, works: bool) -> Rows:
        if name == "history_deals_get":
            return [piece for row in rows for piece in self._pieces(row, works=works)]
        if not works:
            return rows
        shown = [self._smaller(row) if row.identifier == self.active.ticket else row for row in rows]
        return [row for row in shown if row.volume > 0]

    def _smaller(self, row: Any) -> Any:
        left = max(0.0, round(row.volume - self.active.volume_current, 8))
        return changed(row, volume=left, profit=row.profit * left / row.volume)

    def _pieces(self, deal: Any, *, works: bool) -> Rows:
        if deal.order != self.active.ticket:
            return [deal]
        rest = self.active.volume_current / self.active.volume_initial
        first, second = ({name: getattr(deal, name) * share for name in _MONEY} for share in (1 - rest, rest))
        early = changed(deal, volume=round(deal.volume - self.active.volume_current, 8), **first)
        late = changed(deal, ticket=_SECOND_DEAL + deal.ticket, volume=self.active.volume_current, **second)
        return [early] if works else [early, late]


@dataclass(frozen=True, slots=True)
class _Waiting(_Working):
    """It is filled when its time has come: until then its positions are shown as they were."""

    positions: frozenset[int]
    before: tuple[Any, ...]

    def effects(self, name: str, rows: Rows, *, works: bool) -> Rows:
        if not works:
            return rows
        if name == "history_deals_get":
            return [row for row in rows if row.order != self.active.ticket]
        as_they_were = [row for row in self.before if row.identifier in self.positions]
        return as_they_were + [row for row in rows if row.identifier not in self.positions]
