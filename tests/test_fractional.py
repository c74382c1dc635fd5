"""Parts of a unit: a file whose BACKTEST has a `fractional_unit` is backtested through FractionalBacktest, and traded live the same."""

import json
import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from backtesting import Strategy
from backtesting.lib import FractionalBacktest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from Backtest import run_backtest
from Backtest.bars import builtin_prices
from Backtest.errors import BadInput
from Backtest.fractional import FractionalUnit
from Backtest.lookahead import look_ahead
from Backtest.parity_terminal import ParityTerminal
from Backtest.session.playing import Subject
from Backtest.simulated_terminal import AccountSpec, parity_symbol
from Backtest.simulated_terminal.catalogue import retail_symbol
from Backtest.strategies import load_strategy
from Backtest.warmup import shortest_history
from Live.__main__ import main
from Live.drift import drifts_of
from Live.live_trader import LiveTrader
from Live.replay import replays_of
from Live.report import Wanted, plain_stats, reports_of
from Live.verify import compare
from tests.live_runs import Ran, loaded, run_live
from tests.many_strategies import AgainstItselfInOneBar, EditingLevels, SignalsInParts, Trailing, cheap
from tests.test_parity import Stopped, every_way, trades_of_record
from tests.waiting_strategies import WAITING, DrawnFreely

SATOSHI = 1e-8
SLOWLY = 86_400  # seconds
BITCOIN = builtin_prices("BTCUSD").assign(Volume=lambda bars: bars["Volume"].round())
EVERYTHING = """
from backtesting import Strategy

BACKTEST = dict(cash=10_000, commission=COMMISSION, hedging=True, margin=0.1, spread=0.0003, fractional_unit=UNIT)


class Everything(Strategy):
    count = 5

    def init(self):
        self.mean = self.I(lambda close: close.rolling(self.count).mean(), self.data.Close.s)
        self.stop = None

    def next(self):
        bar, price = len(self.data), self.data.Close[-1]
        if bar % 7 == 0:
            self.buy(size=0.1, limit=price * 0.999, sl=price * 0.8, tp=price * 1.2, tag=("limit", bar))
        if bar % 11 == 0:
            self.sell(size=100, stop=self.data.Low[-1], tag="stop")
        if bar % 13 == 0:
            for order in self.orders:
                order.cancel()
        if bar % 17 == 0 and self.trades:
            self.trades[0].close(0.5)
        if bar % 5 == 0:
            self.stop = price * 0.83
        for trade in self.trades:
            if trade.is_long and self.stop:
                trade.sl = self.stop
            elif trade.is_short and trade.pl_pct < -0.1:
                trade.sl = trade.entry_price * 1.2
        if bar % 40 == 0 or self.data.Close[-1] < self.mean[-1] * 0.7:
            self.position.close()
"""


def written(folder: Path, unit: float, commission: object = 0.0005, text: str = EVERYTHING) -> str:
    file = folder / "everything.py"
    file.write_text(text.replace("UNIT", repr(unit)).replace("COMMISSION", repr(commission)), encoding="utf-8")
    return str(file)


@pytest.mark.every(2)
@pytest.mark.parametrize(
    ("unit", "commission", "symbol"),
    [
        *((unit, 0.0005, "BTCUSD") for unit in (SATOSHI, 1e-6, 0.001, 0.01, 1)),
        (0.001, (1, 0.0001), "BTCUSD"),
        (0.01, 0.0005, "GOOG"),
        (SATOSHI, (0.01, 0.0001), "EURUSD"),
    ],
)
def test_parts_of_a_unit_are_traded_as_in_the_backtest(tmp_path: Path, unit: float, commission: object, symbol: str) -> None:
    verdict = compare(written(tmp_path, unit, commission), {}, builtin_prices(symbol).iloc[:250], symbol)
    assert list(map(str, verdict.differences)) == []
    assert len(verdict.live.trades) > 10


