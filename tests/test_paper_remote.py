"""A paper account on the prices of a terminal that is served elsewhere, through the client of the package `mt5linux`."""

import json
from pathlib import Path

import pytest

from Backtest.simulated_terminal.paper import PaperTerminal, paper_account
from Live.mt5_connector.remote import RemoteTerminal
from tests.served import served_here, serving, ticks_around_the_clock
from tests.simulated_terminal.paper_terminals import LOGIN, Watched, paper
from tests.simulated_terminal.terminals import ALL, BUY, BUY_LIMIT, deal, done, exits, pending, terminal
from tests.test_remote import ALWAYS_BUYS, live, rows


def test_ticks_come_over_and_fill_what_waits_as_they_do_here() -> None:
    bars = [(price,) * 4 for price in (1.1, 1.1, 1.09, 1.095, 1.12, 1.12)]
    here = terminal(bars)
    near = paper(Watched(here))
    with served_here(here) as port:
        remote = RemoteTerminal("127.0.0.1", port, timeout=60)
        far = PaperTerminal(remote, paper_account(here.account_info(), login=LOGIN), now=here.clock.now)
        assert far.initialize()
        for each in (near, far):
            done(each.order_send(deal(BUY, 0.2, sl=1.095)))
            done(each.order_send(pending(BUY_LIMIT, 1.092, tp=1.11)))
        for _ in range(4):
            here.clock.sleep(60)
        assert len(exits(far)) == 2  # type: ignore[arg-type]
        assert far.account_info() == near.account_info()
        assert far.history_deals_get(*ALL) == near.history_deals_get(*ALL)
        assert far.history_orders_get(*ALL) == near.history_orders_get(*ALL)
        remote.shutdown()
    assert far.positions_get() is None  # the line is gone
    assert far.last_error() == (-10004, "No IPC connection")
    assert far.order_send(deal()).retcode == 10031
    assert here.initialize()
    assert here.positions_total() == here.orders_total() == here.history_orders_total(*ALL) == 0


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """Settings for one decision on a market around the clock."""
    (tmp_path / "always_buys.py").write_text(ALWAYS_BUYS)
    (tmp_path / "no.env").touch()
    kept = {"AUDIT_DB_PATH": "audit.db", "LOG_DIR": "logs", "KILL_SWITCH_FILE": "EMERGENCY_STOP", "SIM_ACCOUNT_DIR": "accounts"}
    traded = {"SYMBOLS": "BTCUSD", "TIMEFRAME": "1m", "WARMUP_BARS": "200", "SIZING": "fixed", "FIXED_LOTS": "0.1"}
    lenient = {"MAX_SIGNAL_AGE_SECONDS": "86400", "PRICE_COLLAR_PCT": "50"}
    return {"MT5_TERMINAL": "remote", **{key: str(tmp_path / name) for key, name in kept.items()}, **traded, **lenient}


def test_a_dry_run_on_a_terminal_elsewhere_trades_on_paper_and_says_so(tmp_path: Path, given: dict[str, str]) -> None:
    strategy = ("--strategy", str(tmp_path / "always_buys.py"), "--config", str(tmp_path / "no.env"), "--once", "--dry-run")
    with serving("--data", f"BTCUSD={ticks_around_the_clock(tmp_path)}", "--leverage", "500", "--balance", "5000") as other:
        ran = live(*strategy, **given, MT5_REMOTE_PORT=str(other.port))
        there = RemoteTerminal("127.0.0.1", other.port, timeout=60)
        assert there.initialize()
        assert (there.positions_total(), there.orders_total(), there.account_info().balance) == (0, 0, 5_000.0)
        there.shutdown()
    assert ran.returncode == 0, ran.stderr
    assert "DRY RUN, Paper at Simulated-Demo: account" in ran.stderr
    assert "DRY_RUN: Would send order {action: 1, symbol: BTCUSD, volume: 0.1" in ran.stderr
    assert "dry run, Paper at Simulated-Demo" in ran.stdout
    assert rows(tmp_path, "SELECT status, retcode FROM orders") == [("FILLED", 10009)]
    ((login, server, kind, mode),) = rows(tmp_path, "SELECT login, server, terminal, mode FROM runs")
    assert (server, kind, mode) == ("Paper at Simulated-Demo", "paper", "DRY")
    (file,) = (tmp_path / "accounts").glob("*.jsonl")
    assert file.stem == str(login)
    assert [position[1:4] for position in json.loads(file.read_text().splitlines()[-1])["positions"]] == [["BTCUSD", 0, 0.1]]
