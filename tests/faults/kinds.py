"""The faults that the harness makes itself, beside those of the terminal: one row each.

To add one: write an act (`incidents`, `hands`: what happens, once, at a point) or a view (`feed`: what the trader is shown in
place of an answer), and give it a row here. Each kind has random numbers of its own: one more row does not change what the others
do. Numbers are those of the catalogue of faults: F34 to F82; the terminal's, F01 to F33, are in its own package.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults import feed, hands, incidents

# When a fault begins, by the state that an order has just reached.
OPENERS = ("SUBMITTED", "UNKNOWN", "PLACED", "FILLED", "PENDING", "ABSENT", "PARTIALLY_FILLED")
SENDS = tuple(f"{moment} order_send/{kind}" for moment in ("call", "answer") for kind in ("entry", "pending", "close", "levels", "remove"))
COMMITS = tuple(
    f"{moment} {what}"
    for what in ("decision", "SUBMITTED", "PLACED", "FILLED", "UNKNOWN", "FAILED", "deals", "positions", "run", "event")
    for moment in ("commit", "committed")
)
SCANS = ("answer order_check", "answer history_orders_get", "answer positions_get", "call account_info", "look for the stop file")
READING, WRITING, CALLING = ("call copy_rates_from_pos",), ("begin", "write", "commit"), ("call ",)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `act` happens once at a point; a `view` changes answers for `lasts` seconds or `times` answers."""

    number: str
    sentence: str
    on: tuple[str, ...]  # beginnings of the points at which it may begin by chance
    act: Callable[..., None] | None = None
    view: Callable[..., Any] | None = None
    sees: frozenset[str] = frozenset()  # the functions whose answers a view changes
    given: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    rate: tuple[float, float] = (5e-4, 1e-2)
    points: tuple[str, ...] = ()
    odds: float = 1.0
    most: int = 1  # of them in one schedule, at most

    @property
    def params(self) -> Mapping[str, tuple[Any, ...]]:
        """The parameters, and what each may be; the first is the default."""
        shared: dict[str, tuple[Any, ...]] = {"times": (None,), "lasts": (60.0, 5.0, 900.0)} if self.view else {}
        return {**shared, **self.given}


RATES, TICK = frozenset({"copy_rates_from_pos"}), frozenset({"symbol_info_tick"})
BOTH = RATES | TICK
_DISK: Mapping[str, tuple[Any, ...]] = {"times": (1, 2, 12, None)}

