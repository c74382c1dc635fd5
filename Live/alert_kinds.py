"""What people are told of (pure): the seven types and four levels of alerts, what becomes one, and who wants it."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OFF = "OFF"


class Type(enum.Enum):
    """What an alert is about."""

    SIGNAL = "signal"  # a strategy decided something
    ORDER = "order"
    POSITION = "position"
    RISK = "risk"  # a limit, the emergency stop, something that keeps us from trading
    SYSTEM = "system"  # the trader itself and its terminal
    ERROR = "error"
    PERFORMANCE = "performance"


class Level(enum.IntEnum):
    """How much it matters."""

    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that people are told. `kind` says which: the type of the event, or what became of an order."""

    type: Type
    level: Level
    kind: str
    text: str
    symbol: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fold(self) -> str:
        """Alerts with the same one say the same thing again.

        Orders, positions, signals and results each have a word of their own, also where they read alike but for a number.
        """
        again = self.type in (Type.RISK, Type.SYSTEM, Type.ERROR)
        return f"{self.kind}|{self.symbol}|{re.sub('[0-9]+', '#', self.text) if again else self.text}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one alert on one channel."""

    alert_id: int
    queued_at: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """What one channel wants: the least level of each type; a type that is not in it is not wanted."""

    least: Mapping[Type, Level]

    @classmethod
    def of(cls, text: str) -> "Route":
        """`WARNING order=INFO signal=off`: a level, then the types that differ. Raises ValueError for anything else.

        >>> Route.of("ERROR order=INFO signal=off").wants(Alert(Type.ORDER, Level.INFO, "FILLED", "BUY 1 EURUSD filled"))
        True
        """
        first, *rest = text.split() or [""]
        least = dict.fromkeys(Type, _level(first))
        for word in rest:
            name, equals, level = word.partition("=")
            if not equals:
                raise ValueError(f"want TYPE=LEVEL, have {word}")
            least.pop(Type(name.lower()), None)
            if level.upper() != OFF:
                least[Type(name.lower())] = _level(level)
        return cls(least)

    def wants(self, alert: Alert) -> bool:
        """Whether the channel is told of it."""
        return alert.type in self.least and alert.level >= self.least[alert.type]


def _level(name: str) -> Level:
    try:
        return Level[name.upper()]
    except KeyError:
        raise ValueError(f"want INFO, WARNING, ERROR or CRITICAL, have {name}") from None


# Each type of event that the program puts down, and which alert it becomes. Its level is the event's severity.
EVENTS: Mapping[str, Type] = {
    "STARTUP": Type.SYSTEM,
    "SHUTDOWN": Type.SYSTEM,
    "DISCONNECTED": Type.SYSTEM,
    "RECONNECTED": Type.SYSTEM,
    "SYMBOL_SILENT": Type.SYSTEM,
    "STRATEGY_CHANGED": Type.SYSTEM,
    "READ_BACK": Type.SYSTEM,
    "BARS_REFUSED": Type.ERROR,
    "BARS_MISSING": Type.SYSTEM,
    "INDICATORS_ON_ALL_BARS": Type.SYSTEM,
    "SKIPPED_CALENDAR": Type.SYSTEM,
    "BAR_LATE": Type.SYSTEM,
    "DATA_REVISED": Type.SYSTEM,
    "STRATEGY_FAILED": Type.ERROR,
    "KILL_SWITCH": Type.RISK,
    "NOT_FLATTENED": Type.RISK,
    "STRANGER": Type.RISK,
    "TRADING_OFF": Type.RISK,
    "TRADING_ON": Type.RISK,
    "PAUSED": Type.RISK,
    "UNPAUSED": Type.RISK,
    "HOLD": Type.RISK,
    "HOLD_OVER": Type.RISK,
    "HOLD_RELEASED": Type.RISK,
    "RESUMED": Type.RISK,
    "ROLLBACK_DETECTED": Type.RISK,
    "SIZE_CUT": Type.RISK,
    "STOPS_MOVED": Type.RISK,
    "SLIPPAGE": Type.ORDER,
    "NAKED_POSITION": Type.RISK,
    "LEVELS_BY_HAND": Type.POSITION,
    "ORDER_UNKNOWN": Type.ORDER,
    "ADOPTED": Type.ORDER,
    "UNRESOLVED": Type.ORDER,
    "MISSED_BY_SAFETY": Type.ORDER,
    "LATE_FILL": Type.ORDER,
    "MISSED_SIGNAL": Type.SIGNAL,
    "WARMING_UP": Type.SIGNAL,
    "DAILY_SUMMARY": Type.PERFORMANCE,
    "TRADER_DIED": Type.SYSTEM,
    "TRADER_KILLED": Type.SYSTEM,
    "CRASH_LOOP": Type.SYSTEM,
    "FURTHER_COLUMNS": Type.SYSTEM,
    "GOLIVE_CONFIRMED": Type.SYSTEM,
    "CONTRACT_BROKEN": Type.RISK,
    "RELEASED": Type.RISK,
    "RESTORED_ADOPTED": Type.RISK,
    "POSITION_ADOPTED": Type.POSITION,
    "LATE_ORDER": Type.ORDER,
    "RESOLVED": Type.ORDER,
}


