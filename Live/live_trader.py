"""The loop: kill switch → connection → sync → for each symbol: signals → size → request → checks → execute → record → sleep."""

import logging
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

if __name__ == "__main__":  # started as a file: the project's root is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Backtest.bars import timeframe
from Backtest.simulated_terminal import MarketEnded
from Backtest.strategies import LoadedStrategy
from Backtest.study.params_file import ParamsFile
from Live.audit_logger import AuditLogger, to_json
from Live.backtesting_bridge import BacktestingBridge
from Live.config import LiveConfig
from Live.desk import Desk
from Live.eligibility import refuse_unfit
from Live.errors import Interrupted, KillSwitch, LiveError, NotShownYet, Unreachable
from Live.flatten import stand_down
from Live.heartbeat import Heartbeat, Phase
from Live.kill_switch import LIFTED_BY, StopSwitch
from Live.late_orders import take_late_away
from Live.locks import hold_account, hold_symbols
from Live.model import AccountState, Magic, Order, Position, Slot
from Live.mt5_connector import MT5Connector, OpenedTerminal
from Live.mt5_connector.connector import WINDOW
from Live.mt5_connector.outage import LOST, Outage
from Live.order_executor import SECONDS_BETWEEN_READS, OrderExecutor
from Live.reporter import Reporter, versions
from Live.signals import told_by_signals
from Live.state_manager import StateManager
from Live.stop_latch import latch, refuse, stop_on_record
from Live.strategy_watch import StrategyWatch
from Live.symbol_trader import SymbolTrader

log = logging.getLogger("LiveTrader")

