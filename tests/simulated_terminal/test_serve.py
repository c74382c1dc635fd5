"""The terminal for other programs: `python -m Backtest.simulated_terminal`."""

import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec
from Backtest.simulated_terminal.__main__ import main
from Backtest.simulated_terminal.running_market import Wanted, open_terminal
from Backtest.simulated_terminal.server_time import server_time
from Live.config import PROJECT_ROOT
from Live.mt5_connector.remote import RemoteTerminal
from tests.served import serving
from tests.simulated_terminal.terminals import bars, deal, done

WEDNESDAY = datetime(2026, 11, 18, 12, 0, tzinfo=UTC).timestamp()
WEEK = 7 * 86_400


EUROS = Wanted(symbols=("EURUSD",))


class Seconds:
    """A machine's monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def real() -> Seconds:
    return Seconds()


# the market of now


@pytest.mark.parametrize("moment", [WEDNESDAY, WEDNESDAY + 31 * WEEK, datetime(2024, 3, 12, 9, 30, tzinfo=UTC).timestamp()])
def test_the_market_is_where_the_machines_clock_is_with_history_behind_and_prices_ahead(moment: float, real: Seconds) -> None:
    zone = server_time("new-york")
    terminal = open_terminal(EUROS, moment, real)
    terminal.initialize()
    tick = terminal.symbol_info_tick("EURUSD")
    assert 0 <= zone.to_server(moment) - tick.time <= 60
    history = terminal.copy_rates_from_pos("EURUSD", 16385, 0, 99_999)
    assert pd.Timestamp(history["time"][0], unit="s") == pd.Timestamp("2018-01-01")
    days = pd.Series(pd.to_datetime(history["time"], unit="s").day_of_week).value_counts()
    assert 6 not in days.index
    assert days.get(5, 0) <= 2  # the prices in the box have two Fridays with an hour after the close of New York


def test_market_time_passes_with_real_time_and_brings_fresh_quotes(real: Seconds) -> None:
    terminal = open_terminal(EUROS, WEDNESDAY, real)
    terminal.initialize()
    first = terminal.symbol_info_tick("EURUSD").time
    real.now += 300
    assert 240 <= terminal.symbol_info_tick("EURUSD").time - first <= 360
    fast = open_terminal(replace(EUROS, speed=3600.0), WEDNESDAY, real)
    fast.initialize()
    first = fast.symbol_info_tick("EURUSD").time
    real.now += 2
    assert 7100 <= fast.symbol_info_tick("EURUSD").time - first <= 7300


@pytest.mark.parametrize(("change", "hours"), [((2026, 11, 1, 5, 30), 0), ((2027, 3, 14, 6, 30), 2)])
def test_the_servers_clock_goes_through_the_change_of_summer_time(
    change: tuple[int, ...], hours: int, tmp_path: Path, real: Seconds
) -> None:
    frame = bars([(100.0, 100.0, 100.0, 100.0)] * (15 * 1440), step=60)
    frame.to_csv(tmp_path / "always.csv")
    begin = datetime(*change, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]
    terminal = open_terminal(Wanted(files={"BTCUSD": tmp_path / "always.csv"}), begin, real)
    terminal.initialize()
    before = terminal.symbol_info_tick("BTCUSD").time
    real.now += 3600  # an hour later it is an hour later there, two hours, or the same hour once more
    assert round((terminal.symbol_info_tick("BTCUSD").time - before) / 3600) == hours
    real.now += 3600
    assert round((terminal.symbol_info_tick("BTCUSD").time - before) / 3600) == hours + 1


def test_an_account_on_file_goes_on_with_all_that_has_happened_since(tmp_path: Path, real: Seconds) -> None:
    wanted = replace(EUROS, account_file=tmp_path / "account.jsonl", account=AccountSpec(5_000.0))
    first = open_terminal(wanted, WEDNESDAY, real)
    first.initialize()
    tick = first.symbol_info_tick("EURUSD")
    done(first.order_send(deal(volume=0.01, sl=round(tick.bid - 0.0300, 5), tp=round(tick.ask + 0.0002, 5))))
    first.close()
    again = open_terminal(wanted, WEDNESDAY + 86_400, real)
    again.initialize()
    assert again.positions_get() == ()
    assert again.account_info().balance > 5_000.0  # its take profit was reached while nobody looked
    again.close()
    other = replace(wanted, account=AccountSpec(6_000.0))
    with pytest.raises(BadInput, match="with other account settings"):
        open_terminal(other, WEDNESDAY, real)


def test_at_another_speed_an_account_goes_on_where_it_was(tmp_path: Path, real: Seconds) -> None:
    wanted = replace(EUROS, account_file=tmp_path / "account.jsonl", speed=60.0)
    first = open_terminal(wanted, WEDNESDAY, real)
    first.initialize()
    real.now += 60
    left = first.symbol_info_tick("EURUSD").time
    first.close()
    again = open_terminal(wanted, WEDNESDAY + 86_400, real)
    again.initialize()
    assert 0 <= again.symbol_info_tick("EURUSD").time - left <= 60


def test_mistakes_are_told_together(tmp_path: Path, real: Seconds) -> None:
    short = bars([(1.1, 1.2, 1.0, 1.1)] * 50)
    short.to_csv(tmp_path / "short.csv")
    with pytest.raises(BadInput, match=r"reach from 2024-01-01 00:00 to 2024-01-03 01:59: want a week or more"):
        open_terminal(Wanted(files={"EURUSD": tmp_path / "short.csv"}), WEDNESDAY, real)
    with pytest.raises(BadInput) as caught:
        open_terminal(Wanted(symbols=("XAUUSE", "GBPUSE"), files={"EURUSD": tmp_path / "short.csv"}), WEDNESDAY, real)
    assert [mistake.split(":")[0] for mistake in caught.value.mistakes] == [
        "no prices for XAUUSE",
        "no prices for GBPUSE",
        "there are prices for EURUSD, which is none of the symbols XAUUSE,GBPUSE",
    ]


# the commands


def command(*words: str, **options: object) -> "subprocess.CompletedProcess[str]":
    """`python -m Backtest.simulated_terminal` as a person types it."""
    line = [sys.executable, "-m", "Backtest.simulated_terminal", *words]
    return subprocess.run(line, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=300, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["serve", "--host", "0.0.0.0"], "--host 0.0.0.0: a client can run any code here, so only 127.0.0.1 is served"),
        (["serve", "--speed", "max"], "--speed max: want a number above 0"),
        (["serve", "--data", "prices.csv"], "--data prices.csv: want SYMBOL=FILE, once for each symbol"),
        (["serve", "--server-time", "mars"], "server time 'mars': want new-york"),
        (["serve", "--symbols", "XAUUSE"], "no prices for XAUUSE: name a file with --data XAUUSE=FILE"),
        (["serve", "--data", "EURUSD=none.csv"], "none.csv: there is no such price file"),
        (["serve", "--symbols-file", "none.toml"], "symbols file none.toml: cannot be read"),
        (["symbols", "EURUSE"], "EURUSE: no such symbol"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {sentence}")
    assert told.count("\n") == 1


def test_the_symbols_are_printed_as_a_table_of_which_each_row_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["symbols"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["Symbol", "Description", "Digits"]
    assert len(lines) > 50
    (gold,) = (line for line in lines if line.startswith("XAUUSD"))
    assert gold.split() == "XAUUSD Gold vs US Dollar 2 100 0.01 0.01 100 22 0 -62 31 Metals".split()
    (tmp_path / "mine.toml").write_text('[Mine]\nsymbols.GOLD = { like = "XAUUSD", spread = 9 }')
    assert main(["symbols", "--symbols-file", str(tmp_path / "mine.toml"), "GOLD"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-5:] == ["9", "0", "-62", "31", "Mine"]


PROGRAM = """
import sys
import time
import MetaTrader5 as mt5

