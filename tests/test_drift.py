"""A dry run on a broker with spread, slippage, refusals and a hand in it: each has its share of the difference, to the cent."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from Backtest.errors import BadInput
from Backtest.parity_terminal import ParityTerminal
from Backtest.simulated_terminal import AccountSpec, SimulatedTerminal
from Backtest.simulated_terminal.catalogue import retail_symbol
from Backtest.simulated_terminal.dealing import Dealing
from Backtest.strategies import load_strategy
from Live.__main__ import main
from Live.audit_logger.reader import RecordUnavailable
from Live.config import PROJECT_ROOT
from Live.drift import Drift, drifts_of
from Live.drift_causes import Cause
from Live.drift_plot import columns
from Live.errors import Misconfigured
from Live.live_trader import LiveTrader
from Live.report import Wanted
from tests.faulty_terminal import FaultyTerminal, answered
from tests.live_runs import Ran, eurusd, run_live

REJECT = 10006
BY_HAND, REFUSED = 115, 70
STRATEGY = """
from backtesting import Strategy

BACKTEST = dict(cash=100_000, margin=0.05)


class Planned(Strategy):
    "Trades of known sizes on known bars; one of them only where the one before it is missing."

    def init(self):
        pass

    def next(self):
        bar = len(self.data)
        sizes = {10: 10_000, 30: -10_000, 50: 12_345, 70: 10_000, 90: 90_000, 110: 10_000, 130: 500}
        if bar in sizes:
            (self.buy if sizes[bar] > 0 else self.sell)(size=abs(sizes[bar]))
        if bar == 75 and not self.position:
            self.sell(size=20_000)
        if bar % 20 == 0:
            self.position.close()
