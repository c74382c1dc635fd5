import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from Backtest.simulated_terminal import AccountInfo, AccountSpec, ReplayMarket, SimulatedTerminal, SymbolInfo, TerminalInfo, Tick
from Live.__main__ import main
from Live.doctor import Finding, Grade, consult, examine
from Live.doctor.findings import fail, ok
from Live.doctor.terminal import QUESTIONS, LookedAt
from Live.explanations import REASONS
from Live.mt5_connector import OpenedTerminal
from tests.faulty_terminal import FaultyTerminal
from tests.live_runs import settings
from tests.simulated_terminal.terminals import H1, T0, bars, flat, symbol

STRUCTURES: dict[str, Any] = {
    "account_info": AccountInfo,
    "terminal_info": TerminalInfo,
    "symbol_info": SymbolInfo,
    "symbol_info_tick": Tick,
}
SECRET = "hunter2hunter2"


@dataclass
class TickingClock:
    """A clock with whose seconds a tick comes, for as long as the market is open."""

    utc: datetime
    ticks: "BrokersTerminal"

    def now(self) -> datetime:
        return self.utc

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.utc += timedelta(seconds=seconds)
        if self.ticks.open:
            self.ticks.changed["symbol_info_tick"]["time"] = int(self.utc.timestamp() + self.ticks.ahead)


class BrokersTerminal(FaultyTerminal):
    """Looks like a broker's: `changed` says what it shows, by function and field; `ahead` how its clock stands to ours."""

    def __init__(self) -> None:
        market = ReplayMarket({"EURUSD": (symbol(spread_points=10), bars(flat(1.2, 48)))}, H1)
        super().__init__(SimulatedTerminal(market, AccountSpec(login=12345678)))
        for _ in range(46):
            self.inner.clock.sleep(3600)
        self.changed: dict[str, dict[str, Any]] = {name: {} for name in STRUCTURES}
        self.ahead, self.open = 3 * 3600.0, True
        self.refusal: tuple[int, str] | None = None

    def __getattr__(self, name: str) -> Any:
        function = super().__getattr__(name)
        return (lambda *args: self._changed(name, function(*args))) if name in STRUCTURES else function

    def symbol_info_tick(self, name: str) -> Any:
        return self._changed("symbol_info_tick", super().symbol_info_tick(name))

    def initialize(self, *args: Any, **options: Any) -> Any:
        self.calls.append("initialize")
        self.error = self.refusal
        return self.refusal is None and self.inner.initialize()

    def _changed(self, name: str, found: Any) -> Any:
        changes = self.changed[name]
        return found and STRUCTURES[name]([changes.get(field, value) for field, value in found._asdict().items()])


@pytest.fixture
def terminal() -> BrokersTerminal:
    return BrokersTerminal()


@pytest.fixture
def look(tmp_path: Path, terminal: BrokersTerminal) -> Callable[..., list[Finding]]:
    """What the doctor finds at a broker's terminal."""

    def look(**given: object) -> list[Finding]:
        config = settings(tmp_path, **{"warmup_bars": 20, **given})
        clock = TickingClock(datetime.fromtimestamp(T0 + 48 * 3600, UTC), terminal)
        return list(examine(config, tmp_path / "empty.env", {}, opened_by=lambda _: OpenedTerminal("native", terminal, clock)))

    return look


