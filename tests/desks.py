"""A trader's tools on a terminal of the usual kind, that is one on which an order may be in flight."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from Live.audit_logger import AuditLogger
from Live.config import LiveConfig
from Live.kill_switch import KillSwitchFile
from Live.model import ClientOrderId, Magic, Order, Position, Side, Slot, Status
from Live.mt5_connector import MT5Connector
from Live.order_executor import OrderExecutor
from Live.order_requests import Label, Levels, Market, close_request, entry_request, protect_request
from Live.outcomes import RETCODES, Outcome, Retry, verdict_of
from Live.state_manager import StateManager
from tests.faulty_terminal import FaultyTerminal, Request
from tests.live_runs import settings as live_settings
from tests.simulated_terminal.terminals import ALL, H1, bars, flat, symbol

BOUGHT = "an id of the caller"
SUCCESS = (1, "Success")
TOO_MANY = 10024
PERMANENT = [
    code for code in RETCODES if verdict_of(code, SUCCESS).outcome is Outcome.REFUSED and verdict_of(code, SUCCESS).retry is Retry.NO
]
READS = ["orders_get", "history_orders_get", "history_deals_get", "positions_get", "terminal_info", "account_info"]
INSTANT_EXECUTION, MARKET_EXECUTION = 1, 2


@dataclass
class Desk:
    """A trader's tools on a terminal of the usual kind, that is one on which an order may be in flight."""

    config: LiveConfig
    terminal: FaultyTerminal
    connector: MT5Connector
    record: AuditLogger
    executor: OrderExecutor
    slot: Slot

    def buy(self, order_id: str = BOUGHT, lots: float = 0.1, **options: Any) -> dict[str, Any]:
        return self.executor.execute_order(self.bid(lots), order_id, **options)

    def bid(self, lots: float = 0.1, levels: Levels | None = None) -> Request:
        return entry_request(Side.BUY, lots, self.market(), self.label(), levels or Levels())

    def close(self, position: Position, order_id: str = "close", lots: float | None = None) -> dict[str, Any]:
        request = close_request(position, lots or position.lots, self.market(), self.label())
        return self.executor.execute_order(request, order_id)

    def protect(self, position: Position, sl: float, order_id: str = "protect") -> dict[str, Any]:
        return self.executor.execute_order(protect_request(position, Levels(sl=sl), self.market().spec), order_id)

    def market(self) -> Market:
        return Market(self.connector.spec("EURUSD"), self.connector.quote("EURUSD"))

    def label(self) -> Label:
        return Label(self.slot.magic, "live", 20)

    def order(self, order_id: str = BOUGHT) -> Order:
        order = self.record.order(order_id)
        assert order is not None
        return order

    def status(self, order_id: str = BOUGHT) -> Status:
        return self.order(order_id).status

    def wait(self, seconds: float) -> None:
        """Let time pass as the loop does while a question is open, looking every two seconds."""
        for _ in range(round(seconds / 2)):
            self.executor.settle()
            self.terminal.clock.sleep(2)

    def sync(self) -> StateManager:
        """What a trader that starts now knows of the account."""
        state = StateManager(self.config, self.connector, self.record, self.slot)
        state.sync()
        return state

    def denial(self, state: StateManager, *, lots: float = 0.1, asking: str | None = None) -> str:
        """Why no entry may be sent, once the start is over; "" when it may."""
        self.terminal.clock.sleep(state.quarantine_left())
        quote = self.connector.quote("EURUSD")
        return str(state.can_trade("EURUSD", quote, lots=lots, asking=None if asking is None else ClientOrderId(asking)) or "")

    def positions(self) -> tuple[Any, ...]:
        return tuple(self.terminal.inner.positions_get())

    def deals(self) -> list[Any]:
        return [deal for deal in self.terminal.inner.history_deals_get(*ALL) if deal.order]

    def events(self, kind: str) -> list[tuple[str, str]]:
        return [tuple(row) for row in self.record._rows("SELECT severity, message FROM events WHERE event_type = ?", kind)]

    def moves(self, order_id: str = BOUGHT) -> list[tuple[str, dict[str, Any]]]:
        sql = "SELECT to_status, payload FROM order_events WHERE client_order_id = ? ORDER BY seq"
        return [(row[0], json.loads(row[1])) for row in self.record._rows(sql, order_id)]


def opened(folder: Path, *, execution: int = MARKET_EXECUTION, **given: object) -> Desk:
    config = live_settings(folder, retry_backoff_base=2.0, **given)
    market = ReplayMarket({"EURUSD": (symbol(spread_points=10, execution=execution), bars(flat(1.2, 48)))}, H1)
    # a replay at the market's own pace that really waits for nothing
    inner = SimulatedTerminal(market, AccountSpec(), speed=1.0, real_sleep=lambda _: None)
    terminal = FaultyTerminal(inner)
    connector = MT5Connector(config, terminal, terminal.clock)
    connector.connect()
    return desk_on(config, terminal, connector)


def desk_on(config: LiveConfig, terminal: FaultyTerminal, connector: MT5Connector) -> Desk:
    record = AuditLogger(config.audit_db_path, terminal.clock)
    account = connector.account()
    slot = Slot(account.login, account.server, "manual", Magic(config.magic_number))
    facts = dict.fromkeys(("strategy_file", "strategy_class", "strategy_sha256"), "") | {"mode": "DRY", "terminal": "simulated"}
    who = {"slot": str(slot), "login": slot.login, "server": slot.server, "strategy_id": slot.strategy_id, "initial_balance": 1.0}
    record.start_run({**facts, **who, "params": "{}", "settings": "{}", "versions": "{}"})
    switch = KillSwitchFile(config.kill_switch_file, enabled=True, started_in=config.kill_switch_file.parent)
    executor = OrderExecutor(config, connector, record=record, slot=slot, kill_switch=switch)
    return Desk(config, terminal, connector, record, executor, slot)


def reopened(desk: Desk) -> Desk:
    """The same terminal and record after a restart."""
    desk.record.close()
    return desk_on(desk.config, desk.terminal, desk.connector)
