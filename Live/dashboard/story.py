"""One order's life as a list of steps: what was decided, how large, what the limits said, what was sent, what came back (pure)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from Backtest.errors import BadInput
from Live.audit_logger.reader import Row
from Live.audit_logger.shown import OrderRows
from Live.explanations import explain
from Live.outcomes import RETCODES

GOOD, WARNING, BAD, PLAIN = "good", "warn", "bad", ""
TONES = {"FILLED": GOOD, "FAILED": BAD, "UNKNOWN": BAD, "UNRESOLVED": BAD, "DENIED": BAD, "EXPIRED": WARNING, "ABSENT": WARNING}
TONES |= {"CANCELLED": WARNING, "PARTIALLY_FILLED": WARNING, "LATE_FILLED": WARNING}
TITLES = {
    "PENDING": "Put on record before anything is sent",
    "SUBMITTED": "Sent",
    "PLACED": "Accepted",
    "FILLED": "Filled",
    "PARTIALLY_FILLED": "Filled in part",
    "FAILED": "Refused by the broker",
    "DENIED": "Refused by our own rules; nothing was sent",
    "EXPIRED": "Expired",
    "CANCELLED": "Cancelled",
    "UNKNOWN": "Outcome unknown; it is never sent again",
    "ABSENT": "Proved not to have happened",
    "LATE_FILLED": "Filled after it was given up",
    "UNRESOLVED": "A person must look",
}
REQUEST = "action type volume price stoplimit sl tp deviation type_filling type_time position order comment magic".split()
ANSWER = "retcode order deal volume price bid ask comment retcode_external".split()
CHECK = "retcode comment balance equity margin margin_free margin_level".split()

SAYS_SOMETHING_AT_0 = ("retcode", "type", "type_filling")
# Source: MetaTrader5/__init__.py 5.0.6231, TRADE_ACTION_*, ORDER_TYPE_*, ORDER_FILLING_*
_TYPES = "BUY,SELL,BUY LIMIT,SELL LIMIT,BUY STOP,SELL STOP,BUY STOP LIMIT,SELL STOP LIMIT,CLOSE BY".split(",")
NAMES: dict[str, dict[int, str]] = {
    "action": {1: "DEAL", 5: "PENDING", 6: "SLTP", 7: "MODIFY", 8: "REMOVE", 10: "CLOSE BY"},
    "type": dict(enumerate(_TYPES)),
    "type_filling": {0: "FOK", 1: "IOC", 2: "RETURN", 3: "BOC"},
}

Fact = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit as it stood when the order was looked at."""

    rule: str
    measured: str
    limit: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `after` is the time since the step before, in words."""

    at: str
    title: str
    text: str = ""
    tone: str = PLAIN
    facts: tuple[Fact, ...] = ()
    gates: tuple[Gate, ...] = ()
    after: str = ""


def story(rows: OrderRows) -> list[Step]:
    """The steps of an order's life, oldest first."""
    order = rows.order
    steps = [*_bar(rows), *_signal(rows)]
    for event in rows.events:
        steps += _event(event, order)
    steps += [_deal(fill, order) for fill in rows.fills]
    steps += [_trade(trade) for trade in rows.trades]
    return _with_times(steps)


def _bar(rows: OrderRows) -> Iterator[Step]:
    bar = rows.bar
    if bar is None:
        return
    prices = tuple((name, number(bar[name])) for name in ("open", "high", "low", "close"))
    facts = (*prices, ("spread", f"{number(bar['spread'])} points"), ("volume", number(bar["tick_volume"])))
    yield Step(str(bar["decided_at"]), f"{bar['symbol']} {bar['timeframe']} bar of {moment(bar['bar_time'])} had closed", facts=facts)


