"""All faults there are: one row each. Their numbers are those of the project's catalogue of faults, F01 to F33."""

from Backtest.errors import BadInput
from Backtest.simulated_terminal.faults import accounts, connection, partly, reading, sending, shown, tickets
from Backtest.simulated_terminal.faults.calls import CHECK, FUNCTIONS, HISTORY, HISTORY_CALLS, LISTS, PRICES, READS, SEND, TICKS, TOTALS
from Backtest.simulated_terminal.faults.firing import pass_by
from Backtest.simulated_terminal.faults.kind import ACCOUNT, OUTERMOST, RARELY, SELDOM, TRAIT, WAY, Kind

_ALL_LISTS = LISTS | TOTALS.keys()
_DEALS = frozenset({"history_deals_get"})
_DEAL_CALLS = _DEALS | {"history_deals_total"}
_TERMINAL, _ACCOUNT, _INITIALIZE = frozenset({"terminal_info"}), frozenset({"account_info"}), frozenset({"initialize"})
_TRADE = SEND | CHECK
_LOST, _UNSENT = (-10002, -10000, -10005, -1), (-10001, -10002, -10005)
_DELAYS = (45.0, 0.5, 5.0, 20.0, 200.0, 3600.0)  # seconds
_A_WHILE = (60.0, 5.0, 600.0, 3600.0, 86_400.0)
_UNLIMITED = {"times": (None,)}

