"""The record as readers see it: SQLite itself refuses their writes, and a question that takes too long is cut off."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from Live.audit_logger.writer import SCHEMA_VERSION
from Live.clock import Clock, SystemClock
from Live.errors import LiveError

Row = dict[str, object]

DEADLINE = timedelta(seconds=1)  # of one statement: a reader that stays long keeps the write-ahead log from being folded in
STEPS_BETWEEN_LOOKS = 20_000  # instructions of SQLite's machine between two looks at the clock, about a millisecond
BUSY_SECONDS = 0.5
LONGEST_TEXT = 65_536  # bytes of one value; the record is ours, what brokers and strategies wrote into it is not
PAGE = 50  # rows
LOOK_BACK = 5_000  # rows among which the newest of one strategy on one account are looked for
CURVE_POINTS = 600
MOST_SYMBOLS = 50

# One writer at a time: ids and runs rise together, so the rows of one run lie side by side.
_RUN_TABLES = ("signals", "orders", "trades", "events", "account_snapshots")
NEXT_ID = {table: f"SELECT coalesce(max(id), 0) + 1 AS id FROM {table}" for table in _RUN_TABLES}  # noqa: S608 - our own names
RUN_FROM = {table: f"SELECT id, run_id FROM {table} WHERE id >= ? ORDER BY id LIMIT 1" for table in _RUN_TABLES}  # noqa: S608

LATEST_RUN = "SELECT * FROM runs ORDER BY run_id DESC LIMIT 1"
# The runs just before this one that traded the same strategy on the same account: one curve goes through them all.
# Their times say nothing: a replay goes on at its last recorded step, which may lie before the end of the run before.
FIRST_RUN_OF_CURVE = """
SELECT coalesce(max(before.run_id), 0) + 1 AS run_id
FROM runs AS this JOIN runs AS before ON before.run_id < this.run_id
WHERE this.run_id = :run
  AND (before.slot, before.mode) <> (this.slot, this.mode)
"""
STATE = "SELECT key, value FROM state"
POSITIONS = """
SELECT ticket, updated_at, strategy_id, symbol, side, volume, entry_price, entry_time, sl, tp, price_current, profit, swap,
       profit_at_stop
FROM positions WHERE slot = :slot ORDER BY entry_time DESC, ticket DESC LIMIT 500
"""
RECENT_ORDERS = """
SELECT id, timestamp, updated_at, client_order_id, run_id, strategy_id, magic, symbol, timeframe, bar_time, kind, side, order_type,
       size, volume, price, sl, tp, position_ticket, tag, status, attempts, retcode, retcode_message, message,
       mt5_order_id, mt5_deal_id, executed_price, executed_volume
FROM orders NOT INDEXED WHERE id > (SELECT max(id) FROM orders) - :look_back AND slot = :slot ORDER BY id DESC LIMIT :page
"""
RECENT_SIGNALS = """
SELECT s.id, s.timestamp, s.run_id, s.strategy_id, s.symbol, s.timeframe, s.bar_time, s.signal, s.confidence, s.price, s.size,
       s.stop_loss, s.take_profit, s.tag, s.client_order_id, o.id AS order_id, o.status AS order_status,
       coalesce(s.reason, o.message) AS reason
FROM signals AS s LEFT JOIN orders AS o ON o.client_order_id = s.client_order_id
WHERE s.id > (SELECT max(id) FROM signals) - :look_back AND (:hold OR s.signal <> 'HOLD')
  AND s.run_id IN (SELECT run_id FROM runs WHERE slot = :slot)
ORDER BY s.id DESC LIMIT :page
"""
RECENT_TRADES = """
SELECT id, timestamp, run_id, strategy_id, symbol, side, entry_time, exit_time, entry_price, exit_price, volume, size,
       profit, commission, swap, net_profit, duration_seconds, exit_reason, position_ticket, tag