CTRL_C = 130
LATE_BAR_SECONDS = 60  # after its time, during which a bar that has not come yet is looked for every second
LONG_WEEKEND = 5 * 86_400
MODES = {0: "DEMO", 1: "DEMO", 2: "REAL"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A strategy and the parameters that it is to have."""

    strategy: LoadedStrategy
    params: Mapping[str, Any]
    params_file: ParamsFile | None = None  # where some of them are from


class Watcher:
    """Whoever wants to see how a run goes on; this one does not look."""

    heartbeat = Heartbeat()

    def started(self, trader: "LiveTrader") -> None:
        """The account is known, what an earlier run left is settled."""

    def turned(self, trader: "LiveTrader") -> None:
        """One turn of the loop is done."""


class LiveTrader:
    """One run of one strategy on one account.

    Whoever makes one holds the record's lock. `run` returns the exit code; it raises LiveError for what keeps a run from
    starting.
    """

    def __init__(
        self,
        config: LiveConfig,
        chosen: Chosen,
        terminal: OpenedTerminal,
        *,
        once: bool = False,
        watcher: "Watcher | None" = None,
    ) -> None:
        self.config, self.strategy, self.params, self.terminal = config, chosen.strategy, chosen.params, terminal
        self._params_file = chosen.params_file
        self.clock = terminal.clock
        self.timeframe = timeframe(config.timeframe)
        self.strategy_id = config.strategy_id or chosen.strategy.path.stem
        self.run_id = 0
        self.bars = 0
        kind = {"simulated": terminal.name == "simulated", "paper": terminal.name == "paper"}
        self.connector = MT5Connector(config, terminal.functions, terminal.clock, **kind)
        self._once, self._watcher = once, watcher or Watcher()
        self._heartbeat, self._switch = self._watcher.heartbeat, StopSwitch.of(config)
        self._switch.is_alone = self._heartbeat.is_alone
        self._signalled: int | None = None
        self._told_lost = False  # the outage that is going on is on record
        self._silent: set[str] = set()  # symbols that could not be read
        self._resources = ExitStack()

    # a run

    def run(self) -> int:
        """Trade until the kill switch, a signal, the end of the replay or, with `once`, the first decided bar."""
        with self._resources:
            self._resources.enter_context(told_by_signals(self._on_signal))
            self._start()
            code, reason = 1, "it failed"
            try:
                self._take_up()
                code, reason = self._loop()
                self._heartbeat.end()
            except Interrupted as why:
                code, reason = why.exit_code, str(why)
            except KillSwitch as stop:
                code, reason = self._halt(stop)
            except MarketEnded:
                code, reason = 0, "the replayed prices end here"
            except KeyboardInterrupt:
                code, reason = CTRL_C, "interrupted a second time, in the middle of something"
            except LiveError as error:
                code, reason = error.exit_code, str(error)
                raise
            except Exception as error:  # it is recorded, and ends the run; the journal makes the restart safe
                reason = "the machine has no memory left" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
                log.exception("unexpected error")
            finally:
                self._end(code, reason)
            return code

    def _start(self) -> None:
        """Record, terminal, account and its lock: up to the row of this run."""
        self.record = AuditLogger(self.config.audit_db_path, self.clock, secrets=self.config.secrets)
        if self.config.enable_alerts:
            self.record.tell_people(self.terminal.machine)
        self._resources.callback(self.record.close)
        self._refuse_stopped()
        self.connector.connect(self._switch.is_asked)
        self._resources.callback(self.connector.shutdown)
        self._refuse_stopped()
        account = self.connector.account()
        self.initial_equity, self.final_account = account.equity, account
        self.final_positions: tuple[Position, ...] = ()
        self.slot = Slot(account.login, account.server, self.strategy_id, Magic(self.config.magic_number))
        refuse_unfit(account, self.connector, self.record, self.slot, self.strategy)
        if not self.connector.simulated:
            hold_account(self._resources, self.slot)
            if self.connector.netting:
                hold_symbols(self._resources, self.slot, self.config.symbols)
        self.mode = "DRY" if self.config.dry_run else MODES[account.trade_mode]
        self.run_id = self.record.start_run(self._facts(account))
        self.state = StateManager(self.config, self.connector, self.record, self.slot, look_back=self._look_back())
        self.reporter = Reporter(self.config, self.connector, self.record, self.state, self.terminal.machine)
        self.strategy_watch = StrategyWatch(self.strategy, self.record)

    def _refuse_stopped(self) -> None:
        """Before the run is on record: leave as it would later, and let the next start know of the stop."""
        try:
            self._switch.check()
        except Interrupted:
            raise
        except KillSwitch as stop:
            self._latch(str(stop))
        refuse(stop_on_record(self.record))

    def _latch(self, reason: str) -> None:
        latch(self.record, reason, self.terminal.machine.now(), flatten=self._flattens())

    def _flattens(self) -> bool:
        return self.config.kill_switch_action == "flatten" or self._switch.asks_to_flatten()

    def _take_up(self) -> None:
        """What an earlier run left, before anything else; then the symbols."""
        self.record.event("STARTUP", f"{self.mode} run of {self.strategy_id} on {', '.join(self.config.symbols)} {self.timeframe.name}")
        self.executor = OrderExecutor(self.config, self.connector, record=self.record, slot=self.slot, kill_switch=self._switch)
        strategy = self.strategy
        bridge = BacktestingBridge(
            strategy.cls, terminal=self.terminal.functions, backtest=strategy.backtest, params=self.params, strategy_id=self.strategy_id
        )
        functions = self.terminal.functions
        foresight = functions if hasattr(functions, "foresee") else None
        replayed = functions if hasattr(functions, "further_columns") else None
        parts = (self.config, self.connector, self.record, self.state, self.executor, bridge)
        self.desk = Desk(*parts, self.slot, self.timeframe, self._switch, self._heartbeat, foresight, replayed)
        self.traders = {symbol: SymbolTrader(symbol, self.desk) for symbol in self.config.symbols}
        absent = self._recover()
        self._carry_out_again(absent)
        self._watcher.started(self)

    def _recover(self) -> list[Order]:
        """Before anything else: what an earlier run sent and did not see the end of. Returns what is proved not to have happened."""
        absent = []
        self._look()
        self._cover()
        while self._must_look_on() and not self._interrupted():
            absent += self.executor.settle(self._decide_again)
            self._look()
            if self._must_look_on():
                self.clock.sleep(SECONDS_BETWEEN_READS, self._interrupted)
        self.state.check_ownership()
        return absent

    def _look(self) -> None:
        """A start that ended on what is only late would end on it each time anew: it is waited for, as by every turn."""
        while True:
            try:
                self.state.sync()
                return
            except NotShownYet:
                self.clock.sleep(SECONDS_BETWEEN_READS, self._interrupted)
                self._switch.check()

    def _cover(self) -> None:
        """No position is left without the stop loss that it was to have."""
        for bare in self.state.take_bare():
            if (trader := self.traders.get(bare.position.symbol)) is not None:
                trader.cover(bare)

    def _must_look_on(self) -> bool:
        """A run of one turn has no later one for the entries that wait until a start is over."""
        return self.executor.has_open_questions() or (self._once and self.state.quarantine_left() > 0)

    def _loop(self) -> tuple[int, str]:
        while True:
            self._switch.check()
            pause = self._turn()
            self.strategy_watch.look()
            self.reporter.publish(self.why_not)
            self._watcher.turned(self)
            self._heartbeat.turned()
            if all(trader.failure for trader in self.traders.values()):
                return 1, "; ".join(trader.failure for trader in self.traders.values())
            if self._once and (self.bars or not self.connector.simulated):
                return 0, "one turn was asked for (--once)"
            with self._heartbeat.during(Phase.WAITING):
                self.clock.sleep(pause, self._interrupted)

    def _turn(self) -> float:
        """One turn; seconds until the next one."""
        try:
            if not self.connector.ensure_connected():
                raise Unreachable("the terminal is not connected")
            self.state.sync()
            self._cover()
            take_late_away(self.desk)
            self.state.open_day(self.connector.account())
            self._carry_out_again(self.executor.settle(self._decide_again))
            self.bars += sum(self._symbol_turn(trader) for trader in self.traders.values())
            self.reporter.snapshot()
        except Unreachable as error:
            return self._wait_for_terminal(error)
        if (ended := self.connector.back()) is not None:
            self._tell_lost(ended)
            self.record.event("RECONNECTED", ended.told(self.clock.now()))
            self._told_lost = False
        return self._pause()

    def _symbol_turn(self, trader: SymbolTrader) -> int:
        """One symbol that cannot be read must not keep the others from trading."""
        try:
            decided = trader.turn()
        except Unreachable as error:
            info = None if self.connector.outage else self.terminal.functions.terminal_info()
            if info is None or not info.connected:
                raise  # it is not the symbol that is silent
            if trader.symbol not in self._silent:
                self._silent.add(trader.symbol)
                self.record.event("SYMBOL_SILENT", f"{trader.symbol}: {error}", severity="WARNING")
            return 0
        self._silent.discard(trader.symbol)
        return decided

    def _decide_again(self, order: Order) -> None:
        if (trader := self.traders.get(order.intent.symbol)) is not None:
            trader.decide_again(order)

    def _carry_out_again(self, absent: list[Order]) -> None:
        for order in absent:
            if (trader := self.traders.get(order.intent.symbol)) is not None:
                trader.carry_out_again(order)

    def _wait_for_terminal(self, error: Unreachable) -> float:
        """Once for each outage into record and log; seconds until the next attempt."""
        pause = self.connector.lost(error)
        if (outage := self.connector.outage) is not None:
            self._tell_lost(outage)
        return pause

    def _tell_lost(self, outage: Outage) -> None:
        if not self._told_lost:
            self._told_lost = True
            self.record.event(LOST, outage.reason, severity="ERROR")
            log.warning("terminal not reached", extra={"extra_data": {"reason": outage.reason}})

    def _pause(self) -> float:
        """Until the interval is over or the next bar is due, whichever comes first; sooner while an order's outcome is open."""
        if self.executor.has_open_questions() or self.state.quarantine_left():
            return SECONDS_BETWEEN_READS
        now = self.connector.server_now()
        opened = self.timeframe.floor(now)
        if now - opened < LATE_BAR_SECONDS and any((trader.forming or 0) < opened for trader in self.traders.values()):
            return 1.0  # a new bar is due, and its first tick may come at any moment
        # whole seconds alone would oversleep the open by the rest of this one, and every open after it
        due = self.timeframe.next_open(now) - now - self.clock.now().microsecond / 1e6
        return float(min(self.config.interval_seconds, max(due, 1)))

    def _halt(self, stop: KillSwitch) -> tuple[int, str]:
        """Whatever else fails: the trader leaves with the kill switch's exit code."""
        reason = str(stop)
        try:
            self._heartbeat.acknowledge()
            self._latch(reason)
            if left := stand_down(self.desk, positions=self._flattens()):
                reason += f"; still open: {', '.join(map(str, left))}"
        except (LiveError, MarketEnded) as error:
            log.error("the stop could not be completed", extra={"extra_data": {"reason": str(error)}})
        return KillSwitch.exit_code, f"{reason}; {LIFTED_BY}"

    def _end(self, code: int, reason: str) -> None:
        """The last rows of a run. A record that cannot be written any more must not hide why the run ended."""
        self.end_code, self.end_reason = code, reason
        severity = "INFO" if code == 0 else "CRITICAL" if code == 1 else "WARNING"
        try:
            self.record.event("SHUTDOWN", reason, severity=severity, details={"exit_code": code})
            self.record.end_run(exit_code=code, reason=reason, summary={"bars": self.bars})
            self.state.sync()
            self.final_account, self.final_positions = self.connector.account(), self.state.positions
            self.reporter.snapshot(force=True)
            self.reporter.publish(lambda: reason, force=True)
        except Exception as error:  # noqa: BLE001 - a terminal or a record that fails again here must not hide what has failed before
            log.error("the end of the run could not be recorded", extra={"extra_data": {"reason": str(error)}})

    # what a run is

    def _look_back(self) -> int:
        """A terminal that fills as a backtest does fills at the close before, which may be the Friday's."""
        backdated = hasattr(self.terminal.functions, "foresee") and self.strategy.backtest["trade_on_close"]
        return WINDOW + (LONG_WEEKEND + 2 * self.timeframe.seconds if backdated else 0)

    def why_not(self) -> str:
        """Why no entries are sent at the moment; "" when they are."""
        if (outage := self.connector.outage) is not None:
            return f"the terminal is not reached since {outage.since:%H:%M:%S} UTC: {outage.reason}"
        if failures := [trader.failure for trader in self.traders.values() if trader.failure]:
            return "; ".join(failures)
        symbol = self.config.symbols[0]
        try:
            denial = self.state.can_trade(symbol, self.connector.quote(symbol))
        except Unreachable as error:
            return str(error)
        return "" if denial is None else str(denial)

    def _facts(self, account: AccountState) -> dict[str, Any]:
        return {
            "slot": str(self.slot),
            "mode": self.mode,
            "terminal": self.terminal.name,
            "login": account.login,
            "server": account.server,
            "strategy_id": self.strategy_id,
            "strategy_file": str(self.strategy.path),
            "strategy_class": self.strategy.cls.__name__,
            "strategy_sha256": self.strategy.sha256,
            "params": to_json(self.params),
            "params_file": self._params_file and str(self._params_file.path),
            "params_sha256": self._params_file and self._params_file.sha256,
            "settings": to_json(self.config.public()),
            "versions": to_json(versions()),
            "initial_balance": account.balance,
        }

    # interruptions

    def _interrupted(self) -> bool:
        self._heartbeat.beat()
        self.reporter.beat()  # a trader that waits for its next bar is not a dead one
        return self._switch.is_asked()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._signalled is not None:
            raise KeyboardInterrupt  # the strategy does not return, or a call hangs
        self._signalled = number
        name = signal.Signals(number).name
        self._switch.interrupt(Interrupted(f"stopped by {name}", CTRL_C if number == signal.SIGINT else 0))


if __name__ == "__main__":
    from Live.__main__ import trade

    trade()