KINDS: dict[str, Kind] = {
    # -- order_send
    "answer_lost": Kind(
        "F01", "order_send is executed, and nobody hears of it.", sending.unanswered, SEND, {"arrives": ("now",), "error": _LOST}
    ),
    "not_delivered": Kind("F02", "order_send is never delivered.", sending.unanswered, SEND, {"arrives": ("never",), "error": _UNSENT}),
    "executed_late": Kind(
        "F03",
        "order_send is not answered, and arrives at the server some time later.",
        sending.unanswered,
        SEND,
        {"arrives": ("later",), "error": _LOST, "seconds": _DELAYS},
    ),
    "refused_by_package": Kind("F04", "The package refuses the request: -2.", sending.refused_by_package, SEND, {"error": (-2,)}),
    "api_off": Kind("F05", "The package may not trade: -8.", sending.refused_by_package, SEND, {"error": (-8,), "times": (1, 3, 20)}),
    "trading_off": Kind("F05", "Programs may not trade.", sending.answered, SEND, {"retcode": (10027, 10026, 10017), "times": (1, 3, 20)}),
    "figures_missing": Kind("F08", "Done, with deal 0 and volume 0 in the answer.", sending.figures_missing, SEND),
    "done_in_part": Kind(
        "F08",
        "Done, of less volume than was asked for.",
        partly.filled_in_part,
        SEND,
        {"retcode": (10009,), "part": (0.5, 0.1, 0.9), "rest": ("cancelled",), "seconds": (0.0,)},
    ),
    "placed": Kind(
        "F09",
        "A market order is only placed; it is filled later, or rejected.",
        partly.placed,
        SEND,
        {"ends": ("filled", "rejected"), "seconds": _DELAYS},
    ),
    "filled_in_part": Kind(
        "F10",
        "A part is filled; the rest is cancelled now or later, or filled later.",
        partly.filled_in_part,
        SEND,
        {
            "retcode": (10010,),
            "part": (0.5, 0.1, 0.9),
            "rest": ("cancelled", "cancelled later", "filled later"),
            "seconds": _DELAYS,
        },
    ),
    "unclear": Kind(
        "F11",
        "The server says that it failed, whether it did or not.",
        sending.answered,
        SEND,
        {"retcode": (10012, 10011, 10031), "executed": (True, False)},
    ),
    "requoted": Kind(
        "F12",
        "The price is gone, and the next one, too.",
        sending.requoted,
        SEND,
        {**_UNLIMITED, "retcode": (10004, 10020, 10021), "points": (10, -10, 40, -200), "requotes": (1, 2, 3, 9)},
        also=TICKS | CHECK,
    ),
    "too_many_requests": Kind("F13", "Too many requests.", sending.answered, SEND, {"retcode": (10024,), "times": (1, 2, 5)}),
    "filling_refused": Kind("F14", "The first filling mode is not supported.", sending.filling_refused, SEND, {"times": (1, 2, 5)}),
    "refused": Kind("F15", "The server refuses the request.", sending.answered, SEND, {"retcode": (10016, 10015, 10014, 10019, 10013)}),
    "unknown_retcode": Kind(
        "F17",
        "An answer that is in no list.",
        sending.answered,
        SEND,
        {"retcode": (10099, 0, 20001), "executed": (True, False), "external": (0, 7)},
    ),
    "external_refusal": Kind(
        "F17", "An exchange refuses, with a code of its own.", sending.answered, SEND, {"retcode": (10006,), "external": (12, -1)}
    ),
    "field_missing": Kind(
        "F17",
        "A field of the answer has another name, or is missing.",
        sending.field_missing,
        SEND,
        {"field": ("order", "deal", "retcode", "volume"), "renamed": ("order_ticket", None)},
        layer=OUTERMOST,
    ),
    # -- order_check
    "check_silent": Kind("F16", "order_check does not answer.", reading.silent, CHECK, {"error": (-1, -10005), "times": (1, 3)}),
    "check_refuses": Kind(
        "F16", "order_check objects to what would be done.", reading.check_refuses, CHECK, {"retcode": (10019, 10016, 10030, 10099)}
    ),
    "check_is_wrong": Kind(
        "F16",
        "order_check finds nothing, and the server refuses.",
        reading.check_is_wrong,
        CHECK,
        {"retcode": (10019, 10016, 10018)},
        also=SEND,
    ),
    "margin_is_wrong": Kind("F16", "order_check tells a wrong margin.", reading.margin_is_wrong, CHECK, {"factor": (0.5, 2.0, 0.0)}),
    # -- questions
    "no_answer": Kind(
        "F18", "A question is not answered.", reading.silent, READS, {"error": (-1, -10005, -10002), "times": (1, 2, 5, 50)}, rate=SELDOM
    ),
    "empty_list": Kind("F18", "A list that is not empty is shown empty.", reading.empty, _ALL_LISTS, {"times": (1, 2, 5)}, rate=SELDOM),
    # -- the way
    "terminal_died": Kind(
        "F06", "The terminal is gone until it is initialised again.", connection.died, FUNCTIONS, _UNLIMITED, rate=RARELY, layer=WAY
    ),
    "wrong_frame": Kind(
        "F07", "Answers are those of the call before.", connection.wrong_frame, FUNCTIONS, _UNLIMITED, rate=RARELY, layer=WAY
    ),
    "offline": Kind(
        "F19",
        "The terminal has lost its server; everything stands still.",
        connection.offline,
        _TERMINAL,
        {**_UNLIMITED, "lasts": (60.0, 1.0, 3600.0, 86_400.0, 172_800.0)},
        rate=RARELY,
        also=SEND | PRICES,
        view=connection.standing_still,
        anew=True,
        layer=WAY,
    ),
    "flapping": Kind(
        "F20",
        "The connection to the server comes and goes.",
        connection.offline,
        _TERMINAL,
        {**_UNLIMITED, "period": (2.0, 5.0, 30.0, 3600.0), "lasts": _A_WHILE},
        rate=RARELY,
        also=SEND | PRICES,
        view=connection.standing_still,
        anew=True,
        layer=WAY,
    ),
    "hangs": Kind(
        "F21",
        "A call takes very long.",
        connection.hangs,
        SEND | CHECK | READS,
        {"seconds": (60.0, 5.0, 600.0, 7200.0), "moment": ("after", "before")},
        rate=RARELY,
        layer=WAY,
    ),
    "restarted": Kind(
        "F22",
        "The terminal restarts in the middle of a call; then its history comes slowly.",
        connection.restarted,
        SEND | READS,
        {**_UNLIMITED, "arrives": ("now", "never"), "seconds": (60.0, 5.0, 3600.0)},
        rate=RARELY,
        also=FUNCTIONS,
        view=connection.still_loading,
        lists=HISTORY,
        layer=WAY,
    ),
    "cannot_initialize": Kind(
        "F23",
        "initialize fails, at once or after a long time.",
        connection.cannot_initialize,
        _INITIALIZE,
        {"error": (-10005, -10003, -6), "seconds": (0.0, 60.0), "times": (1, 2, 5)},
        layer=WAY,
    ),
    "crossed": Kind(
        "F28",
        "Another process uses the same pipe: a call fails with -10001.",
        connection.crossed,
        _TRADE | READS,
        {"executed": (False, True), "times": (1, 2)},
        rate=SELDOM,
        layer=WAY,
    ),
    "slow": Kind(
        "F28",
        "A call takes a little longer.",
        connection.hangs,
        _TRADE | READS,
        {"seconds": (0.5, 0.05, 3.0), "moment": ("after", "before")},
        rate=RARELY,
        layer=WAY,
    ),
    # -- who we are, and what we may
    "another_account": Kind(
        "F24",
        "Somebody logs in to another account.",
        accounts.another_account,
        _ACCOUNT,
        {
            **_UNLIMITED,
            "lasts": _A_WHILE,
            "login": (7_654_321, None),
            "server": (None, "Another-Server"),
            "trade_mode": (None, 2),
            "currency": (None, "JPY"),
            "leverage": (None, 30),
        },
        rate=RARELY,
        also=SEND | _ALL_LISTS,
        layer=ACCOUNT,
    ),
    "margin_mode": Kind(
        "F25",
        "The account is of another kind than it was said to be.",
        accounts.margin_mode,
        _ACCOUNT,
        {**_UNLIMITED, "margin_mode": (0, 1, 2)},
        rate=TRAIT,
        layer=ACCOUNT,
        odds=0.1,
    ),
    "button_off": Kind(
        "F26",
        "The Algo Trading button is off for a while.",
        accounts.button_off,
        _TERMINAL,
        {**_UNLIMITED, "lasts": _A_WHILE},
        rate=RARELY,
        also=_TRADE,
        layer=ACCOUNT,
    ),
    "api_disabled": Kind(
        "F26",
        "The terminal's options forbid the Python package to trade for a while.",
        accounts.api_disabled,
        _TERMINAL,
        {**_UNLIMITED, "lasts": _A_WHILE},
        rate=RARELY,
        also=SEND,
        layer=ACCOUNT,
    ),
    "investor": Kind(
        "F27",
        "The password is an investor's: look, do not trade.",
        accounts.investor,
        _ACCOUNT,
        _UNLIMITED,
        rate=TRAIT,
        also=_TRADE,
        layer=ACCOUNT,
        odds=0.1,
    ),
    # -- what is shown
    "late_lists": Kind(
        "F29",
        "Each list shows things later than they are, by its own time.",
        shown.remembering,
        SEND,
        {
            **_UNLIMITED,
            "positions": (0.8, 0.0, 0.3, 5.0, 20.0),
            "orders": (0.0, 0.3, 0.8, 5.0, 20.0),
            "history_orders": (0.3, 0.0, 0.8, 5.0, 20.0),
            "history_deals": (5.0, 0.0, 0.3, 0.8, 20.0),
        },
        rate=TRAIT,
        view=shown.late,
        anew=True,
    ),
    "history_truncated": Kind(
        "F30",
        "The oldest or the newest rows of the history are missing.",
        pass_by,
        HISTORY_CALLS,
        {**_UNLIMITED, "lasts": _A_WHILE, "oldest": (0, 1, 50), "newest": (1, 3, 0)},
        rate=SELDOM,
        view=shown.truncated,
        lists=HISTORY,
    ),
    "window_off": Kind(
        "F30",
        "Dates of questions mean another time zone.",
        shown.window_off,
        HISTORY_CALLS,
        {**_UNLIMITED, "hours": (3, 2, -2, 7)},
        rate=TRAIT,
    ),
    "comment_changed": Kind(
        "F31",
        "The server cuts, blanks or overwrites comments, or changes their case.",
        pass_by,
        _ALL_LISTS,
        {
            **_UNLIMITED,
            "how": ("cut", "blank", "overwritten", "upper", "lower"),
            "where": ("everywhere", "positions", "orders", "deals"),
        },
        rate=TRAIT,
        view=shown.reworded,
    ),
    "magic_missing": Kind(
        "F31",
        "Closing or opening deals have no magic number.",
        pass_by,
        _DEAL_CALLS,
        {**_UNLIMITED, "deals": ("closing", "opening")},
        rate=TRAIT,
        view=shown.without_magic,
        lists=_DEALS,
    ),
    "deal_cancelled": Kind(
        "F32",
        "The broker takes a deal back.",
        pass_by,
        _DEAL_CALLS,
        _UNLIMITED,
        rate=RARELY,
        view=shown.deal_cancelled,
        lists=_DEALS | {"positions_get"},
    ),
    "money_came": Kind(
        "F32",
        "Money comes or goes without a trade.",
        shown.money_counts,
        _DEAL_CALLS,
        {**_UNLIMITED, "type": (2, 3, 4), "amount": (500.0, -100.0)},
        rate=RARELY,
        also=_ACCOUNT,
        view=shown.money_came,
        lists=_DEALS,
    ),
    "commission_apart": Kind(
        "F32",
        "Commissions are deals of their own.",
        pass_by,
        _DEAL_CALLS,
        _UNLIMITED,
        rate=TRAIT,
        view=shown.commission_apart,
        lists=_DEALS,
    ),
    "large_tickets": Kind(
        "F33",
        "Tickets are large, and in no order.",
        tickets.renumbered,
        LISTS | _TRADE,
        _UNLIMITED,
        rate=TRAIT,
        layer=OUTERMOST,
    ),
}


def kind_of(name: str) -> Kind:
    """The kind of fault with this name. Raises BadInput where there is none."""
    if name not in KINDS:
        raise BadInput(f"there is no fault {name!r}; the faults are {', '.join(KINDS)}")
    return KINDS[name]