FROM trades NOT INDEXED WHERE id > (SELECT max(id) FROM trades) - :look_back AND slot = :slot ORDER BY id DESC LIMIT :page
"""
DAY_TOTALS = """
SELECT count(*) AS trades, coalesce(sum(net_profit), 0.0) AS profit
FROM trades INDEXED BY trades_by_time
WHERE timestamp >= :day AND timestamp < date(:day, '+1 day') AND slot = :slot
"""
RUN_TOTALS = "SELECT * FROM run_totals WHERE run_id = :run"
PARTLY_CLOSED = """
SELECT count(*) AS positions FROM positions AS p
WHERE EXISTS (SELECT 1 FROM trades AS t WHERE t.slot = p.slot AND t.position_ticket = p.ticket AND t.run_id = :run)
"""
LAST_BAR = """
SELECT symbol, timeframe, bar_time, bar_epoch, decided_at FROM bars
WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe ORDER BY bar_epoch DESC LIMIT 1
"""
# What a lot of each symbol was by the newest run that warmed a strategy up on it.
CONTRACTS = """
SELECT symbol, json_extract(spec, '$.contract_size') AS units, json_extract(spec, '$.profit_currency') AS currency, max(id)
FROM warm_ups WHERE slot = :slot GROUP BY symbol LIMIT 500
"""
WAITING = """
SELECT count(*) AS orders FROM orders INDEXED BY orders_by_status
WHERE status IN ('PLACED', 'PARTIALLY_FILLED') AND kind = 'PENDING' AND slot = :slot
"""
UNSETTLED = "SELECT count(*) AS orders FROM orders WHERE status IN ('UNKNOWN', 'UNRESOLVED')"
LAST_SNAPSHOT = """
SELECT timestamp, balance, equity, margin, free_margin, profit, open_positions
FROM account_snapshots WHERE id >= :first AND id < :end ORDER BY id DESC LIMIT 1
"""
# So many ids at even distances, the first and the last among them, and the row at each or the next one after it.
CURVE = """
WITH RECURSIVE pick (n, id) AS (
    SELECT 0, :first
    UNION ALL SELECT n + 1, :first + (n + 1) * (:last - :first) / (:points - 1) FROM pick WHERE n + 1 < :points
)
SELECT DISTINCT s.id, s.timestamp, s.equity, s.balance
FROM pick CROSS JOIN account_snapshots AS s
  ON s.id = (SELECT id FROM account_snapshots WHERE id >= pick.id ORDER BY id LIMIT 1)
