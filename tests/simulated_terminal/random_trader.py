"""A trader who does anything, by seed, and what must be true of the books whatever he does."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from Backtest.bars import is_ticks
from Backtest.simulated_terminal import MarketEnded, SimulatedTerminal
from tests.simulated_terminal.terminals import ALL, close, close_by, deal, modify, pending, protect, remove

CENT = 0.011
MARKET_CLOSED = 10018


@dataclass(slots=True)
class RandomTrader:
    """Sends requests of all kinds on all symbols; most are right, some are not."""

    made: SimulatedTerminal
    seed: int
    chance: random.Random = field(init=False)
    names: list[str] = field(init=False)
    answers: dict[int, int] = field(default_factory=dict)  # how many of each retcode

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.names = [each.name for each in self.made.symbols_get() or ()]

    def act(self) -> None:
        """Send one request, and prove that order_check foretold the answer."""
        request = self._request()
        if request is None:
            return
        check = self.made.order_check(request)
        answer = self.made.order_send(request)
        self.answers[answer.retcode] = self.answers.get(answer.retcode, 0) + 1
        foretold = {check.retcode} if check.retcode else {10009}
        assert answer.retcode in foretold | {MARKET_CLOSED}, (request, check, answer)  # a check does not see the session

    def _request(self) -> dict[str, Any] | None:
        name = self.chance.choice(self.names)
        positions, waiting = self.made.positions_get(), self.made.orders_get()
        kinds = ["open"] * 3 + ["pending"] * 2
        kinds += ["close", "close", "part", "protect", "close by"] if positions else []
        kinds += ["modify", "remove"] if waiting else []
        kind = self.chance.choice(kinds if len(positions) < 12 else ["close", "close by"])
        request: dict[str, Any] | None = getattr(self, f"_{kind.replace(' ', '_')}")(name)
        return request

    def _open(self, name: str) -> dict[str, Any] | None:
        return self._at_market(name, self.chance.randrange(2))

    def _at_market(self, name: str, side: int) -> dict[str, Any] | None:
        tick = self.made.symbol_info_tick(name)
        if tick is None:
            return None
        levels = self._levels(name, side, tick.bid if side == 0 else tick.ask)
        return deal(side, self._lots(), symbol=name, price=tick.bid if side else tick.ask, **levels)

    def _pending(self, name: str) -> dict[str, Any] | None:
        tick, info = self.made.symbol_info_tick(name), self.made.symbol_info(name)
        if tick is None:
            return None
        order_type = self.chance.randrange(2, 8)
        rising = (order_type % 2 == 0) != (order_type < 4)
        sign = 1 if rising else -1
        price = round((tick.ask if order_type % 2 == 0 else tick.bid) + sign * self._away(info), info.digits)
        near = round(price - self._away(info) / 3 * (1 if order_type % 2 == 0 else -1), info.digits)
        terms = {"type_time": 2, "expiration": tick.time + self.chance.randrange(600, 300_000)} if self.chance.random() < 0.5 else {}
        levels = self._levels(name, order_type % 2, near if order_type > 5 else price)
        return pending(order_type, price, self._lots(), symbol=name, stoplimit=near if order_type > 5 else 0.0, **levels, **terms)

    def _close(self, _: str) -> dict[str, Any]:
        position = self.chance.choice(self.made.positions_get())
        tick = self.made.symbol_info_tick(position.symbol)
        return close(position) | {"price": tick.ask if position.type else tick.bid}

    def _part(self, _: str) -> dict[str, Any]:
        position = self.chance.choice(self.made.positions_get())
        return close(position, self._lots())

    def _protect(self, _: str) -> dict[str, Any]:
        position = self.chance.choice(self.made.positions_get())
        return protect(position.ticket, **self._levels(position.symbol, position.type, position.price_current))

    def _close_by(self, _: str) -> dict[str, Any]:
        one, other = (self.chance.choice(self.made.positions_get()) for _ in range(2))
        return close_by(one.ticket, other.ticket)

    def _modify(self, _: str) -> dict[str, Any]:
        order = self.chance.choice(self.made.orders_get())
        info = self.made.symbol_info(order.symbol)
        moved = self.chance.choice([-1, 1]) * self._away(info) / 5
        limit = round(order.price_stoplimit + moved, info.digits) if order.price_stoplimit else 0.0
        return modify(order.ticket, round(order.price_open + moved, info.digits), stoplimit=limit)

    def _remove(self, _: str) -> dict[str, Any]:
        return remove(self.chance.choice(self.made.orders_get()).ticket)

    def _lots(self) -> float:
        return self.chance.randrange(1, 40) / 100

    def _away(self, info: Any) -> float:
        points: float = self.chance.randrange(20, 900) * info.point
        return points

    def _levels(self, name: str, side: int, price: float) -> dict[str, float]:
        info, sign = self.made.symbol_info(name), 1 - 2 * side
        wrong = -1 if self.chance.random() < 0.05 else 1
        wanted = {"sl": price - wrong * sign * self._away(info), "tp": price + wrong * sign * self._away(info)}
        return {key: round(level, info.digits) for key, level in wanted.items() if self.chance.random() < 0.7}


def replayed(made: SimulatedTerminal, prices: Mapping[str, pd.DataFrame], trader: RandomTrader, *, step: float) -> Iterator[float]:
    """Let him trade to the end of the prices, looking at the books on the way; yields the part that is done."""
    turns, seen = 0, 0
    while True:
        trader.act()
        assert_figures_agree(made)
        turns += 1
        if turns % 500 == 0:
            seen = assert_history_is_sound(made, prices, seen)
            yield made.clock.progress[0] / made.clock.progress[1]
        try:
            made.clock.sleep(step)
        except MarketEnded:
            break
    assert_figures_agree(made)
    assert_history_is_sound(made, prices, seen)
    yield 1.0


def assert_figures_agree(made: SimulatedTerminal) -> None:
    """Equity, margin and profit are those of the positions."""
    info, positions = made.account_info(), made.positions_get()
    assert abs(info.profit - sum(each.profit for each in positions)) < CENT
    assert abs(info.equity - (info.balance + info.profit + sum(each.swap for each in positions))) < CENT
    assert abs(info.margin_free - (info.equity - info.margin)) < CENT
    assert (info.margin > 0) == bool(positions)
    assert info.equity > 0
    tickets = [each.ticket for each in (*positions, *made.orders_get())]
    assert len(set(tickets)) == len(tickets)


def assert_history_is_sound(made: SimulatedTerminal, prices: Mapping[str, pd.DataFrame], seen: int) -> int:
    """Money is conserved, volumes add up, tickets are unique, fills are inside the prices; how many deals there are. `seen`
    have been held against the prices before."""
    deals, orders = made.history_deals_get(*ALL), made.history_orders_get(*ALL)
    assert abs(made.account_info().balance - sum(each.profit + each.swap + each.commission + each.fee for each in deals)) < CENT
    assert len({each.ticket for each in deals}) == len(deals)
    assert len({each.ticket for each in orders}) == len(orders)
    assert [each.time_msc for each in deals] == sorted(each.time_msc for each in deals)
    _assert_volumes_add_up(made, deals, orders)
    for each in deals[seen:]:
        if each.order and each.entry != 3:  # what closes by another position knows no market
            assert _inside(each, prices[each.symbol]), each
    return len(deals)


def _assert_volumes_add_up(made: SimulatedTerminal, deals: tuple[Any, ...], orders: tuple[Any, ...]) -> None:
    still = {each.identifier: each.volume for each in made.positions_get()}
    left: dict[int, float] = {}
    filled: dict[int, float] = {}
    for each in deals:
        if each.order:
            left[each.position_id] = left.get(each.position_id, 0.0) + (each.volume if each.entry == 0 else -each.volume)
            filled[each.order] = filled.get(each.order, 0.0) + each.volume / (2 if each.entry == 3 else 1)
    for position, volume in left.items():
        assert abs(volume - still.get(position, 0.0)) < 1e-6, position
    for each in orders:
        assert abs(each.volume_initial - each.volume_current - filled.get(each.ticket, 0.0)) < 1e-6, each


def _inside(deal_: Any, frame: pd.DataFrame) -> bool:
    """Whether a price was there when the deal was made: a tick's own, or one within the bar and its spread."""
    moment = np.datetime64(deal_.time_msc, "ms")
    row = int(frame.index.to_numpy().searchsorted(moment, side="right")) - 1
    buys = deal_.type == 0
    if is_ticks(frame):  # ticks of one millisecond come one after the other
        first = int(frame.index.to_numpy().searchsorted(np.datetime64(deal_.time_msc - 20, "ms")))
        return deal_.price in frame["Ask" if buys else "Bid"].to_numpy()[min(first, row) : row + 1]
    bar = frame.iloc[row]
    ask = bar["Spread"] * frame.attrs["point"] if buys and "Spread" in frame else 0.0
    return bool(bar["Low"] + ask - 1e-9 <= deal_.price <= bar["High"] + ask + 1e-9)