def backtested(frame: pd.DataFrame, strategy: type[Strategy], **backtest: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trades remain open, orders are cancelled for want of margin
        return FractionalBacktest(frame, strategy, **backtest).run()


class Seeing(Strategy):
    """Writes down what it sees."""

    seen: dict[pd.Timestamp, Any] = {}  # noqa: RUF012

    def init(self) -> None:
        self.mean = self.I(lambda close: close.rolling(3).mean(), self.data.Close.s)
        type(self).seen = {}

    def next(self) -> None:
        bar = [column[-1] for column in (self.data.Open, self.data.High, self.data.Low, self.data.Close, self.data.Volume, self.mean)]
        held = [(trade.size, trade.entry_price, trade.sl, trade.tp, trade.entry_bar, trade.tag) for trade in self.trades]
        closed = [(trade.size, trade.entry_price, trade.exit_price, trade.exit_bar) for trade in self.closed_trades]
        waiting = [(order.size, order.limit, order.stop, order.sl, order.tp) for order in self.orders]
        type(self).seen[self.data.index[-1]] = [*bar, self.position.size, held, closed, waiting]
        if len(self.data) % 4 == 0 and len(self.trades) < 3:
            self.buy(size=1_234_567, sl=self.data.Close[-1] * 0.71, tag=len(self.data))
            self.sell(size=3_000, limit=self.data.Close[-1] * 1.37, tp=self.data.Close[-1] * 0.93)
        for trade in self.trades[1:]:
            trade.close(0.3)


def numbers(value: Any) -> list[float]:
    """All numbers in it, flat."""
    if isinstance(value, (list, tuple)):
        return [number for each in value for number in numbers(each)]
    return [math.nan if value is None else float(value)]


@pytest.mark.long
def test_what_a_strategy_sees_is_what_it_sees_in_the_fractional_backtest(tmp_path: Path) -> None:
    settings = {"fractional_unit": SATOSHI, "cash": 100_000, "hedging": True}
    strategy = loaded(Seeing, **settings)
    run_live(
        tmp_path,
        strategy,
        {"BTCUSD": BITCOIN},
        given={"timeframe": "MN1", "interval_seconds": SLOWLY},
        made_by=partial(ParityTerminal, backtest=strategy.backtest),
        spec=partial(parity_symbol, unit=SATOSHI),
    )
    live = dict(Seeing.seen)
    backtested(BITCOIN, Seeing, **settings)
    live.pop(BITCOIN.index[-1], None)  # nobody can act on the last bar: the prices end with it
    assert len(live) > 100
    for time, told in live.items():
        expected = Seeing.seen[time]
        assert told[:7] == expected[:7]  # bar, indicator, position: to the last bit
        assert numbers(told) == pytest.approx(numbers(expected), rel=1e-14, abs=0.0, nan_ok=True)


ALL_KINDS: list[Any] = [AgainstItselfInOneBar, EditingLevels, SignalsInParts, Trailing]


@pytest.mark.every(3)
@pytest.mark.parametrize("strategy", ALL_KINDS, ids=lambda each: each.__name__)
def test_strategies_of_all_kinds_trade_parts_of_a_unit(tmp_path: Path, strategy: type[Strategy]) -> None:
    assert_equal(tmp_path, strategy, 0.001, builtin_prices("EURUSD").iloc[1_000:1_120], commission=cheap, cash=20_000)


@pytest.mark.every(2)
@pytest.mark.parametrize("number", [1, 10, 19, 28])
def test_every_way_of_filling_fills_parts_of_a_unit(tmp_path: Path, number: int) -> None:
    more = {"cash": 500_000, "margin": 0.5, "spread": (0, 0.0002)[number // 2 % 2]}
    strategy: Any = WAITING[number % len(WAITING)]
    assert_equal(tmp_path, strategy, 0.01, builtin_prices("EURUSD").iloc[1_000:1_080], **every_way()[number], **more)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), first=st.integers(0, 1_900), unit=st.sampled_from([0.01, 1e-4, 1e-6, SATOSHI]), data=st.data())
def test_any_strategy_that_does_anything_with_parts_of_a_unit_trades_as_in_its_backtest(
    tmp_path_factory: pytest.TempPathFactory, seed: int, first: int, unit: float, data: st.DataObject
) -> None:
    way = data.draw(st.sampled_from(every_way()))
    more = {"margin": data.draw(st.sampled_from([1.0, 0.5, 0.1])), "spread": data.draw(st.sampled_from([0, 0.0003]))}
    drawn = {"seed": seed, "room": data.draw(st.floats(0.2, 3.0)), "fractions": data.draw(st.sampled_from([0.0, 0.3, 0.8]))}
    strategy = type("DrawnFreely", (DrawnFreely,), drawn)
    frame = builtin_prices("EURUSD").iloc[first : first + 40]
    assert_equal(tmp_path_factory.mktemp("drawn"), strategy, unit, frame, cash=50_000, **way, **more)


def assert_equal(folder: Path, strategy: type[Strategy], unit: float, frame: pd.DataFrame, **backtest: Any) -> None:
    """The trades of the live stack are those of FractionalBacktest: sizes and times exactly, prices to twelve digits."""
    symbol = "BTCUSD" if len(frame) and frame["Close"].iloc[-1] > 10 else "EURUSD"
    chosen = loaded(strategy, fractional_unit=unit, **backtest)
    ran = run_live(
        folder,
        chosen,
        {symbol: frame},
        given={"timeframe": "MN1", "interval_seconds": SLOWLY} if symbol == "BTCUSD" else {"timeframe": "H1"},
        made_by=partial(ParityTerminal, backtest=chosen.backtest),
        spec=partial(parity_symbol, unit=unit),
    )
    assert ran.code == 0
    stats = backtested(frame, strategy, fractional_unit=unit, **backtest)
    rows = stats["_trades"]
    expected = sorted(zip(rows["EntryTime"], rows["ExitTime"], rows["Size"], rows["EntryPrice"], rows["ExitPrice"], strict=True))
    found = sorted((entered, left, size, bought, sold) for size, bought, sold, entered, left, _ in trades_of_record(ran))
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    for told, meant in zip(found, expected, strict=True):
        assert told[2:] == pytest.approx(meant[2:], rel=1e-12)
    assert ran.trader.final_account.equity == pytest.approx(stats["Equity Final [$]"], rel=1e-9)


def test_a_strategy_that_is_stopped_goes_on_with_its_parts(tmp_path: Path) -> None:
    stops, prices = [40, 41], {"BTCUSD": BITCOIN.iloc[:90]}
    chosen = load_strategy(written(tmp_path, 0.001))

    def stop(trader: LiveTrader) -> None:
        if stops and trader.terminal.clock.progress[0] >= stops[0]:  # type: ignore[attr-defined]  # a replay's clock
            stops.pop(0)
            raise Stopped

    def run(folder: Path, on_turn: Callable[[LiveTrader], None] = lambda _: None) -> Ran:
        made_by, spec = partial(ParityTerminal, backtest=chosen.backtest), partial(parity_symbol, unit=0.001)
        monthly = {"timeframe": "MN1", "interval_seconds": SLOWLY}
        return run_live(folder, chosen, prices, given=monthly, on_turn=on_turn, made_by=made_by, spec=spec)

    assert [run(tmp_path, stop).code for _ in range(2)] == [1, 1]
    broken = run(tmp_path)
    through = tmp_path / "through"
    through.mkdir()
    whole = run(through)
    decided = (
        "SELECT bar_time, signal, size, limit_price, stop_price, stop_loss, take_profit FROM signals WHERE signal <> 'HOLD' ORDER BY id"
    )
    assert broken.rows(decided) == whole.rows(decided)
    assert trades_of_record(broken) == trades_of_record(whole) != []


# a session of such a strategy, told


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("session")
    chosen = load_strategy(written(folder, 0.001, text=EVERYTHING.replace("spread=0.0003, ", "")))
    return run_live(
        folder,
        chosen,
        {"BTCUSD": BITCOIN},
        given={"timeframe": "MN1", "interval_seconds": SLOWLY},
        made_by=partial(ParityTerminal, backtest=chosen.backtest),
        spec=partial(parity_symbol, unit=0.001),
    )


def test_the_record_has_the_units_and_prices_of_the_market(session: Ran) -> None:
    [row] = session.rows("SELECT max(entry_price) AS price, max(abs(size)) AS size, max(volume) AS lots FROM trades")
    assert 1_000 < row["price"] < 200_000
    assert row["size"] == row["lots"]  # one unit a lot
    sizes = session.rows("SELECT DISTINCT size FROM signals WHERE signal = 'SELL'")
    assert sizes == [{"size": -100.0}]  # of an entry as the strategy gave it


def test_a_report_has_the_statistics_of_the_fractional_backtest(session: Ran) -> None:
    strategy = load_strategy(session.folder / "everything.py")
    stats = backtested(BITCOIN.iloc[:-1], strategy.cls, **strategy.backtest)
    [report] = reports_of(session.folder / "audit.db", Wanted())
    expected, found = plain_stats(stats), plain_stats(report.stats)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value, rel=1e-6, abs=1e-9) if isinstance(value, float) else value), name
    (drawn,) = report.stats["_strategy"]._indicators
    assert drawn[-1] == pytest.approx(BITCOIN["Close"].iloc[-6:-1].mean())


