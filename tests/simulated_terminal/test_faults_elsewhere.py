"""The same faults around other terminals: a paper account, and one in another process."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mt5linux import MetaTrader5

import Backtest.simulated_terminal.__main__ as program
from Backtest.bars import builtin_prices
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal, in_use
from Backtest.simulated_terminal.faults import At, FaultyTerminal, NthCall, Planned, Schedule
from Backtest.simulated_terminal.serving import make_server
from Live.config import PROJECT_ROOT
from tests.simulated_terminal.paper_terminals import paper
from tests.simulated_terminal.terminals import ALL, H1, bars, close, deal, flat, symbol

SCHEDULE = Schedule(
    (
        Planned(At(0.0), "large_tickets"),
        Planned(At(0.0), "comment_changed", {"how": "upper"}),
        Planned(NthCall("order_send", 1), "filled_in_part"),
        Planned(NthCall("order_send", 2), "answer_lost"),
        Planned(NthCall("account_info", 1), "no_answer"),
        Planned(NthCall("terminal_info", 1), "button_off", {"lasts": 60.0}),
    )
)


def market() -> SimulatedTerminal:
    prices = ReplayMarket({"EURUSD": (symbol(spread_points=10), bars(flat(1.2, 48)))}, H1)
    return SimulatedTerminal(prices, AccountSpec(), speed=1.0, real_sleep=lambda _: None)


@contextmanager
def client_of(terminal: SimulatedTerminal) -> Iterator[MetaTrader5]:
    """A client of the terminal as a thread of this process serves it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_use, "_terminal", None)
        patch.setitem(sys.modules, "MetaTrader5", None)
        server = make_server(terminal, "127.0.0.1", 0)
        thread = threading.Thread(target=server.start, daemon=True)
        thread.start()
        client = MetaTrader5(host="127.0.0.1", port=server.port)
        yield client
        client._MetaTrader5__conn.close()
        server.close()
        thread.join(60)


@pytest.fixture(params=["simulated", "paper", "remote"])
def faulty(request: pytest.FixtureRequest) -> Iterator[FaultyTerminal]:
    terminal = market()
    if request.param == "remote":
        with client_of(terminal) as client:
            yield FaultyTerminal(client, SCHEDULE, terminal.clock)
        return
    assert terminal.initialize()
    inner = paper(terminal) if request.param == "paper" else terminal
    yield FaultyTerminal(inner, SCHEDULE, terminal.clock)


def test_a_terminal_of_any_kind_can_go_wrong(faulty: FaultyTerminal) -> None:
    assert faulty.initialize()
    answer = faulty.order_send(deal(volume=0.1, comment="a key"))
    assert (answer.retcode, answer.volume, answer.order > 2**53) == (10010, 0.05, True)
    (position,) = faulty.positions_get(ticket=answer.order)
    assert (position.volume, position.comment) == (0.05, "A KEY")
    assert [row.ticket for row in faulty.history_orders_get(*ALL)] == [answer.order]
    assert (faulty.order_send(close(position)), faulty.last_error()[0]) == (None, -10002)
    assert faulty.positions_get() == ()
    assert (faulty.account_info(), faulty.last_error()[0]) == (None, -1)
    assert (faulty.account_info().margin, faulty.last_error()) == (0.0, (1, "Success"))
    assert not faulty.terminal_info().trade_allowed
    assert faulty.order_send(deal()).retcode == 10027
    assert [entry.fault for entry in faulty.log.entries if entry.function == "order_send"] == [
        "filled_in_part",
        "large_tickets",
        "answer_lost",
        "button_off",
    ]


def few_prices(folder: Path) -> str:
    builtin_prices("EURUSD").iloc[:200].to_csv(folder / "prices.csv")
    return f"EURUSD={folder / 'prices.csv'}"


NOT_HEDGING = 32  # a seed that has, among others, the fault margin_mode


def test_a_program_can_be_run_on_a_terminal_that_goes_wrong_by_seed(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("import MetaTrader5 as mt5\nmt5.initialize()\nprint(mt5.account_info().margin_mode)\n")
    options = ["--speed", "max", "--faults", str(NOT_HEDGING), "--data", few_prices(tmp_path)]
    command = [sys.executable, "-m", "Backtest.simulated_terminal", "run", *options, str(file)]
    ended = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "0"), ended.stderr
    assert "Faults of 32:" in ended.stderr
    assert "  F25  The account is of another kind than it was said to be." in ended.stderr


def test_a_terminal_that_goes_wrong_by_seed_can_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(program, "serve", lambda terminal, host, port, listening: served.append(terminal))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    program.main(["serve", "--data", few_prices(tmp_path), "--faults", str(NOT_HEDGING)])
    (terminal,) = served
    assert terminal.initialize()
    assert (terminal.account_info().margin_mode, terminal.inner.account_info().margin_mode) == (0, 2)
