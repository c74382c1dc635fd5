"""What the symbols of one run share."""

from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from Backtest.bars import Timeframe
from Backtest.sizing import Foreseen
from Live.audit_logger import AuditLogger
from Live.backtesting_bridge import BacktestingBridge
from Live.config import LiveConfig
from Live.heartbeat import Heartbeat
from Live.kill_switch import StopSwitch
from Live.model import Slot
from Live.mt5_connector import MT5Connector
from Live.order_executor import OrderExecutor
from Live.state_manager import StateManager


class Foresight(Protocol):
    """What a terminal can do that fills as a backtest does (`Backtest.parity_terminal`)."""

    def foresee(self, symbol: str) -> Foreseen:
        """What a backtest knows when it sizes an entry."""

    def size_at_fill(self, comment: str, size: float) -> None:
        """Let a waiting order take a fraction of what is free when it fills."""


class Replayed(Protocol):
    """What a terminal can do that replays a price file (`Backtest.simulated_terminal`)."""

    def further_columns(self, symbol: str, timeframe: Timeframe) -> pd.DataFrame | None:
        """What the file has beside the columns of a terminal."""


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
    switch: StopSwitch
    heartbeat: Heartbeat
    foresight: Foresight | None = None  # only of a terminal that fills as a backtest does
    replayed: Replayed | None = None  # only of a terminal that replays a price file

    @property
    def max_signal_age(self) -> float:
        """Seconds after which a decision is not acted upon any more; one timeframe where nothing is set."""
        given = self.config.max_signal_age_seconds
        return float(self.timeframe.seconds) if given is None else given
