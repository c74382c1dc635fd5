"""What one answer of a server proves (pure). Everything unlisted is unknown."""

import enum
from dataclasses import dataclass

DONE, PLACED, DONE_PARTIAL, NO_CHANGES = 10009, 10008, 10010, 10025
INVALID, POSITION_CLOSED = 10013, 10036
# A close that is answered so may be about a position that is gone: that is looked up before it counts as a failure.
ALREADY_GONE = frozenset({INVALID, POSITION_CLOSED})

# Source of the names: MetaTrader5/__init__.py 5.0.6231; of the sentences: mql5.com, Return Codes of the Trade Server.
RETCODES: dict[int, tuple[str, str]] = {
    10004: ("REQUOTE", "the price moved before the order arrived"),
    10006: ("REJECT", "the dealer or server rejected the request"),
    10007: ("CANCEL", "the request was cancelled by the trader or dealer"),
    10008: ("PLACED", "the order was accepted and waits to be executed"),
    10009: ("DONE", "the request was executed"),
    10010: ("DONE_PARTIAL", "only a part of the volume was filled"),
    10011: ("ERROR", "the server failed while it handled the request"),
    10012: ("TIMEOUT", "the request timed out at the server; it may have been executed"),
    10013: ("INVALID", "the request is malformed, or about something that is gone"),
    10014: ("INVALID_VOLUME", "the volume is off the symbol's minimum, maximum or step"),
    10015: ("INVALID_PRICE", "the price is not one that the symbol can have"),
    10016: ("INVALID_STOPS", "a stop loss or take profit is on the wrong side of the market or too close to it"),
    10017: ("TRADE_DISABLED", "trading is disabled for the symbol or the account"),
    10018: ("MARKET_CLOSED", "the market is closed"),
    10019: ("NO_MONEY", "there is not enough free margin"),
    10020: ("PRICE_CHANGED", "the price changed"),
    10021: ("PRICE_OFF", "there are no quotes"),
    10022: ("INVALID_EXPIRATION", "the expiration is not allowed"),
    10023: ("ORDER_CHANGED", "the order changed while it was handled"),
    10024: ("TOO_MANY_REQUESTS", "too many requests in a short time"),
    10025: ("NO_CHANGES", "the request changes nothing"),
    10026: ("SERVER_DISABLES_AT", "the server forbids automated trading"),
    10027: ("CLIENT_DISABLES_AT", "the Algo Trading button of the terminal is off"),
    10028: ("LOCKED", "the request is locked for processing"),
    10029: ("FROZEN", "the order or position is inside the freeze level"),
    10030: ("INVALID_FILL", "the filling mode is not supported"),
    10031: ("CONNECTION", "the terminal has no connection to the server"),
    10032: ("ONLY_REAL", "only real accounts may do this"),
    10033: ("LIMIT_ORDERS", "the limit of pending orders is reached"),
    10034: ("LIMIT_VOLUME", "the symbol's limit of volume is reached"),
    10035: ("INVALID_ORDER", "the order type is prohibited or wrong"),
    10036: ("POSITION_CLOSED", "the position is closed already"),
    10038: ("INVALID_CLOSE_VOLUME", "the volume to close exceeds the position"),
    10039: ("CLOSE_ORDER_EXIST", "an order to close this position exists already"),
    10040: ("LIMIT_POSITIONS", "the limit of open positions is reached"),
    10041: ("REJECT_CANCEL", "the activation was rejected and the order cancelled"),
    10042: ("LONG_ONLY", "only long positions are allowed on the symbol"),
    10043: ("SHORT_ONLY", "only short positions are allowed on the symbol"),
    10044: ("CLOSE_ONLY", "only closing is allowed on the symbol"),
    10045: ("FIFO_CLOSE", "the account closes its oldest position first"),
    10046: ("HEDGE_PROHIBITED", "opposite positions are prohibited"),
}
# What `last_error` tells. Source of the names: MetaTrader5/__init__.py 5.0.6231; of the sentences: mql5.com, last_error.
ERRORS: dict[int, tuple[str, str]] = {
    1: ("RES_S_OK", "the last call succeeded"),
    -1: ("RES_E_FAIL", "the terminal could not do it, and says no more than that"),
    -2: ("RES_E_INVALID_PARAMS", "an argument or a field of the request is wrong"),
    -3: ("RES_E_NO_MEMORY", "there is not enough memory"),
    -4: ("RES_E_NOT_FOUND", "there is no such symbol, order, position or piece of history"),
    -5: ("RES_E_INVALID_VERSION", "the terminal and the Python package are of versions that do not fit"),
    -6: ("RES_E_AUTH_FAILED", "the server did not accept the login"),
    -7: ("RES_E_UNSUPPORTED", "this terminal or account cannot do that from Python"),
    -8: ("RES_E_AUTO_TRADING_DISABLED", "the terminal's options forbid the Python package to trade"),
    -10000: ("RES_E_INTERNAL_FAIL", "the talk between the Python package and the terminal failed"),
    -10001: ("RES_E_INTERNAL_FAIL_SEND", "the question could not be handed to the terminal"),
    -10002: ("RES_E_INTERNAL_FAIL_RECEIVE", "the terminal's answer did not arrive"),
    -10003: ("RES_E_INTERNAL_FAIL_INIT", "the terminal was not found or could not be started"),
    -10004: ("RES_E_INTERNAL_FAIL_CONNECT", "there is no connection to a terminal"),
    -10005: ("RES_E_INTERNAL_FAIL_TIMEOUT", "the terminal did not answer in time"),
}
# After these the stream between package and terminal may be out of step: what is read next may be another call's answer.
OUT_OF_STEP = frozenset({-10000, -10001, -10002, -10005})
# After these there is no terminal to talk to.
LOST = OUT_OF_STEP | {-10003, -10004}
# The server knows us and says no: trying again with the same settings only locks the account.
NOT_LET_IN = frozenset({-6, -7})
# Switches that keep a program from trading, by the answer that an order gets while one is off.
SWITCHES: dict[int, str] = {
    10027: "the Algo Trading button of the terminal is off",
    -8: "the terminal's options forbid the Python package to trade",
    10017: "the account may not trade (an investor's password?)",
    10026: "the server forbids automated trading on the account",
}
_REFUSALS = frozenset(
    {10004, 10006, 10007, *range(10013, 10023), 10024, 10026, 10027, 10030, *range(10032, 10037), 10038, *range(10040, 10047)}
)
_ACKNOWLEDGED = frozenset({PLACED, DONE, DONE_PARTIAL, NO_CHANGES})


