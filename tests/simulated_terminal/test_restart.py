"""An account on file is the same account after a restart, also after a kill in the middle of anything."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, MarketEnded, SimulatedTerminal
from tests.simulated_terminal.terminals import ALL, BUY, SELL, close, deal, done, flat, parity_terminal, protect, symbol, terminal

ROWS = [(1.1, 1.11, 1.09, 1.1), (1.1, 1.12, 1.08, 1.11), (1.11, 1.13, 1.1, 1.12), (1.12, 1.2, 1.0, 1.1)]
SESSION = """
import os, signal, sys
from pathlib import Path
from tests.simulated_terminal.test_restart import session
session(Path(sys.argv[1]), die_after=int(sys.argv[2]))
"""


def snapshot(made: SimulatedTerminal) -> tuple[Any, ...]:
    made.initialize()
    return (
        made.clock.now(),
        made.clock.progress,
        made.account_info(),
        made.positions_get(),
        made.history_deals_get(*ALL),
        made.history_orders_get(*ALL),
    )


def act(made: SimulatedTerminal) -> bool:
    """One order of a session that depends on nothing but the time and what is open; False when the bar needs no more."""
    bar, positions = made.clock.progress[0], made.positions_get()
    if len(made.history_orders_get(*_seconds_of_bar(made))) >= 2 or len(positions) > 4:
        return False
    if bar % 7 == 0 and positions:
        done(made.order_send(close(positions[0])))
        return True
    price = made.symbol_info_tick("EURUSD").bid
    side = BUY if bar % 2 else SELL
    sign = 1 if side == BUY else -1
    done(made.order_send(deal(side, 0.1, sl=price - sign * 0.002, tp=price + sign * 0.004, magic=bar)))
    return True


def _seconds_of_bar(made: SimulatedTerminal) -> tuple[int, int]:
    second = int(made.clock.now().timestamp())
    return second, second


def session(path: Path | None, *, bars: int = 120, die_after: int | None = None) -> SimulatedTerminal:
    """Trade some bars of EURUSD; kill the process after so many orders."""
    made = parity_terminal("EURUSD", 10_000.0, state_file=path)
    orders = 0
    while made.clock.progress[0] < bars:
        while made.clock.progress[0] % 3 == 0 and act(made):
            orders += 1
            if orders == die_after:
                os.kill(os.getpid(), signal.SIGKILL)
        made.clock.sleep(60)
    return made


def test_a_new_terminal_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    file = tmp_path / "data" / "account.jsonl"
    first = terminal(ROWS, state_file=file)
    ticket = done(first.order_send(deal(BUY, 0.1, sl=1.05, tp=1.3, magic=3, comment="mine"))).order
    first.clock.sleep(3600)
    done(first.order_send(close(first.positions_get()[0], 0.04)))
    done(first.order_send(protect(ticket, 1.06, 1.3)))
    done(first.order_send(deal(SELL, 0.2)))
    expected = snapshot(first)
    first.close()
    second = terminal(ROWS, state_file=file)
    assert snapshot(second) == expected
    assert done(second.order_send(deal())).order > expected[-1][-1].ticket


def test_triggers_keep_their_order_over_a_restart(tmp_path: Path) -> None:
    def run(path: Path, *, restart: bool) -> Any:
        made = terminal(ROWS, state_file=path)
        tickets = [done(made.order_send(deal(BUY, 0.1, sl=1.05, tp=1.3))).order for _ in range(3)]
        done(made.order_send(protect(tickets[1], 1.06, 1.3)))
        if restart:
            made = terminal(ROWS, state_file=path)
        with pytest.raises(MarketEnded):
            made.clock.sleep(10_000_000)
        return made.history_deals_get(*ALL)

    assert run(tmp_path / "a", restart=True) == run(tmp_path / "b", restart=False)


def test_what_happened_inside_a_bar_is_not_played_twice(tmp_path: Path) -> None:
    first = terminal(ROWS, state_file=tmp_path / "a")
    done(first.order_send(deal(BUY, 0.1, sl=1.095)))
    first.clock.sleep(1)  # the rest of the bar, and the next one's open
    expected = snapshot(first)
    assert len(expected[4]) == 3
    assert snapshot(terminal(ROWS, state_file=tmp_path / "a")) == expected


@pytest.mark.every(4)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("die_after", [1, 2, 9, 30])
def test_after_a_kill_the_account_ends_as_if_nothing_had_happened(tmp_path: Path, die_after: int) -> None:
    file = tmp_path / "account.jsonl"
    child = subprocess.run([sys.executable, "-c", SESSION, str(file), str(die_after)], cwd=Path(__file__).parents[2], check=False)
    assert child.returncode == -signal.SIGKILL
    assert snapshot(session(file)) == snapshot(session(None))


def test_a_file_that_a_crash_has_cut_anywhere_holds_every_whole_step(tmp_path: Path) -> None:
    file, cut = tmp_path / "whole", tmp_path / "cut"
    session(file, bars=12)
    content = file.read_bytes()
    ends = [place + 1 for place, byte in enumerate(content) if byte == 10]
    for length in range(ends[0], len(content), 397):
        cut.write_bytes(content[:length])
        made = parity_terminal("EURUSD", 10_000.0, state_file=cut)
        steps = sum(end <= length for end in ends)
        assert len(made.history_deals_get(*ALL)) == max(1, _deals(content[: ends[steps - 1]]))
        made.close()
    cut.write_bytes(content[:10])  # not even the first line
    assert len(parity_terminal("EURUSD", 10_000.0, state_file=cut).history_deals_get(*ALL)) == 1


def _deals(content: bytes) -> int:
    return sum(len(json.loads(line).get("deals", [])) for line in content.splitlines())


def test_a_file_of_other_prices_or_another_account_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "account.jsonl"
    terminal(ROWS, state_file=file).close()
    others: list[Any] = [
        lambda: terminal(ROWS[:-1], state_file=file),
        lambda: terminal(ROWS, symbol(spread_points=1), state_file=file),
        lambda: terminal(ROWS, account=AccountSpec(500.0), state_file=file),
        lambda: terminal(ROWS, account=AccountSpec(commission=lambda units, price: 1.0), state_file=file),
    ]
    for other in others:
        with pytest.raises(BadInput, match=r"account.jsonl: this simulated account was traded on other prices .* start a new one"):
            other()
    terminal(ROWS, state_file=file)


def test_a_file_that_is_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello\nworld\n")
    with pytest.raises(BadInput, match=r"notes.txt, line 1: not a step of a simulated account"):
        terminal(ROWS, state_file=file)
    assert file.read_text() == "hello\nworld\n"


def test_a_place_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be kept here"):
        terminal(ROWS, state_file=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be kept here"):
        terminal(ROWS, state_file=tmp_path / "file" / "account.jsonl")


def _full(*_: Any) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("write", "why"), [(lambda *_: 3, "no room left"), (_full, "No space left on device")])
def test_a_disk_that_is_full_from_the_beginning_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, why: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(BadInput, match=f"a: {why} for the simulated account; make room on that disk, or choose another file"):
            terminal(ROWS, state_file=tmp_path / "a")
    assert terminal(ROWS, state_file=tmp_path / "a").account_info().balance == 10_000.0


def test_refused_orders_and_questions_leave_no_trace_on_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    made = terminal(flat(1.1), state_file=file)
    before = file.read_bytes()
    made.order_send(deal(volume=0.001))
    made.order_check(deal())
    made.account_info()
    assert file.read_bytes() == before


def test_a_step_for_which_there_is_no_room_is_an_error_and_leaves_the_step_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    made = terminal(flat(1.1), state_file=file)
    before, write = file.read_bytes(), os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, line: write(handle, line[:5]))
        with pytest.raises(OSError, match="no room left for the simulated account"):
            made.order_send(deal())
    assert file.read_bytes() == before
    done(made.order_send(deal()))
    made.close()
    assert len(terminal(flat(1.1), state_file=file).positions_get()) == 2
