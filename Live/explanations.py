"""Why a terminal or trade server answers with a code, what a person does about it, and what the trader does by itself (pure).

Sources of the causes: mql5.com, "Return Codes of the Trade Server", "last_error" and "Trade Request Structure"; of what the
trader does: the tables of `Live.outcomes`, by which it acts.
"""

import difflib
from dataclasses import dataclass

from Backtest.errors import BadInput
from Live.outcomes import (
    ALREADY_GONE,
    ERRORS,
    INVALID_PARAMS,
    LOST,
    NO_CHANGES,
    NOT_LET_IN,
    OUT_OF_STEP,
    RETCODES,
    SWITCHES,
    Outcome,
    Retry,
    verdict_of,
)

SUCCESS = (1, "Success")
CHECKED = 0  # order_check's good answer, which has no name

# By code: why it comes, and what to do about it.
REASONS: dict[int, tuple[str, str]] = {
    0: ("order_check looked at a request and found nothing against it; no order was sent.", "Nothing."),
    10004: (
        "The market moved further than DEVIATION_POINTS between the quote and the server, where the execution is instant or by request.",
        "Nothing once in a while. Often: raise DEVIATION_POINTS, keep away from news, or use a machine nearer to the broker.",
    ),
    10006: (
        "The dealer or the broker's bridge declined it: a thin market, news, a limit of the broker that it does not name.",
        "Look at the terminal's Journal tab for that second, and ask the broker when it comes again.",
    ),
    10007: ("Somebody at the terminal or the broker cancelled it.", "Ask who else uses the account."),
    10008: ("The server has taken the order and executes it later, as exchanges and some bridges do.", "Nothing: the fill is on its way."),
    10009: ("All went as asked.", "Nothing."),
    10010: ("There was not enough volume at the price for all of it.", "Nothing. Smaller lots fill whole more often."),
    10011: ("The server broke off in the middle.", "Look at the account's history in the terminal; ask the broker when it comes again."),
    10012: (
        "The server did not finish in its time; news and maintenance do that.",
        "Nothing: what became of it is looked up. Never send it again by hand before you have looked at the account.",
    ),
    10013: (
        "The request contradicts itself, or names an order or position that is gone: filled, closed or stopped out a moment before.",
        "Nothing where the position is gone. Otherwise report it with the request, which is on record in order_events.",
    ),
    10014: (
        "The lots are below the symbol's minimum, above its maximum, or between two steps.",
        "python -m Live doctor shows the symbol's lots; set FIXED_LOTS and MAX_POSITION_SIZE to fit, or risk more than its smallest lot.",
    ),
    10015: (
        "A price of 0, one off the symbol's tick size, or a pending order on the wrong side of the market.",
        "See that the symbol is quoted (Market Watch); round prices to the symbol's digits.",
    ),
    10016: (
        (
            "A buy wants its stop loss below and its take profit above the market, a sell the reverse, and both at least the stops level "
            "away from it; with a stops level of 0 many servers still want more than the spread."
        ),
        "Place stops further away: python -m Live doctor shows the symbol's stops level and spread.",
    ),
    10017: (
        "The symbol cannot be traded now or at all, or the login is an investor's password, which may only look.",
        "Log in with the master password; see Market Watch, Specification, Trade of the symbol; or take another symbol into SYMBOLS.",
    ),
    10018: (
        "The symbol has no trading session now: weekend, holiday, a daily break.",
        "Nothing: the next bar brings the next decision. Market Watch, Specification, Sessions shows the hours.",
    ),
    10019: (
        "The margin that the position needs is more than what is free on the account.",
        "Lower DEFAULT_RISK_PCT, FIXED_LOTS or MAX_POSITION_SIZE, close something, or put money in.",
    ),
    10020: ("The price moved between the quote and the server.", "Nothing once in a while. Often: raise DEVIATION_POINTS."),
    10021: (
        "The server has no price of the symbol at the moment: a session begins or ends, or the feed has stopped.",
        "See that the symbol moves in Market Watch.",
    ),
    10022: ("The order's lifetime is of a kind that the symbol does not take, or lies in the past.", "Take orders without expiration."),
    10023: ("The order was filled, changed or cancelled while this request was under way.", "Nothing: what became of it is looked up."),
    10024: ("More requests came in a short time than the broker allows.", "Lower MAX_ORDERS_PER_MINUTE, or trade a longer TIMEFRAME."),
    10025: ("Stop loss and take profit are already what was asked for.", "Nothing."),
    10026: ("The broker forbids programs on this account or server.", "Ask the broker to allow Expert Advisors on the account."),
    10027: (
        "The Algo Trading button in the terminal's toolbar is off; it goes off by itself when the account changes.",
        "Press it, so that it is green. Tools, Options, Expert Advisors has boxes that turn it off with each change; clear them.",
    ),
    10028: ("An earlier request about the same order or position is still being handled.", "Nothing: what became of it is looked up."),
    10029: (
        "The market is so near the order or the position's levels (the freeze level) that they may not be changed any more.",
        "Nothing: it is about to execute. Keep levels further from the market.",
    ),
    10030: (
        "The symbol does not take this filling mode: fill-or-kill, immediate-or-cancel or return.",
        "Nothing: the symbol's modes are read and tried. When it comes still, tell the broker which symbol.",
    ),
    10031: (
        "The terminal has lost its trade server: your line, the broker's maintenance, or the night.",
        "See the bars at the lower right of the terminal; right-click them and choose Rescan servers.",
    ),
    10032: ("The operation is for real-money accounts only.", "Use another symbol on a demo account, or ask the broker."),
    10033: ("The account has as many pending orders as the broker allows.", "Delete some in the terminal."),
    10034: (
        "Orders and positions of the symbol have reached the most lots that the broker allows in one direction.",
        "Lower MAX_POSITION_SIZE, or close something.",
    ),
    10035: ("The symbol does not take orders of this type.", "Market Watch, Specification, Orders shows which it takes."),
    10036: ("The position is gone: stopped out, closed by hand or by an order before.", "Nothing."),
    10038: ("More lots were to be closed than the position has left.", "Nothing: the position is read again before the next decision."),
    10039: (
        "Another order that closes this position waits already.",
        "See the Trade tab of the terminal for orders that were placed by hand.",
    ),
    10040: ("The account has as many positions as the broker allows.", "Lower MAX_POSITIONS, or close something."),
    10041: ("A pending order was triggered and then refused, for margin as a rule; it is gone.", "See that enough margin is free."),
    10042: ("The symbol takes purchases only at the moment.", "Trade another symbol, or a strategy that does not sell it."),
    10043: ("The symbol takes sales only at the moment.", "Trade another symbol, or a strategy that does not buy it."),
    10044: ("The symbol is about to be taken off, or the broker lets no new risk in.", "Trade another symbol, or ask the broker."),
    10045: ("The account must close its oldest position of the symbol first (US rule).", "Keep one position a symbol (exclusive_orders)."),
    10046: (
        "The account may not hold a buy and a sell of one symbol at once.",
        "Let the strategy close before it turns (exclusive_orders).",
    ),
    1: ("All went as asked.", "Nothing."),
    -1: (
        (
            "At the start: MT5_PATH names no terminal, or it cannot start. For prices: a symbol that the broker calls otherwise, or "
            "history that is still being loaded."
        ),
        (
            "At the start: start the terminal by hand, and try without MT5_PATH. For prices: python -m Live doctor finds the broker's name "
            "of a symbol; open its chart once to load its history."
        ),
    ),
    -2: (
        (
            "'Invalid …' comes from the package: a whole number where 1.0 is wanted, a comment of 30 characters. 'Terminal: Invalid "
            "params' comes from the terminal: more bars than it keeps, or a timeframe that it does not know."
        ),
        "For bars: lower WARMUP_BARS, or raise Tools, Options, Charts, Max bars in chart. For an order: report it.",
    ),
    -3: ("Terminal or Python has run out of memory.", "Close charts and programs; lower Max bars in chart and WARMUP_BARS."),
    -4: (
        "The symbol is spelt differently at this broker (a suffix as in EURUSD.m), or has never been quoted in Market Watch.",
        "python -m Live doctor says which name to write into SYMBOLS.",
    ),
    -5: (
        "The terminal has updated itself and the package has not, or the reverse.",
        "Help, Check for updates in the terminal; python -m pip install MetaTrader5 at the version of requirements.txt; start both again.",
    ),
    -6: (
        "MT5_LOGIN, MT5_PASSWORD and MT5_SERVER do not belong together, the demo account has expired, or the password was changed.",
        "Log in by hand in the terminal with the same three (File, Login to Trade Account); copy the server's name from there.",
    ),
    -7: (
        "The account wants a one-time password or a certificate, or the terminal is too old for the function.",
        "Log in by hand in the terminal, and leave MT5_LOGIN, MT5_PASSWORD and MT5_SERVER empty: then the account that is there is taken.",
    ),
    -8: (
        "In the terminal, Tools, Options, Expert Advisors, the box that disables trading through the Python API is ticked.",
        "Clear that box.",
    ),
    -10000: (
        "Question and answer got out of step: several programs on one terminal, or a terminal that hangs.",
        "Start the terminal again.",
    ),
    -10001: (
        "The terminal was closed, has updated itself or hangs.",
        "See that it runs and answers; it is reached again by itself. For good: start the terminal and the trader again.",
    ),
    -10002: ("The terminal was closed or crashed while it worked.", "See that it runs; it is reached again by itself."),
    -10003: (
        (
            "No 64-bit MetaTrader 5 is installed, MT5_PATH does not name its terminal64.exe, or it cannot start: no desktop session, or "
            "Python runs with other rights (as administrator, as a service) than the terminal."
        ),
        (
            "Start the terminal by hand, then try without MT5_PATH; else set MT5_PATH to the full path of terminal64.exe. Start the "
            "terminal and Python as the same user, both with or both without administrator rights."
        ),
    ),
    -10004: (
        "The terminal is not running, was closed, or the program never connected to it.",
        "Start the terminal and log in; it is reached again by itself.",
    ),
    -10005: (
        "The terminal waits for somebody: a login or update window, a server that does not answer, another Windows session.",
        "Bring the terminal to the front, answer its windows, log in by hand once; if it is slow, raise MT5_TIMEOUT.",
    ),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code, for people."""

    code: int
    name: str
    meaning: str
    cause: str
    remedy: str
    trader: str  # what the trader does by itself


def explain(word: str) -> Explanation:
    """The explanation of a code, or of a name such as INVALID_STOPS, TRADE_RETCODE_INVALID_STOPS or RES_E_AUTH_FAILED.

    Raises BadInput, naming what comes close, for anything else.

    >>> explain("TRADE_RETCODE_INVALID_STOPS").code, explain("-10005").name
    (10016, 'RES_E_INTERNAL_FAIL_TIMEOUT')
    """
    code = _code_of(word.strip())
    if code in RETCODES:
        short, meaning = RETCODES[code]
        name = f"TRADE_RETCODE_{short}"
    else:
        name, meaning = ("", "the check found nothing against the request") if code == CHECKED else ERRORS[code]
    return Explanation(code, name, meaning, *REASONS[code], trader=_trader(code))


def everything() -> tuple[Explanation, ...]:
    """All codes: those of the trade server, then those of `last_error`."""
    return tuple(explain(str(code)) for code in (CHECKED, *sorted(RETCODES), *sorted(ERRORS, reverse=True)))


def how_to_explain(code: int) -> str:
    """The command that explains a code.

    >>> how_to_explain(10016)
    'python -m Live explain 10016'
    """
    return f"python -m Live explain {code}"


def in_words(error: tuple[int, str]) -> str:
    """A `last_error` as a sentence that says what to do.

    >>> in_words((-10004, "No IPC connection"))
    'No IPC connection (-10004): there is no connection to a terminal. Start the terminal and log in; it is reached again by itself.'
    """
    code, text = error
    if code not in ERRORS:
        return f"{text} ({code}), a code that is not documented"
    return f"{text} ({code}): {ERRORS[code][1]}. {REASONS[code][1]}"


def _code_of(word: str) -> int:
    names = {name: code for code, (name, _) in RETCODES.items()} | {name.removeprefix("RES_E_"): code for code, (name, _) in ERRORS.items()}
    known = {CHECKED, *RETCODES, *ERRORS}
    bare = word.upper().removeprefix("TRADE_RETCODE_").removeprefix("RES_E_")
    if bare in names:
        return names[bare]
    try:
        code = int(word)
    except ValueError:
        close = difflib.get_close_matches(bare, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "python -m Live explain --all lists them"
        raise BadInput(f"{word} is the name of no code: {hint}") from None
    if code not in known:
        raise BadInput(f"{code} is no documented code of a trade server or of last_error; python -m Live explain --all lists them")
    return code


_BY_OUTCOME = {
    Outcome.ACCEPTED: "takes the order for accepted and learns from the deals what was filled. It is not sent again.",
    Outcome.NOT_SENT: "ends the order as FAILED: it never left this machine. The next decision makes a new one.",
    Outcome.UNKNOWN: (
        "takes the outcome for unknown: the order is never sent again. Orders, positions and deals are searched for it, and until that is "
        "settled there is no entry on the symbol."
    ),
}
_BY_RETRY = {
    Retry.NO: "ends the order as FAILED: nothing happened at the server. The next decision makes a new one.",
    Retry.FRESH_QUOTE: (
        "tries again with a fresh quote, MAX_RETRY_ATTEMPTS times in all, an entry only within PRICE_COLLAR_PCT of its price; then FAILED."
    ),
    Retry.LATER: "waits RETRY_BACKOFF_BASE seconds, doubling each time, and tries again, MAX_RETRY_ATTEMPTS times in all; then FAILED.",
    Retry.NEXT_FILLING: "tries once more with the next filling mode that the symbol takes; then FAILED.",
    Retry.NEW_STOPS: (
        "tries once more with a fresh quote, a stop loss that is too near to the market moved towards the entry price of its position and "
        "a take profit away from the market, never to a larger loss; else FAILED."
    ),
    Retry.RECONNECTED: (
        "connects again and tries once more where the terminal is back within 30 seconds, MAX_RETRY_ATTEMPTS times in all; else ends the "
        "order as FAILED: it never left this machine."
    ),
}


def _trader(code: int) -> str:
    """From the tables by which the executor, the connector and the limits act."""
    if code in (CHECKED, SUCCESS[0]):
        return "Goes on."
    verdict = verdict_of(code, SUCCESS) if code in RETCODES else verdict_of(None, (code, ERRORS[code][0]))
    by_retry = verdict.outcome is Outcome.REFUSED or verdict.retry is not Retry.NO
    does = _BY_RETRY[verdict.retry] if by_retry else _BY_OUTCOME[verdict.outcome]
    said = [does[0].upper() + does[1:]] if code in RETCODES else _about_calls(code, does)
    if code in ALREADY_GONE:
        said.append("Where the position or order that it is about is certainly gone, it ends as CANCELLED instead.")
    if code == NO_CHANGES:
        said.append("Levels that are there already count as set.")
    if code in SWITCHES:
        said.append("While a switch of the terminal, the account or the server is off there are no entries; exits are tried.")
    return " ".join(said)


def _about_calls(code: int, does: str) -> list[str]:
    said = [f"With an order: {does}", "With a question: nothing is concluded from it."]
    if code == INVALID_PARAMS:
        said.insert(0, "With an order that the package itself refuses ('Invalid …'): ends it as FAILED, for it was not sent.")
    if code in OUT_OF_STEP:
        said.append("No further answer is believed before the connection was opened anew and the account checked.")
    if code in LOST:
        said.append("Then reaches for the terminal again, at longer and longer intervals.")
    if code in NOT_LET_IN:
        said.append("At the start: leaves with exit code 4, so that no further attempts lock the account.")
    return said
