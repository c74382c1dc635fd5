"""What the symbols of one run share."""

from dataclasses import dataclass

from Backtest.bars import Timeframe
from Live.audit_logger import AuditLogger
from Live.backtesting_bridge import BacktestingBridge
from Live.config import LiveConfig
from Live.model import Slot
from Live.mt5_connector import MT5Connector
from Live.order_executor import OrderExecutor
from Live.state_manager import StateManager


@dataclass(frozen=True, slots=True)
class Desk:
    """One strategy on one account."""

    config: LiveConfig
    connector: MT5Connector
    record: AuditLogger
    state: StateManager
    executor: OrderExecutor
    bridge: BacktestingBridge
    slot: Slot
    timeframe: Timeframe

    @property
    def max_signal_age(self) -> float:
        """Seconds after which a decision is not acted upon any more; one timeframe where nothing is set."""
        given = self.config.max_signal_age_seconds
        return float(self.timeframe.seconds) if given is None else given
