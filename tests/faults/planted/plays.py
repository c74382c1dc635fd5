"""Where the bugs are looked for that random schedules meet late: short plays, with the one coincidence that it takes."""

from collections.abc import Mapping
from typing import Any

from tests.faults.campaign import REGRESSIONS
from tests.faults.case import Case, Event, World
from tests.faults.matrix import Cell

Fault = tuple[Mapping[str, Any], str, Mapping[str, Any]]
EARLY, SHORT = 400.0, 3.0  # seconds


def play(scene: str, *faults: Fault, **world: Any) -> Case:
    """A short play of one order, with these faults."""
    return _case({"bars": 4, "calm": 5, "menu": f"scene: {scene}", **world}, faults)


def trading(menu: str, *faults: Fault, **world: Any) -> Case:
    """A strategy that trades on each bar, with these faults."""
    return _case({"menu": menu, **world}, faults)


def at_send(number: int, fault: str, **params: Any) -> Fault:
    """A fault that meets this send, counted from one."""
    return {"call": "order_send", "number": number}, fault, params


def at_point(point: str, fault: str, number: int = 1, **params: Any) -> Fault:
    """A fault of the harness at the passage of a point."""
    return {"point": point, "number": number}, fault, params


def after(moment: float, fault: str, **params: Any) -> Fault:
    """A fault that begins at a moment."""
    return {"at": moment}, fault, params


def on_bar(bar: int, how: str) -> Fault:
    """A bar on which the strategy goes wrong."""
    return {"bar": bar}, "strategy_fails", {"how": how}


def _case(world: Mapping[str, Any], faults: tuple[Fault, ...]) -> Case:
    return Case(1, World(**world), tuple(Event(*fault) for fault in faults))


LATE = dict.fromkeys(("positions", "orders", "history_orders", "history_deals"), 20.0)
KILLED = after(EARLY, "killed", down=SHORT)
REQUOTED = at_send(1, "requoted", requotes=9)
PLAYS: Mapping[str, Case | Cell] = {
    "retry on the old quote": play("entry", REQUOTED),
    "old quote": Case.from_file(REGRESSIONS / "i15_a_check_that_takes_long.json"),
    "no collar": play("entry", at_point("commit decision", "price_spike", factor=1.03, lasts=60.0)),
    "no limit of attempts": play("entry", REQUOTED),
    "close without its ticket": play("full close"),
    "close of twice as much": play("full close", netting=True),
    "part closed as a whole": play("partial close"),
    "entry without its stop": play("entry"),
    "stop widened on a retry": play("entry", REQUOTED),
    "account not looked at": trading("market", after(EARLY, "another_account", lasts=900.0)),
    "no quarantine": play("entry", at_point("answer order_check", "killed", down=SHORT)),
    "sends what is old": play("entry", at_point("committed decision", "killed", down=900.0)),
    "acts on missed bars": trading("market", after(EARLY, "killed", down=900.0)),
    "decides on the forming bar": trading("market"),
    "partial fill as a refusal": play("entry", at_send(1, "filled_in_part")),
    "filling switched after a partial fill": play("entry", at_send(1, "filled_in_part"), after(0.0, "late_lists", **LATE)),
    "unknown code as a refusal": play("entry", at_send(1, "unknown_retcode")),
    "timeout as a refusal": play("entry", at_send(1, "unclear")),
    "no answer as not sent": play("entry", at_send(1, "answer_lost")),
    "unknown sent again": play("entry", at_send(1, "executed_late", seconds=20.0)),
    "absent sent again": play("entry", at_send(1, "not_delivered")),
    "absent entry decided again": play("entry", at_send(1, "not_delivered")),
    "absent part closed again": play("partial close", at_send(2, "not_delivered")),
    "placed as filled": play("entry", at_send(1, "placed", ends="rejected", seconds=45.0)),
    "fill out of the answer": play("entry", at_send(1, "done_in_part")),
    "absent at the first look": play("entry", at_send(1, "not_delivered")),
    "settled too soon": play("entry", at_send(1, "not_delivered")),
    "settled from the decision on": play("entry", at_send(1, "not_delivered"), at_point("answer order_send/entry", "killed", down=120.0)),
    "no canary": play("full close", at_send(2, "not_delivered"), after(250.0, "history_truncated", newest=1, lasts=600.0)),
    "failure as emptiness": play("entry", ({"call": "history_orders_get", "number": 1}, "no_answer", {"times": 1})),
    "two candidates": play(
        "entry",
        at_send(1, "answer_lost"),
        after(0.0, "comment_changed", how="blank"),
        at_point("answer order_send/entry", "hand_opens", magic=0, lots=0.01, side=0, by="a program"),
    ),
    "candidate with other levels": play(
        "entry", at_send(1, "not_delivered"), at_point("answer order_send/entry", "hand_opens", magic=0, lots=0.01, side=0, by="a program")
    ),
    "candidate from before": play(
        "entry",
        at_send(1, "not_delivered"),
        at_point("call order_check", "hand_opens", magic=0, lots=0.01, side=0, by="a program"),
        levels=False,
    ),
    "removed, so not filled": trading("waiting", at_point("call order_send/remove", "suspended", seconds=1500.0), calendar="wild", walk=4),
    "late fill not told": play("entry", at_send(1, "executed_late", seconds=100.0)),
    "orders outside the bar's transaction": Cell("entry", False, "executed and answered"),
    "entries of the day in memory": trading("burst", after(4000.0, "killed", down=SHORT), limits="tight", bars=30),
    "sends of the minute in memory": trading(
        "market", on_bar(3, "many at once"), at_point("answer order_send/entry", "killed", number=4, down=0.0), limits="tight"
    ),
    "waiting entries not counted": trading("waiting", limits="tight", bars=40),
    "fills without identity": trading("market", KILLED),
    "no trade of a stop": trading("market", calendar="wild"),
    "chain begun anew": trading("market", KILLED),
    "all positions are ours": trading("market", after(EARLY, "hand_opens", magic=0, lots=0.01, side=0)),
    "ours by the magic number": trading("market", after(EARLY, "twin")),
    "closes by their magic number": trading("market", after(0.0, "magic_missing", deals="closing"), calendar="wild"),
    "positions gone with a failed query": play("entry", ({"call": "positions_get", "number": 25}, "no_answer", {"times": 1})),
    "history up to now": trading("market", after(0.0, "window_off", hours=3)),
    "lots rounded up": trading("market", on_bar(0, "size tiny")),
    "smallest order forced": trading("market", on_bar(0, "size tiny")),
    "unknown does not block": trading("burst", *(at_send(number, "not_delivered") for number in (1, 2, 3))),
    "spread not looked at": trading("market", after(280.0, "spread_blown", points=400, lasts=900.0), limits="tight"),
    "waiting lots not counted": trading("waiting", limits="tight"),
    "latch forgotten": trading("market", after(EARLY, "stop_file", **{"as": "EMERGENCY_STOP", "stays": 5.0})),
}
