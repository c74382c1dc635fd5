"""Whether a record is as it was written: as far as the file itself, its hash chain and its sums can tell."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from Live.audit_logger.chain import LAST, Head, first_broken_link, head_of
from Live.audit_logger.copying import reader_of
from Live.audit_logger.opening import check_record
from Live.audit_logger.spill import noted_head
from Live.errors import Misconfigured

# Each finds the first row that cannot have been written so: what it is, and what is wrong with it.
_ORDERS_AND_EVENTS = """
SELECT 'order ' || client_order_id, 'it is ' || status || ', the last of its order_events says ' || coalesce(last, 'nothing') FROM (
    SELECT o.id, o.client_order_id, o.status,
           (SELECT to_status FROM order_events AS e WHERE e.client_order_id = o.client_order_id ORDER BY seq DESC LIMIT 1) AS last
    FROM orders AS o
) WHERE last IS NOT status ORDER BY id LIMIT 1
"""
_STEPS = """
SELECT 'row ' || e.seq || ' of order_events', 'it says that the order was ' || coalesce(e.from_status, 'new') || ', the row before it '
       || coalesce(e.before, 'does not exist') FROM (
    SELECT seq, from_status, lag(to_status) OVER (PARTITION BY client_order_id ORDER BY seq) AS before FROM order_events
) AS e WHERE e.before IS NOT e.from_status ORDER BY e.seq LIMIT 1
"""
_FILLS_AND_ORDERS = """
SELECT 'order ' || o.client_order_id, 'executed_volume is ' || o.executed_volume || ', its fills add up to ' || f.lots
FROM orders AS o JOIN (
    SELECT client_order_id, side, sum(volume) AS lots FROM fills WHERE client_order_id IS NOT NULL GROUP BY client_order_id, side
) AS f ON f.client_order_id = o.client_order_id AND f.side = o.side
WHERE o.executed_volume IS NOT NULL AND abs(o.executed_volume - f.lots) > 1e-6 ORDER BY o.id LIMIT 1
"""
_TRADES_AND_FILLS = """
SELECT 'trade ' || t.id, CASE WHEN f.deal_ticket IS NULL THEN 'there is no fill ' || t.exit_deal || ' that closed it'
                              ELSE 'its volume and profit are not those of fill ' || t.exit_deal END
FROM trades AS t LEFT JOIN fills AS f ON f.slot = t.slot AND f.deal_ticket = t.exit_deal AND f.position_id = t.position_ticket
WHERE f.deal_ticket IS NULL OR abs(f.volume - t.volume) > 1e-6 OR abs(f.profit - t.profit) > 1e-6 ORDER BY t.id LIMIT 1
"""
_FILLS_AND_TRADES = """
SELECT 'fill ' || f.deal_ticket, 'it closed a position that fills opened, and there is no trade of it'
FROM fills AS f
WHERE f.entry <> 'IN'
  AND EXISTS (SELECT 1 FROM fills AS i INDEXED BY fills_by_position
              WHERE i.slot = f.slot AND i.position_id = f.position_id AND i.entry = 'IN')
  AND NOT EXISTS (SELECT 1 FROM trades AS t WHERE t.slot = f.slot AND t.exit_deal = f.deal_ticket AND t.position_ticket = f.position_id)
ORDER BY f.timestamp LIMIT 1
"""
_SIGNALS_AND_ORDERS = """
SELECT 'signal ' || s.id, 'there is no order ' || s.client_order_id FROM signals AS s
WHERE s.client_order_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.client_order_id = s.client_order_id)
ORDER BY s.id LIMIT 1
"""
_SUMS = {
    "each step follows the one before": _STEPS,
    "orders are where their steps have led": _ORDERS_AND_EVENTS,
    "orders have the volume of their fills": _FILLS_AND_ORDERS,
    "trades are what their fills say": _TRADES_AND_FILLS,
    "fills that closed something have a trade": _FILLS_AND_TRADES,
    "signals have their orders": _SIGNALS_AND_ORDERS,
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `wrong` is empty where it is as it should be."""

    what: str
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found, and the head of the hash chain: who notes it can tell later that nothing before it was changed."""

    findings: tuple[Finding, ...]
    head: Head
    rows: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)


def verify(path: Path, noted: Head | None = None, progress: Progress = lambda _done, _total: None) -> Verified:
    """Look at a record from a reader's side, also while it is written; `noted` is a head that somebody has written down.

    Raises Misconfigured for a file that is no record of this version.
    """
    if not path.exists():
        raise Misconfigured(f"there is no record at {path} yet: start the trader, and it appears there")
    check_record(path, lost_rows=True)
    try:
        with contextlib.closing(reader_of(path)) as db:
            return _verify(db, [*filter(None, (noted_head(path), noted))], progress)
    except sqlite3.Error as error:
        raise Misconfigured(
            f"the record {path} cannot be read: {error}; keep the file, and put a copy from a backup in its place"
        ) from error


def _verify(db: sqlite3.Connection, noted: list[Head], progress: Progress) -> Verified:
    rows = int(db.execute("SELECT count(*) FROM order_events").fetchone()[0])
    broken = first_broken_link(db, seen=lambda done: progress(done, rows))
    chain = Finding("hash chain of order_events", "" if broken is None else f"row {broken} is not as it was written")
    heads = Finding("heads that were noted", "; ".join(_lost(db, head) for head in noted if _lost(db, head)))
    return Verified((*_of_the_file(db), chain, heads, *_sums(db)), head_of(db), rows)


def _of_the_file(db: sqlite3.Connection) -> Iterator[Finding]:
    db.execute("PRAGMA trusted_schema = ON")  # the names and triggers are ours, that was looked at; CHECKs use functions
    damage = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
    yield Finding("pages, indices and CHECK constraints", "" if damage == "ok" else damage.splitlines()[-1])
    astray = db.execute("PRAGMA foreign_key_check").fetchone()
    yield Finding(
        "references between tables",
        "" if astray is None else f"row {astray[1]} of {astray[0]} names a row of {astray[2]} that is not there",
    )


def _lost(db: sqlite3.Connection, head: Head) -> str:
    if head_of(db, head.seq) == head:
        return ""
    last = head_of(db, LAST)
    return f"row {head.seq} with {head.hash[:12]}… was noted, and is not there (the last is row {last.seq})"


def _sums(db: sqlite3.Connection) -> Iterator[Finding]:
    for what, sql in _SUMS.items():
        row = db.execute(sql).fetchone()
        yield Finding(what, "" if row is None else f"{row[0]}: {row[1]}")
