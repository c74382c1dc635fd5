"""What a symbol costs, measured at a terminal: arguments that make a backtest pay what the account paid."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from backtesting import Strategy
from backtesting.lib import FractionalBacktest

from Backtest.bars import builtin_prices, timeframe
from Backtest.simulated_terminal import AccountSpec, MarketEnded, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal.catalogue import retail_symbol
from Live.__main__ import main
from Live.costs import Costs, commission_rates, costs_of, print_costs, swap_rate
from Live.errors import Misconfigured, Unreachable
from Live.mt5_connector.remote import RemoteTerminal
from tests.live_runs import eurusd, settings
from tests.served import served_here

H1 = timeframe("H1")


def opened(frame: pd.DataFrame, *, commission: float | None = None) -> SimulatedTerminal:
    """A retail broker over these prices, with one round trip of half a lot in its history, and all of its prices over."""
    account = AccountSpec(10_000.0, commission=lambda units, price: (commission or 0.0) * abs(units) * price)
    terminal = SimulatedTerminal(ReplayMarket({"EURUSD": (retail_symbol("EURUSD", frame), frame)}, timeframe=H1), account)
    assert terminal.initialize()
    terminal.clock.sleep(3 * 3600)
    if commission is not None:
        round_trip(terminal)
    with pytest.raises(MarketEnded):
        terminal.clock.sleep(10**9)
    return terminal


def round_trip(terminal: SimulatedTerminal) -> None:
    order = {"action": 1, "symbol": "EURUSD", "volume": 0.5, "type": 0, "price": terminal.symbol_info_tick("EURUSD").ask, "type_filling": 1}
    bought = terminal.order_send(order)
    assert bought.retcode == 10009
    terminal.clock.sleep(3600)
    sold = terminal.order_send({**order, "type": 1, "position": bought.order, "price": terminal.symbol_info_tick("EURUSD").bid})
    assert sold.retcode == 10009


def with_spread(points: int) -> pd.DataFrame:
    return eurusd(120).assign(Spread=points)


def test_spread_margin_and_commission_are_what_the_account_pays() -> None:
    found = costs_of(opened(with_spread(12), commission=0.00004), "EURUSD", H1.mt5, 30)
    assert found.spread is not None
    assert (found.spread.least, found.spread.median, found.spread.most) == (12, 12, 12)
    assert found.spread.fraction == pytest.approx(found.spread.mean * 0.00001 / found.price, rel=0.05)
    assert found.commission == pytest.approx(0.00004, rel=0.01)  # the broker keeps cents
    assert found.deals == 2
    assert found.margin == pytest.approx(0.01, rel=1e-3)
    assert found.arguments()["margin"] == 0.01
    assert set(found.arguments()) == {"spread", "commission", "margin"}


def test_without_a_deal_there_is_no_commission_to_measure() -> None:
    found = costs_of(opened(with_spread(5)), "EURUSD", H1.mt5, 30)
    assert (found.commission, found.deals) == (None, 0)
    assert "commission" not in found.arguments()


class WithoutTicks:
    """A terminal whose server keeps no ticks."""

    def __init__(self, terminal: SimulatedTerminal, *, silent: str = "") -> None:
        self._terminal, self._silent = terminal, silent

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: None) if name in ("copy_ticks_range", self._silent) else getattr(self._terminal, name)


def test_where_there_are_no_ticks_the_spread_is_that_of_the_bars() -> None:
    found = costs_of(WithoutTicks(opened(with_spread(7))), "EURUSD", H1.mt5, 30).spread
    assert found is not None
    assert found.source == "bars"
    assert found.least == found.most > 0


def test_only_the_days_that_are_asked_for_are_measured() -> None:
    frame = with_spread(5)
    frame.loc[frame.index[:-24], "Spread"] = 90
    terminal = opened(frame)
    newest, longer = (costs_of(terminal, "EURUSD", H1.mt5, days).spread for days in (1, 30))
    assert newest is not None
    assert longer is not None
    assert newest.median == 5
    assert longer.median == 90


def test_a_question_without_an_answer_and_an_unknown_symbol_are_told() -> None:
    terminal = opened(with_spread(5))
    with pytest.raises(Unreachable, match="order_calc_margin"):
        costs_of(WithoutTicks(terminal, silent="order_calc_margin"), "EURUSD", H1.mt5, 7)
    with pytest.raises(Misconfigured, match="EURUSDm"):
        costs_of(terminal, "EURUSDm", H1.mt5, 7)


def test_a_commission_a_lot_and_a_fee_are_a_fraction_of_the_value() -> None:
    deals = [SimpleNamespace(volume=volume, price=1.25, commission=-3.5 * volume, fee=-0.1) for volume in (1.0, 2.0)]
    rates, values = commission_rates(deals, 100_000)
    assert values.tolist() == [125_000, 250_000]
    assert float(np.average(rates, weights=values)) == pytest.approx((3.5 * 3 + 0.2) / 375_000)


@pytest.mark.parametrize(
    ("mode", "rate", "expected"),
    [(0, -5.0, 0.0), (1, -6.0, -5e-05), (2, -6.0, -6e-05), (4, -6.0, -5e-05), (5, -3.6, -1e-04), (6, -3.6, -1e-04), (7, -6.0, None)],
)
def test_a_night_is_a_fraction_of_the_value_in_every_mode_that_can_be_counted(mode: int, rate: float, expected: float | None) -> None:
    info = SimpleNamespace(swap_mode=mode, point=0.00001, trade_contract_size=100_000)
    assert swap_rate(info, rate, 1.2, 100_000) == expected


def made(**given: Any) -> Costs:
    facts = {"symbol": "X", "currency": "USD", "price": 1.0, "days": 7, "spread": None, "commission": None, "commission_varies": 0.0}
    rest = {"deals": 0, "margin": 1 / 30, "swap_long": 0.0, "swap_short": 0.0, "triple_night": "Wednesday"}
    step = {"step_lots": 0.01, "step_units": 1000.0}
    return Costs(**{**facts, **rest, **step, **given})


def test_arguments_are_rounded_up_and_a_rebate_less_far_down() -> None:
    assert made().arguments() == {"margin": 0.0334}
    assert made(commission=0.0000351).arguments()["commission"] == 0.0000351
    assert made(commission=0.00003512).arguments()["commission"] == 0.0000352
    assert made(commission=-0.00003512).arguments()["commission"] == -0.0000351


def test_the_command_prints_arguments_to_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = settings(tmp_path, sim_broker="retail", sim_spread_points=8)
    assert print_costs(given, 10) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "least 8.0, median 8.0, mean 8.0, most 8.0 points" in out
    assert "commission= is not measured" in out
    assert "whole numbers of 0.01 lots, 1,000 units of EURUSD: a backtest's sizes are rounded down to them" in out
    assert print_costs(given, 10, as_json=True) == 0
    [told] = json.loads(capsys.readouterr().out)
    spread = told["arguments"]["spread"]
    assert spread == pytest.approx(0.00008 / eurusd(5_000)["Close"].iloc[-240:].mean(), rel=0.01)
    assert f"Backtest(data, Strategy, spread={spread}, margin=0.01)" in out
    assert told["symbol"] == "EURUSD"
    assert (told["step_units"], told["fractional_unit"]) == (1000, None)
    assert not list(tmp_path.glob("**/*.jsonl"))  # no account is made


def test_where_lots_are_finer_than_units_the_unit_for_a_fractional_backtest_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = builtin_prices("BTCUSD")
    given = settings(tmp_path, sim_broker="retail", sim_spread_points=8, symbols="BTCUSD", timeframe="1mo")
    assert print_costs(given, 400) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "whole numbers of 0.01 lots, 0.01 units of BTCUSD" in out
    call = out[out.index("FractionalBacktest(") : out.index(") commission= is not")] + ", cash=10_000)"
    backtest = eval(call, {"FractionalBacktest": FractionalBacktest, "data": bars, "Strategy": BuysAPart})  # what is to be copied runs
    assert [trade.size for trade in backtest.run()["_strategy"].closed_trades] == [7]
    assert print_costs(given, 400, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)[0]["fractional_unit"] == 0.01


class BuysAPart(Strategy):
    """Seven hundredths of a bitcoin."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        if len(self.data) == 5:
            self.buy(size=7)
        elif len(self.data) == 9:
            self.position.close()


def test_a_symbol_without_prices_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "XAUUSD"]) == 2
    assert "no prices of XAUUSD" in capsys.readouterr().err


def test_costs_of_a_terminal_on_another_machine_are_those_of_that_terminal() -> None:
    terminal = opened(with_spread(12), commission=0.00004)
    with served_here(terminal) as port:
        remote = RemoteTerminal("127.0.0.1", port, timeout=60)
        assert remote.initialize()
        found = costs_of(remote, "EURUSD", H1.mt5, 30)
        remote.shutdown()
    assert terminal.initialize()
    assert found == costs_of(terminal, "EURUSD", H1.mt5, 30)
