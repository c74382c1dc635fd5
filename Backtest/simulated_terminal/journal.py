"""The account's file: what keeps a simulated account over a restart, also after a kill.

One JSON object a line. The first names what the account belongs to; every other line is one step: the state after it,
and the orders and deals that came with it. A line is written at once and before anyone is told of the step; one that a
crash has torn is the last, and its step never happened.
"""

import json
import os
import weakref
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal.book import Book, Kind, Position, Trigger
from Backtest.simulated_terminal.orders import Order
from Backtest.simulated_terminal.structs import TradeDeal, TradeOrder

FORMAT = 2
# A row of each; what they hold is never changed, so that nothing has to be copied.
_POSITION, _ORDER = (attrgetter(*(field.name for field in fields(kind))) for kind in (Position, Order))


class Journal:
    """The file of one account. `belongs_to` names the prices and the account; raises BadInput when the file is another's.

    `played` says how far its market is: anything that JSON can hold and that the market understands.
    """

    def __init__(self, path: Path, belongs_to: str) -> None:
        self._path = path
        try:
            self._steps = self._read(belongs_to)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        except OSError as error:
            raise BadInput(f"{path}: the simulated account cannot be kept here ({error.strerror}); choose another file") from error
        self.close = weakref.finalize(self, os.close, self._file)  # lets go of the file, at the latest when nobody needs it
        if self._steps is None:
            self._begin({"format": FORMAT, "belongs_to": belongs_to})

    def restore(self, book: Book) -> tuple[int, Any] | None:
        """Fill the empty book with what is on file; the time (ms) and what was played, None when nothing is."""
        if not self._steps:
            return None
        for step in self._steps:
            for row in step["orders"]:
                book.orders.append(TradeOrder(row))
            for row in step["deals"]:
                book.deals.append(TradeDeal(row))
        _keep(book)
        last, self._steps = self._steps[-1], []
        _apply(book, last)
        return last["now_msc"], last["played"]

    def commit(self, book: Book, now_msc: int, played: Any) -> None:
        """Put a step on file. Raises OSError when there is no room; the file then ends with the step before."""
        when = {"now_msc": now_msc, "played": played}
        self._append(when | _state(book) | {"orders": book.orders.fresh(), "deals": book.deals.fresh()})
        _keep(book)

    def _begin(self, heading: dict[str, Any]) -> None:
        try:
            self._append(heading)
        except OSError as error:
            self.close()
            raise BadInput(f"{error}; make room on that disk, or choose another file") from error

    def _append(self, step: dict[str, Any]) -> None:
        # one unbuffered write: what a killed process has handed to the system stays
        line = json.dumps(step, separators=(",", ":")).encode("ascii") + b"\n"
        size = os.fstat(self._file).st_size
        try:
            whole, why = os.write(self._file, line) == len(line), "no room left"
        except OSError as error:
            whole, why = False, error.strerror or str(error)
        if not whole:
            os.ftruncate(self._file, size)
            raise OSError(f"{self._path}: {why} for the simulated account")

    def _read(self, belongs_to: str) -> list[dict[str, Any]] | None:
        if not self._path.exists():
            return None
        content = self._path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):  # a torn line: its step never happened
            with self._path.open("r+b") as file:
                file.truncate(end)
        lines = [self._parse(number, line) for number, line in enumerate(content[:end].splitlines(), start=1)]
        if not lines:
            return None
        if lines[0].get("format") != FORMAT or lines[0].get("belongs_to") != belongs_to:
            raise BadInput(
                f"{self._path}: this simulated account was traded on other prices or with other account settings; "
                "start a new one (delete the file, or --fresh where you trade), or choose another file"
            )
        return lines[1:]

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            step = json.loads(line)
        except ValueError:
            step = None
        if not isinstance(step, dict):
            raise BadInput(
                f"{self._path}, line {number}: not a step of a simulated account; "
                "start a new one (delete the file, or --fresh where you trade), or choose another file"
            )
        return step


def _state(book: Book) -> dict[str, Any]:
    return {
        "balance": book.balance,
        "day": book.day,
        "next": [book.next_order, book.next_deal, book.next_request],
        "positions": list(map(_POSITION, book.positions.values())),
        "taken": book.taken,
        "active": list(map(_ORDER, book.active.values())),
        "triggers": {symbol: [[each.ticket, each.kind] for each in waiting] for symbol, waiting in book.triggers.items() if waiting},
    }


def _keep(book: Book) -> None:
    book.orders.keep()
    book.deals.keep()


def _apply(book: Book, step: dict[str, Any]) -> None:
    book.balance, book.day = step["balance"], step["day"]
    book.next_order, book.next_deal, book.next_request = step["next"]
    book.positions = {row[0]: Position(*row) for row in step["positions"]}
    book.taken = {symbol: (tick, lots) for symbol, (tick, lots) in step["taken"].items()}
    book.active = {row[0]: Order(*row) for row in step["active"]}
    book.triggers = {symbol: [Trigger(ticket, Kind(kind)) for ticket, kind in waiting] for symbol, waiting in step["triggers"].items()}