def about(findings: list[Finding], topic: str) -> Finding:
    (found,) = [finding for finding in findings if finding.topic == topic]
    return found


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["doctor", *words])
    return code, capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of the environment that keep to a folder of their own, and few prices."""
    prices = tmp_path_factory.mktemp("prices") / "few.csv"
    prices.write_text("Date,Open,High,Low,Close\n" + "".join(f"2024-01-01 {hour:02}:00,1,1,1,1\n" for hour in range(9)))
    monkeypatch.setenv("SIM_PRICES", str(prices))
    files = {"AUDIT_DB_PATH": "audit.db", "LOG_DIR": "logs", "SIM_ACCOUNT_DIR": "accounts", "KILL_SWITCH_FILE": "EMERGENCY_STOP"}
    for name, file in files.items():
        monkeypatch.setenv(name, str(tmp_path / file))
    monkeypatch.setenv("DASHBOARD", "false")
    return tmp_path


# it changes nothing


def test_a_dry_run_on_the_simulated_terminal_is_ready_and_nothing_is_left_behind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys)
    assert (code, "0 FAIL. A start would not be refused." in out) == (0, True)
    assert list(folder.iterdir()) == []


def test_only_questions_are_asked_of_the_terminal(look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    found = look()
    assert [finding for finding in found if finding.grade is Grade.FAIL and finding.topic != "Terminal package"] == []
    assert set(terminal.calls) <= QUESTIONS
    assert not QUESTIONS & {"order_send", "order_check", "symbol_select", "login", "shutdown"}
    with pytest.raises(AttributeError, match="never calls order_send"):
        LookedAt(terminal).order_send({})


def test_a_look_that_fails_unexpectedly_is_a_finding(look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    def crash() -> None:
        raise ZeroDivisionError("something new")

    terminal.before["symbol_info"] = crash
    found = about(look(), "EURUSD")
    assert (found.grade, found.remedy) == (Grade.FAIL, "please report it")
    assert "ZeroDivisionError: something new" in found.text


def test_a_terminal_that_cannot_be_opened_for_a_new_reason_is_a_finding(tmp_path: Path) -> None:
    def crash(_: object) -> OpenedTerminal:
        raise ZeroDivisionError("something new")

    found = list(examine(settings(tmp_path), None, {}, opened_by=crash))[-1]
    assert (found.topic, found.grade, "something new" in found.text) == ("Terminal", Grade.FAIL, True)


# the terminal


@pytest.mark.parametrize("code", [-10003, -10005, -6, -7, -5])
def test_a_terminal_that_does_not_start_is_told_with_the_remedy(
    code: int, look: Callable[..., list[Finding]], terminal: BrokersTerminal
) -> None:
    terminal.refusal = (code, "some text")
    found = look()[-1]
    assert (found.topic, found.grade, found.remedy) == ("Connection", Grade.FAIL, REASONS[code][1])
    assert f"some text ({code})" in found.text


def test_a_machine_that_serves_no_terminal_is_told_by_its_own_remedy(look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    terminal.refusal = (-10003, "IPC initialize failed, nobody serves a terminal at 127.0.0.1:18812")
    assert "MT5_REMOTE_HOST and MT5_REMOTE_PORT" in look(mt5_terminal="remote")[-1].remedy


@dataclass(frozen=True)
class Case:
    shown: dict[str, dict[str, Any]]
    topic: str
    grade: Grade
    words: str
    given: dict[str, object]


def case(function: str, changes: dict[str, Any], topic: str, grade: Grade, words: str, **given: object) -> Any:
    return pytest.param(Case({function: changes}, topic, grade, words, given), id=words)


OK, WARN, FAIL = Grade


@pytest.mark.parametrize(
    "case",
    [
        case("terminal_info", {"connected": False}, "Connection", FAIL, "not connected to its trade server"),
        case("terminal_info", {"ping_last": 900_000}, "Connection", WARN, "900 ms to its server"),
        case("terminal_info", {}, "Connection", OK, "50 ms to its server"),
        case("terminal_info", {"trade_allowed": False}, "Algo trading", FAIL, "Algo Trading button", dry_run=False),
        case("terminal_info", {"trade_allowed": False}, "Algo trading", WARN, "Algo Trading button of the terminal is off"),
        case("terminal_info", {"tradeapi_disabled": True}, "Algo trading", FAIL, "the Python package to trade", dry_run=False),
        case("account_info", {"trade_allowed": False}, "Algo trading", FAIL, "an investor's password", dry_run=False),
        case("account_info", {"trade_expert": False}, "Algo trading", FAIL, "the server forbids", dry_run=False),
        case("account_info", {}, "Algo trading", OK, "allowed by the terminal's button"),
        case("account_info", {}, "Account", OK, "12345678 at Simulated-Demo, demo, hedging"),
        case("account_info", {"trade_mode": 1}, "Account", OK, "contest"),
        case("account_info", {"trade_mode": 2}, "Account", FAIL, "set ALLOW_REAL_ACCOUNT=true", dry_run=False),
        case("account_info", {"trade_mode": 2}, "Account", OK, "12345678 at Simulated-Demo, real money", dry_run=True),
        case("account_info", {"trade_mode": 2}, "Account", OK, "real money, hedging", dry_run=False, allow_real_account=True),
        case("account_info", {}, "Account", FAIL, "the settings say MT5_LOGIN=7", mt5_login=7, mt5_password=SECRET),
        case("terminal_info", {"maxbars": 1_000}, "EURUSD history", FAIL, "keeps 1,000 bars", warmup_bars=1_000),
        case("terminal_info", {}, "EURUSD history", OK, "20 closed bars of H1"),
        case("terminal_info", {}, "EURUSD history", WARN, "46 closed bars of H1, WARMUP_BARS=100", warmup_bars=100),
        case("symbol_info", {}, "EURUSD", OK, "in Market Watch; 5 digits; 0.01 to 500 lots in steps of 0.01"),
        case("symbol_info", {"select": False}, "EURUSD", OK, "the trader puts it into Market Watch"),
        case("symbol_info", {"trade_freeze_level": 7, "trade_stops_level": 12}, "EURUSD", OK, "stops level 12, freeze level 7 points"),
        case("symbol_info", {"trade_exemode": 1}, "EURUSD", OK, "executed instant, fill or kill, immediate or cancel, return"),
        case("symbol_info", {"volume_step": 0.0}, "EURUSD", FAIL, "make no sense"),
        case("symbol_info", {"trade_mode": 0}, "EURUSD trading", FAIL, "cannot be traded"),
        case("symbol_info", {"trade_mode": 1}, "EURUSD trading", WARN, "can only be bought"),
        case("symbol_info", {"trade_mode": 2}, "EURUSD trading", WARN, "can only be sold"),
        case("symbol_info", {"trade_mode": 3}, "EURUSD trading", FAIL, "closed only"),
        case("symbol_info", {"order_mode": 126}, "EURUSD trading", FAIL, "no market orders"),
        case("symbol_info", {"order_mode": 15}, "EURUSD trading", WARN, "no stop losses and no take profits"),
        case("symbol_info", {"trade_exemode": 2, "filling_mode": 4}, "EURUSD trading", WARN, "neither fill or kill nor"),
        case("symbol_info", {}, "EURUSD sizes", FAIL, "MAX_POSITION_SIZE=0.005", max_position_size=0.005),
        case("symbol_info", {}, "EURUSD sizes", FAIL, "FIXED_LOTS=0.005", sizing="fixed", fixed_lots=0.005),
        case("symbol_info", {}, "EURUSD sizes", WARN, "is traded as 0.02", sizing="fixed", fixed_lots=0.025),
        case("symbol_info_tick", {"ask": 1.20030, "bid": 1.2}, "EURUSD quote", WARN, "spread 30 points, more than", max_spread_points=20),
        case("symbol_info_tick", {"ask": 1.20030, "bid": 1.2}, "EURUSD quote", OK, "1.20000/1.20030, spread 30 points, 0 seconds old"),
        case("symbol_info_tick", {"ask": 0.0}, "EURUSD quote", WARN, "cannot be traded on"),
        case("symbol_info_tick", {}, "Server time", OK, "UTC+3 hours; this machine's clock agrees"),
    ],
)
def test_what_is_not_well_has_a_remedy(case: Case, look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    for function, changes in case.shown.items():
        terminal.changed[function] |= changes
    found = about(look(**case.given), case.topic)
    assert found.grade is case.grade
    assert case.words in found.text
    assert bool(found.remedy) == (found.grade is not Grade.OK)


def test_a_symbol_is_suggested_under_the_brokers_name(look: Callable[..., list[Finding]]) -> None:
    found = about(look(symbols="EURUSD.m"), "EURUSD.m")
    assert (found.grade, found.text) == (Grade.FAIL, "the terminal has no symbol EURUSD.m (SYMBOLS)")
    assert found.remedy == "this broker has EURUSD: if that is the one, write it in place of EURUSD.m"
    assert "see Market Watch" in about(look(symbols="GBPJPY"), "GBPJPY").remedy


def test_a_symbol_without_a_quote_is_told_so(look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    terminal.blind.add("symbol_info_tick")
    findings = look()
    assert about(findings, "EURUSD quote").text == "no quote yet"
    assert about(findings, "Server time").grade is Grade.WARN


def test_history_that_cannot_be_read_is_told_with_the_error(look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    terminal.blind.add("copy_rates_from_pos")
    found = about(look(), "EURUSD history")
    assert found.grade is Grade.FAIL
    assert "Call failed (-1)" in found.remedy


def test_an_account_that_cannot_be_read_is_a_finding(look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    terminal.blind.add("account_info")
    found = about(look(), "Account")
    assert (found.grade, "account_info() failed" in found.text) == (Grade.FAIL, True)


def test_a_closed_market_is_told_from_a_clock_that_is_wrong(look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    terminal.open = False
    assert "is the market closed?" in about(look(), "Server time").text


@pytest.mark.parametrize(("seconds", "words"), [(20, "20 seconds behind the server's"), (-20, "20 seconds ahead of the server's")])
def test_a_clock_that_is_wrong_is_told(seconds: int, words: str, look: Callable[..., list[Finding]], terminal: BrokersTerminal) -> None:
    terminal.ahead += seconds
    found = about(look(), "Server time")
    assert found.grade is Grade.WARN
    assert words in found.text
    assert "UTC+3 hours" in found.text


# the machine and the settings


def test_all_mistakes_in_the_settings_are_told_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.env").write_text("FIXED_LOTS=x\nMAX_DAILY_TRADE=5\n")
    code, out = run(capsys, "--config", str(folder / "bad.env"))
    assert code == 2
    assert "FIXED_LOTS=x" in out
    assert "did you mean MAX_DAILY_TRADES?" in " ".join(out.split())
    assert "OK    Python" in out


def test_the_emergency_stop_is_red(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "EMERGENCY_STOP.txt").touch()
    code, out = run(capsys)
    assert code == 6
    assert "FAIL  Emergency stop" in out
    assert "-> python -m Live resume lets it trade again" in out


def test_a_file_that_is_no_record_is_red(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "audit.db").write_text("these are my holiday plans, and no database at all")
    code, out = run(capsys)
    assert (code, "FAIL  Record" in out) == (6, True)
    assert sorted(path.name for path in folder.iterdir()) == ["audit.db"]


def test_a_record_that_a_trader_holds_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--strategy", "Backtest/codes/sma_cross.py", "--dry-run"]
    assert main(words) == 0
    assert "DRY sma_cross" in " ".join(run(capsys)[1].split())
    with FileLock(folder / "audit.db.lock"):
        assert "a trader is running" in run(capsys)[1]


def test_a_port_that_is_in_use_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("DASHBOARD", "true")
        monkeypatch.setenv("DASHBOARD_PORT", str(other.getsockname()[1]))
        code, out = run(capsys)
    assert (code, "WARN  Dashboard" in out) == (0, True)


def test_a_folder_that_cannot_be_made_is_red(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("LOG_DIR", str(folder / "file" / "logs"))
    code, out = run(capsys)
    assert (code, "FAIL  LOG_DIR" in out) == (6, True)


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps no such bits")
@pytest.mark.parametrize(("mode", "told", "expected"), [(0o644, "FAIL  Settings", 2), (0o600, "OK    Secrets", 0)])
def test_a_settings_file_with_secrets_is_for_its_owner_only(
    mode: int, told: str, expected: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "own.env").write_text(f"MT5_LOGIN=5\nMT5_PASSWORD={SECRET}\n")
    (folder / "own.env").chmod(mode)
    code, out = run(capsys, "--config", str(folder / "own.env"))
    assert (code, told in out, "chmod 600" in out) == (expected, True, expected != 0)
    assert SECRET not in out


def test_a_secret_that_a_terminal_repeats_is_hidden(tmp_path: Path, terminal: BrokersTerminal, capsys: pytest.CaptureFixture[str]) -> None:
    from Live.doctor.report import print_findings

    print_findings([fail("Connection", f"bad password {SECRET}", "log in")], lambda: [SECRET], as_json=False)
    assert "bad password ***" in capsys.readouterr().out


def test_a_terminal_that_cannot_be_used_here_is_red(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "MetaTrader5", None)
    monkeypatch.setenv("DRY_RUN", "false")
    code, out = run(capsys)
    assert code == 6
    assert "FAIL  Terminal" in out


# how it is told


def test_lines_are_plain_words_within_80_columns_when_they_are_piped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "EMERGENCY_STOP").touch()
    _, out = run(capsys)
    lines = out.splitlines()
    assert all(line == "" or line.startswith(("OK  ", "WARN  ", "FAIL  ", " " * 24)) for line in lines[:-1])
    assert "\x1b" not in out
    assert [line for line in lines if line != line.rstrip()] == []
    assert max(len(line) for line in lines if str(folder) not in line and "/" not in line) <= 80


def test_letters_that_the_output_cannot_carry_are_replaced() -> None:
    look = "from Live.doctor.report import *; from Live.doctor.findings import *; print_findings([ok('x', '証券')], tuple, as_json=False)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, check=False)
    assert (done.returncode, b"OK    x                 ??" in done.stdout) == (0, True), done.stderr


def test_programs_read_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "EMERGENCY_STOP").touch()
    code, out = run(capsys, "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (6, False)
    assert [found["topic"] for found in told["findings"] if found["grade"] == "FAIL"] == ["Emergency stop"]


def test_a_finding_has_a_remedy_exactly_when_it_is_not_well() -> None:
    with pytest.raises(ValueError, match="has a remedy exactly when"):
        Finding("x", Grade.OK, "well", "do something")
    with pytest.raises(ValueError, match="has a remedy exactly when"):
        fail("x", "broken", "")
    assert ok("x", "well").remedy == ""


def test_the_exit_code_says_whether_anything_is_red(folder: Path) -> None:
    assert consult({}, None, dict(os.environ), as_json=True) == 0
    assert consult({"symbols": "EURUSD,GBPUSD", "sim_prices": ""}, None, dict(os.environ), as_json=True) == 6
    assert consult({"symbols": ""}, None, dict(os.environ), as_json=True) == 2