def _signal(rows: OrderRows) -> Iterator[Step]:
    signal = rows.signal
    if signal is None:
        return
    named = ("price", "size", "limit_price", "stop_price", "stop_loss", "take_profit", "tag")
    facts = tuple((name.replace("_", " "), number(signal[name])) for name in named if signal[name] is not None)
    reason = str(signal["reason"]) if signal["reason"] else ""
    yield Step(str(signal["timestamp"]), f"The strategy decided: {signal['signal']}", reason, facts=facts)


def _event(event: Row, order: Row) -> Iterator[Step]:
    payload = _parsed(event["payload"])
    at, to = str(event["timestamp"]), str(event["to_status"])
    if to == "SUBMITTED":
        yield from _sending(at, payload, int(str(event["attempt"])))
        return
    if gates := _gates(payload):
        yield Step(at, "Limits", gates=gates, tone=GOOD if all(gate.passed for gate in gates) else BAD)
    yield Step(at, TITLES.get(to, to), _said(payload, order, to), TONES.get(to, PLAIN), (*_answer(payload), *_names(to, order)))


def _sending(at: str, payload: Mapping[str, Any], attempt: int) -> Iterator[Step]:
    if refused := _mapping(payload.get("refused")):
        yield Step(at, f"Attempt {attempt - 1} was certainly refused", _explained(refused), WARNING, _answer(refused))
    if sizing := _mapping(payload.get("sizing")):
        yield Step(at, "Sized", _sized(sizing), facts=tuple((name.replace("_", " "), number(value)) for name, value in sizing.items()))
    if gates := _gates(payload):
        yield Step(at, "Limits", gates=gates, tone=GOOD if all(gate.passed for gate in gates) else BAD)
    if check := _mapping(payload.get("check")):
        well = check.get("retcode") == 0
        text = "The terminal found nothing against it" if well else "The terminal refused it"
        yield Step(at, "Checked by the terminal (order_check)", text, GOOD if well else BAD, _chosen(check, CHECK))
    quote = tuple((name, number(value)) for name, value in _mapping(payload.get("quote")).items())
    title = "Sent" if attempt == 1 else f"Sent, attempt {attempt}"
    yield Step(at, title, facts=(*quote, *_chosen(_mapping(payload.get("request")), REQUEST)))


def _sized(sizing: Mapping[str, Any]) -> str:
    rules = {
        "risk": "By risk: so many lots that the stop loss costs what DEFAULT_RISK_PCT allows",
        "strategy": "As the strategy's backtest would have bought",
        "fixed": "FIXED_LOTS",
    }
    return rules.get(str(sizing.get("rule")), "")


def _gates(payload: Mapping[str, Any]) -> tuple[Gate, ...]:
    given = payload.get("gates")
    rows = [row for row in given if isinstance(row, Mapping)] if isinstance(given, list) else []
    return tuple(_gate(row) for row in rows)


def _gate(row: Mapping[str, Any]) -> Gate:
    measured, limit, rule = row.get("measured"), row.get("limit"), str(row.get("rule"))
    comparable = isinstance(measured, int | float) and isinstance(limit, int | float)
    # reached is exceeded with a loss, not with a count: see Live.risk
    passed = comparable and (measured < limit if "LOSS" in rule else measured <= limit)  # type: ignore[operator]  # both are numbers
    return Gate(rule, number(measured), number(limit), bool(passed))


def _said(payload: Mapping[str, Any], order: Row, to: str) -> str:
    if to == "PENDING":
        return ""
    reason = payload.get("reason")
    if isinstance(reason, str) and reason:
        return reason
    explained = _explained(payload) if to in ("FAILED", "UNKNOWN") else ""
    return explained or (str(order["message"]) if order["message"] and to == order["status"] else "")


def _explained(payload: Mapping[str, Any]) -> str:
    answer, error = _mapping(payload.get("answer")), payload.get("last_error")
    code = answer.get("retcode", error[0] if isinstance(error, list) and error else None)
    try:
        known = explain(str(code))
    except BadInput:
        return ""
    return f"{known.name} ({known.code}): {known.meaning}. {known.cause} {known.remedy}"