HARNESS_KINDS: dict[str, Kind] = {
    # -- processes
    "killed": Kind(
        "F61",
        "kill -9, and a new trader some time later.",
        ("call ", "answer ", "begin", "write", "commit", "sleep", "look"),
        incidents.killed,
        given={"down": (0.0, 3.0, 40.0, 900.0)},
        rate=(2e-4, 4e-3),
        points=(*SENDS, *COMMITS, *SCANS, "sleep"),
        odds=4.0,
        most=4,
    ),
    "asked_to_end": Kind(
        "F74",
        "SIGTERM or SIGINT.",
        ("call ", "answer ", "commit", "sleep"),
        incidents.asked_to_end,
        given={"signal": ("SIGTERM", "SIGINT"), "down": (3.0, 60.0)},
        rate=(1e-4, 2e-3),
        points=(*SENDS, "commit SUBMITTED", "committed SUBMITTED", "sleep"),
    ),
    # -- storage
    "disk_full": Kind("F63", "The disk is full.", WRITING, incidents.disk_full, given=_DISK, points=COMMITS, rate=(1e-3, 2e-2)),
    "locked": Kind("F64", "Another program holds the database.", WRITING, incidents.locked, given=_DISK, points=COMMITS, rate=(1e-3, 2e-2)),
    "io_error": Kind("F66", "The disk fails.", (*WRITING, "read"), incidents.io_error, given=_DISK, points=COMMITS, rate=(5e-4, 5e-3)),
    # -- stop
    "stop_file": Kind(
        "F72",
        "The stop file appears; somebody removes it later.",
        ("call ", "answer ", "begin", "commit", "sleep", "look"),
        incidents.stop_file,
        given={"as": ("EMERGENCY_STOP", "EMERGENCY_STOP.txt", "emergency_stop", "EMERGENCY_STOP/"), "stays": (60.0, 900.0, 300.0)},
        rate=(2e-4, 2e-3),
        points=(*SENDS, *COMMITS, *SCANS, "sleep"),
        odds=1.5,
    ),
    "stop_file_blinks": Kind(
        "F73",
        "The stop file appears, and is removed again at once.",
        ("call ", "answer ", "commit", "sleep"),
        incidents.stop_file,
        given={"as": ("EMERGENCY_STOP",), "stays": (0.0, 0.5, 3.0)},
        rate=(2e-4, 2e-3),
        points=(*SENDS, *SCANS, "sleep"),
    ),
    # -- clocks
    "clock_steps": Kind(
        "F34 F35",
        "This machine's clock jumps, or the server's does by an hour.",
        ("call ", "sleep"),
        incidents.clock_steps,
        given={"seconds": (3600.0, -3600.0, 30.0, -30.0, 2.0, -2.0)},
        points=(*SENDS, *SCANS, "sleep"),
        rate=(1e-4, 2e-3),
    ),
    "suspended": Kind(
        "F41",
        "The machine sleeps for a while.",
        ("sleep", "call ", "answer "),
        incidents.suspended,
        given={"seconds": (600.0, 40.0, 1500.0)},
        points=(*SENDS, *COMMITS, "sleep"),
        rate=(1e-4, 2e-3),
    ),
    # -- data
    "bar_unfinished": Kind("F42", "The forming bar is not shown.", CALLING, view=feed.without_the_forming, sees=RATES),
    "bars_late": Kind("F43", "The newest bars come late.", CALLING, view=feed.bars_late, sees=RATES, given={"bars": (1, 2, 3)}),
    "bar_revised": Kind("F44", "A bar that was decided is shown with other prices.", CALLING, view=feed.revised, sees=RATES),
    "bar_missing": Kind("F45", "A bar is missing.", CALLING, view=feed.missing, sees=RATES),
    "bars_disordered": Kind(
        "F46",
        "Bars come twice, or in disorder.",
        CALLING,
        view=feed.disordered,
        sees=RATES,
        given={"how": ("twice", "swapped", "backwards")},
    ),
    "bar_absurd": Kind(
        "F47",
        "A bar has prices that no bar has.",
        CALLING,
        view=feed.absurd,
        sees=RATES,
        given={"what": ("nan", "inf", "zero", "negative", "high below low", "open outside")},
    ),
    "price_spike": Kind(
        "F48", "A price of ten times what it is.", CALLING, view=feed.spike, sees=BOTH, given={"factor": (10.0, 0.1, 1.03)}
    ),
    "tick_crossed": Kind("F48", "The bid is above the ask.", CALLING, view=feed.crossed, sees=TICK),
    "spread_blown": Kind(
        "F39 F49", "The spread is huge, or nothing.", CALLING, view=feed.spread, sees=TICK, given={"points": (400, 0, 2000)}
    ),
    "tick_absurd": Kind(
        "F49", "A quote that cannot be.", CALLING, view=feed.absurd_tick, sees=TICK, given={"what": ("zero ask", "nan", "inf")}
    ),
    "tick_frozen": Kind("F50", "The quote stands still, while all seems well.", CALLING, view=feed.frozen, sees=TICK),
    "bars_few": Kind("F51", "Only a few bars are there yet.", CALLING, view=feed.few, sees=RATES, given={"bars": (2, 0, 1, 4)}),
    "symbol_restricted": Kind(
        "F52",
        "The symbol may only be closed, or not be traded, for a while.",
        CALLING,
        incidents.symbol_restricted,
        given={"mode": (3, 0, 1), "lasts": (300.0, 900.0)},
    ),
    "symbol_changed": Kind(
        "F52",
        "The broker changes the symbol's lots.",
        CALLING,
        incidents.symbol_changed,
        given={"lots": (0.02, 0.05)},
        rate=(1e-4, 1e-3),
        odds=0.5,
    ),
    "rescaled": Kind("F53", "All prices are half of what they were.", CALLING, view=feed.rescaled, sees=BOTH, given={"factor": (0.5, 2.0)}),
    # -- the account, by other hands
    "stop_out": Kind("F55", "Money is taken out; the server closes what has no margin.", CALLING, hands.stop_out, points=SENDS, odds=0.5),
    "hand_closes": Kind(
        "F56", "A person closes one of our positions.", CALLING, hands.closes, given={"part": (1.0, 0.5)}, points=SENDS, most=3
    ),
    "hand_reverses": Kind("F56", "A person trades against us.", CALLING, hands.reverses, points=SENDS),
    "hand_moves_levels": Kind("F56", "A person moves our levels.", CALLING, hands.moves_levels, given={"away": (0.002, 0.0)}, points=SENDS),
    "hand_cancels": Kind("F56", "A person takes a waiting order away.", CALLING, hands.cancels, points=SENDS),
    "hand_opens": Kind(
        "F56 F57",
        "A person, or another program, opens a position on our symbol.",
        CALLING,
        hands.opens,
        given={"magic": (0, 777), "lots": (0.01, 0.03), "side": (0, 1)},
        points=SENDS,
        most=2,
    ),
    "hand_closes_by": Kind("F58", "A person closes a position by an opposite one.", CALLING, hands.closes_by, points=SENDS),
    "money_moves": Kind("F60", "Money comes or goes.", CALLING, hands.money_moves, given={"amount": (2000.0, -900.0)}, odds=0.7),
    "twin": Kind("F70", "A position with our magic number that nobody here has opened.", CALLING, hands.twin, odds=0.3),
    # -- strategies
    "strategy_fails": Kind(
        "F77 F79 F80 F81", "The strategy raises, or orders what cannot be.", (), incidents.strategy_fails, given={}, most=2
    ),
}
