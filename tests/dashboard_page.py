"""What the tests of the web page share: a clock that stands still, a client, and texts that want to break out."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from Live.dashboard import create_app
from tests.sample_record import SLOT, START, WALL, SampleRecord, a_trading_day

ROOT = Path(__file__).parent.parent
API = ["status", "summary", "positions", "recent_orders", "recent_signals", "recent_trades", "equity", "overview"]
ENDPOINTS = [f"/api/{name}" for name in API] + ["/health"]

HOSTILE = [
    "<script>document.title = 'owned'</script>",
    "</script><img src=x onerror=\"document.title='owned'\">",
    "'\"`><svg onload=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    "nul \0 here",
    "\u202egnp.exe",  # right-to-left override
    "🙂 Ünïcödé \u2028 line",
    "__proto__",
    "constructor",
    "=cmd|' /C calc'!A0",
    "x" * 1_000_000,
]
FREE_TEXT = {
    "runs": ["server", "strategy_id", "strategy_class", "terminal", "end_reason", "started_at"],
    "orders": "client_order_id strategy_id symbol timeframe order_type status message retcode_message timestamp bar_time".split(),
    "signals": ["strategy_id", "symbol", "timeframe", "reason", "timestamp", "bar_time", "client_order_id"],
    "trades": ["strategy_id", "symbol", "exit_reason", "exit_time", "entry_time"],
    "positions": ["strategy_id", "symbol", "entry_time"],
}
SAID = ["enabled", "reason", "active", "file", "date", "opening_equity", "balance", "equity", "currency", "bars", "total"]


@pytest.fixture(name="record")
def the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SampleRecord]:
    """A trading day, in a folder of its own."""
    monkeypatch.chdir(tmp_path)  # an emergency stop in the project must not end the tests
    made = a_trading_day(tmp_path / "audit.db")
    yield made
    made.close()


@pytest.fixture(name="client")
def the_client(record: SampleRecord) -> FlaskClient:
    """A client of the page over that record."""
    return client_of(record.path)


class FixedClock:
    """The machine's clock, standing still."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        raise AssertionError("a dashboard does not wait")


def client_of(path: Path, now: datetime = WALL) -> FlaskClient:
    return create_app(path, stop_file=path.parent / "EMERGENCY_STOP", clock=FixedClock(now)).test_client()


def form_token(client: FlaskClient) -> str:
    """What a page of ours has in its form."""
    found = re.search(r'name="token" value="(\w+)"', client.get("/stop").text)
    return found[1] if found else ""


def body_of(answer: TestResponse) -> Any:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    return json.loads(answer.data, parse_constant=refuse)


def get(client: FlaskClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.data
    return body_of(answer)


def a_rich_record(path: Path) -> SampleRecord:
    """A trading day with something on every page: indicators, limits, events, and an order with its whole life."""
    made = a_trading_day(path)
    chart = {"run_id": 1, "slot": SLOT, "symbol": "EURUSD", "timeframe": "H1"}
    made.insert("warm_ups", {**chart, "timestamp": START.isoformat(), "bars": 0, "history_id": 0, "spec": "{}"})
    for place, (name, overlay) in enumerate((("SMA(C,10)", 1), ("RSI(C,14)", 0))):
        made.insert("indicators", {**chart, "position": place, "name": name, "overlay": overlay, "scatter": 0, "before": "[]"})
    for n in range(30):
        made.bar(close=1.245 + n / 10_000, high=1.25 + n / 10_000, indicators=json.dumps([1.24 + n / 10_000, 50.0 + n]))
    made.event("STARTUP", "DRY run of sma_cross")
    made.event("DISCONNECTED", "the terminal is not connected", severity="ERROR")
    made.state(limits=[{"rule": "MAX_POSITIONS", "measured": 1, "limit": 10}, {"rule": "MAX_DAILY_TRADES", "measured": 10, "limit": 10}])
    made.life_of(
        "FIRST",
        ("PENDING", {}),
        (
            "SUBMITTED",
            {
                "request": {"action": 1, "type": 0, "volume": 0.1, "price": 1.2451, "comment": "q1"},
                "quote": {"bid": 1.245, "ask": 1.2451},
                "check": {"retcode": 0, "margin": 124.5, "margin_free": 9_875.5},
                "sizing": {"rule": "risk", "equity": 10_000.0, "risk_pct": 1.0, "lots": 0.1},
                "gates": [{"rule": "MAX_POSITIONS, positions with this one", "measured": 1, "limit": 10}],
            },
        ),
        (
            "PLACED",
            {"answer": {"retcode": 10009, "deal": 70, "order": 50, "volume": 0.1, "price": 1.2451}, "last_error": [1, ""], "sent": True},
        ),
        ("FILLED", {"deals": [70]}),
    )
    made.fill("FIRST", 70, price=1.2452)
    return made


def a_hostile_record(path: Path, text: str) -> SampleRecord:
    """A record with `text` wherever somebody else may have chosen the text."""

    def everywhere(names: list[str]) -> dict[str, Any]:
        return dict.fromkeys(names, text)

    made = SampleRecord(path)
    settings = {"SYMBOLS": [text], "TIMEFRAME": text, "INTERVAL_SECONDS": text}
    made.run(settings=json.dumps(settings), **everywhere(FREE_TEXT["runs"]))
    made.order(**everywhere(FREE_TEXT["orders"]))
    made.signal(signal="BUY", **everywhere(FREE_TEXT["signals"]))
    made.trade(**everywhere(FREE_TEXT["trades"]))
    made.position(1, **everywhere(FREE_TEXT["positions"]))
    made.snapshot(START, 1.0)
    made.snapshot(START + timedelta(hours=1), 2.0, timestamp=text)
    said = everywhere(SAID)
    made.state(trading=said, kill_switch=said, day=said, account=said, progress=said, market_time=text)
    made.event(text, text)
    made.life_of(
        text, ("PENDING", {}), ("SUBMITTED", {"request": {"comment": text}, "gates": [{"rule": text}]}), ("FAILED", {"reason": text})
    )
    chart = {"run_id": 1, "slot": SLOT, "symbol": text, "timeframe": text}
    made.insert("warm_ups", {**chart, "timestamp": text, "bars": 0, "history_id": 0, "spec": "{}"})
    made.insert("indicators", {**chart, "position": 0, "name": text, "overlay": 1, "scatter": 0, "before": "[]"})
    made.bar(symbol=text, timeframe=text, indicators="[1.0]")
    made.heartbeat()
    return made


SERVER = """
import sys
from pathlib import Path
from Live.dashboard import open_server
server = open_server(Path(sys.argv[1]), Path(sys.argv[2]), 0)
print(server.effective_port, flush=True)
server.run()
"""


@contextmanager
def serving(path: Path) -> Iterator[int]:
    """The port at which a process of its own serves the page."""
    command = [sys.executable, "-c", SERVER, str(path), str(path.parent / "EMERGENCY_STOP")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=path.parent, env=os.environ | {"PYTHONPATH": str(ROOT)}) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline())
        finally:
            child.terminate()