def _answer(payload: Mapping[str, Any]) -> tuple[Fact, ...]:
    answer, error = _mapping(payload.get("answer")), payload.get("last_error")
    facts = _chosen(answer, ANSWER)
    if not answer and isinstance(error, list):
        facts += (("last error", " ".join(str(part) for part in error)),)
    return facts


def _names(to: str, order: Row) -> tuple[Fact, ...]:
    if to != "PENDING":
        return ()
    return (("client order id", str(order["client_order_id"])), ("key, sent as the comment", str(order["order_key"])))


def _deal(fill: Row, order: Row) -> Step:
    money = tuple((name, number(fill[name])) for name in ("profit", "commission", "swap", "fee") if fill[name])
    names = (("deal", str(fill["deal_ticket"])), ("position", str(fill["position_id"])), ("entry", str(fill["entry"])))
    text = f"{fill['side']} {number(fill['volume'])} lots at {number(fill['price'])}"
    asked, got = order["price"], fill["price"]
    slip: tuple[Fact, ...] = ()
    if isinstance(asked, int | float) and isinstance(got, int | float) and asked:
        worse = round((got - asked) * (1 if fill["side"] == "BUY" else -1), 10)
        words = f"{number(abs(worse))} {'worse' if worse > 0 else 'better'}" if worse else "the same"
        slip = (("against the price asked for", words),)
    return Step(str(fill["timestamp"]), "Deal", text, GOOD, (*names, *slip, *money))


def _trade(trade: Row) -> Step:
    profit = trade["net_profit"]
    won = isinstance(profit, int | float) and profit > 0
    text = f"{number(trade['volume'])} lots from {number(trade['entry_price'])} to {number(trade['exit_price'])}: net {number(profit)}"
    return Step(str(trade["timestamp"]), f"Position closed by {trade['exit_reason']}", text, GOOD if won else WARNING)


def _chosen(given: Mapping[str, Any], names: Sequence[str]) -> tuple[Fact, ...]:
    found = []
    for name in names:
        value = given.get(name)
        if value in (None, "") or (value == 0 and name not in SAYS_SOMETHING_AT_0):
            continue
        found.append((name.replace("_", " "), _named(name, value)))
    return tuple(found)


def _named(name: str, value: object) -> str:
    if name == "retcode" and isinstance(value, int) and value in RETCODES:
        return f"{value} {RETCODES[value][0]}"
    names = NAMES.get(name, {})
    return names[value] if isinstance(value, int) and value in names else number(value)


def _with_times(steps: list[Step]) -> list[Step]:
    timed, before = [], None
    for step in steps:
        at = _time(step.at)
        seconds = (at - before).total_seconds() if at and before else 0.0
        timed.append(Step(step.at, step.title, step.text, step.tone, step.facts, step.gates, _after(seconds)))
        before = at or before
    return timed


def _after(seconds: float) -> str:
    if seconds <= 0:
        return ""
    if seconds < 1:
        return f"+{seconds * 1000:.0f} ms"
    return f"+{seconds:.1f} s" if seconds < 120 else f"+{seconds / 60:.0f} min" if seconds < 7200 else f"+{seconds / 3600:.0f} h"


def number(value: object) -> str:
    """A value as people read it: no binary noise, no endless tails.

    >>> number(0.1 + 0.2), number(1.24510), number(None), number(120000.0)
    ('0.3', '1.2451', '–', '120000')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        text = f"{value:.10g}"
        return f"{value:.8f}".rstrip("0") if "e-" in text else text
    return str(value)


def moment(text: object) -> str:
    """A time of the record as people read it; what is none stays as it is.

    >>> moment("2018-02-05T10:00:00+00:00")
    '2018-02-05 10:00:00'
    """
    time = _time(text)
    return str(text) if time is None else f"{time:%Y-%m-%d %H:%M:%S}" + (f".{time.microsecond // 1000:03d}" if time.microsecond else "")


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _parsed(text: object) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(str(text)))
    except (ValueError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