ORDER BY s.id
"""

# What SQLite calls it (the beginning of sqlite_errorname), what people should read. `{path}` and `{error}` are filled in.
_SENTENCES = {
    "SQLITE_BUSY": "The record {path} is locked by another program; it is read again as soon as it is free.",
    "SQLITE_LOCKED": "The record {path} is locked by another program; it is read again as soon as it is free.",
    "SQLITE_INTERRUPT": "The record {path} took too long to answer, so the question was cut off.",
    "SQLITE_NOTADB": "The file {path} is not a record of this program (AUDIT_DB_PATH): it is no SQLite database.",
    "SQLITE_CORRUPT": "The record {path} is damaged ({error}); keep the file, and put a copy from a backup in its place.",
    "SQLITE_CANTOPEN": "The record {path} cannot be opened: check that this user may read the file and write to its folder.",
}


class RecordUnavailable(LiveError):
    """The record cannot be read now: missing, empty, locked, damaged, of another version. One sentence for people."""


@dataclass(frozen=True, slots=True)
class Run:
    """One start of the trader: who, what, in which mode. Times are the session's clock, virtual in a replay."""

    run_id: int
    slot: str  # login@server/strategy_id/magic
    started_at: str
    ended_at: str | None
    mode: str  # DRY, DEMO, REAL
    terminal: str
    login: int
    server: str
    strategy_id: str
    strategy_class: str
    settings: Mapping[str, object]
    initial_balance: float
    exit_code: int | None
    end_reason: str | None


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What one run has done so far. Money in account currency; `profit` is net of commission and swap, closed trades only."""

    bars: int
    signals: int  # decisions other than HOLD
    orders_sent: int
    orders_filled: int
    orders_refused: int  # by the broker
    orders_denied: int  # by our own rules; nothing was sent
    positions_opened: int
    positions_closed: int
    trades: int
    winning_trades: int
    losing_trades: int
    profit: float


class AuditReader:
    """Opens the record at `path` for one sitting: all answers come from the same moment, so they fit together.

    A context manager. Every method raises RecordUnavailable, in one sentence for people, when the record cannot be read.
    """

    patience = DEADLINE  # with one statement

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._deadline = self._clock.now() + self.patience
        self._db = self._open()
        try:
            self._check_version()
            self._rows("BEGIN")
        except RecordUnavailable:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # what is true now

    def latest_run(self) -> Run | None:
        """The newest start of the trader; None when it was never started."""
        return _run(self._rows(LATEST_RUN))

    def state(self) -> dict[str, object]:
        """What the trader last said of itself, by key; see `state` in schema.sql."""
        return {str(row["key"]): _parsed(row["value"]) for row in self._rows(STATE)}

    def positions(self, run: Run) -> list[Row]:
        """What this run's strategy holds now, newest first."""
        return self._rows(POSITIONS, {"slot": run.slot})

    def unsettled_orders(self) -> int:
        """Orders of which nobody knows yet what became of them."""
        return _whole(self._one(UNSETTLED)["orders"])

    # what happened last to this run's strategy on its account, newest first, among the last 5,000 rows of all

    def recent_orders(self, run: Run, page: int = PAGE) -> list[Row]:
        """The newest orders."""
        return self._rows(RECENT_ORDERS, {"slot": run.slot, "page": page, "look_back": LOOK_BACK})

    def recent_signals(self, run: Run, page: int = PAGE, *, hold: bool = True) -> list[Row]:
        """The newest decisions, each with what became of it; without `hold` only those that wanted to do something."""
        return self._rows(RECENT_SIGNALS, {"slot": run.slot, "page": page, "hold": hold, "look_back": LOOK_BACK})

    def recent_trades(self, run: Run, page: int = PAGE) -> list[Row]:
        """The newest closed trades."""
        return self._rows(RECENT_TRADES, {"slot": run.slot, "page": page, "look_back": LOOK_BACK})

    # sums

    def day_totals(self, run: Run, day: str) -> tuple[int, float]:
        """How many trades this run's strategy closed on `day` (2017-04-19), in this run or an earlier one, and their net profit."""
        row = self._one(DAY_TOTALS, {"day": day, "slot": run.slot})
        return _whole(row["trades"]), _real(row["profit"])

    def run_counts(self, run_id: int) -> RunCounts:
        """The session's summary, from the rows themselves: right for a run that goes on, has ended, or was killed."""
        totals: Row = next(iter(self._rows(RUN_TOTALS, {"run": run_id})), {})
        counted = {name: _whole(totals.get(name)) for name in RunCounts.__slots__ if name not in ("profit", "positions_closed")}
        # a position that was closed in part is not closed yet
        open_still = _whole(self._one(PARTLY_CLOSED, {"run": run_id})["positions"])
        closed = _whole(totals.get("positions_traded")) - open_still
        return RunCounts(**counted, positions_closed=closed, profit=_real(totals.get("profit")))

    def last_bars(self, run: Run) -> list[Row]:
        """Of each of the run's symbols the newest bar that was decided."""
        symbols, steps = run.settings.get("SYMBOLS"), run.settings.get("TIMEFRAME")
        named = symbols[:MOST_SYMBOLS] if isinstance(symbols, list) else []
        wanted = [{"slot": run.slot, "symbol": str(symbol), "timeframe": str(steps)} for symbol in named]
        return [row for values in wanted for row in self._rows(LAST_BAR, values)]

    def contracts(self, run: Run) -> dict[str, tuple[float, str]]:
        """Units in one lot and the currency of the price, of each symbol that this run's strategy was warmed up on."""
        rows = self._rows(CONTRACTS, {"slot": run.slot})
        return {str(row["symbol"]): (_real(row["units"]), str(row["currency"])) for row in rows if row["units"] is not None}

    def waiting_orders(self, run: Run) -> int:
        """Entries of this run's strategy that wait at the server for their price."""
        return _whole(self._one(WAITING, {"slot": run.slot})["orders"])

    def started_with(self, run_id: int) -> dict[str, object]:
        """Versions of what a run was made of, and the parameters of its strategy."""
        row = self._one("SELECT versions, params FROM runs WHERE run_id = ?", (run_id,))
        return {name: _parsed(value) for name, value in row.items()}

    def made_of(self, run_id: int) -> dict[str, object]:
        """The strategy's file and that of its parameters, with their hashes."""
        names = {"file": "strategy_file", "sha256": "strategy_sha256", "params_file": "params_file", "params_sha256": "params_sha256"}
        row = self._one(f"SELECT {', '.join(names.values())} FROM runs WHERE run_id = ?", (run_id,))  # noqa: S608 - our own names
        return {name: row[column] for name, column in names.items()}

    def last_snapshot(self, run_id: int) -> Row | None:
        """The account as this run last saw it; None before its first snapshot."""
        return next(iter(self._rows(LAST_SNAPSHOT, self._span("account_snapshots", run_id))), None)

    def equity_curve(self, run_id: int, points: int = CURVE_POINTS) -> list[Row]:
        """Equity and balance over time, at most `points` rows at even distances, the first and the last among them.

        It begins with the first of the runs that traded the same strategy on the same account without another in between.
        """
        first_run = _whole(self._one(FIRST_RUN_OF_CURVE, {"run": run_id})["run_id"])
        first, end = self._first_id("account_snapshots", first_run), self._first_id("account_snapshots", run_id + 1)
        return self._rows(CURVE, {"first": first, "last": end - 1, "points": points}) if first < end else []

    # the shell around SQLite

    def _span(self, table: str, run_id: int) -> dict[str, int]:
        return {"first": self._first_id(table, run_id), "end": self._first_id(table, run_id + 1)}

    def _first_id(self, table: str, run_id: int) -> int:
        """The first id that belongs to this run or a later one, found by halving: no index names the run."""
        low, high = 1, _whole(self._one(NEXT_ID[table])["id"])
        while low < high:
            middle = (low + high) // 2
            row = self._one(RUN_FROM[table], (middle,))
            if _whole(row["run_id"]) >= run_id:
                high = middle
            else:
                low = _whole(row["id"]) + 1
        return low

    def _open(self) -> sqlite3.Connection:
        try:
            if self._path.is_dir():
                raise RecordUnavailable(f"The record {self._path} is a folder: choose a file (AUDIT_DB_PATH).")
            if self._path.stat().st_size == 0:
                raise RecordUnavailable(f"The record {self._path} is empty: the trader has not written to it yet.")
            db = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=BUSY_SECONDS)
        except FileNotFoundError as error:
            raise RecordUnavailable(f"There is no record at {self._path} yet: start the trader, and it appears here.") from error
        except OSError as error:
            raise RecordUnavailable(f"The record {self._path} cannot be read: {error.strerror}.") from error
        except sqlite3.Error as error:
            raise RecordUnavailable(_sentence(self._path, error)) from error
        db.row_factory = sqlite3.Row
        db.text_factory = _text
        db.set_progress_handler(self._is_late, STEPS_BETWEEN_LOOKS)
        return db

    def _check_version(self) -> None:
        self._rows("PRAGMA query_only = ON")
        self._rows("PRAGMA trusted_schema = OFF")  # a stranger's file must not run functions from its views and triggers
        version = _whole(self._one("PRAGMA user_version")["user_version"])
        if version == SCHEMA_VERSION:
            return
        if self._one("SELECT count(*) AS tables FROM sqlite_schema")["tables"] == 0:
            raise RecordUnavailable(f"The record {self._path} is empty: the trader has not written to it yet.")
        raise RecordUnavailable(
            f"The record {self._path} has version {version}, this program reads version {SCHEMA_VERSION}: "
            "start the program that wrote it, or choose another file (AUDIT_DB_PATH)."
        )

    def _is_late(self) -> bool:
        return self._clock.now() > self._deadline

    def _one(self, sql: str, values: Mapping[str, object] | tuple[object, ...] = ()) -> Row:
        return self._rows(sql, values)[0]

    def _rows(self, sql: str, values: Mapping[str, object] | tuple[object, ...] = ()) -> list[Row]:
        self._deadline = self._clock.now() + self.patience
        try:
            return [dict(row) for row in self._db.execute(sql, values)]
        except sqlite3.Error as error:
            raise RecordUnavailable(_sentence(self._path, error)) from error


def _sentence(path: Path, error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    known = next((text for begin, text in _SENTENCES.items() if name.startswith(begin)), "The record {path} cannot be read: {error}.")
    return known.format(path=path, error=error)


def _text(raw: bytes) -> str:
    return raw[:LONGEST_TEXT].decode("utf-8", errors="replace")


def _parsed(text: object) -> object:
    """The value of a JSON text; None when it is none, or was too long."""
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError):
        return None


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _real(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _run(rows: list[Row]) -> Run | None:
    if not rows:
        return None
    row = rows[0]
    settings = _parsed(row["settings"])
    values = {name: row[name] for name in Run.__slots__ if name != "settings"}
    return Run(**values, settings=settings if isinstance(settings, dict) else {})  # type: ignore[arg-type]  # STRICT tables keep the types
