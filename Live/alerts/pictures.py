"""Which trade a picture shows: from the alert to its bars, prices and levels in the record."""

from collections.abc import Iterator

from Live.alerts.picture import Line, draw
from Live.alerts.waiting import Queued
from Live.audit_logger.reader import Row, Run
from Live.audit_logger.told import AlertReader

BARS = 80
ENTRY, EXIT, LOSS, PROFIT = "#2b6cb0", "#805ad5", "#c53030", "#2f855a"


def picture_of(reader: AlertReader, queued: Queued) -> bytes | None:
    """A PNG for an alert that a position was opened or closed; None for any other, and where there are no bars."""
    kind, facts, symbol = queued.alert.kind, queued.alert.facts, queued.alert.symbol
    if kind not in ("POSITION_OPENED", "POSITION_CLOSED") or queued.run_id is None:
        return None
    slot, ticket, deal = reader.slot_of(queued.run_id), int(facts["ticket"]), int(facts["deal"])
    trade = reader.trade(slot, deal, ticket) if kind == "POSITION_CLOSED" else None
    bars = reader.bars_until(slot, symbol, queued.happened, BARS)
    return draw(queued.alert.text, bars, list(_lines(reader.opening(slot, ticket), trade)))


def chart_of(reader: AlertReader, run: Run, symbol: str) -> bytes | None:
    """A PNG of the newest bars of a symbol, with what is held on it; None where no bar was decided."""
    held = [row for row in reader.positions(run) if row["symbol"] == symbol]
    bars = reader.bars_until(run.slot, symbol, "9999", BARS)
    lines = [Line(float(str(row["entry_price"])), str(row["side"]), ENTRY) for row in held]
    lines += [line for row in held for line in _levels(row)]
    return draw(f"{symbol}, {run.strategy_id}", bars, lines)


def _lines(opening: Row | None, trade: Row | None) -> Iterator[Line]:
    if opening is not None:
        yield Line(float(str(opening["entry_price"])), str(opening["side"]), ENTRY)
        yield from _levels(opening)
    if trade is not None:
        yield Line(float(str(trade["exit_price"])), "exit", EXIT)


def _levels(row: Row) -> Iterator[Line]:
    for name, colour in (("sl", LOSS), ("tp", PROFIT)):
        if isinstance(price := row[name], float):
            yield Line(price, name.upper(), colour)
