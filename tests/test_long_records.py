"""What the trader asks of its record while it trades must not take longer the longer it has traded.

SQLite's steps are counted, which are the same on every machine, on a record and on one that is four times as long.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from Backtest.decisions import Bar
from Live.audit_logger import AuditLogger
from Live.audit_logger.verifying import verify
from Live.clock import Clock
from Live.live_trader import Chosen, LiveTrader
from Live.model import AccountState, BarId, Deal, Intent, Kind, Magic, Position, Side, Slot, Status, Ticket, client_order_id
from tests.bench.long_record import MAGIC, STRATEGY, History, Idle, make_account, make_record, opened_terminal, order_id
from tests.live_runs import LOGIN, WIDE_OPEN, loaded, settings

SHORT, LONG = History(100), History(400)
SLOT = Slot(LOGIN, "Simulated-Demo", STRATEGY, Magic(MAGIC))
NOW = datetime(2020, 1, 6, tzinfo=UTC)
AN_HOUR = NOW - timedelta(hours=1)
CHART = (SLOT, "EURUSD", "M5")
EPOCH = int(NOW.timestamp())
BAR = BarId(*CHART, EPOCH, NOW)
INTENT = Intent(client_order_id(BAR, Kind.EXIT, "0"), BAR, Kind.EXIT, "0", Side.SELL, position=Ticket(99))
SEEN = Bar(EPOCH, 1.25, 1.26, 1.24, 1.25, 90.0, 2)
DEAL = Deal(Ticket(10**6), 10**6, 10**6, "EURUSD", Side.BUY, "IN", 0.1, 1.25, 0.0, 0.0, 0.0, 0.0, 3, Magic(MAGIC), "", NOW, EPOCH)
HELD = Position(Ticket(7), 7, "EURUSD", Side.BUY, 0.1, 1.25, NOW, EPOCH, None, None, 1.25, 0.0, 0.0, Magic(MAGIC), "")
MONEY = AccountState(LOGIN, "Simulated-Demo", 0, 2, 100, "USD", 1e4, 0.0, 1e4, 0.0, 1e4, 0.0, True)
PRICES = {"open": 1.24, "high": 1.25, "low": 1.23, "close": 1.245, "tick_volume": 100, "spread": 0, "acted": 1}
LINE = {"name": "SMA", "overlay": 1, "scatter": 0, "before": "[]"}
SIGNAL = {
    "strategy_id": STRATEGY,
    "symbol": "EURUSD",
    "timeframe": "M5",
    "bar_time": "x",
    "signal": "HOLD",
    "confidence": 0.0,
    "price": 1.0,
}
RUN: dict[str, Any] = dict.fromkeys(("strategy_file", "strategy_class", "strategy_sha256"), "x") | dict.fromkeys(
    ("params", "settings", "versions"), "{}"
)
RUN |= {"slot": str(SLOT), "mode": "DRY", "terminal": "simulated", "login": LOGIN, "server": "Simulated-Demo", "strategy_id": STRATEGY}
TRADE: dict[str, Any] = {"timestamp": NOW.isoformat(), "slot": str(SLOT), "strategy_id": STRATEGY, "symbol": "EURUSD", "side": "BUY"}
TRADE |= dict.fromkeys(("entry_time", "exit_time"), NOW.isoformat()) | dict.fromkeys(("entry_price", "exit_price"), 1.25)
TRADE |= dict.fromkeys(("volume", "size", "profit", "commission", "swap", "net_profit", "duration_seconds"), 1.0)
TRADE |= {"exit_reason": "manual", "position_ticket": 10**6, "exit_deal": 10**6}

# Every method of the record, in an order in which they can be called.
ASKED: dict[str, Callable[[AuditLogger], Any]] = {
    "tell_people": lambda record: record.tell_people(StoppedClock()),
    "start_run": lambda record: record.start_run(RUN | {"initial_balance": 1e4}),
    "continue_run": lambda record: record.continue_run(1),
    "continue_newest_run": lambda record: record.continue_newest_run(),
    "add_bar": lambda record: record.add_bar(BAR, PRICES),
    "last_bar": lambda record: record.last_bar(*CHART),
    "seen_bars": lambda record: record.seen_bars(*CHART, EPOCH - 3600),
    "add_history": lambda record: record.add_history(*CHART, [SEEN]),
    "add_warm_up": lambda record: record.add_warm_up(*CHART, [SEEN], {}),
    "accounts_shown": lambda record: record.accounts_shown(*CHART, EPOCH - 3600),
    "add_indicators": lambda record: record.add_indicators(*CHART, [LINE]),
    "add_signal": lambda record: record.add_signal(SIGNAL),
    "add_intent": lambda record: record.add_intent(INTENT),
    "move": lambda record: record.move(INTENT.order_id, Status.SUBMITTED, payload={}),
    "order": lambda record: record.order(INTENT.order_id),
    "request_sent": lambda record: record.request_sent(INTENT.order_id),
    "order_by_key": lambda record: record.order_by_key("q0123456789AB"),
    "order_by_ticket": lambda record: record.order_by_ticket(SLOT, 50),
    "orders_of": lambda record: record.orders_of(BAR),
    "is_newest": lambda record: record.is_newest(INTENT),
    "orders_about": lambda record: record.orders_about(SLOT, 99),
    "levels_seen": lambda record: record.levels_seen(SLOT),
    "orders_with": lambda record: record.orders_with((Status.SUBMITTED, Status.UNKNOWN), SLOT),
    "count_entries": lambda record: record.count_entries(SLOT, AN_HOUR),
    "failures_in_a_row": lambda record: record.failures_in_a_row(SLOT, AN_HOUR),
    "count_exits": lambda record: record.count_exits(SLOT, 6, AN_HOUR),
    "count_sends": lambda record: record.count_sends(SLOT, AN_HOUR),
    "times_of": lambda record: record.times_of("DISCONNECTED", AN_HOUR),
    "execution_counts": lambda record: record.execution_counts(SLOT),
    "add_fill": lambda record: record.add_fill(DEAL, SLOT, INTENT.order_id),
    "filled": lambda record: record.filled(_known(record.order(INTENT.order_id))),
    "deals": lambda record: record.deals(SLOT),
    "tags": lambda record: record.tags(SLOT),
    "deal": lambda record: record.deal(SLOT, 50),
    "newest_deal": lambda record: record.newest_deal(SLOT),
    "add_trade": lambda record: record.add_trade(TRADE, tag=None),
    "day_results": lambda record: record.day_results(SLOT, AN_HOUR, NOW),
    "put_positions": lambda record: record.put_positions(SLOT, {HELD: None}),
    "event": lambda record: record.event("LATE_FILL", "a text", severity="CRITICAL"),
    "snapshot": lambda record: record.snapshot(MONEY, 1),
    "last_equity": lambda record: record.last_equity(SLOT, AN_HOUR, NOW),
    "set_state": lambda record: record.set_state(progress={}),
    "state": lambda record: record.state("progress"),
    "accept_set_back": lambda record: record.accept_set_back(),
    "end_run": lambda record: record.end_run(exit_code=0, reason="", summary={}),
}
OTHERS = {"transaction", "close"}  # which ask nothing of their own
OF_EVERYTHING = {"deals", "tags", "execution_counts"}  # once at a start, or when a person asks
FEW_ROWS = {"runs", "state", "positions", "run_totals"}  # which do not grow with the orders


class StoppedClock(Clock):
    """It is always the same time."""

    def now(self) -> datetime:
        return NOW

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        raise AssertionError("the record does not wait")


@dataclass
class Watched:
    """A record whose statements are seen."""

    record: AuditLogger
    steps: dict[str, int] = field(default_factory=dict)  # of SQLite, by what was asked
    statements: dict[str, list[str]] = field(default_factory=dict)

    def ask(self) -> None:
        db = self.record._db
        for name, call in ASKED.items():
            steps, seen = list[None](), list[str]()
            db.set_progress_handler(partial(steps.append, None), 1)
            db.set_trace_callback(seen.append)
            call(self.record)
            db.set_progress_handler(None, 1)
            db.set_trace_callback(None)
            self.steps[name], self.statements[name] = len(steps), [text for text in seen if not text.startswith("--")]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Watched, Watched]]:
    with contextlib.ExitStack() as resources:
        both = []
        for history in (SHORT, LONG):
            path = tmp_path_factory.mktemp("record") / "audit.db"
            make_record(path, history)
            record = AuditLogger(path, StoppedClock())
            resources.callback(record.close)
            both.append(Watched(record))
            both[-1].ask()
        yield both[0], both[1]


def _known(order: Any) -> Any:
    assert order is not None
    return order


def test_every_method_of_the_record_is_asked_here() -> None:
    methods = {name for name in dir(AuditLogger) if not name.startswith("_") and callable(getattr(AuditLogger, name))}
    assert set(ASKED) == methods - OTHERS


@pytest.mark.parametrize("name", [name for name in ASKED if name not in OF_EVERYTHING])
def test_a_question_takes_as_many_steps_however_long_the_record_is(name: str, watched: tuple[Watched, Watched]) -> None:
    short, long = (each.steps[name] for each in watched)
    assert long <= 1.5 * short + 20, watched[1].statements[name]


@pytest.mark.parametrize("name", sorted(OF_EVERYTHING))
def test_the_count_of_steps_sees_what_reads_everything(name: str, watched: tuple[Watched, Watched]) -> None:
    short, long = (each.steps[name] for each in watched)
    assert long > 3 * short


@pytest.mark.parametrize("name", [name for name in ASKED if name not in OF_EVERYTHING])
def test_no_question_goes_through_a_whole_table(name: str, watched: tuple[Watched, Watched]) -> None:
    db = watched[1].record._db
    asked = [text for text in watched[1].statements[name] if re.match("SELECT|INSERT|UPDATE|DELETE", text)]
    plans = [(text, row["detail"]) for text in asked for row in db.execute(f"EXPLAIN QUERY PLAN {text}")]
    assert [(text, plan) for text, plan in plans if plan.startswith("SCAN") and not set(plan.split()) & FEW_ROWS] == []


def test_a_start_settles_what_was_being_sent_and_knows_every_deal_and_tag(tmp_path: Path) -> None:
    make_record(tmp_path / "audit.db", SHORT)
    make_account(tmp_path, SHORT)
    strategy, opened = loaded(Idle), opened_terminal(tmp_path)
    trader = LiveTrader(settings(tmp_path, timeframe="M5", symbols="EURUSD", **WIDE_OPEN), Chosen(strategy, {}), opened)
    with trader._resources:
        trader._start()
        trader._take_up()
        arrived, lost = (trader.record.order(order_id(number)) for number in (SHORT.orders - 1, SHORT.orders))
        closed = trader.state.shown("EURUSD").closed
    opened.functions.close()
    assert (_known(arrived).status, _known(lost).status) == (Status.FILLED, Status.ABSENT)
    assert [trade.tag for trade in closed] == [f"trade {number}" for number in range(0, SHORT.orders, 2)]
    assert verify(tmp_path / "audit.db").is_whole
