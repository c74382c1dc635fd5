"""Whether the positions that a terminal shows are what the deals have made them: one look proves nothing."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from Live.errors import NotShownYet
from Live.holds import Holds
from Live.model import Deal, Position
from Live.mt5_connector import MT5Connector
from Live.state_manager.deals import Deals

EPSILON = 1e-9  # lots
LOOKS = 3
SECONDS_BETWEEN_LOOKS = 0.5  # lists may lag behind each other by some hundred milliseconds


class Doubts:
    """A position that is not shown, and whose closing deal is not there either, is waited for: a strategy that is told that it
    holds nothing would enter again, and drop its exit. What stays unexplained keeps its symbol on hold.
    """

    def __init__(self, connector: MT5Connector, deals: Deals, holds: Holds) -> None:
        self._connector, self._ours, self._holds = connector, deals, holds
        # since when, and how often it was seen; by position, on a netting account by symbol
        self._since: dict[int | str, tuple[datetime, int]] = {}

    def about(self, held: Sequence[Position], fresh: Iterable[Deal]) -> dict[int | str, str]:
        """The positions that contradict our deals, with their symbols."""
        if self._ours.net is not None:
            moved, there = {deal.symbol for deal in fresh}, {net.symbol for net in held}
            gone = [symbol for symbol in self._ours.net.book.held_symbols() if symbol not in moved | there]
            return {symbol: symbol for symbol in gone if not self._ours.is_asked(symbol)}
        left = self._ours.book.left()
        for deal in fresh:
            symbol, lots = left.get(deal.position_id, (deal.symbol, 0.0))
            left[deal.position_id] = (symbol, round(lots + (deal.lots if deal.entry == "IN" else -deal.lots), 8))
        shown = {position.identifier: position.lots for position in held}
        return {key: symbol for key, (symbol, lots) in left.items() if abs(shown.get(key, 0.0) - max(lots, 0.0)) > EPSILON}

    def judge(self, doubts: Mapping[int | str, str]) -> None:
        """Wait for what may only be late: raises NotShownYet. What is late for too long goes on hold, and the rest goes on."""
        now = self._connector.clock.now()
        for key in self._since.keys() - doubts.keys():
            del self._since[key]
            self._holds.lift(f"position {key}", "it is what our deals have made it")
        for key, symbol in doubts.items():
            since, times = self._since.get(key, (now, 0))
            self._since[key] = (since, times + 1)
            patience = 0.0 if self._connector.simulated else self._connector.spec(symbol).settle_seconds
            name = f"the position on {symbol}" if key == symbol else f"position {key} on {symbol}"
            if now - since < timedelta(seconds=patience) or times + 1 < LOOKS:
                raise NotShownYet(f"{name} is not what its deals have made it: one of both is not shown yet")
            text = f"{name} is not what its deals have made it, and nothing explains why: no entries on {symbol} until that is over"
            self._holds.put(f"position {key}", symbol, text)
