"""A netting account as we see it: our trades in its net positions, and whether these are what our own orders have made them."""

from collections.abc import Callable, Mapping, Sequence

from Live.audit_logger import AuditLogger
from Live.model import UNSETTLED, Position, Slot, SymbolSpec
from Live.net_book import LOTS_DIGITS, NetBook, unrealised_beside


class NetAccount:
    """The net positions that the terminal shows, beside the book of our trades. A symbol where they differ is on hold."""

    def __init__(self, record: AuditLogger, slot: Slot, symbols: Sequence[str]) -> None:
        self.book = NetBook()
        self._record, self._slot, self._symbols = record, slot, symbols
        self._nets: dict[str, Position] = {}
        self._gaps: dict[str, float] = {}  # lots that were not explained at the last look
        self._on_hold: frozenset[str] = frozenset()

    def see(self, held: Sequence[Position], spec_of: Callable[[str], SymbolSpec], rates: Mapping[str, float]) -> tuple[Position, ...]:
        """Our trades in the positions that there are now, as positions."""
        self._nets = {net.symbol: net for net in held}
        for symbol in self._symbols:
            if symbol not in self._nets:
                self.book.note_flat(symbol)
        self._note_unexplained()
        with_ours = [net for net in held if self.book.trades(net.symbol)]
        return tuple(trade for net in with_ours for trade in self.book.shown(net, spec_of(net.symbol), rates.get(net.symbol, 1.0)))

    def unexplained(self, symbol: str) -> float:
        """Lots of the net position that are not what our deals have made it."""
        net = self._nets.get(symbol)
        return abs(round((net.lots * net.side.sign if net else 0.0) - self.book.lots(symbol), LOTS_DIGITS))

    def worth_beside(self, ours: Sequence[Position], spec: SymbolSpec, rate: float) -> float:
        """What is in the equity beside the balance and the profits of these trades of one symbol: account currency."""
        net = self._nets.get(spec.name)
        apart = unrealised_beside(ours, net, rate, spec) + (net.swap if net else 0.0)
        return sum(held.profit + held.swap for held in self._nets.values() if held.symbol != spec.name) + apart

    def _note_unexplained(self) -> None:
        gaps = {symbol: gap for symbol in sorted({*self._symbols, *self._nets}) if (gap := self.unexplained(symbol))}
        # a deal may be shown a moment after what it did to the position: only what is still there at the next look is told,
        # and nothing where an order of ours may have done it
        asked = {order.intent.symbol for order in self._record.orders_with(UNSETTLED, self._slot)} if gaps else set()
        same = {symbol for symbol, gap in gaps.items() if self._gaps.get(symbol) == gap}
        lasting = frozenset(symbol for symbol in same - asked if symbol in self._symbols or self.book.trades(symbol))
        for symbol in sorted(lasting - self._on_hold):
            text = (
                f"the net position on {symbol} differs by {gaps[symbol]:g} lots from what this trader has made it: somebody else trades "
                f"{symbol} on this netting account. No entries on {symbol} while that is so; only our own lots are closed"
            )
            self._record.event("HOLD", text, severity="CRITICAL", details={"symbol": symbol, "lots": gaps[symbol]})
        for symbol in sorted(self._on_hold - gaps.keys()):
            self._record.event("HOLD_OVER", f"the net position on {symbol} is what this trader has made it: entries are sent again")
        self._on_hold, self._gaps = lasting | (self._on_hold & gaps.keys()), gaps