class Outcome(enum.Enum):
    """What is certain after an answer."""

    ACCEPTED = "accepted"  # read the deals to learn what was filled
    REFUSED = "refused"  # certainly nothing happened
    NOT_SENT = "not sent"  # certainly nothing happened: it did not leave this machine
    UNKNOWN = "unknown"  # look for our key first


class Retry(enum.Enum):
    """What may be tried again after a certain refusal."""

    NO = "no"
    FRESH_QUOTE = "fresh quote"
    LATER = "later"
    NEXT_FILLING = "next filling mode"
    NEW_STOPS = "stops that the broker takes"
    RECONNECTED = "a terminal that is there again"


_RETRIES = {
    10004: Retry.FRESH_QUOTE,
    10020: Retry.FRESH_QUOTE,
    10021: Retry.FRESH_QUOTE,
    10024: Retry.LATER,
    10030: Retry.NEXT_FILLING,
    10016: Retry.NEW_STOPS,
}
# None with these was never sent: switched off in the terminal, or no connection
_NOT_SENT_ERRORS = {-8: Retry.NO, -10004: Retry.RECONNECTED}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one attempt, what may be done about it, and a sentence for people."""

    outcome: Outcome
    retry: Retry
    sentence: str


# What the Python layer says when it refuses a request itself (MetaTrader5 5.0.6231); "Terminal: Invalid params" got past it.
_REFUSED_BY_PYTHON = ("Invalid ", "Unnamed arguments not allowed")
INVALID_PARAMS = -2


def verdict_of(retcode: int | None, error: tuple[int, str], *, ticketed: bool = True) -> Verdict:
    """Judge an answer: its retcode, or None and the `last_error` that was set. Total: anything unlisted is UNKNOWN.

    `ticketed` says whether the answer names an order: PLACED without one promises nothing that could be looked up.
    """
    if retcode is None:
        return _without_answer(error)
    name, sentence = RETCODES.get(retcode, ("?", "an answer that is not documented"))
    text = f"{retcode} {name}: {sentence}"
    if retcode in _ACKNOWLEDGED and (ticketed or retcode != PLACED):
        return Verdict(Outcome.ACCEPTED, Retry.NO, text)
    if retcode in _REFUSALS:
        return Verdict(Outcome.REFUSED, _RETRIES.get(retcode, Retry.NO), text)
    return Verdict(Outcome.UNKNOWN, Retry.NO, text)


def refused_by_python(error: tuple[int, str]) -> bool:
    """Whether the request itself is at fault: it did not get past the Python layer, and never will."""
    code, text = error
    return code == INVALID_PARAMS and text.startswith(_REFUSED_BY_PYTHON)


def _without_answer(error: tuple[int, str]) -> Verdict:
    code, text = error
    if refused_by_python(error) or code in _NOT_SENT_ERRORS:
        return Verdict(Outcome.NOT_SENT, _NOT_SENT_ERRORS.get(code, Retry.NO), f"not sent: {text} ({code})")
    return Verdict(Outcome.UNKNOWN, Retry.NO, f"no answer: {text} ({code})")
