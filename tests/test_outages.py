"""The whole trader on a terminal that goes away for a while and comes back."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backtesting import Strategy

from Backtest.simulated_terminal import SimulatedTerminal
from Live.errors import KillSwitch
from Live.live_trader import LiveTrader
from tests.faulty_terminal import FaultyTerminal
from tests.live_runs import Ran, eurusd, loaded, run_live

NOT_FOUND = (-10003, "IPC initialize failed, MetaTrader 5 x64 not found")
NO_CONNECTION = (-10004, "No IPC connection")


class InAndOut(Strategy):
    """Buys on bar 10, closes on bar 30, buys again on bar 40."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar in (10, 40):
            self.buy(size=1000)
        elif bar == 30:
            self.position.close()


class GoingTerminal(FaultyTerminal):
    """Is not there between two moments, `gone` and `there_again`, counted from the first one that it is asked in (hours)."""

    gone = there_again = 0.0

    def _watched(self, name: str, function: Any) -> Any:
        asked = super()._watched(name, function)

        def call(*args: Any, **options: Any) -> Any:
            if not self.is_gone():
                return asked(*args, **options)
            self.inner.shutdown()
            self.calls.append(f"{name} in vain")
            self.error = NOT_FOUND if name == "initialize" else NO_CONNECTION
            return False if name == "initialize" else None

        return call

    def order_send(self, request: dict[str, Any]) -> Any:
        assert not self.is_gone(), "it was known that nothing could be sent"
        return super().order_send(request)

    def is_gone(self) -> bool:
        now = self.clock.now()
        self.start = getattr(self, "start", now)
        return bool(timedelta(hours=self.gone) <= now - self.start < timedelta(hours=self.there_again))


def run(folder: Path, gone: float, there_again: float, **options: Any) -> Ran:
    def made(*args: Any, **given: Any) -> GoingTerminal:
        terminal = GoingTerminal(SimulatedTerminal(*args, **given))
        terminal.gone, terminal.there_again = gone, there_again
        return terminal

    return run_live(folder, loaded(InAndOut), eurusd(60), made_by=made, **options)


def events(ran: Ran, kind: str) -> list[str]:
    return [row["message"] for row in ran.rows("SELECT message FROM events WHERE event_type = ? ORDER BY id", kind)]


def orders(ran: Ran) -> list[tuple[str, str]]:
    return [(row["kind"], row["status"]) for row in ran.rows("SELECT kind, status FROM orders ORDER BY id")]


def test_an_outage_is_on_record_once_and_says_how_long_it_was(tmp_path: Path) -> None:
    ran = run(tmp_path, 20.5, 22.5)
    assert ran.code == 0
    assert events(ran, "DISCONNECTED") == ["terminal_info() failed: (-10004, 'No IPC connection')"]
    (told,) = events(ran, "RECONNECTED")
    assert "the terminal is back after" in told
    assert "attempts; it was lost at" in told
    assert told.endswith(events(ran, "DISCONNECTED")[0])


def test_an_outage_between_two_decisions_changes_no_order(tmp_path: Path) -> None:
    assert orders(run(tmp_path, 15.2, 15.6)) == [("ENTRY", "FILLED"), ("EXIT", "FILLED"), ("ENTRY", "FILLED")]


def test_what_was_decided_by_bars_of_the_outage_is_not_caught_up(tmp_path: Path) -> None:
    ran = run(tmp_path, 37.5, 45.5)
    assert orders(ran) == [("ENTRY", "FILLED"), ("EXIT", "FILLED")]
    assert len(events(ran, "MISSED_SIGNAL")) == 1


def test_after_an_outage_the_account_is_checked_and_reconciled_before_anything_is_sent(tmp_path: Path) -> None:
    ran = run(tmp_path, 28.5, 29.5)
    calls = ran.terminal.calls
    last = max(number for number, name in enumerate(calls) if name == "initialize in vain")
    after = calls[last + 1 :]
    assert after[after.index("shutdown") : after.index("shutdown") + 3] == ["shutdown", "initialize", "account_info"]
    sent = after.index("order_send")
    assert {"positions_get", "history_deals_get", "order_check"} <= set(after[:sent])


def test_the_emergency_stop_works_while_there_is_no_terminal(tmp_path: Path) -> None:
    def stop(trader: LiveTrader) -> None:
        if trader.connector.outage is not None:
            (tmp_path / "EMERGENCY_STOP").touch()

    ran = run(tmp_path, 20.5, 1_000.0, on_turn=stop)
    assert ran.code == KillSwitch.exit_code
    assert ran.terminal.calls.count("initialize in vain") == 1


def test_over_a_line_that_flaps_an_entry_waits_until_it_is_too_old(tmp_path: Path) -> None:
    flapped = list[datetime]()

    def flap_in_the_next_turn(trader: LiveTrader) -> None:
        def flap() -> None:
            trader.terminal.functions.before.clear()
            flapped.append(trader.clock.now())
            for _ in range(3):
                trader.record.event("DISCONNECTED", "No IPC connection", severity="ERROR")

        if trader.bars == 39 and not flapped:
            trader.terminal.functions.before["copy_rates_from_pos"] = flap

    ran = run(tmp_path, 1_000.0, 1_001.0, on_turn=flap_in_the_next_turn)
    assert len(flapped) == 1
    assert orders(ran) == [
        ("ENTRY", "FILLED"),
        ("EXIT", "FILLED"),
        ("ENTRY", "EXPIRED"),
    ]  # the prices of this replay stand still for an hour


def test_why_there_are_no_entries_is_said_while_there_is_no_terminal(tmp_path: Path) -> None:
    said = set()

    def listen(trader: LiveTrader) -> None:
        if trader.connector.outage is not None:
            said.add(trader.why_not())

    run(tmp_path, 20.5, 21.5, on_turn=listen)
    assert said
    assert all(text.startswith("the terminal is not reached since ") for text in said)


class GarblingTerminal(FaultyTerminal):
    """Loses the answers about bars of the first of two symbols, once and again."""

    def copy_rates_from_pos(self, symbol: str, *args: Any) -> Any:
        asked = self._watched("copy_rates_from_pos", self.inner.copy_rates_from_pos)
        if symbol == "EURUSD" and self.calls.count("copy_rates_from_pos") in (60, 61):
            self.calls.append("copy_rates_from_pos")
            self.error = (-10002, "IPC recv failed")
            return None
        return asked(symbol, *args)


def test_an_answer_that_is_lost_is_the_lines_fault_and_not_the_symbols(tmp_path: Path) -> None:
    frames = {"EURUSD": eurusd(60), "GBPUSD": eurusd(60)}
    ran = run_live(tmp_path, loaded(InAndOut), frames, made_by=lambda *args, **given: GarblingTerminal(SimulatedTerminal(*args, **given)))
    assert ran.code == 0
    assert events(ran, "SYMBOL_SILENT") == []
    (lost,), (back,) = events(ran, "DISCONNECTED"), events(ran, "RECONNECTED")
    assert lost == "copy_rates_from_pos(EURUSD, 16385, 0, 5) failed: (-10002, 'IPC recv failed')"
    assert back.endswith(lost)
    assert ran.terminal.calls.count("initialize") == 1 + 2
    assert [kind for kind, _ in orders(ran)].count("ENTRY") == 4
