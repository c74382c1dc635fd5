"""Tables of the record page by page, newest first, each page as fast as the first one: by the id of the last row, never by counting."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from Live.audit_logger.reader import AuditReader, Row

MOST_ROWS = 500  # of one page
WINDOW = 10_000  # rows that one page looks through for those that its filters let pass


@dataclass(frozen=True, slots=True)
class Listing:
    """One table to be listed. Its key is a whole number that rises; `t` is the table in the texts below.

    `switches` are conditions without a value, and `indexed` filters are equalities, that have an index of their own: the first of
    those that are given finds the rows. The others, and `filters`, are looked through. With `of_runs` it can be asked for one run, too.
    """

    table: str
    columns: str
    key: str = "id"
    joined: str = ""
    indexed: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, str] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)
    of_runs: bool = True

    @property
    def names(self) -> list[str]:
        """What it can be filtered by."""
        return [*(["run"] if self.of_runs else []), *self.by_index, *self.filters]

    @property
    def by_index(self) -> Mapping[str, str]:
        """What has an index; of several the first finds the rows."""
        return {**self.switches, **self.indexed}

    @property
    def names_of_columns(self) -> list[str]:
        """Its columns as they are called in its rows."""
        parts, depth, part = [], 0, ""
        for letter in f"{self.columns},":
            depth += (letter == "(") - (letter == ")")
            if letter == "," and not depth:
                parts.append(part)
                part = ""
            else:
                part += letter
        return [part.strip().split(" AS ")[-1].split(".")[-1] for part in parts]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first. `older` is the `before` of the next page; None at the end of the table.

    A page may be short, or empty, and yet not the last one: then the filters let none of the next rows pass.
    """

    rows: list[Row]
    older: int | None


_ORDER = """t.id, t.timestamp, t.updated_at, t.client_order_id, t.run_id, t.strategy_id, t.magic, t.symbol, t.timeframe, t.bar_time, t.kind,
    t.side, t.order_type, t.size, t.volume, t.price, t.limit_price, t.stop_price, t.sl, t.tp, t.position_ticket, t.tag, t.status,
    t.attempts, t.retcode, t.retcode_message, t.message, t.mt5_order_id, t.mt5_deal_id, t.executed_price, t.executed_volume"""
_SIGNAL = """t.id, t.timestamp, t.run_id, t.strategy_id, t.symbol, t.timeframe, t.bar_time, t.signal, t.confidence, t.price, t.size,
    t.limit_price, t.stop_price, t.stop_loss, t.take_profit, t.tag, t.client_order_id, o.id AS order_id, o.status AS order_status,
    coalesce(t.reason, o.message) AS reason"""
_TRADE = """t.id, t.timestamp, t.run_id, t.strategy_id, t.symbol, t.side, t.entry_time, t.exit_time, t.entry_price, t.exit_price,
    t.volume, t.size, t.profit, t.commission, t.swap, t.net_profit, t.duration_seconds, t.exit_reason, t.position_ticket, t.tag"""
_RUN = """t.run_id, t.started_at, t.ended_at, t.mode, t.terminal, t.server, t.strategy_id, t.strategy_class, t.strategy_file,
    t.strategy_sha256, t.initial_balance, t.exit_code, t.end_reason, n.bars, n.signals, n.orders_sent, n.orders_filled,
    n.orders_refused, n.orders_denied, n.trades, n.winning_trades, n.losing_trades, n.profit"""
_SYMBOL = {"symbol": "t.symbol = :symbol"}

LISTINGS = {
    "orders": Listing(
        "orders",
        _ORDER,
        indexed={"status": "t.status = :status", **_SYMBOL},
        filters={"kind": "t.kind = :kind", "side": "t.side = :side"},
    ),
    "signals": Listing(
        "signals",
        _SIGNAL,
        joined="LEFT JOIN orders AS o ON o.client_order_id = t.client_order_id",
        switches={"acting": "t.signal <> 'HOLD'"},
        indexed=_SYMBOL,
        filters={"signal": "t.signal = :signal"},
    ),
    "trades": Listing(
        "trades", _TRADE, indexed={"exit_reason": "t.exit_reason = :exit_reason", **_SYMBOL}, filters={"side": "t.side = :side"}
    ),
    "events": Listing(
        "events",
        "t.id, t.timestamp, t.run_id, t.event_type, t.severity, t.message, t.details",
        indexed={"severity": "t.severity = :severity", "type": "t.event_type = :type"},
        filters={"text": "instr(lower(t.message), lower(:text)) > 0"},
    ),
    "runs": Listing(
        "runs",
        _RUN,
        key="run_id",
        joined="LEFT JOIN run_totals AS n ON n.run_id = t.run_id",
        filters={"mode": "t.mode = :mode"},
        of_runs=False,
    ),
}


