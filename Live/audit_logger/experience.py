"""What the record can show for a strategy file: how long it traded, and what was tried out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from Live.audit_logger.reader import AuditReader, Row, Run

OF_THE_FILE = """
SELECT r.run_id, r.mode, r.started_at, r.ended_at, coalesce(n.bars, 0) AS bars, coalesce(n.trades, 0) AS trades,
       coalesce(n.orders_filled, 0) AS filled
FROM runs AS r LEFT JOIN run_totals AS n USING (run_id)
WHERE r.strategy_id = :strategy_id AND r.strategy_sha256 = :sha256 ORDER BY r.run_id DESC LIMIT 10000
"""
SHA256 = "SELECT strategy_sha256 FROM runs WHERE run_id = ?"
NEWEST_EVENT = "SELECT timestamp, message, details FROM events WHERE event_type = ? ORDER BY id DESC LIMIT 1"
EVENTS = "SELECT timestamp, message, details FROM events WHERE event_type = ? ORDER BY id DESC LIMIT 100"
SWITCHED = "SELECT event_type FROM events WHERE event_type IN ('TRADING_OFF', 'TRADING_ON') ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Traded:
    """What the runs of one mode came to. `time` is the session's clock, virtual in a replay."""

    bars: int = 0
    trades: int = 0
    filled: int = 0
    time: timedelta = timedelta()


class Experience(AuditReader):
    """A sitting with the record, about one strategy file. Raises RecordUnavailable, as every reader of it."""

    def traded(self, run: Run) -> Mapping[str, Traded]:
        """What the file of this run did under its name, by mode: DRY, DEMO, REAL. A file that was changed begins anew."""
        sha256 = self._one(SHA256, (run.run_id,))["strategy_sha256"]
        rows = self._rows(OF_THE_FILE, {"strategy_id": run.strategy_id, "sha256": sha256})
        return {mode: self._sum([row for row in rows if row["mode"] == mode]) for mode in ("DRY", "DEMO", "REAL")}

    def _sum(self, rows: Sequence[Row]) -> Traded:
        counts = {name: sum(int(str(row[name])) for row in rows) for name in ("bars", "trades", "filled")}
        return Traded(**counts, time=sum((self._length(row) for row in rows), timedelta()))

    def _length(self, row: Row) -> timedelta:
        """Of one run; of one that was killed, or goes on, until its last look at the account."""
        last = row["ended_at"]
        if last is None:
            snapshot = self.last_snapshot(int(str(row["run_id"])))
            last = row["started_at"] if snapshot is None else snapshot["timestamp"]
        return max(timedelta(), datetime.fromisoformat(str(last)) - datetime.fromisoformat(str(row["started_at"])))

    def newest_event(self, event_type: str) -> Row | None:
        """The last event of this type."""
        return next(iter(self._rows(NEWEST_EVENT, (event_type,))), None)

    def confirmed(self, event_type: str) -> dict[str, Row]:
        """What people have confirmed, each time the last word, by the name of the box."""
        found: dict[str, Row] = {}
        for row in self._rows(EVENTS, (event_type,)):
            details = json.loads(str(row["details"]))
            found.setdefault(str(details.get("box")), {**row, **details})
        return found

    def programs_may_trade(self) -> bool:
        """By the last that was heard of the switches of terminal, account and server."""
        last = next(iter(self._rows(SWITCHED)), None)
        return last is None or last["event_type"] == "TRADING_ON"
