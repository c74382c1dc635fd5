"""A paper account on file is the same account after a restart, also after a kill, and has seen what came in between."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from Backtest.bars import TIMEFRAMES, builtin_prices
from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal.catalogue import retail_symbol
from Backtest.simulated_terminal.paper import PaperTerminal, paper_account
from tests.simulated_terminal.paper_terminals import LOGIN, Watched, paper
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_LIMIT,
    SELL,
    T0,
    close,
    deal,
    done,
    exits,
    market_terminal,
    pending,
    symbol,
    terminal,
)

HOUR, BARS = 3600, 90
SESSION = """
import sys
from pathlib import Path
from tests.simulated_terminal.test_paper_restart import session
session(Path(sys.argv[1]), die_after=int(sys.argv[2]))
"""


def shown(made: PaperTerminal) -> tuple[Any, ...]:
    return made.account_info(), made.positions_get(), made.orders_get(), made.history_deals_get(*ALL), made.history_orders_get(*ALL)


def source_at(bar: int) -> Watched:
    """A terminal with a history of ticks, standing at the open of a bar."""
    frame = builtin_prices("EURUSD").iloc[:BARS]
    market = ReplayMarket({"EURUSD": (retail_symbol("EURUSD", frame), frame)}, TIMEFRAMES["H1"], start=frame.index[bar].tz_localize("UTC"))
    return Watched(SimulatedTerminal(market))


def bar_of(msc: int) -> int:
    opens = builtin_prices("EURUSD").index[:BARS].to_numpy().astype("datetime64[ms]").astype("int64")
    return int(opens.searchsorted(msc, side="right")) - 1


def act(made: PaperTerminal, bar: int) -> bool:
    """One order of a session that depends on nothing but the bar and what is open; False when the bar needs no more."""
    now, positions = made.symbol_info_tick("EURUSD"), made.positions_get()
    if len([each for each in (*made.history_orders_get(*ALL), *made.orders_get()) if each.magic == bar]) >= 2 or len(positions) > 4:
        return False
    if bar % 7 == 0 and positions:
        done(made.order_send(close(positions[0], magic=bar)))
    elif bar % 5 == 0:
        done(made.order_send(pending(BUY_LIMIT, round(now.bid - 0.001, 5), magic=bar, sl=round(now.bid - 0.002, 5))))
    else:
        side, sign = (BUY, 1) if bar % 2 else (SELL, -1)
        levels = {"sl": round(now.bid - sign * 0.002, 5), "tp": round(now.bid + sign * 0.003, 5)}
        done(made.order_send(deal(side, 0.1, magic=bar, **levels)))
    return True


def session(path: Path | None, first: int = 0, *, die_after: int | None = None) -> PaperTerminal:
    """Trade from a bar on; kill the process after so many orders."""
    source = source_at(first)
    made = paper(source, state_file=path)
    orders = 0
    for bar in range(first, BARS - 1):
        while bar % 3 == 0 and act(made, bar):
            orders += 1
            if orders == die_after:
                os.kill(os.getpid(), signal.SIGKILL)
        source.clock.sleep(0.5)  # the rest of the bar
        source.clock.sleep(HOUR / 2)  # the open of the next one
    return made


@pytest.mark.every(3)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("die_after", [1, 7, 24])
def test_after_a_kill_the_account_ends_as_if_nothing_had_happened(tmp_path: Path, die_after: int) -> None:
    file = tmp_path / "account.jsonl"
    child = subprocess.run([sys.executable, "-c", SESSION, str(file), str(die_after)], cwd=Path(__file__).parents[2], check=False)
    assert child.returncode == -signal.SIGKILL
    bar = bar_of(json.loads(file.read_bytes().splitlines()[-1])["now_msc"])
    assert shown(session(file, bar)) == shown(session(None))


def test_what_was_quoted_while_nobody_was_there_is_made_up_for(tmp_path: Path) -> None:
    prices = [(price,) * 4 for price in (1.1, 1.1, 1.09, 1.12, 1.12)]
    source = Watched(terminal(prices))
    first = paper(source, state_file=tmp_path / "a")
    done(first.order_send(deal(BUY, sl=1.095)))
    done(first.order_send(pending(BUY_LIMIT, 1.092, tp=1.11)))
    first.close()
    for _ in range(4):
        source.clock.sleep(60)
    told: list[str] = []
    second = paper(source, state_file=tmp_path / "a", tell=told.append)
    assert exits(second) == [(T0 + 2 * HOUR, 1.09, "[sl 1.09500]"), (T0 + 3 * HOUR, 1.12, "[tp 1.11000]")]  # type: ignore[arg-type]
    assert second.account_info().balance == 10_000.0 - 100.0 + 300.0
    assert told == []


def test_without_a_history_of_that_time_only_the_quote_of_now_counts_and_that_is_said(tmp_path: Path) -> None:
    source = Watched(terminal([(price,) * 4 for price in (1.1, 1.09, 1.12)]))
    first = paper(source, state_file=tmp_path / "a")
    done(first.order_send(deal(BUY, sl=1.095)))
    first.close()
    source.clock.sleep(60)
    source.clock.sleep(60)
    source.blind, told = {"copy_ticks_from"}, []  # type: ignore[var-annotated]
    second = paper(source, state_file=tmp_path / "a", tell=told.append)
    assert second.positions_get()[0].profit == 200.0
    assert [sentence[:51] for sentence in told] == ["EURUSD: the terminal gives no history of ticks; sto"]


def test_nothing_is_concluded_while_the_source_is_away_at_the_start(tmp_path: Path) -> None:
    source = Watched(terminal([(price,) * 4 for price in (1.1, 1.09, 1.12)]))
    first = paper(source, state_file=tmp_path / "a")
    done(first.order_send(deal(BUY, sl=1.095)))
    first.close()
    source.clock.sleep(60)
    before = (tmp_path / "a").read_bytes()
    second = paper(source, state_file=tmp_path / "a")
    source.lost = True
    assert second.positions_get() is None
    second.look()
    assert (tmp_path / "a").read_bytes() == before
    source.lost = False
    assert exits(second) == [(T0 + HOUR, 1.09, "[sl 1.09500]")]  # type: ignore[arg-type]


def test_an_account_with_money_of_another_currency_is_the_same_after_a_restart(tmp_path: Path) -> None:
    rows = {"EURGBP": 0.8, "EURUSD": 1.2, "GBPUSD": 1.5}
    source = Watched(market_terminal({name: (symbol(name), [(price,) * 4] * 5) for name, price in rows.items()}))
    first = paper(source, state_file=tmp_path / "a")
    done(first.order_send(deal(symbol="EURGBP")))
    done(first.order_send(deal(SELL, symbol="EURUSD")))
    expected = shown(first)
    first.close()
    assert shown(paper(source, state_file=tmp_path / "a")) == expected


def test_another_accounts_file_is_refused(tmp_path: Path) -> None:
    source = Watched(terminal([(1.1,) * 4] * 2))
    paper(source, state_file=tmp_path / "a").account_info()
    other = paper_account(source.account_info(), login=LOGIN + 1)
    with pytest.raises(BadInput, match="start a new one"):
        paper(source, other, state_file=tmp_path / "a")


def test_the_broker_may_change_leverage_and_levels_of_an_account(tmp_path: Path) -> None:
    prices = [(1.1,) * 4] * 2
    first = paper(Watched(terminal(prices)), state_file=tmp_path / "a")
    done(first.order_send(deal()))
    first.close()
    second = paper(Watched(terminal(prices, account=AccountSpec(leverage=30, stop_out=50.0))), state_file=tmp_path / "a")
    info = second.account_info()
    assert (info.leverage, info.margin_so_so, info.balance, second.positions_total()) == (30, 50.0, 10_000.0, 1)


def test_an_account_that_was_never_reached_leaves_no_money_behind(tmp_path: Path) -> None:
    source = Watched(terminal([(1.1,) * 4] * 2))
    first = paper(source, state_file=tmp_path / "a")
    source.lost = True
    assert first.account_info() is None
    first.close()
    source.lost = False
    assert paper(source, state_file=tmp_path / "a").account_info().balance == 10_000.0