class Pages(AuditReader):
    """A sitting with the record in which tables are listed. Raises RecordUnavailable, as every reader of it."""

    def page(self, listing: Listing, given: Mapping[str, object], *, before: int | None = None, limit: int = 50) -> Page:
        """The newest rows whose key is below `before` that pass the filters `given`, at most `limit`."""
        low, high = self._bounds(listing, given, 2**63 - 1 if before is None else before)
        chosen = {name: value for name, value in given.items() if name != "run"}
        values = {**chosen, "before": high, "limit": min(limit, MOST_ROWS)}
        floor, more = self._floor(listing, chosen, {**values, "low": low})
        rows = self._rows(page_sql(listing, chosen), {**values, "floor": floor})
        if len(rows) == values["limit"]:
            return Page(rows, _key(rows[-1], listing))
        return Page(rows, floor if more else None)

    def row(self, listing: Listing, key: int) -> Row | None:
        """One row by its key."""
        sql = f"SELECT {listing.columns} FROM {listing.table} AS t {listing.joined} WHERE t.{listing.key} = :key"  # noqa: S608 - our own texts
        return next(iter(self._rows(sql, {"key": key})), None)

    def _bounds(self, listing: Listing, given: Mapping[str, object], before: int) -> tuple[int, int]:
        """The keys that may come into question: from the first to below the last."""
        run = given.get("run")
        if not isinstance(run, int):
            return 0, before
        return self._first_id(listing.table, run), min(before, self._first_id(listing.table, run + 1))

    def _floor(self, listing: Listing, chosen: Mapping[str, object], values: Mapping[str, object]) -> tuple[int, bool]:
        """The smallest key that this page looks at, and whether there may be rows below it."""
        low, before = values["low"], values["before"]
        assert isinstance(low, int)
        assert isinstance(before, int)
        found_by = [name for name in listing.by_index if name in chosen][:1]
        if len(found_by) == len(chosen):
            return low, False  # whatever it finds first is the page
        if not found_by:  # keys rise one by one
            newest = self._one(f"SELECT max({listing.key}) AS k FROM {listing.table}")["k"]  # noqa: S608 - our own texts
            end = min(before, newest + 1) if isinstance(newest, int) else low
            start = max(low, end - WINDOW)
            return start, start > max(low, 1)
        row = self._one(window_sql(listing, found_by), {**values, "window": WINDOW})
        floor = row["floor"]
        return (floor, row["seen"] == WINDOW) if isinstance(floor, int) else (low, False)


def page_sql(listing: Listing, given: Mapping[str, object]) -> str:
    """The question for one page."""
    conditions = _conditions(listing, given)
    return (
        f"SELECT {listing.columns} FROM {listing.table} AS t {listing.joined} "  # noqa: S608 - our own texts
        f"WHERE t.{listing.key} < :before AND t.{listing.key} >= :floor{conditions} ORDER BY t.{listing.key} DESC LIMIT :limit"
    )


def window_sql(listing: Listing, by_index: Iterable[str]) -> str:
    """The question for how far back a page looks: through so many rows of an index."""
    conditions = _conditions(listing, by_index)
    inner = (
        f"SELECT t.{listing.key} AS k FROM {listing.table} AS t "  # noqa: S608 - our own texts
        f"WHERE t.{listing.key} < :before AND t.{listing.key} >= :low{conditions} ORDER BY t.{listing.key} DESC LIMIT :window"
    )
    return f"SELECT min(k) AS floor, count(*) AS seen FROM ({inner})"  # noqa: S608 - our own texts


def _conditions(listing: Listing, given: Iterable[str]) -> str:
    """The first that has an index as it is. The others get a plus, by which SQLite takes no index of theirs: it may hold far more rows."""
    names = [name for name in (*listing.by_index, *listing.filters) if name in given]
    texts = {**listing.by_index, **listing.filters}
    return "".join(
        f" AND {texts[name] if place == 0 or name in listing.filters else f'+{texts[name]}'}" for place, name in enumerate(names)
    )


def all_rows(pages: Pages, listing: Listing, given: Mapping[str, object], *, most: int) -> Iterator[Row]:
    """Row after row, newest first, at most so many."""
    before: int | None = None
    left = most
    while left > 0:
        page = pages.page(listing, given, before=before, limit=min(left, MOST_ROWS))
        yield from page.rows
        left -= len(page.rows)
        if (before := page.older) is None:
            return


def _key(row: Row, listing: Listing) -> int:
    key = row[listing.key]
    assert isinstance(key, int)
    return key
