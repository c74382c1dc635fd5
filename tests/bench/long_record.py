"""A record with a long journal, and the simulated account that it is of: made at once, as if it had been traded for years.

Each order has its bar, its signal, four steps, a deal and, where it closes something, a trade. The trader died while two more were
being sent: the exit of the position that was open has reached the broker, the entry behind it has not.
"""

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from backtesting import Strategy

from Backtest.bars import timeframe
from Backtest.simulated_terminal import ReplayMarket, SimulatedTerminal, TradeDeal, TradeOrder, parity_account, parity_symbol
from Live.audit_logger.chain import hash_of
from Live.audit_logger.opening import SCHEMA_VERSION, schema
from Live.audit_logger.rows import to_json
from Live.mt5_connector import OpenedTerminal
from tests.live_runs import LOGIN

STARTED_AGAIN = datetime(2020, 1, 6, tzinfo=UTC)
BAR_SECONDS = 300
BARS_BEFORE, BARS_AFTER = 5_000, 10  # that the terminal shows when it is started again, and that come after it
STEPS = (None, "PENDING", "SUBMITTED", "PLACED", "FILLED")
MAGIC, STRATEGY = 123456, "idle"
SLOT = f"{LOGIN}@Simulated-Demo/{STRATEGY}/{MAGIC}"
LOTS, UNITS = 0.1, 10_000.0
FIRST_DEAL = 2  # the first one is the deposit
REQUEST = {"action": 1, "symbol": "EURUSD", "volume": LOTS, "type": 0, "price": 1.25, "deviation": 20, "magic": MAGIC, "type_filling": 1}


class Idle(Strategy):
    """Decides nothing."""

    def init(self) -> None:
        """Nothing to draw."""

    def next(self) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class History:
    """So many orders, every second of them the exit of the one before; the last one is that exit on whose answer the trader died."""

    orders: int

    def epoch(self, bar: int) -> int:
        """When a bar opens, of two for each order: server seconds, which are UTC here."""
        return int(STARTED_AGAIN.timestamp()) - BAR_SECONDS * (2 * self.orders - bar)

    def at(self, bar: int) -> str:
        """The same as the record has it."""
        return datetime.fromtimestamp(self.epoch(bar), UTC).isoformat()

    def decided(self, number: int) -> int:
        """The bar on which an order was decided."""
        return min(2 * number, 2 * self.orders - 2) + 1

    def filled(self) -> range:
        """The orders that are over, for all the record knows."""
        return range(self.orders - 1)


def price_of(epoch: int) -> tuple[float, float, float, float]:
    """Open, high, low and close of a bar."""
    step = epoch // BAR_SECONDS % 40
    price = round(1.25 + 0.0001 * abs(step - 20), 5)
    return price, round(price + 0.0001, 5), round(price - 0.0001, 5), price


def opened_terminal(folder: Path) -> OpenedTerminal:
    """The terminal as it is when the trader is started again; its account is in the folder."""
    first = STARTED_AGAIN - timedelta(seconds=BARS_BEFORE * BAR_SECONDS)
    times = pd.date_range(first.replace(tzinfo=None), periods=BARS_BEFORE + BARS_AFTER, freq=f"{BAR_SECONDS}s")
    rows = [(*price_of(int(time.timestamp())), 100) for time in times]
    prices = pd.DataFrame(rows, index=times, columns=["Open", "High", "Low", "Close", "Volume"])
    market = ReplayMarket({"EURUSD": (parity_symbol("EURUSD", prices), prices)}, timeframe("M5"), start=STARTED_AGAIN)
    account = replace(parity_account(10_000.0, lambda _size, _price: 0.0), login=LOGIN)
    terminal = SimulatedTerminal(market, account, state_file=folder / "account.jsonl")
    return OpenedTerminal("simulated", terminal, terminal.clock)


def make_account(folder: Path, history: History) -> None:
    """The account's file, with all orders and deals that reached the broker."""
    opened_terminal(folder).functions.close()
    path = folder / "account.jsonl"
    heading, begun = path.read_text(encoding="ascii").splitlines()[:2]
    step = json.loads(begun)
    deposit = TradeDeal(step["deals"][0])
    first = history.epoch(0)
    step["deals"] = [
        [deposit.ticket, 0, first, first * 1000, *list(deposit)[4:]],
        *(_broker_deal(history, n) for n in range(history.orders)),
    ]
    step["orders"] = [_broker_order(history, number) for number in range(history.orders)]
    step["next"] = [history.orders + 1, history.orders + FIRST_DEAL, history.orders + 1]
    path.write_text(f"{heading}\n{json.dumps(step, separators=(',', ':'))}\n", encoding="ascii")