def of_event(event_type: str, severity: str, message: str, details: Mapping[str, Any]) -> Alert:
    """What an event on record is told as. One that is not in the table is an error from its severity on, else the system's."""
    level = Level[severity]
    other = Type.ERROR if level >= Level.ERROR else Type.SYSTEM
    symbol = details.get("symbol")
    return Alert(EVENTS.get(event_type, other), level, event_type, message, symbol if isinstance(symbol, str) else "")


# What became of an order, as far as no event tells it: status: level, type, and the words between what and why.
_ORDERS: Mapping[str, tuple[Level, Type, str]] = {
    "SUBMITTED": (Level.INFO, Type.ORDER, "sent"),
    "PLACED": (Level.INFO, Type.ORDER, "waits at the broker"),
    "PARTIALLY_FILLED": (Level.WARNING, Type.ORDER, "filled in part"),
    "FILLED": (Level.INFO, Type.ORDER, "done"),
    "CANCELLED": (Level.INFO, Type.ORDER, "cancelled"),
    "EXPIRED": (Level.WARNING, Type.ORDER, "not sent, too old"),
    "DENIED": (Level.WARNING, Type.RISK, "not sent"),
    "FAILED": (Level.ERROR, Type.ORDER, "refused by the broker"),
}


def of_order(row: Mapping[str, Any]) -> Alert | None:
    """What a step of an order's life is told as; `row` is the order's, after it. None for steps that events tell."""
    status = row["status"]
    if status not in _ORDERS or (status == "PLACED" and row["kind"] != "PENDING"):  # what is filled at once is not told to wait
        return None
    level, type_, words = _ORDERS[status]
    why = "" if status in ("SUBMITTED", "PLACED", "FILLED") else row["message"] or row["retcode_message"] or ""
    if status == "SUBMITTED" and row["attempts"] > 1:
        words = f"sent again (attempt {row['attempts']})"
    return order_alert(row, words, level, type_, why=why)


def order_alert(row: Mapping[str, Any], words: str, level: Level = Level.INFO, type_: Type = Type.ORDER, *, why: str = "") -> Alert:
    """An order and what became of it; `row` is its row of `orders`."""
    lots = row["executed_volume"] or row["volume"]
    price = row["executed_price"] or row["limit_price"] or row["stop_price"] or row["price"]
    what = " ".join(filter(None, (row["kind"], row["side"], f"{lots:g}" if lots else "", row["symbol"])))
    at = f" at {price:.10g}" if price else ""
    levels = "".join(f", {name.upper()} {row[name]:.10g}" for name in ("sl", "tp") if row[name])
    text = f"{what}{at}{levels}: {words}" + (f": {why}" if why else "")
    facts = {"client_order_id": row["client_order_id"], "status": row["status"], "ticket": row["mt5_order_id"]}
    return Alert(type_, level, f"ORDER_{row['status']}", text, row["symbol"], facts)