def test_a_session_drifts_by_nothing_from_its_fractional_backtest(session: Ran) -> None:
    [drift] = drifts_of(session.folder / "audit.db", Wanted())
    assert len(drift.shares) > 10
    assert [share.causes for share in drift.shares if any(share.causes.values())] == []


def test_a_session_is_decided_again_the_same(session: Ran) -> None:
    [replayed] = replays_of(session.folder / "audit.db", Wanted())
    assert (replayed.divergence, replayed.notes) == (None, [])
    assert replayed.decisions > 30


def test_a_broker_with_larger_lots_gets_what_fits_them(tmp_path: Path) -> None:
    text = (
        EVERYTHING.partition("    def next")[0]
        + "    def next(self):\n        if len(self.data) == 30:\n            self.buy(size=3_456_789)\n"
    )
    chosen = load_strategy(written(tmp_path, SATOSHI, text=text))
    ran = run_live(
        tmp_path,
        chosen,
        {"BTCUSD": BITCOIN},
        given={"timeframe": "MN1", "interval_seconds": SLOWLY, "price_collar_pct": 50},
        spec=retail_symbol,
        account=AccountSpec(10_000.0),
    )
    assert ran.rows("SELECT volume, status FROM orders") == [{"volume": 0.03, "status": "FILLED"}]