"""


def interfere(trader: LiveTrader) -> None:
    terminal = trader.terminal.functions
    if trader.bars == REFUSED - 1 and not terminal.faults:
        terminal.faults.append(answered(REJECT))
    if trader.bars == BY_HAND:
        for held in terminal.inner.positions_get() or ():
            price = terminal.inner.symbol_info_tick("EURUSD").bid
            what = {"action": 1, "symbol": "EURUSD", "position": held.ticket, "volume": held.volume, "type": 1, "price": price}
            assert terminal.inner.order_send({**what, "deviation": 100, "type_filling": 1}).retcode == 10009


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("disturbed")
    file = folder / "planned.py"
    file.write_text(STRATEGY)
    account = AccountSpec(100_000.0, commission=lambda size, _: 3.5e-5 * abs(size), dealing=Dealing(seed=3, drift_points=15))
    return run_live(
        folder,
        load_strategy(file),
        eurusd(150, 1000),
        given={"max_position_size": 0.5, "price_collar_pct": 50},
        on_turn=interfere,
        spec=retail_symbol,
        account=account,
        made_by=lambda *args, **options: FaultyTerminal(SimulatedTerminal(*args, **options)),
    )


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("equal")
    shutil.copy(PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py", folder / "sma_cross.py")
    return run_live(folder, load_strategy(folder / "sma_cross.py"), eurusd(200, 1000))


def only(ran: Ran, wanted: Wanted | None = None) -> Drift:
    [drift] = drifts_of(ran.folder / "audit.db", wanted or Wanted())
    return drift


def by_bar(drift: Drift, bar: int) -> dict[Cause, int]:
    """The causes of the trade that was decided on a bar, in cents."""
    times = list(eurusd(150, 1000).index)
    [share] = [share for share in drift.shares if share.trade.opener[0] == times[bar - 1].timestamp()]
    return {cause: cents for cause, cents in share.causes.items() if cents}


def test_the_causes_add_up_to_the_cent_and_to_what_the_account_has_made(disturbed: Ran) -> None:
    drift = only(disturbed)
    assert sum(drift.money(cause) for cause in Cause) == drift.live - drift.backtest
    [deals] = disturbed.rows("SELECT sum(profit + commission + swap + fee) AS money FROM fills")
    assert drift.live == round(deals["money"] * 100)  # nothing is open at the end
    assert disturbed.count("positions") == 0


def test_each_planted_cause_has_its_share(disturbed: Ran) -> None:
    drift = only(disturbed)
    entry = by_bar(drift, 10)
    assert {Cause.SPREAD, Cause.COMMISSION} <= set(entry) <= {Cause.SPREAD, Cause.SLIPPAGE, Cause.COMMISSION, Cause.SWAP, Cause.TIMING}
    assert entry[Cause.COMMISSION] == -70
    assert entry[Cause.SPREAD] < 0
    assert drift.count(Cause.SLIPPAGE) > 2
    assert Cause.ROUNDING in by_bar(drift, 50)
    assert list(by_bar(drift, 70)) == [Cause.REFUSED]
    assert list(by_bar(drift, 75)) == [Cause.FOLLOWS]
    assert Cause.LIMITS in by_bar(drift, 90)
    assert Cause.MANUAL in by_bar(drift, 110)
    assert list(by_bar(drift, 130)) == [Cause.ROUNDING]
    assert {cause for cause in Cause if drift.count(cause)} >= {Cause.REFUSED, Cause.LIMITS, Cause.MANUAL, Cause.FOLLOWS, Cause.SPREAD}
    assert drift.count(Cause.DATA) == 0


def test_what_a_limit_has_cut_is_worth_the_lots_that_are_missing(disturbed: Ran) -> None:
    drift = only(disturbed)
    bars = eurusd(150, 1000)
    missing = (90_000 - 50_000) * (bars["Open"].iloc[100] - bars["Open"].iloc[90])
    assert by_bar(drift, 90)[Cause.LIMITS] == pytest.approx(-100 * missing, abs=1)


def test_a_hand_is_worth_what_the_strategy_would_have_made_after_it(disturbed: Ran) -> None:
    [by_hand] = disturbed.rows("SELECT price FROM fills WHERE client_order_id IS NULL")
    later = eurusd(150, 1000)["Open"].iloc[120]
    assert by_bar(only(disturbed), 110)[Cause.MANUAL] == pytest.approx(1_000_000 * (by_hand["price"] - later), abs=1)


def test_a_session_that_is_equal_to_its_backtest_has_no_drift_in_any_cause(equal: Ran) -> None:
    drift = only(equal)
    assert len(drift.shares) > 5
    assert [share.causes for share in drift.shares if any(share.causes.values())] == []
    assert drift.live == drift.backtest != 0


@pytest.mark.every(2)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("waiting_strategies.FollowingTheMarket", {"trade_on_close": True}),
        ("waiting_strategies.Straddle", {"commission": 0.0001}),
        ("many_strategies.TakingParts", {"commission": (0.05, 0.00002)}),
        ("many_strategies.BothSides", {"hedging": True, "exclusive_orders": True}),
    ],
)
def test_on_a_broker_that_fills_as_a_backtest_nothing_drifts(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    module, cls = name.split(".")
    file = tmp_path / "strategy.py"
    file.write_text(f"from tests.{module} import {cls} as Base\n\nBACKTEST = {settings}\n\n\nclass {cls}(Base):\n    pass\n")
    strategy = load_strategy(file)
    drift = only(run_live(tmp_path, strategy, eurusd(150, 1000), made_by=partial(ParityTerminal, backtest=strategy.backtest)))
    assert len(drift.shares) > 2
    assert [(share.trade.opener, share.causes) for share in drift.shares if any(share.causes.values())] == []


def test_only_what_was_decided_since_then_is_compared(equal: Ran) -> None:
    whole, part = only(equal), only(equal, Wanted(since="2017-06-21"))
    assert 0 < len(part.shares) < len(whole.shares)
    assert [share.live for share in part.shares] == [share.live for share in whole.shares[-len(part.shares) :]]


def test_the_history_before_the_session_is_the_backtest_s_too(tmp_path: Path) -> None:
    file = tmp_path / "sma_cross.py"
    shutil.copy(PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py", file)
    bars = eurusd(200, 1000)
    run_live(tmp_path, load_strategy(file), bars, made_by=partial(starting_late, at=100))
    drift = drifts_of(tmp_path / "audit.db", Wanted())[0]
    assert drift.bars < 110
    assert len(drift.shares) > 2
    assert drift.live == drift.backtest
    assert all(not any(share.causes.values()) for share in drift.shares)


def starting_late(market: Any, *args: Any, at: int, **options: Any) -> SimulatedTerminal:
    series = next(iter(market.series.values()))
    market.first = market.events.first_from(series.epochs[at] * 1000)
    return SimulatedTerminal(market, *args, **options)


def test_the_command_prints_every_cause_and_draws_the_waterfall(disturbed: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = tmp_path / "plots" / "drift.html"
    assert main(["drift", "--db", str(disturbed.folder / "audit.db"), "--html", str(html), "--trades"]) == 0
    out = capsys.readouterr().out
    drift = only(disturbed)
    for cause in (Cause.SPREAD, Cause.REFUSED, Cause.MANUAL):
        assert f"{drift.money(cause) / 100:+,.2f}" in out
        assert cause.value in out
    assert "Planned on EURUSD H1" in out
    assert "refused by the broker" in html.read_text(encoding="utf-8")
    assert "<script src=" not in html.read_text(encoding="utf-8")  # it needs nothing else


def test_programs_read_the_same(disturbed: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", "--db", str(disturbed.folder / "audit.db"), "--no-plot", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert round(sum(each["money"] for each in told["causes"].values()), 2) == round(told["live"] - told["backtest"], 2)
    assert len(told["trades"]) == 8


def test_a_changed_or_missing_strategy_file_is_told(disturbed: Ran) -> None:
    file = disturbed.folder / "planned.py"
    try:
        file.write_text(STRATEGY + "\n# changed\n")
        assert "has changed since it traded" in only(disturbed).notes[0]
        file.unlink()
        with pytest.raises(BadInput, match="there is no such strategy file"):
            only(disturbed)
    finally:
        file.write_text(STRATEGY)


def test_what_is_not_there_is_told_in_a_sentence(disturbed: Ran) -> None:
    db = disturbed.folder / "audit.db"
    with pytest.raises(Misconfigured, match="fewer than 2 bars"):
        drifts_of(db, Wanted(symbols=("XAUUSD",)))
    with pytest.raises(RecordUnavailable, match="has no slot"):
        drifts_of(db, Wanted(slot="1@x/y/2"))


def test_a_waterfall_steps_from_one_column_to_the_next() -> None:
    found = columns([("Backtest", 1000), ("spread", -300), ("by hand", 500)], 1200)
    assert found["bottom"] == [0.0, 7.0, 7.0, 0.0]
    assert found["top"] == [10.0, 10.0, 12.0, 12.0]
    assert found["label"] == ["+10.00", "-3.00", "+5.00", "+12.00"]


def test_what_was_missed_while_the_trader_was_away_counts_for_our_limits(tmp_path: Path) -> None:
    file = tmp_path / "planned.py"
    file.write_text(STRATEGY)

    def away(trader: LiveTrader) -> None:
        if trader.bars in (48, 98):  # the entry on bar 50, and the exit on bar 100
            trader.clock.sleep(4 * 3600)

    account = AccountSpec(100_000.0)
    ran = run_live(tmp_path, load_strategy(file), eurusd(150, 1000), on_turn=away, spec=retail_symbol, account=account)
    drift = only(ran)
    assert list(by_bar(drift, 50)) == [Cause.LIMITS]
    [missed] = [share.trade for share in drift.shares if share.trade.note.startswith("missed")]
    assert missed.backtest
    assert not missed.live
    assert Cause.LIMITS in by_bar(drift, 90)
    assert sum(drift.money(cause) for cause in Cause) == drift.live - drift.backtest


def test_a_backtest_that_knew_the_future_is_told_by_what_it_decided_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "peeks.py"
    file.write_text(
        "from backtesting import Strategy\n\n\nclass Peeks(Strategy):\n    def init(self):\n"
        "        self.later = self.I(lambda close: close.s.shift(-3).bfill().ffill(), self.data.Close)\n\n    def next(self):\n"
        "        if self.later[-1] > self.data.Close[-1] and not self.position:\n            self.buy(size=1000)\n"
        "        elif self.later[-1] < self.data.Close[-1]:\n            self.position.close()\n"
    )
    drift = only(run_live(tmp_path, load_strategy(file), eurusd(80, 1000)))
    assert drift.backtest > drift.live
    assert drift.money(Cause.DATA) < 0
    assert "though it held the same" in " ".join(share.trade.note for share in drift.shares)


def test_what_is_open_at_the_end_is_worth_the_same_on_both_sides(tmp_path: Path) -> None:
    file = tmp_path / "planned.py"
    file.write_text(STRATEGY)
    ran = run_live(tmp_path, load_strategy(file), eurusd(117, 1000), spec=retail_symbol, account=AccountSpec(100_000.0))
    assert ran.count("positions") == 1
    drift = only(ran)
    assert {Cause.TIMING, Cause.MANUAL, Cause.FOLLOWS}.isdisjoint(by_bar(drift, 110))
    [share] = [share for share in drift.shares if share.trade.live and share.trade.live[0].exit_bar is None]
    assert share.trade.live[0].exit == share.trade.backtest[0].exit
    assert drift.notes[0].startswith("1 trade is open at the end, valued on both sides at 1.1")


def test_a_size_by_risk_is_named_as_another_rule(tmp_path: Path) -> None:
    file = tmp_path / "bracketed.py"
    file.write_text(
        "from tests.many_strategies import Bracketed as Base\n\nBACKTEST = dict(cash=100_000)\n\n\nclass Bracketed(Base):\n    pass\n"
    )
    account, given = AccountSpec(100_000.0), {"sizing": "risk", "default_risk_pct": 0.1}
    drift = only(run_live(tmp_path, load_strategy(file), eurusd(150, 1000), given=given, spec=retail_symbol, account=account))
    assert drift.count(Cause.SIZING) > 3
    assert drift.count(Cause.ROUNDING) == 0
    assert sum(drift.money(cause) for cause in Cause) == drift.live - drift.backtest


def test_two_symbols_are_two_drifts_and_two_waterfalls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(PROJECT_ROOT / "Backtest" / "codes" / "sma_cross.py", tmp_path / "sma_cross.py")
    bars = eurusd(80, 1000)
    run_live(tmp_path, load_strategy(tmp_path / "sma_cross.py"), {"EURUSD": bars, "GBPUSD": eurusd(80, 1200).set_axis(bars.index)})
    assert [drift.symbol for drift in drifts_of(tmp_path / "audit.db", Wanted())] == ["EURUSD", "GBPUSD"]
    assert main(["drift", "--db", str(tmp_path / "audit.db"), "--html", str(tmp_path / "d.html"), "--symbols", "EURUSD,GBPUSD"]) == 0
    assert (tmp_path / "d_EURUSD_H1.html").exists()
    assert (tmp_path / "d_GBPUSD_H1.html").exists()
    assert "SmaCross on GBPUSD H1" in capsys.readouterr().out


def test_a_yen_symbol_is_compared_in_the_currency_of_the_account(tmp_path: Path) -> None:
    file = tmp_path / "planned.py"
    file.write_text(STRATEGY)
    bars = eurusd(150, 1000)
    bars = bars.assign(**{name: (bars[name] * 130).round(3) for name in ("Open", "High", "Low", "Close")})
    account = AccountSpec(100_000.0)
    ran = run_live(tmp_path, load_strategy(file), {"USDJPY": bars}, spec=retail_symbol, account=account, given={"price_collar_pct": 50})
    [drift] = drifts_of(tmp_path / "audit.db", Wanted())
    [deals] = ran.rows("SELECT sum(profit + commission + swap + fee) AS money FROM fills")
    assert drift.live == round(deals["money"] * 100)
    assert sum(drift.money(cause) for cause in Cause) == drift.live - drift.backtest
    assert drift.count(Cause.CURRENCY) > 0
    assert abs(drift.money(Cause.CURRENCY)) < 0.02 * sum(abs(share.live) for share in drift.shares)