def make_record(path: Path, history: History) -> None:
    """The record, in one transaction; nobody reads it meanwhile, so it needs no log."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;")
        db.executescript(f"{schema()} PRAGMA user_version = {SCHEMA_VERSION};")
        db.execute("BEGIN")
        run = dict.fromkeys(("strategy_file", "strategy_class", "strategy_sha256"), "x") | dict.fromkeys(
            ("params", "settings", "versions"), "{}"
        )
        who = {"slot": SLOT, "mode": "DRY", "terminal": "simulated", "login": LOGIN, "server": "Simulated-Demo", "strategy_id": STRATEGY}
        _add(db, "runs", [{"run_id": 1, "started_at": history.at(0), "initial_balance": 10_000.0, **who, **run}])
        bars = range(2 * history.orders)
        _add(db, "bars", (_bar(history, number) for number in bars))
        _add(db, "signals", (_signal(history, number) for number in bars))
        _add(db, "account_snapshots", (_snapshot(history, number) for number in bars))
        _add(db, "orders", (_order(history, number) for number in range(history.orders + 1)))
        _add(db, "order_events", _events(history))
        _add(db, "fills", (_fill(history, number) for number in history.filled()))
        _add(db, "trades", (_trade(history, number) for number in history.filled() if number % 2))
        _add(db, "state", [{"key": f"acknowledged {SLOT}", "value": "[]", "updated_at": history.at(0)}])
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")


def _add(db: sqlite3.Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    first, *_ = head = list(itertools.islice(rows := iter(rows), 1))
    sql = f"INSERT INTO {table} ({', '.join(first)}) VALUES ({', '.join('?' * len(first))})"
    db.executemany(sql, (tuple(row.values()) for row in itertools.chain(head, rows)))


def order_id(number: int) -> str:
    """The client order id of an order."""
    return f"ORDER{number}"


def _key(number: int) -> str:
    return f"q{hashlib.sha256(order_id(number).encode()).hexdigest()[:12].upper()}"


def _side(number: int) -> str:
    return "SELL" if number % 2 else "BUY"


def _ticket(number: int) -> int:
    return number + 1


def _position(number: int) -> int:
    return _ticket(number - number % 2)


def _bar(history: History, number: int) -> dict[str, Any]:
    epoch, at = history.epoch(number), history.at(number)
    opened, high, low, close = price_of(epoch)
    held = [[_position(number // 2 - 1), UNITS, close, at[:19], None, None, None]] if number // 2 % 2 else []
    shown = {"cash": 10_000.0, "closed": number // 4, "open": held, "orders": []}
    names = {"run_id": 1, "slot": SLOT, "symbol": "EURUSD", "timeframe": "M5", "bar_time": at, "bar_epoch": epoch}
    prices = {"open": opened, "high": high, "low": low, "close": close, "tick_volume": 100, "spread": 0}
    return {**names, **prices, "decided_at": at, "acted": 1, "shown": to_json(shown)}


def _signal(history: History, number: int) -> dict[str, Any]:
    acts = number % 2
    what = {"signal": "HOLD"} if not acts else {"signal": "CLOSE" if number // 2 % 2 else "BUY"}
    bar = {"strategy_id": STRATEGY, "symbol": "EURUSD", "timeframe": "M5", "bar_time": history.at(number), "price": 1.25}
    about = {"confidence": 1.0, "client_order_id": order_id(number // 2) if acts else None}
    return {"timestamp": history.at(number), "run_id": 1, **bar, **what, **about}


def _snapshot(history: History, number: int) -> dict[str, Any]:
    money = dict.fromkeys(("balance", "equity", "free_margin"), 10_000.0) | dict.fromkeys(("margin", "profit"), 0.0)
    return {"timestamp": history.at(number), "run_id": 1, **money, "open_positions": 0}


def _order(history: History, number: int) -> dict[str, Any]:
    bar = history.decided(number)
    at, closes, is_over = history.at(bar), number % 2, number in history.filled()
    names = {"client_order_id": order_id(number), "order_key": _key(number), "run_id": 1, "slot": SLOT, "strategy_id": STRATEGY}
    when = {"timestamp": at, "updated_at": at, "symbol": "EURUSD", "timeframe": "M5", "bar_time": at, "bar_epoch": history.epoch(bar)}
    what = {"magic": MAGIC, "kind": "EXIT" if closes else "ENTRY", "leg": str(number % 2), "side": _side(number), "order_type": "MARKET"}
    size = {
        "size": UNITS,
        "volume": LOTS,
        "tag": None if closes else to_json(f"trade {number}"),
        "request": to_json(REQUEST),
        "attempts": 1,
    }
    done = {"status": "FILLED" if is_over else "SUBMITTED", "mt5_order_id": _ticket(number) if is_over else None}
    return {**names, **when, **what, **size, **done, "executed_volume": LOTS, "position_ticket": _position(number) if closes else None}


def _events(history: History) -> Iterator[dict[str, Any]]:
    head = ""
    sent = to_json({"request": REQUEST, "before": []})
    for number in range(history.orders + 1):
        at = history.at(history.decided(number))
        for old, to in itertools.pairwise(STEPS if number in history.filled() else STEPS[:3]):
            row = {"timestamp": at, "run_id": 1, "client_order_id": order_id(number), "attempt": int(to != "PENDING"), "from_status": old}
            row |= {"to_status": to, "payload": sent if to == "SUBMITTED" else "{}", "prev_hash": head}
            head = hash_of(row)
            yield {**row, "hash": head}


def _fill(history: History, number: int) -> dict[str, Any]:
    bar = history.decided(number) + 1
    names = {"slot": SLOT, "deal_ticket": number + FIRST_DEAL, "timestamp": history.at(bar), "epoch": history.epoch(bar), "run_id": 1}
    of = {"order_ticket": _ticket(number), "position_id": _position(number), "client_order_id": order_id(number), "symbol": "EURUSD"}
    what = {"side": _side(number), "entry": "OUT" if number % 2 else "IN", "volume": LOTS, "price": 1.25, "profit": 0.0}
    return {**names, **of, **what, "commission": 0.0, "swap": 0.0, "fee": 0.0, "reason": 3, "magic": MAGIC, "comment": _key(number)}


def _trade(history: History, number: int) -> dict[str, Any]:
    opened, left = (history.at(history.decided(each) + 1) for each in (number - 1, number))
    times = {"timestamp": left, "run_id": 1, "slot": SLOT, "strategy_id": STRATEGY, "symbol": "EURUSD", "side": "BUY"}
    what = {"entry_time": opened, "exit_time": left, "entry_price": 1.25, "exit_price": 1.25, "volume": LOTS, "size": UNITS}
    money = dict.fromkeys(("profit", "commission", "swap", "net_profit"), 0.0) | {"duration_seconds": 2.0 * BAR_SECONDS}
    end = {"exit_reason": "strategy", "position_ticket": _position(number), "exit_deal": number + FIRST_DEAL}
    return {**times, **what, **money, **end, "tag": to_json(f"trade {number - 1}")}


def _broker_deal(history: History, number: int) -> TradeDeal:
    epoch = history.epoch(history.decided(number) + 1)
    when = (number + FIRST_DEAL, _ticket(number), epoch, epoch * 1000)
    what = (number % 2, number % 2, MAGIC, _position(number), 3, LOTS, 1.25)
    return TradeDeal((*when, *what, 0.0, 0.0, 0.0, 0.0, "EURUSD", _key(number), ""))


def _broker_order(history: History, number: int) -> TradeOrder:
    epoch = history.epoch(history.decided(number) + 1)
    when = (_ticket(number), epoch, epoch * 1000, epoch, epoch * 1000, 0)
    kind = (number % 2, 0, 1, 4, MAGIC, _position(number), 0, 3)  # market, filled or killed, ORDER_STATE_FILLED, by a program
    return TradeOrder((*when, *kind, LOTS, 0.0, 1.25, 0.0, 0.0, 1.25, 0.0, "EURUSD", _key(number), ""))