assert mt5.initialize()
print(__name__, sys.argv[1:], mt5.__version__)
first = mt5.symbol_info_tick("EURUSD").time
for _ in range(6):
    time.sleep(600)
print("passed", mt5.symbol_info_tick("EURUSD").time - first >= 3000)
while True:
    time.sleep(86_400)
"""


def test_a_program_runs_on_the_terminal_and_its_sleep_moves_the_market(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text(PROGRAM)
    ran = command("run", "--always-open", "--speed", "max", "--symbols", "EURUSD", str(tmp_path / "bot.py"), "--symbol", "EURUSD")
    assert ran.stdout.splitlines() == ["__main__ ['--symbol', 'EURUSD'] 5.0.6231", "passed True"]
    assert (ran.returncode, ran.stderr.strip()) == (0, "The prices end here.")


def test_a_program_ends_with_its_own_exit_code(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text("import sys, helper\nsys.exit(helper.CODE)")
    (tmp_path / "helper.py").write_text("CODE = 7")
    assert command("run", str(tmp_path / "bot.py")).returncode == 7


def test_what_is_served_ends_cleanly_and_keeps_its_account_and_several_clients_share_it(tmp_path: Path) -> None:
    kept = tmp_path / "account.jsonl"
    with serving(
        "--symbols", "EURUSD", "--account", str(kept), "--balance", "2500", "--margin-mode", "netting", "--leverage", "30"
    ) as first:
        one, two = (RemoteTerminal("127.0.0.1", first.port, timeout=60) for _ in range(2))
        assert one.initialize()
        assert two.initialize()
        account = two.account_info()
        assert (account.balance, account.margin_mode, account.leverage) == (2500.0, 0, 30)
        assert one.shutdown()
        assert two.account_info() is None  # as with the real terminal: one connection, and it has ended
        assert two.last_error() == (-10004, "No IPC connection")
        two.shutdown()
        first.process.terminate()
        assert first.process.wait(60) == 0
    assert kept.read_text().count("\n") >= 2
    with serving(
        "--symbols", "EURUSD", "--account", str(kept), "--balance", "2500", "--margin-mode", "netting", "--leverage", "30"
    ) as again:
        one = RemoteTerminal("127.0.0.1", again.port, timeout=60)
        assert one.initialize()
        (deposit,) = one.history_deals_get(1, 2_000_000_000)
        assert deposit.profit == 2500.0
        one.shutdown()


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = command("serve", "--symbols", "EURUSD", "--port", str(port))
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: --port {port}: cannot listen on 127.0.0.1:{port}")


def test_on_a_sunday_the_market_is_closed_unless_it_is_to_be_always_open(real: Seconds) -> None:
    sunday = datetime(2026, 11, 22, 5, 0, tzinfo=UTC).timestamp()
    answers = []
    for always_open in (False, True):
        terminal = open_terminal(Wanted(always_open=always_open), sunday, real)
        terminal.initialize()
        assert terminal.trades_now() == always_open
        answers.append(terminal.order_send(deal(volume=0.01)).retcode)
    assert answers == [10018, 10009]


@pytest.mark.long
def test_a_client_that_speaks_otherwise_is_let_go_in_a_sentence() -> None:
    with serving("--symbols", "EURUSD") as other:
        with socket.create_connection(("127.0.0.1", other.port)) as stranger:
            stranger.sendall((4).to_bytes(4, "big") + b"\x00" + b"abcd" + b"\n")  # framed as rpyc does, and no message of it
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(4096):
                pass
        remote = RemoteTerminal("127.0.0.1", other.port, timeout=60)
        assert remote.initialize()
        remote.shutdown()
        other.process.terminate()
        assert other.process.stderr is not None
        assert "Traceback" not in other.process.stderr.read()
