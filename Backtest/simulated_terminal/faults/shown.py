"""Faults of what the lists show: late, cut, with other words, with rows that nobody expects."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.faults.calls import Call, Go, Reply, changed
from Backtest.simulated_terminal.faults.firing import Firing
from Backtest.simulated_terminal.faults.truth import Past, Row, Rows
from Backtest.simulated_terminal.structs import TradeDeal

_OWN_ROW, _OWN_COMMISSION = 2_000_000, 2_000_000_000_000  # deal tickets that no server here gives
_TRADES = frozenset({c.DEAL_TYPE_BUY, c.DEAL_TYPE_SELL})
_CANCELED = {c.DEAL_TYPE_BUY: c.DEAL_TYPE_BUY_CANCELED, c.DEAL_TYPE_SELL: c.DEAL_TYPE_SELL_CANCELED}
_WHERE = {
    "everywhere": frozenset({"positions_get", "orders_get", "history_orders_get", "history_deals_get"}),
    "positions": frozenset({"positions_get"}),
    "orders": frozenset({"orders_get", "history_orders_get"}),
    "deals": frozenset({"history_deals_get"}),
}

# -- late


def remembering(call: Call, go: Go, firing: Firing) -> Reply:
    """Look at the lists just before and just after an order is sent."""
    if firing.truth.attached:
        _past(firing).note()
    reply = go(call)
    if "past" in firing.state:
        _past(firing).note()
    return reply


def late(call: Call, rows: Rows, firing: Firing) -> Rows:
    """Each list as it was some time ago, each by its own time (seconds)."""
    past = _past(firing)
    past.note(call.function)
    shown = past.at(call.function, firing.truth.now - firing.params[call.function.removesuffix("_get")])
    if [row.ticket for row in shown] != [row.ticket for row in rows]:
        firing.shown(call, f"{len(rows)} rows, {len(shown)} shown")
    return shown


def _past(firing: Firing) -> Past:
    if "past" not in firing.state:
        firing.state["past"] = Past(firing.truth)
    return firing.state["past"]  # type: ignore[no-any-return]


# -- not all of it


def truncated(call: Call, rows: Rows, firing: Firing) -> Rows:
    """The history without its `oldest` or its `newest` rows."""
    oldest, newest = firing.params["oldest"], firing.params["newest"]
    shown = rows[oldest : max(oldest, len(rows) - newest)]
    if len(shown) != len(rows):
        firing.shown(call, f"{len(rows)} rows, {len(shown)} shown")
    return shown


def window_off(call: Call, go: Go, firing: Firing) -> Reply:
    """The dates of a question about history mean another time zone than the server's."""
    if len(call.args) != 2:
        return go(call)
    firing.shown(call, f"asked for {firing.params['hours']} h earlier")
    return go(replace(call, args=tuple(_earlier(value, firing.params["hours"]) for value in call.args)))


def _earlier(moment: Any, hours: int) -> Any:
    if isinstance(moment, datetime):
        return moment - timedelta(hours=hours)
    return max(1, moment - hours * 3600) if isinstance(moment, (int, float)) else moment


# -- other words


def reworded(call: Call, rows: Rows, firing: Firing) -> Rows:
    """What the server has made of the comments: `cut`, `blank`, `overwritten`, `upper` or `lower`."""
    return _each(call, rows, firing, lambda row: {"comment": _reworded(row.comment, firing.params["how"])} if row.comment else {})


def _reworded(comment: str, how: str) -> str:
    made = {"cut": comment[:16], "blank": "", "overwritten": "[sl 1.00000]", "upper": comment.upper(), "lower": comment.lower()}
    return made.get(how, how)


def without_magic(call: Call, rows: Rows, firing: Firing) -> Rows:
    """Deals without their magic number: those that are `closing`, or `opening`."""
    entry = c.DEAL_ENTRY_IN if firing.params["deals"] == "opening" else c.DEAL_ENTRY_OUT
    return _each(call, rows, firing, lambda row: {"magic": 0} if row.entry == entry and row.type in _TRADES else {})


def _each(call: Call, rows: Rows, firing: Firing, other: Any) -> Rows:
    if call.function not in _WHERE[firing.params.get("where", "deals")]:
        return rows
    shown = [changed(row, **fields) if (fields := other(row)) else row for row in rows]
    if shown != rows:
        firing.shown(call, "the server keeps what was sent")
    return shown


# -- rows that nobody expects


def deal_cancelled(call: Call, rows: Rows, firing: Firing) -> Rows:
    """The broker takes back the newest deal: its type changes, its profit goes by a balance row, what it opened is gone."""
    if "deal" not in firing.state:
        deals = firing.truth.raw("history_deals_get") or []
        deal = next((row for row in reversed(deals) if row.type in _TRADES), None)
        if deal is None:
            return rows
        firing.state["deal"] = deal
        firing.injected(call, f"deal {deal.ticket} stands")
    deal = firing.state["deal"]
    if call.function == "positions_get" and deal.entry == c.DEAL_ENTRY_IN:
        return [row for row in rows if row.identifier != deal.position_id]
    if call.function != "history_deals_get":
        return rows
    shown = [changed(row, type=_CANCELED[row.type], profit=0.0) if row.ticket == deal.ticket else row for row in rows]
    return [*shown, _money_row(_OWN_ROW + call.number, deal, c.DEAL_TYPE_BALANCE, -deal.profit)] if deal.profit else shown


def commission_apart(call: Call, rows: Rows, firing: Firing) -> Rows:
    """Commissions are rows of their own, not fields of the deals."""
    shown: Rows = []
    for row in rows:
        shown.append(changed(row, commission=0.0) if row.commission else row)
        if row.commission:
            shown.append(_money_row(_OWN_COMMISSION + row.ticket, row, c.DEAL_TYPE_COMMISSION, row.commission))
    if len(shown) != len(rows):
        firing.shown(call, "the deals carry their commission")
    return shown


def money_came(call: Call, rows: Rows, firing: Firing) -> Rows:
    """A row of money that came or went without a trade."""
    if not rows:
        return rows
    if "row" not in firing.state:
        firing.state["row"] = _money_row(_OWN_ROW + call.number, rows[-1], firing.params["type"], firing.params["amount"])
        firing.injected(call, "no money came or went")
    return [*rows, firing.state["row"]]


def money_counts(call: Call, go: Go, firing: Firing) -> Reply:
    """The account has the money that came."""
    reply = go(call)
    if call.function != "account_info" or reply.value is None or "row" not in firing.state:
        return reply
    amount, name = firing.params["amount"], "credit" if firing.params["type"] == c.DEAL_TYPE_CREDIT else "balance"
    more = {each: getattr(reply.value, each) + amount for each in (name, "equity", "margin_free")}
    return Reply(changed(reply.value, **more), reply.error)


def _money_row(ticket: int, beside: Row, kind: int, amount: float) -> TradeDeal:
    """A row that is no trade, at the time of another row."""
    what = (kind, c.DEAL_ENTRY_IN, 0, 0, c.DEAL_REASON_CLIENT, 0.0, 0.0, 0.0, 0.0, float(amount), 0.0)
    return TradeDeal((ticket, 0, beside.time, beside.time_msc, *what, "", "", ""))