# the checks before trading, the backtest itself, and what cannot be


def test_the_checks_see_the_strategy_as_its_backtest_does(tmp_path: Path) -> None:
    chosen = load_strategy(written(tmp_path, SATOSHI))
    subject = Subject(chosen.cls, chosen.backtest, {})
    findings = look_ahead(subject, BITCOIN)
    assert not findings.is_red
    stats = backtested(BITCOIN, chosen.cls, **chosen.backtest)
    assert findings.plain["# Trades"] == stats["# Trades"] > 10
    assert shortest_history(subject, BITCOIN).needs[0].bars == 6


def test_run_backtest_runs_the_fractional_backtest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--strategy", written(tmp_path, 0.01), "--symbol", "BTCUSD", "--no-plot"]
    assert run_backtest.main(words) == 0
    plain = capsys.readouterr().out
    assert run_backtest.main([*words, "--fractional-unit", "1e-4"]) == 0
    assert capsys.readouterr().out != plain
    assert run_backtest.main([*words, "--fractional-unit", "2"]) == 2
    assert "--fractional-unit is 2.0; want the part of a unit" in capsys.readouterr().err


@pytest.mark.parametrize("unit", [0, -1, 2, "1e-8", None, True])
def test_a_unit_that_is_none_is_refused(tmp_path: Path, unit: object) -> None:
    with pytest.raises(BadInput, match=r"BACKTEST fractional_unit is .*; want the part of a unit"):
        load_strategy(written(tmp_path, unit))  # type: ignore[arg-type]


def test_verify_certifies_the_unit(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    assert main(["verify", written(tmp_path, SATOSHI), "--symbol", "BTCUSD", "--certificate", str(path)]) == 0
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert (facts["verdict"], facts["backtest"]["fractional_unit"]) == ("equal", SATOSHI)


@given(st.floats(1e-6, 1e6), st.sampled_from([1e-8, 1e-6, 0.001, 0.01, 1 / 3]))
def test_prices_go_to_the_strategy_and_back(price: float, size: float) -> None:
    unit = FractionalUnit(size)
    few = float(f"{price:.9g}")
    assert unit.market_price(unit.price(few)) == few
    assert unit.market_price(unit.price(price)) == pytest.approx(price, rel=1e-15)


@given(st.integers(1, 10**12), st.sampled_from([1e-8, 1e-6, 0.001, 0.01]))
def test_parts_go_to_the_market_and_back(parts: int, size: float) -> None:
    unit = FractionalUnit(size)
    assert unit.parts(unit.units(parts)) == parts
