"""The broker's day: when it began, and the equity that it began with."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from Live.alert_kinds import Day, daily_summary
from Live.audit_logger import AuditLogger
from Live.model import AccountState, Slot
from Live.mt5_connector import MT5Connector

DAY = 86_400


class BrokersDay:
    """Its opening equity is what was last seen on the day before, if anything; it is on record, so a restart changes nothing."""

    def __init__(self, connector: MT5Connector, record: AuditLogger, slot: Slot) -> None:
        self._connector, self._record, self._slot = connector, record, slot
        self._opened: tuple[str, float, int] | None = None  # date, equity, and when that was seen (server seconds)

    def open(self, account: AccountState) -> None:
        """Note the day and, on a new one, the equity that it opens with."""
        date = self._today()
        if self._opened is None:
            saved = self._record.state(f"day {self._slot}")
            self._opened = (saved["date"], saved["opening_equity"], saved.get("seen", self._connector.server_now())) if saved else None
        if self._opened is None or self._opened[0] != date:
            start = self.start()
            before = self._record.last_equity(self._slot, start - timedelta(days=1), start)
            now = self._connector.server_now()
            over = self._opened
            self._opened = (date, account.equity, now) if before is None else (date, before[0], self._connector.server_epoch(before[1]))
            with self._record.transaction(durable=False):
                if over is not None:
                    self._sum_up(over, account)
                told = {"date": date, "opening_equity": self._opened[1], "seen": self._opened[2]}
                self._record.set_state(**{f"day {self._slot}": told})

    def facts(self) -> dict[str, Any]:
        """What readers of the record are told of it, once there is one."""
        return {"day": {"date": self._opened[0], "opening_equity": self._opened[1]}} if self._opened else {}

    def opening_equity(self, account: AccountState) -> float:
        """What the day's loss is reckoned from."""
        return self._opened[1] if self._opened else account.equity

    def money_moved(self) -> float:
        """Deposits less withdrawals since that equity was seen: they are neither won nor lost."""
        return 0.0 if self._opened is None else self._connector.money_moved(self._opened[2])

    def start(self) -> datetime:
        """Midnight on the server's clock."""
        now = self._connector.server_now()
        return self._connector.utc(now - now % DAY)

    def _sum_up(self, over: tuple[str, float, int], account: AccountState) -> None:
        """What the day came to that is over; the equity at its end is that which the new one opens with."""
        (date, opening, _), equity = over, self.opening_equity(account)
        midnight = int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp())
        start, end = self._connector.utc(midnight), self._connector.utc(midnight + DAY)
        trades, profit, held = self._record.day_results(self._slot, start, end)
        day = Day(date, trades, profit, opening, equity, held)
        self._record.event("DAILY_SUMMARY", daily_summary(day, account.currency), details={"slot": str(self._slot), **asdict(day)})

    def _today(self) -> str:
        return datetime.fromtimestamp(self._connector.server_now(), UTC).date().isoformat()
