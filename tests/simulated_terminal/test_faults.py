"""Faults by plan and by seed: when they begin, that the same seed does the same, and that without one nothing is changed."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, Dealing, MarketEnded, ReplayMarket, SimulatedTerminal
from Backtest.simulated_terminal.faults import KINDS, At, Chance, FaultyTerminal, NthCall, Planned, Schedule, When
from Backtest.simulated_terminal.faults.calls import FUNCTIONS
from Backtest.simulated_terminal.faults.kind import SERVER
from Backtest.simulated_terminal.faults.streams import Stream
from tests.simulated_terminal.faulty import faulty, held, with_faults
from tests.simulated_terminal.terminals import (
    ALL,
    BUY,
    BUY_LIMIT,
    H1,
    SELL,
    T0,
    bars,
    close,
    deal,
    modify,
    pending,
    protect,
    remove,
    symbol,
)

HEDGING = 2

# a random session: what programs ask, rightly and wrongly, for days

Asked = tuple[str, tuple[Any, ...], dict[str, Any]]
QUESTIONS: list[Asked] = [
    ("account_info", (), {}),
    ("terminal_info", (), {}),
    ("version", (), {}),
    ("positions_get", (), {}),
    ("positions_get", (), {"symbol": "EURUSD"}),
    ("positions_get", (), {"group": "*USD,!GBP*"}),
    ("positions_get", (), {"ticket": 50_000_002}),
    ("positions_get", (), {"ticket": "text"}),
    ("positions_get", ("EURUSD",), {}),
    ("positions_total", (), {}),
    ("orders_get", (), {}),
    ("orders_get", (), {"symbol": "EURUSD"}),
    ("orders_total", (), {}),
    ("history_orders_get", ALL, {}),
    ("history_orders_get", ALL, {"group": "GBP*"}),
    ("history_orders_get", (), {"ticket": 50_000_001}),
    ("history_orders_total", (T0, T0 + 7200), {}),
    ("history_deals_get", (T0 + 3600, T0 + 9 * 3600), {}),
    ("history_deals_get", (), {"position": 50_000_001}),
    ("history_deals_get", ALL, {}),
    ("history_deals_get", (), {}),
    ("history_deals_total", ALL, {}),
    ("symbols_total", (), {}),
    ("symbols_get", ("EUR*",), {}),
    ("symbol_info", ("EURUSD",), {}),
    ("symbol_info", ("NOTHING",), {}),
    ("symbol_info_tick", ("EURUSD",), {}),
    ("symbol_select", ("EURUSD", True), {}),
    ("copy_rates_from_pos", ("EURUSD", 16385, 0, 5), {}),
    ("copy_rates_range", ("EURUSD", 16385, T0, T0 + 7200), {}),
    ("copy_ticks_from", ("EURUSD", T0, 5, -1), {}),
    ("market_book_add", ("EURUSD",), {}),
    ("market_book_get", ("EURUSD",), {}),
    ("order_calc_margin", (0, "EURUSD", 0.1, 1.2), {}),
    ("order_calc_profit", (0, "EURUSD", 0.1, 1.2, 1.3), {}),
    ("shutdown", (), {}),
    ("initialize", (), {}),
    ("initialize", (), {}),
    ("login", (7,), {}),
]


def moving_market(account: AccountSpec | None = None) -> SimulatedTerminal:
    def wave(stream: Stream) -> Iterator[tuple[float, float, float, float]]:
        price = 1.2
        for _ in range(120):
            after = round(price + (stream.uniform() - 0.5) * 0.004, 5)
            yield price, max(price, after) + 0.001, min(price, after) - 0.001, after
            price = after

    market = ReplayMarket({"EURUSD": (symbol(spread_points=10), bars(list(wave(Stream(3, "prices")))))}, H1)
    return SimulatedTerminal(market, account or AccountSpec(commission=lambda units, price: 1.0))


def request(stream: Stream, positions: Any, orders: Any) -> dict[str, Any]:
    """One of the things that can be asked for, now and then of what is not there."""
    position = stream.choice(positions) if positions else None
    order = stream.choice(orders).ticket if orders else 1
    ticket = position.ticket if position else 1
    lots = stream.choice([0.01, 0.1, 0.35, 1])  # an int is refused
    return stream.choice(
        [
            deal(BUY, lots, magic=7, comment="a Key of twenty letters"),
            deal(SELL, lots, sl=round(1.2 + stream.uniform() * 0.1, 5)),
            close(position, magic=7) if position else deal(9),
            protect(ticket, sl=1.1, tp=1.3),
            pending(BUY_LIMIT, round(1.19 + stream.uniform() * 0.01, 5), 0.1),
            modify(order, 1.18),
            remove(order),
        ]
    )


def session(terminal: Any, seed: int, calls: int = 900) -> list[Any]:
    """All answers, with their errors, of a random session; it ends where the prices do."""
    terminal.initialize()
    stream, told = Stream(seed, "session"), list[Any]()
    try:
        for _ in range(calls):
            told.append(asked(terminal, stream))
            if stream.chance(0.1):
                terminal.clock.sleep(3600 * stream.uniform())
    except MarketEnded:
        pass
    return told


def asked(terminal: Any, stream: Stream) -> tuple[Any, ...]:
    name, args, options = stream.choice(QUESTIONS)
    if stream.chance(0.3):
        name, args = stream.choice(["order_send", "order_check"]), ()
        options = request(stream, terminal.positions_get() or (), terminal.orders_get() or ())
    try:
        answer = getattr(terminal, name)(*args, **options)
    except (SystemError, TypeError) as error:
        return (name, str(error), terminal.last_error())
    return (name, answer.tolist() if hasattr(answer, "tolist") else answer, type(answer).__name__, terminal.last_error())


HARMLESS = [
    Schedule(),
    Schedule((Planned(At(1e9), "answer_lost"), Planned(Chance(0.0), "no_answer"))),
    Schedule((Planned(At(0.0), "margin_mode", {"margin_mode": 2}), Planned(At(0.0), "history_truncated", {"oldest": 0, "newest": 0}))),
    Schedule((Planned(At(0.0), "late_lists", dict.fromkeys(("positions", "orders", "history_orders", "history_deals"), 0.0)),)),
    Schedule((Planned(At(0.0), "window_off", {"hours": 0}), Planned(At(0.0), "commission_apart", {"lasts": 0.0}))),
]


@pytest.mark.parametrize("schedule", HARMLESS, ids=["none", "later", "no change", "no delay", "nothing to do"])
def test_without_a_fault_all_answers_are_those_of_the_terminal(schedule: Schedule) -> None:
    told, true = session(FaultyTerminal(moving_market(), schedule), 1), session(moving_market(), 1)
    assert len(true) > 500
    assert {answer[0] for answer in true} == {name for name, _, _ in QUESTIONS} | {"order_send", "order_check"}
    assert told == true


def test_constants_structures_and_whatever_else_a_terminal_has_are_its_own() -> None:
    inner = moving_market()
    terminal = FaultyTerminal(inner, Schedule())
    assert (terminal.ORDER_TYPE_SELL, terminal.TradeDeal, terminal.clock) == (1, inner.TradeDeal, inner.clock)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = terminal.no_such_name


# seeds


def seeded(seed: int) -> tuple[list[Any], FaultyTerminal]:
    terminal = FaultyTerminal.from_seed(moving_market(), seed)
    return session(terminal, 2, 250), terminal


@pytest.mark.parametrize("seed", range(8))
def test_the_same_seed_and_the_same_calls_have_the_same_faults(seed: int) -> None:
    (first, one), (second, other) = seeded(seed), seeded(seed)
    assert str(first) == str(second)
    assert one.log.entries == other.log.entries
    assert one.log.hits == other.log.hits


@pytest.mark.parametrize("margin_mode", [0, 1])
@pytest.mark.parametrize("seed", [5, 23, 42, 62])
def test_faults_go_with_netting_and_exchange_accounts_and_with_a_server_that_fills_in_parts(seed: int, margin_mode: int) -> None:
    account = AccountSpec(margin_mode=margin_mode, dealing=Dealing(seed=seed, drift_points=3, lots_per_tick=0.3))
    terminal = FaultyTerminal.from_seed(moving_market(account), seed)
    session(terminal, seed, 200)
    assert terminal.log.hits


def test_seeds_differ_and_have_few_or_many_faults() -> None:
    sizes = [len(Schedule.from_seed(seed).plan) for seed in range(200)]
    assert len({Schedule.from_seed(seed).to_json() for seed in range(200)}) == 200
    assert (min(sizes) < 3, max(sizes) > 15) == (True, True)


def test_every_kind_of_fault_is_in_some_seed() -> None:
    assert {planned.fault for seed in range(300) for planned in Schedule.from_seed(seed).plan} == set(KINDS)


@given(st.integers(0, 2**64), st.sampled_from(sorted(KINDS)))
def test_a_kind_of_fault_more_or_less_does_not_change_the_plan_of_the_others(seed: int, left_out: str) -> None:
    plan = Schedule.from_seed(seed).plan
    fewer = Schedule.from_seed(seed, [name for name in KINDS if name != left_out]).plan
    assert fewer == tuple(planned for planned in plan if planned.fault != left_out)


def test_a_fault_more_does_not_change_when_the_others_begin() -> None:
    def refused(*more: Planned) -> list[int]:
        terminal = FaultyTerminal(moving_market(), Schedule((Planned(Chance(0.2), "refused"), *more), seed=5))
        terminal.initialize()
        for _ in range(100):
            terminal.order_send(deal(volume=0.01))
        return [entry.number for entry in terminal.log.entries if entry.fault == "refused"]

    alone = refused()
    assert 10 < len(alone) < 35
    assert refused(Planned(Chance(0.2), "check_silent"), Planned(At(0.0), "comment_changed")) == alone
    # what another fault answers, this one does not see; when it begins is the same
    assert refused(Planned(Chance(0.3), "no_answer")) == alone


def test_two_faults_of_a_kind_have_random_numbers_of_their_own() -> None:
    terminal = FaultyTerminal(
        moving_market(), Schedule((Planned(Chance(0.2), "refused"), Planned(Chance(0.2), "refused", {"retcode": 10019})))
    )
    terminal.initialize()
    codes = [terminal.order_send(deal(volume=0.01)).retcode for _ in range(100)]
    assert {10016, 10019, 10009} == set(codes)


# schedules as text

NAMES = st.sampled_from(sorted(KINDS))
TRIGGERS = st.one_of(
    st.builds(NthCall, st.sampled_from(sorted(FUNCTIONS)), st.integers(1, 99)),
    st.builds(At, st.floats(0, 1e6)),
    st.builds(Chance, st.floats(0, 1), st.floats(0, 9), st.none() | st.floats(0, 9)),
    st.just(When("an order was accepted")),
)
PLANS = NAMES.flatmap(
    lambda name: st.builds(
        Planned, TRIGGERS, st.just(name), st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in KINDS[name].params.items()})
    )
)


@given(st.lists(PLANS).map(tuple), st.integers())
def test_a_schedule_survives_json(plan: tuple[Planned, ...], seed: int) -> None:
    assert Schedule.from_json(Schedule(plan, seed).to_json()) == Schedule(plan, seed)


@pytest.mark.parametrize("seed", range(20))
def test_the_schedule_of_a_seed_survives_json(seed: int) -> None:
    assert Schedule.from_json(Schedule.from_seed(seed).to_json()) == Schedule.from_seed(seed)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "this is no schedule of faults: JSONDecodeError"),
        ("[]", "this is no schedule of faults: TypeError"),
        ('{"seed": 1}', "this is no schedule of faults: KeyError: 'plan'"),
        (
            '{"seed": 1, "plan": [{"when": {"at": 0}, "fault": "rain", "params": {}}]}',
            "there is no fault 'rain'; the faults are answer_lost",
        ),
        (
            '{"seed": 1, "plan": [{"when": {"soon": 0}, "fault": "placed", "params": {}}]}',
            "a fault begins with one of call, at, chance, when",
        ),
        (
            '{"seed": 1, "plan": [{"when": {"at": 0}, "fault": "placed", "params": {"x": 1}}]}',
            "the fault placed has no parameter x; it has times",
        ),
        ('{"seed": 1, "plan": [{"when": {"chance": 7}, "fault": "placed", "params": {}}]}', "a number from 0 to 1, not 7"),
        ('{"seed": 1, "plan": [{"when": {"call": "buy"}, "fault": "placed", "params": {}}]}', "cannot begin at call 1 of 'buy'"),
    ],
)
def test_a_text_that_is_no_schedule_is_refused_with_what_is_wrong(text: str, mistake: str) -> None:
    with pytest.raises(BadInput, match=re.escape(mistake)):
        Schedule.from_json(text)


# when they begin


def numbers(terminal: FaultyTerminal) -> list[int]:
    return [entry.number for entry in terminal.log.entries]


def test_a_fault_begins_at_the_nth_call_of_a_function() -> None:
    terminal = faulty("refused", NthCall("order_send", 3))
    for _ in range(5):
        terminal.positions_get()
        terminal.order_send(deal())
    assert numbers(terminal) == [3]


def test_a_fault_that_begins_at_another_functions_call_is_there_for_the_next_of_its_own() -> None:
    terminal = faulty("refused", NthCall("positions_get", 2))
    codes = []
    for _ in range(4):
        codes.append(terminal.order_send(deal()).retcode)
        terminal.positions_get()
    assert codes == [10009, 10009, 10016, 10009]


def test_a_fault_begins_at_a_moment() -> None:
    terminal = faulty("refused", At(30.0))
    codes = []
    for _ in range(5):
        codes.append(terminal.order_send(deal()).retcode)
        terminal.clock.sleep(10)
    assert codes == [10009, 10009, 10009, 10016, 10009]


def test_a_fault_begins_by_chance_within_its_window_only() -> None:
    terminal = faulty("refused", Chance(1.0, after=20.0, until=40.0))
    codes = []
    for _ in range(6):
        codes.append(terminal.order_send(deal()).retcode)
        terminal.clock.sleep(10)
    assert codes == [10009, 10009, 10016, 10016, 10009, 10009]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("an order was sent", [10016, 10009, 10009]),
        ("an order was accepted", [10009, 10016, 10009]),
        ("an order was refused", [10009, 10009, 10009]),
        ("an order was not answered", [10009, 10009, 10009]),
        ("an order is on its way", [10009, 10009, 10009]),
    ],
)
def test_a_fault_begins_when_something_is_true(name: str, codes: list[int]) -> None:
    terminal = faulty("refused", When(name))
    assert [terminal.order_send(deal()).retcode for _ in range(3)] == codes


def test_a_fault_begins_while_an_order_is_on_its_way() -> None:
    terminal = with_faults(
        Planned(NthCall("order_send"), "executed_late"),
        Planned(When("an order is on its way"), "no_answer", {"times": None, "lasts": 10.0}),
    )
    terminal.order_send(deal())
    assert terminal.positions_get() is None
    terminal.clock.sleep(10)
    assert terminal.positions_get() == ()


def test_what_a_fault_waits_for_can_be_handed_in() -> None:
    inner, true = faulty("slow").inner, list[int]()
    schedule = Schedule((Planned(When("it rains"), "refused"),))
    terminal = FaultyTerminal(inner, schedule, predicates={"it rains": lambda: bool(true)})
    assert terminal.order_send(deal()).retcode == 10009
    true.append(1)
    assert terminal.order_send(deal()).retcode == 10016
    with pytest.raises(BadInput, match="waits for 'it rains', which nobody knows; known are an order was sent"):
        FaultyTerminal(inner, schedule)


def test_a_terminal_without_a_clock_needs_one() -> None:
    class Bare:
        def initialize(self) -> bool:
            return True

    with pytest.raises(BadInput, match="faults need a clock"):
        FaultyTerminal(Bare(), Schedule())
    assert FaultyTerminal(Bare(), Schedule(), moving_market().clock).initialize()


# the table


def test_every_fault_of_the_package_and_of_the_network_is_there() -> None:
    assert {kind.number for kind in KINDS.values()} == {f"F{number:02}" for number in range(1, 34)}


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_says_what_it_does_in_one_sentence(name: str) -> None:
    assert re.fullmatch(r"[A-Zio].*\.", KINDS[name].sentence)
    assert KINDS[name].on <= FUNCTIONS


@pytest.mark.every(4)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("changes", ["default", "last"])
def test_every_fault_runs_through_a_session_alone(name: str, changes: str) -> None:
    params = {each: choices[-1] for each, choices in KINDS[name].params.items()} if changes == "last" else {}
    plan = Planned(Chance(1.0 if len(KINDS[name].on) == 1 else 0.3) if KINDS[name].rate else At(0.0), name, params)
    terminal = FaultyTerminal(moving_market(), Schedule((plan,), seed=1))
    session(terminal, 2, 400)
    assert set(terminal.log.hits) == ({name} if params.get("margin_mode") != HEDGING else set())


def test_what_is_wrapped_stays_the_truth() -> None:
    shown_otherwise = [name for name, kind in KINDS.items() if kind.view and kind.layer == SERVER]
    terminal = with_faults(*(Planned(At(0.0), name) for name in shown_otherwise))
    terminal.order_send(deal(comment="a Key of twenty letters", magic=7))
    before = terminal.inner.history_deals_get(*ALL), terminal.inner.positions_get()
    for _ in range(3):
        terminal.clock.sleep(60)
        assert terminal.positions_get() == ()  # the deal that opened it is cancelled
        assert terminal.history_deals_get(*ALL)[-1].profit == 500.0
        assert terminal.account_info().balance == 10_500.0
    assert (terminal.inner.history_deals_get(*ALL), terminal.inner.positions_get()) == before
    assert held(terminal.inner) == [0.1]