def signal_alert(row: Mapping[str, Any]) -> Alert | None:
    """A decision; `row` is its row of `signals`. None for HOLD."""
    if row["signal"] == "HOLD":
        return None
    levels = "".join(f", {short} {row[name]:.10g}" for short, name in (("SL", "stop_loss"), ("TP", "take_profit")) if row.get(name))
    why = f" (no order: {row['reason']})" if row.get("reason") else ""
    text = f"{row['strategy_id']}: {row['signal']} {row['symbol']} {row['timeframe']} at {row['price']:.10g}{levels}{why}"
    return Alert(Type.SIGNAL, Level.INFO, "SIGNAL", text, row["symbol"], {"bar_time": row["bar_time"]})


def position_opened(row: Mapping[str, Any]) -> Alert | None:
    """A deal that opens a position, or adds to it; `row` is its row of `fills`. None for one that closes."""
    if row["entry"] != "IN":
        return None
    text = f"opened: {row['side']} {row['volume']:g} {row['symbol']} at {row['price']:.10g}"
    return position_alert("POSITION_OPENED", row["symbol"], text, {"ticket": row["position_id"], "deal": row["deal_ticket"]})


def position_closed(row: Mapping[str, Any]) -> Alert:
    """A closed trade; `row` is its row of `trades`."""
    what = f"closed ({row['exit_reason']}): {row['side']} {row['volume']:g} {row['symbol']}"
    text = (
        f"{what} {row['entry_price']:.10g} → {row['exit_price']:.10g}, {row['net_profit']:+,.2f} after {_lasted(row['duration_seconds'])}"
    )
    return position_alert("POSITION_CLOSED", row["symbol"], text, {"ticket": row["position_ticket"], "deal": row["exit_deal"]})


def position_alert(kind: str, symbol: str, text: str, facts: Mapping[str, Any]) -> Alert:
    """What happened to a position."""
    return Alert(Type.POSITION, Level.INFO, kind, text, symbol, facts)


def risk_alert(kind: str, text: str, level: Level = Level.WARNING) -> Alert:
    """A limit, or something else that keeps us from trading."""
    return Alert(Type.RISK, level, kind, text)


def error_alert(kind: str, text: str, level: Level = Level.ERROR) -> Alert:
    """Something that is wrong."""
    return Alert(Type.ERROR, level, kind, text)


def system_alert(kind: str, text: str, level: Level = Level.INFO) -> Alert:
    """The trader itself, or its terminal."""
    return Alert(Type.SYSTEM, level, kind, text)


@dataclass(frozen=True, slots=True)
class Day:
    """What one day of the broker came to. Money in account currency."""

    date: str
    trades: int
    profit: float  # net, of what was closed
    opening_equity: float
    equity: float
    open_positions: int


def daily_summary(day: Day, currency: str) -> str:
    """The day in one sentence.

    >>> daily_summary(Day("2017-04-19", 3, 12.5, 10_000.0, 10_020.0, 1), "USD")
    '2017-04-19: 3 trades closed, +12.50 USD; equity 10,020.00 USD, +20.00 (+0.20 %) on the day; open positions: 1'
    """
    made = day.equity - day.opening_equity
    share = 100 * made / day.opening_equity if day.opening_equity else 0.0
    closed = f"{day.trades} trade{'' if day.trades == 1 else 's'} closed, {day.profit:+,.2f} {currency}"
    equity = f"equity {day.equity:,.2f} {currency}, {made:+,.2f} ({share:+.2f} %) on the day"
    return f"{day.date}: {closed}; {equity}; open positions: {day.open_positions}"


def performance_alert(kind: str, text: str) -> Alert:
    """A result."""
    return Alert(Type.PERFORMANCE, Level.INFO, kind, text)


def _lasted(seconds: float) -> str:
    minutes = round(seconds / 60)
    days, rest = divmod(minutes, 1440)
    parts = [(days, "d"), (rest // 60, "h"), (rest % 60, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "less than a minute"
