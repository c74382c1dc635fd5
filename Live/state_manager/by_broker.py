"""What a broker does beside trading: it corrects deals, splits what is held, closes sides, and changes what a lot is."""

from collections.abc import Iterable

from Live.audit_logger import AuditLogger
from Live.holds import Holds
from Live.model import Deal, Order
from Live.mt5_connector import MT5Connector
from Live.state_manager.deals import Deals

CORPORATE = (9, 10)  # DEAL_REASON_SPLIT, DEAL_REASON_CORPORATE_ACTION
MUST_STAY = ("contract_size", "digits", "point", "profit_currency")


class ByBroker:
    """Keeps entries from symbols where a person has to look first."""

    def __init__(self, connector: MT5Connector, record: AuditLogger, deals: Deals, holds: Holds) -> None:
        self._connector, self._record, self._ours, self._holds = connector, record, deals, holds

    def note(self, fresh: Iterable[Deal], since: int) -> None:
        """Corporate actions among our new deals, and deals on record that were cancelled since then (server seconds)."""
        for deal in fresh:
            if deal.reason in CORPORATE:
                self._hold(f"corporate action {deal.ticket}", deal.symbol, f"deal {deal.ticket} was made by a split or the like")
        for ticket in sorted(self._connector.deals_taken_back(since)):
            if (known := self._record.deal(self._ours.slot, ticket)) is not None:
                self._hold(f"cancelled deal {ticket}", known.symbol, f"the broker has cancelled deal {ticket}, which is on record")

    def closed_side(self, symbol: str, order: Order | None) -> str:
        """Why nobody may open on the side of this order. What a lot is must be what it was when the run began."""
        spec, begun = self._connector.spec(symbol), self._ours.spec(symbol)
        for name in MUST_STAY:
            if (now := getattr(spec, name)) != (before := getattr(begun, name)):
                self._hold(f"specification of {symbol}", symbol, f"its {name} has changed from {before} to {now}; start anew")
        return "" if order is None else spec.closed_to(order.intent.side)

    def _hold(self, name: str, symbol: str, why: str) -> None:
        self._holds.put(name, symbol, f"{symbol}: {why}: no entries until a person has looked")
