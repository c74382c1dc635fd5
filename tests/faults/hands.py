"""What others do on the account, by the broker's own doors: a person in the terminal, another program, the server itself."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from Backtest.simulated_terminal import SimulatedTerminal, TradeRequest, arguments
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.book import Position
from Backtest.simulated_terminal.case import Case as Request
from Backtest.simulated_terminal.orders import Order
from Backtest.simulated_terminal.server import Answer, TradeServer

if TYPE_CHECKING:
    from tests.faults.stage import Stage

Params = Mapping[str, Any]
STEP = 0.01


class HandledServer(TradeServer):
    """A server that is also traded on by hand: such orders have another reason than a program's."""

    reason = c.ORDER_REASON_EXPERT

    def _order(self, case: Request, price: float) -> Order:
        return replace(super()._order(case, price), reason=self.reason)


class Broker(SimulatedTerminal):
    """The simulated terminal, with the doors that only the broker and a person at the terminal have."""

    def _served_by(self) -> TradeServer:
        return HandledServer(self._market, self._account, self._book)

    @property
    def book(self) -> Any:
        """The account's truth."""
        return self._book

    def account_info_of(self) -> tuple[int, str, int, int]:
        """Who the account is: login, server, kind and way of keeping positions."""
        account = self._account
        return (account.login, account.server, account.trade_mode, account.margin_mode)

    @property
    def specs(self) -> dict[str, Any]:
        """What the server allows on its symbols."""
        return self._server.specs

    def by_hand(self, *, reason: int = c.ORDER_REASON_CLIENT, **fields: Any) -> Answer:
        """Carry out a request of somebody else's."""
        server = self._server
        assert isinstance(server, HandledServer)
        server.arrive(self.clock.now_msc)
        request = arguments.request("order_send", (fields,), {})
        assert isinstance(request, TradeRequest)
        server.reason = reason
        try:
            return server.send(request)
        finally:
            server.reason = c.ORDER_REASON_EXPERT

    def pay(self, amount: float) -> None:
        """Let money come, or go; what has no margin then is closed."""
        self._server.arrive(self.clock.now_msc)
        self._server.deposit(amount)
        self._server._stop_out()


def _mine(stage: "Stage") -> Position | None:
    return next((held for held in stage.terminal.book.positions.values() if stage.is_ours(held.magic)), None)


def _deal(stage: "Stage", side: int, lots: float, *, reason: int = c.ORDER_REASON_CLIENT, **more: Any) -> Answer:
    quote = stage.market.series[stage.symbol].quote_at(stage.terminal.clock.now_msc)
    price = 0.0 if quote is None else quote.ask if side == 0 else quote.bid
    what = {"action": 1, "symbol": stage.symbol, "volume": float(lots), "type": side, "price": price, "deviation": 1000}
    modes = stage.terminal.specs[stage.symbol].filling_mode
    filling = c.ORDER_FILLING_FOK if modes & 1 else c.ORDER_FILLING_IOC
    return stage.terminal.by_hand(reason=reason, **what, type_filling=filling, **more)


def closes(stage: "Stage", params: Params, point: str) -> None:
    held = _mine(stage)
    if held is not None:
        lots = max(STEP, round(held.volume * params["part"] / STEP) * STEP)
        _deal(stage, held.closing_side, round(min(lots, held.volume), 2), position=held.ticket)


def reverses(stage: "Stage", params: Params, point: str) -> None:
    held = _mine(stage)
    if held is not None:
        _deal(stage, held.closing_side, round(held.volume * 2, 2))


def moves_levels(stage: "Stage", params: Params, point: str) -> None:
    held = _mine(stage)
    if held is None:
        return
    quote = stage.market.series[stage.symbol].quote_at(stage.terminal.clock.now_msc)
    sl = 0.0
    if params["away"] and quote is not None:
        sl = round(quote.bid - params["away"] if held.is_long else quote.ask + params["away"], 5)
    stage.terminal.by_hand(action=6, symbol=held.symbol, position=held.ticket, sl=sl, tp=held.tp)


def cancels(stage: "Stage", params: Params, point: str) -> None:
    waiting = [order for order in stage.terminal.book.active.values() if stage.is_ours(order.magic) and not order.closes]
    if waiting:
        stage.terminal.by_hand(action=8, order=waiting[0].ticket)


def opens(stage: "Stage", params: Params, point: str) -> None:
    program = params["magic"] or params.get("by") == "a program"
    reason = c.ORDER_REASON_EXPERT if program else c.ORDER_REASON_CLIENT
    _deal(stage, params["side"], params["lots"], reason=reason, magic=params["magic"], comment="somebody else's")


def closes_by(stage: "Stage", params: Params, point: str) -> None:
    held = _mine(stage)
    if held is None or stage.case.world.netting:
        return
    made = _deal(stage, held.closing_side, held.volume)
    if made.deal:
        stage.terminal.by_hand(action=10, position=held.ticket, position_by=made.order)


def stop_out(stage: "Stage", params: Params, point: str) -> None:
    if stage.terminal.book.positions and stage.terminal.book.balance > 100:
        stage.terminal.pay(-round(stage.terminal.book.balance * 0.995, 2))
        stage.later(600.0, lambda: stage.terminal.pay(10_000.0))


def money_moves(stage: "Stage", params: Params, point: str) -> None:
    if stage.terminal.book.balance + params["amount"] > 0:
        stage.terminal.pay(params["amount"])


def twin(stage: "Stage", params: Params, point: str) -> None:
    made = _deal(stage, 0, STEP, reason=c.ORDER_REASON_EXPERT, magic=stage.config.magic_number, comment="qAAAAAAAAAAAA")
    if made.order:
        stage.twins.add(made.order)
