"""The sum of the causes is the whole difference, to the cent, whatever the two sides are."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.drift_causes import Cause, Fill, Part, Share, Step, Trade, in_cents, shares_of

OPENER = (0, "0")


def at(price: float) -> Fill:
    return Fill(price, price, price)


def part(size: float = 1000.0, entry: float = 100.0, leaving: float = 101.0, bar: int | None = 5, **more: object) -> Part:
    return replace(Part(size, at(entry), 1, at(leaving), bar, "strategy"), **more)  # type: ignore[arg-type]


def causes(backtest: list[Part], live: list[Part], **more: object) -> dict[Cause, float]:
    [share] = shares_of([Trade(OPENER, backtest, live, **more)])  # type: ignore[arg-type]
    assert sum(share.causes.values()) == share.live - share.backtest
    return {cause: cents / 100 for cause, cents in share.causes.items() if cents}


def test_what_is_the_same_on_both_sides_differs_in_nothing() -> None:
    assert causes([part()], [part()]) == {}


def test_a_price_is_told_apart_into_timing_spread_and_slippage() -> None:
    entry = Fill(base=100.1, asked=100.3, price=100.35)
    assert causes([part()], [replace(part(), entry=entry)]) == {
        Cause.TIMING: -100.0,
        Cause.SPREAD: -200.0,
        Cause.SLIPPAGE: -50.0,
    }


def test_the_spread_that_the_backtest_pays_is_not_counted_twice() -> None:
    paid = replace(part(), entry=Fill(100.0, 100.2, 100.2))
    assert causes([paid], [replace(part(), entry=Fill(100.0, 100.2, 100.2))]) == {}
    assert causes([paid], [part()]) == {Cause.SPREAD: 200.0}


def test_sizes_go_step_by_step_and_the_rest_is_rounding() -> None:
    steps = [Step(Cause.FOLLOWS, 900.0), Step(Cause.LIMITS, 500.0)]
    assert causes([part()], [part(size=450.0)], sizes=steps) == {
        Cause.FOLLOWS: -100.0,
        Cause.LIMITS: -400.0,
        Cause.ROUNDING: -50.0,
    }


def test_costs_are_told_by_their_kind() -> None:
    live = part(commission=-3.0, swap=-1.5)
    assert causes([part(commission=-1.0)], [live]) == {Cause.COMMISSION: -2.0, Cause.SWAP: -1.5}


def test_what_was_closed_by_hand_counts_whole_with_its_spread_and_slippage() -> None:
    by_hand = replace(part(bar=3), exit=Fill(99.5, 99.4, 99.3), cause=Cause.MANUAL)
    assert causes([part()], [by_hand]) == {Cause.MANUAL: -1700.0}


def test_an_exit_that_was_held_back_counts_whole_for_what_held_it() -> None:
    late = part(leaving=98.0, bar=9)
    assert causes([part()], [late], held={5: Cause.REFUSED}) == {Cause.REFUSED: -3000.0}
    assert causes([part()], [late]) == {Cause.FOLLOWS: -3000.0}


def test_a_stop_of_a_sale_that_only_the_ask_has_touched_is_the_spread() -> None:
    sold = part(size=-1000.0)
    assert causes([sold], [replace(sold, exit=at(102.0), exit_bar=3, exit_by="stop loss")]) == {Cause.SPREAD: -1000.0}


def test_what_one_side_has_not_got_goes_whole_into_what_kept_it_from_it() -> None:
    assert causes([part(commission=-1.0)], [], missing=Cause.REFUSED) == {Cause.REFUSED: -999.0}
    assert causes([], [part()], missing=Cause.FOLLOWS) == {Cause.FOLLOWS: 1000.0}


def test_parts_that_ended_in_the_same_bar_belong_together() -> None:
    backtest = [part(500.0, leaving=101.0, bar=5), part(500.0, leaving=103.0, bar=8)]
    by_hand = part(500.0, leaving=100.0, bar=2, cause=Cause.MANUAL)
    assert causes(backtest, [by_hand, part(500.0, leaving=103.0, bar=8)]) == {Cause.MANUAL: -500.0}


PRICES = st.floats(0.01, 10_000)
SMALL = st.floats(-1_000, 1_000)
FILLS = st.builds(Fill, PRICES, PRICES, PRICES)
CAUSES = st.sampled_from(list(Cause))
BARS = st.none() | st.integers(0, 4)


def parts(sign: int) -> st.SearchStrategy[list[Part]]:
    one = st.builds(
        Part,
        size=st.floats(0.01, 1e6).map(lambda size: sign * size),
        entry=FILLS,
        entry_bar=st.just(0),
        exit=FILLS,
        exit_bar=BARS,
        exit_by=st.sampled_from(["strategy", "stop loss", "open"]),
        rate=st.floats(0.001, 10),
        commission=SMALL,
        swap=SMALL,
        rest=SMALL,
        cause=st.none() | CAUSES,
    )
    return st.lists(one, max_size=4)


STEPS = st.lists(st.builds(Step, CAUSES, st.floats(-1e6, 1e6)), max_size=3)
TRADES = st.sampled_from([1, -1]).flatmap(
    lambda sign: st.builds(
        Trade,
        opener=st.just(OPENER),
        backtest=parts(sign),
        live=parts(sign),
        sizes=STEPS,
        held=st.dictionaries(st.integers(0, 4), CAUSES),
        missing=CAUSES,
    )
)


@given(st.lists(TRADES, max_size=4))
def test_the_causes_of_any_trades_add_up_to_the_cent(trades: list[Trade]) -> None:
    shares = shares_of(trades)
    for share in shares:
        assert sum(share.causes.values()) == share.live - share.backtest
    assert total(shares) == sum(share.live for share in shares) - sum(share.backtest for share in shares)


@given(TRADES)
def test_before_they_are_rounded_the_steps_are_worth_the_difference_as_well(trade: Trade) -> None:
    [share] = shares_of([trade])
    pieces, exact = len(share.causes), exactly(trade)
    scale = sum(abs(made) for made in exact.values()) + 1
    assert sum(exact.values()) == pytest.approx(money(trade.live) - money(trade.backtest), abs=scale * 1e-9 + turnover(trade) * 1e-14)
    # what rounding adds to one cause is a cent or two: the rest is not an invention of the rounding
    for cause, made in exact.items():
        assert share.causes[cause] == pytest.approx(100 * made, abs=2 + pieces + scale * 1e-7)


def exactly(trade: Trade) -> dict[Cause, float]:
    from Live.drift_causes import _causes

    return _causes(trade)


def turnover(trade: Trade) -> float:
    """The largest sum that is handled on the way: a difference of such sums is known no better than to their rounding errors."""
    parts = [*trade.backtest, *trade.live]
    units = sum(abs(each.size) for each in parts) + sum(abs(step.units) for step in trade.sizes)
    return units * max((each.rate * (max(each.entry) + max(each.exit)) for each in parts), default=0)


def money(side: Sequence[Part]) -> float:
    return sum(each.money for each in side)


def total(shares: list[Share]) -> int:
    return sum(sum(share.causes.values()) for share in shares)


@given(st.dictionaries(CAUSES, st.floats(-1e6, 1e6)), st.integers(-3, 3))
def test_cents_add_up_and_stay_near_what_they_are(money: dict[Cause, float], off: int) -> None:
    wanted = round(100 * sum(money.values())) + (off if money else 0)
    cents = in_cents(money, wanted)
    assert sum(cents.values()) == wanted
    assert all(abs(cents[cause] - 100 * value) <= 4 for cause, value in money.items())
