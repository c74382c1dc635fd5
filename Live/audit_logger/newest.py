"""The newest part of the newest session: bounded, so that a page can be made of it while the trader writes."""

from collections.abc import Mapping
from dataclasses import dataclass

from Live.audit_logger.reader import DEADLINE, Row
from Live.audit_logger.recorded import Recorded

MOST_BARS = 5_000
MOST_FILLS = 4_000
WINDOW = 50_000  # deals of all symbols among which those of one are looked for

CHARTS = "SELECT symbol, timeframe FROM warm_ups WHERE slot = :slot GROUP BY symbol, timeframe ORDER BY max(id) DESC LIMIT 20"
NEWEST_BARS = """
SELECT run_id, bar_time, bar_epoch, open, high, low, close, tick_volume, spread FROM bars
WHERE slot = :slot AND symbol = :symbol AND timeframe = :timeframe ORDER BY bar_epoch DESC LIMIT :most
"""
NEWEST_FILLS = """
SELECT deal_ticket, epoch, position_id, side, entry, volume, price, profit, commission, swap, fee FROM fills
WHERE slot = :slot AND deal_ticket > :after AND symbol = :symbol ORDER BY deal_ticket DESC LIMIT :most
"""
FAR_BACK = "SELECT deal_ticket, epoch FROM fills WHERE slot = :slot ORDER BY deal_ticket DESC LIMIT 1 OFFSET :window"
NEWEST_TRADES = """
SELECT t.id, t.size, t.volume, t.entry_price, t.exit_price, t.profit, t.commission, t.swap, t.net_profit, t.tag, t.exit_reason,
       t.position_ticket, closing.epoch AS exit_epoch,
       coalesce((SELECT min(epoch) FROM fills INDEXED BY fills_by_position
                 WHERE slot = t.slot AND position_id = t.position_ticket AND entry = 'IN'), closing.epoch) AS entry_epoch
FROM trades AS t JOIN fills AS closing ON closing.slot = t.slot AND closing.deal_ticket = t.exit_deal
    AND closing.position_id = t.position_ticket
WHERE t.slot = :slot AND t.exit_deal >= :first AND t.symbol = :symbol ORDER BY t.exit_deal DESC, t.position_ticket DESC LIMIT :most
"""
BALANCE_BEFORE = "SELECT balance FROM account_snapshots WHERE timestamp < :since ORDER BY timestamp DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one symbol and timeframe, oldest first. `whole`: nothing lies before them."""

    bars: list[Row]
    fills: list[Row]
    trades: list[Row]
    positions: list[Row]
    balance: float
    whole: bool


class NewestSession(Recorded):
    """A sitting with the record. Raises RecordUnavailable, as every reader of it."""

    patience = DEADLINE  # it is for a page, so nobody waits for it as for a whole session

    def newest_charts(self) -> list[tuple[str, str]]:
        """Symbols and timeframes of the newest session."""
        return [(str(row["symbol"]), str(row["timeframe"])) for row in self._rows(CHARTS, {"slot": self.session().slot})]

    def part(self, symbol: str, timeframe: str) -> Part:
        """What is newest of one of them."""
        session = self.session()
        chart = {"slot": session.slot, "symbol": symbol, "timeframe": timeframe}
        bars = self._rows(NEWEST_BARS, {**chart, "most": MOST_BARS})[::-1]
        fills, since = self._fills(chart)
        whole = len(bars) < MOST_BARS and since is None
        if since is not None:
            bars = [bar for bar in bars if _number(bar["bar_epoch"]) > since]
        trades = self._rows(NEWEST_TRADES, {**chart, "first": fills[0]["deal_ticket"], "most": MOST_FILLS})[::-1] if bars and fills else []
        if not whole and bars:
            fills = _opened_since(fills, _number(bars[0]["bar_epoch"]))
        return Part(
            bars=bars,
            fills=fills,
            trades=trades,
            positions=self.open_positions(session, symbol),
            balance=session.initial_balance if whole or not bars else self._balance(str(bars[0]["bar_time"]), session.initial_balance),
            whole=whole,
        )

    def _fills(self, chart: Mapping[str, object]) -> tuple[list[Row], float | None]:
        """The newest deals of one symbol, and when the last one was that is not among them; None where they are all of them."""
        far_back = next(iter(self._rows(FAR_BACK, {**chart, "window": WINDOW})), None)
        after = -1 if far_back is None else far_back["deal_ticket"]
        fills = self._rows(NEWEST_FILLS, {**chart, "after": after, "most": MOST_FILLS})[::-1]
        if len(fills) == MOST_FILLS:
            return fills, _number(fills[0]["epoch"])
        return fills, None if far_back is None else _number(far_back["epoch"])

    def _balance(self, since: str, otherwise: float) -> float:
        row = next(iter(self._rows(BALANCE_BEFORE, {"since": since})), None)
        return _number(row["balance"]) if row else otherwise


def _opened_since(fills: list[Row], first: float) -> list[Row]:
    """The deals of positions that were opened on these bars: of the others it is not known here what they had cost."""
    opened = {fill["position_id"] for fill in fills if fill["entry"] == "IN" and _number(fill["epoch"]) >= first}
    return [fill for fill in fills if fill["position_id"] in opened]


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value
