"""What must hold after any number of kills and power cuts: the trader's record beside the broker's own ledger.

Each check answers with sentences; none means that all is well. The numbers of the invariants are those of the protocol's list.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from Live.audit_logger.chain import first_broken_link
from Live.model import AGAIN, MOVES, Status

OPEN = ("PENDING", "SUBMITTED", "UNKNOWN", "UNRESOLVED")
WAITING = ("PLACED", "PARTIALLY_FILLED")
EVIDENCE = ("runs", "bars", "history", "warm_ups", "signals", "order_events", "fills", "trades", "events", "account_snapshots")
BY_A_PROGRAM = 3  # ORDER_REASON_EXPERT and DEAL_REASON_EXPERT
TRADING = (0, 1)  # DEAL_TYPE_BUY, DEAL_TYPE_SELL
MONEY = 6  # decimals in which parts add up to their whole

Rows = dict[str, list[tuple[Any, ...]]]


class Record:
    """The record of a trader that is dead, read from what it has left on disk; `closed` afterwards."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)

    def close(self) -> None:
        self._db.close()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, values).fetchall()

    def evidence(self) -> Rows:
        """All rows that may never change, table by table, in the order of writing. A run is closed later: only its beginning counts."""
        known = {name for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        columns = {"runs": "run_id, started_at, slot", "fills": "*", "warm_ups": "*"}
        order = {"runs": "run_id", "fills": "epoch, deal_ticket, position_id", "order_events": "seq"}
        names = [name for name in EVIDENCE if name in known]
        return {name: self.rows(f"SELECT {columns.get(name, '*')} FROM {name} ORDER BY {order.get(name, 'id')}") for name in names}

    def faults(self) -> Iterator[str]:
        """What is wrong with the record in itself."""
        for (sentence,) in self.rows("PRAGMA integrity_check"):
            if sentence != "ok":
                yield f"the database is damaged: {sentence}"
        if broken := self.rows("PRAGMA foreign_key_check"):
            yield f"rows point to what is not there: {broken[:3]}"
        if (seq := first_broken_link(self._db)) is not None:
            yield f"the journal's chain is broken at row {seq}"
        yield from self._unlawful()
        for key, bars in self.rows("SELECT symbol || ' ' || bar_epoch, count(*) FROM bars GROUP BY slot, symbol, timeframe, bar_epoch"):
            if bars > 1:
                yield f"bar {key} was decided {bars} times (I5)"
        yield from (
            f"order {key} was decided on a bar that is not on record, or was not acted upon (I5)"
            for (key,) in self.rows(  # those of the kill switch are of no bar
                "SELECT order_key FROM orders AS o WHERE leg NOT LIKE '%/%' AND NOT EXISTS (SELECT 1 FROM bars AS b WHERE b.slot = o.slot "
                "AND b.symbol = o.symbol AND b.timeframe = o.timeframe AND b.bar_epoch = o.bar_epoch AND b.acted)"
            )
        )

    def _unlawful(self) -> Iterator[str]:
        """I4: each order's events are a path of the table of moves, and its row is where they end."""
        last: dict[str, str] = {}
        for order_id, old, to in self.rows("SELECT client_order_id, from_status, to_status FROM order_events ORDER BY seq"):
            if old != last.get(order_id):
                yield f"order {order_id} moves from {old}, where it was {last.get(order_id)} (I4)"
            if old is not None and Status(to) not in MOVES[Status(old)]:
                yield f"order {order_id} went from {old} to {to} (I4)"
            last[order_id] = to
        if last != dict(self.rows("SELECT client_order_id, status FROM orders")):
            yield "the orders are not where their events ended (I4)"


def lost_rows(earlier: Rows, later: Rows) -> Iterator[str]:
    """I3: what was on record at one time is the beginning of what is on record later."""
    for name, rows in earlier.items():
        if name == "fills":  # a deal may become known after one that is younger
            if missing := set(rows) - set(later[name]):
                yield f"{len(missing)} rows of fills are gone or changed (I3)"
        elif later[name][: len(rows)] != rows:
            kept = next((number for number, row in enumerate(rows) if later[name][number : number + 1] != [row]), 0)
            yield f"{name} had {len(rows)} rows, and of these only the first {kept} are there as they were (I3)"


def is_marked(path: Path, key: str) -> bool:
    """I2: whether a record says of the order with this key that it is being sent, at this very moment."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        sql = "SELECT to_status FROM order_events JOIN orders USING (client_order_id) WHERE order_key = ? ORDER BY seq DESC LIMIT 1"
        return bool(db.execute(sql, (key,)).fetchone() == (Status.SUBMITTED.value,))
    finally:
        db.close()


class Ledger:
    """What the broker knows of an account at the end of a replay: its four lists, whole. `looked` is when the trader last asked for
    finished orders (the server's milliseconds): of what has ended since then it cannot know.
    """

    def __init__(self, lists: Mapping[str, Sequence[Any]], magic: int, *, looked: int, netting: bool) -> None:
        self._netting = netting
        self.positions = [held for held in lists["positions_get"] if held.magic == magic]
        self.waiting = [order for order in lists["orders_get"] if order.magic == magic]
        self._just_ended = {order.comment for order in lists["history_orders_get"] if order.time_done_msc > looked}
        orders = [*lists["orders_get"], *lists["history_orders_get"]]
        self.sent = [order for order in orders if order.reason == BY_A_PROGRAM and order.magic == magic]
        ours = {order.position_id or order.ticket for order in self.sent}
        trading = [deal for deal in lists["history_deals_get"] if deal.type in TRADING]
        self.deals = [deal for deal in trading if deal.position_id in ours]

    def duplicates(self) -> list[str]:
        """I1: keys that were accepted more than once."""
        return [key for key, times in Counter(order.comment for order in self.sent).items() if times > 1]

    def breaches(self, record: Record) -> Iterator[str]:
        """Where the record says another thing than the broker."""
        yield from (f"key {key} was executed more than once (I1)" for key in self.duplicates())
        yield from self.lost(record)
        yield from self._unsettled(record)
        yield from self._orphans(record)
        yield from self._sizes(record)
        yield from self._not_decided_again(record)

    def lost(self, record: Record) -> Iterator[str]:
        """I3: deals of ours without their row, or with another one; executed orders that are called absent."""
        booked: dict[int, list[tuple[float, ...]]] = defaultdict(list)
        columns = "deal_ticket, volume, price, profit, commission, swap"
        for ticket, *figures in record.rows(f"SELECT {columns} FROM fills"):  # on a netting account a deal may have several rows
            booked[ticket].append(tuple(figures))
        for deal in self.deals:
            rows = booked.pop(deal.ticket, [])
            if not rows:
                yield f"deal {deal.ticket} of order {deal.order} is not on record (I3)"
            elif not self._adds_up(rows, deal):
                yield f"deal {deal.ticket} is {_figures(deal)}, and on record as {rows} (I3)"
        if booked:
            yield f"deals {', '.join(map(str, booked))} are on record, and the broker does not know them (I3)"
        executed = {order.comment for order in self.sent if order.volume_current < order.volume_initial}
        for (key,) in record.rows("SELECT order_key FROM orders WHERE status IN ('ABSENT', 'FAILED')"):
            if key in executed:
                yield f"order {key} was executed, and the record never found it (I3)"

    def _adds_up(self, rows: Sequence[tuple[float, ...]], deal: Any) -> bool:
        sums = [round(sum(column), MONEY) for column in zip(*rows, strict=True)]
        wanted = [round(each, MONEY) for each in _figures(deal)]
        sums[1] = rows[0][1]
        if self._netting:  # a deal's profit is that of the net position, a row's that of its own trade
            sums[2] = wanted[2]
        return sums == wanted and len({row[1] for row in rows}) == 1

    def _unsettled(self, record: Record) -> Iterator[str]:
        """I16: at the end nothing is open but what waits at the broker, and both sides hold the same."""
        waiting = {order.comment for order in self.waiting} | self._just_ended
        for key, status in record.rows("SELECT order_key, status FROM orders"):
            if status in OPEN or (status in WAITING and key not in waiting):
                yield f"order {key} is still {status} at the end (I16)"
        believed: Counter[str] = Counter()
        for symbol, side, lots in record.rows("SELECT symbol, side, volume FROM positions"):
            believed[symbol] += lots if side == "BUY" else -lots
        held: Counter[str] = Counter()
        for position in self.positions:
            held[position.symbol] += position.volume if position.type == 0 else -position.volume
        if {name: round(lots, 8) for name, lots in believed.items()} != {name: round(lots, 8) for name, lots in held.items()}:
            yield f"the record believes that we hold {dict(believed)}, the broker says {dict(held)} (I16)"

    def _orphans(self, record: Record) -> Iterator[str]:
        """Orders and positions of ours that no living order of the record stands for."""
        status = dict(record.rows("SELECT order_key, status FROM orders"))
        for order in self.waiting:
            if status.get(order.comment) not in WAITING:
                yield f"order {order.ticket} waits at the broker, and the record calls it {status.get(order.comment)} (orphan)"
        for order in self.sent:
            if order.comment not in status:
                yield f"order {order.ticket} carries {order.comment}, which is not on record (I2)"

    def _not_decided_again(self, record: Record) -> Iterator[str]:
        """A close of all of a position, or a cancellation, that was given up while what it is about is still there."""
        held = {position.identifier: position.volume for position in self.positions}
        waiting = {order.comment for order in self.waiting}
        again = set(record.rows("SELECT bar_epoch, kind, leg FROM orders"))
        sql = (
            "SELECT o.order_key, o.bar_epoch, o.kind, o.leg, o.position_ticket, o.volume, c.order_key FROM orders AS o "
            "LEFT JOIN orders AS c ON o.cancels = c.client_order_id WHERE o.status = 'ABSENT' AND o.kind IN ('EXIT', 'CANCEL')"
        )
        for key, bar, kind, leg, position, lots, cancelled in record.rows(sql):
            there = cancelled in waiting if kind == "CANCEL" else position in held and lots >= held[position]
            if there and (bar, kind, f"{leg}{AGAIN}") not in again:
                yield f"{kind} {key} was given up and not decided again, and what it is about is still there"

    def _sizes(self, record: Record) -> Iterator[str]:
        """I7: no more was filled than was asked for."""
        sql = (
            "SELECT order_key, o.volume, sum(f.volume) FROM fills AS f JOIN orders AS o USING (client_order_id) "
            "GROUP BY client_order_id HAVING sum(f.volume) > o.volume + 1e-9"
        )
        for key, asked, filled in record.rows(sql):
            yield f"order {key} asked for {asked:g} lots and got {filled:g} (I7)"


def _figures(deal: Any) -> tuple[float, ...]:
    return (deal.volume, deal.price, deal.profit, deal.commission, deal.swap)
