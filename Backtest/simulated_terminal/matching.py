"""What the moving market does to an account: levels and pending orders fill, orders expire, positions without margin close."""

from dataclasses import replace

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.book import Kind, Position, Trigger
from Backtest.simulated_terminal.ledger import Figures, Ledger
from Backtest.simulated_terminal.lifetimes import end_of
from Backtest.simulated_terminal.market import Event, Phase, Playing
from Backtest.simulated_terminal.orders import DAY_SECONDS, Order
from Backtest.simulated_terminal.rollover import REOPENING, day_of, nights, reopening, swap
from Backtest.simulated_terminal.triggers import fill_price, gap_price, gap_touch, takes_profit_at_once, touch

_SERVERS = frozenset({c.ORDER_REASON_SL, c.ORDER_REASON_TP, c.ORDER_REASON_SO})  # reasons of the orders that it makes itself


class Matching(Ledger):
    """An account on a market that moves."""

    def arrive(self, now_msc: int) -> None:
        """Let it be this moment. Nothing happens between two events of the market but that orders expire and days begin."""
        self.now_msc = now_msc
        if self.book.active:
            self._expire()
        self._roll_over()

    def play(self, event: Event) -> None:
        """Let an event of the market do to the account what it does."""
        self.arrive(event.time_msc)
        for symbol in event.symbols:
            if self.book.triggers.get(symbol) and (playing := self.market.series[symbol].playing(event)):
                self._play_prices(symbol, playing)
        # backtesting.py looks at the equity at the close only; an account with a stop-out level at every quote
        if self.book.positions and (self.account.stop_out or event.phase is not Phase.OPEN):
            self._stop_out()

    def _expire(self) -> None:
        ends = [(end_of(order, self.specs[order.symbol]), order) for order in self.book.active.values()]
        due = [(end, order) for end, order in ends if end is not None and end * 1000 <= self.now_msc]
        for end, order in sorted(due, key=lambda each: (each[0], each[1].ticket)):
            self.finish(order, c.ORDER_STATE_EXPIRED, done_msc=end * 1000)

    def _roll_over(self) -> None:
        """Charge the nights since the day that the account has seen last, and clear the levels that last for one day."""
        today, last = day_of(self.now_msc // 1000), self.book.day
        self.book.day = today
        if not last or last == today:
            return
        for position in list(self.book.positions.values()):
            spec = self.specs[position.symbol]
            if spec.order_gtc_mode == c.SYMBOL_ORDERS_DAILY:
                self.book.protect(position.ticket, 0.0, 0.0)
            charged = nights(last, today, spec.swap_rollover3days)
            if spec.swap_mode in REOPENING and charged:
                self._reopen(position, today, charged)
            elif one := swap(spec, position, self.price_current(position), self.exchange):
                self.book.charge(position.ticket, self.account.rounded(position.swap + one * charged))

    def _reopen(self, position: Position, today: int, charged: int) -> None:
        series = self.market.series[position.symbol]
        evening, morning = series.quote_at(today * DAY_SECONDS * 1000 - 1), series.quote_at(self.now_msc)
        if evening is not None and morning is not None:
            held = self.book.positions[position.ticket]
            self.reopen(held, *reopening(self.specs[held.symbol], held, (evening, morning), charged))

    def _play_prices(self, symbol: str, playing: Playing) -> None:
        """Look once at all that waits, in its order; then, as backtesting.py does, once more when a position that the bar
        opened at market has brought levels: they are what the first look leaves out. A tick is looked at once."""
        waiting = self.book.triggers[symbol]
        if playing.phase is Phase.TICK:
            self._look_at(list(waiting), playing)
            return
        positions = self.book.positions
        fresh = {each for each in waiting if each.kind is not Kind.ORDER and positions[each.ticket].time_msc // 1000 == playing.bid.time}
        again = self._look_at([each for each in waiting if each not in fresh], playing) or bool(fresh)
        if again and not playing.opening:
            self._look_at(list(waiting), playing)

    def _look_at(self, waiting: list[Trigger], playing: Playing) -> bool:
        """Fill what the bar reaches; whether a fill asks for one more look at everything."""
        again = False
        for trigger in waiting:
            if trigger.kind is Kind.ORDER:
                order = self.book.active.get(trigger.ticket)
                again |= order is not None and self._look_at_order(order, playing)
            else:
                self._look_at_level(trigger, playing)
        return again

    def _look_at_level(self, trigger: Trigger, playing: Playing) -> None:
        position, is_stop = self.book.positions.get(trigger.ticket), trigger.kind is Kind.STOP_LOSS
        if position is None or not (position.sl if is_stop else position.tp):
            return
        price = (gap_price if playing.opening else fill_price)(position, playing.side(position.closing_side), is_stop=is_stop)
        if price is not None:
            level, reason = (position.sl, c.ORDER_REASON_SL) if is_stop else (position.tp, c.ORDER_REASON_TP)
            self._exit(position, price, reason, f"[{trigger.kind} {level:.{self.specs[position.symbol].digits}f}]")

    def _look_at_order(self, order: Order, playing: Playing) -> bool:
        if order.type == order.side:  # the rest of a market order
            return self._fill(order, self.price_for(order.symbol, order.side))
        activated, price = (gap_touch if playing.opening else touch)(order, playing.side(order.side))
        if price is None:
            if activated:
                self.book.change(order.activated())
            return False
        return self._fill(order, price) and takes_profit_at_once(order, playing.side(1 - order.side))

    def _fill(self, order: Order, price: float) -> bool:
        """Fill what can be had of an order whose price has come; whether that was anything."""
        held = self.book.positions.get(order.closes)
        if (order.closes and held is None) or not self._affordable(order, price):
            self.finish(order, c.ORDER_STATE_CANCELED)  # [D] retcode 10041's meaning: the activation is rejected, the order cancelled
            return False
        lots = self.fillable(order)
        if not lots:
            self._wait_or_cancel(order)
            return False
        if held is not None:  # another order may have closed a part of it
            lots = min(lots, held.volume)
        self.take(order.symbol, lots)
        self.execute(order, price, lots)
        return True

    def _wait_or_cancel(self, order: Order) -> None:
        if order.filling in (c.ORDER_FILLING_FOK, c.ORDER_FILLING_IOC):
            self.finish(order, c.ORDER_STATE_CANCELED)
        else:
            self.book.change(order.at_market())

    def _affordable(self, order: Order, price: float) -> bool:
        effect = self.effect(order)
        if not effect.opened:
            return True
        if self.hedges(order.symbol, order.side):
            return False
        needed = self.order_margin(order.side, order.symbol, effect.opened, price)
        freed = self.margin_on(order.symbol) if effect.closed else self.held_for(order)
        return needed is not None and needed <= self.figures().margin_free + freed

    def _stop_out(self) -> None:
        while self.book.positions and (now := self._broke()):
            holding = next((order for order in self.book.active.values() if self.held_for(order)), None)
            if holding is not None:
                self.finish(holding, c.ORDER_STATE_CANCELED)  # [I] orders that hold margin go first
                continue
            leaving = self._leaving()
            left = [position for position in self.book.positions.values() if position.ticket not in leaving]
            if not left or c.ORDER_REASON_SO in leaving.values():
                return  # what is being closed already must find takers first
            worst = min(left, key=lambda position: self.profit(position) + position.swap)
            comment = f"[so {now.margin_level:.2f}%/{now.equity:.2f}/{now.margin:.2f}]"
            self._exit(worst, self.price_current(worst), c.ORDER_REASON_SO, comment)

    def _broke(self) -> Figures | None:
        now = self.figures()
        in_money = self.account.stop_out_mode == c.ACCOUNT_STOPOUT_MODE_MONEY
        short_of_margin = now.margin > 0 and (now.equity if in_money else now.margin_level) < self.account.stop_out
        return now if short_of_margin or now.equity <= 0 else None

    def _leaving(self) -> dict[int, int]:
        """The positions that the server is closing already, each with the reason."""
        return {order.closes: order.reason for order in self.book.active.values() if order.closes and order.reason in _SERVERS}

    def _exit(self, position: Position, price: float, reason: int, comment: str) -> None:
        """Close a position at market. What finds no taker now stays an order that works on."""
        if position.ticket in self._leaving():
            return
        kept = comment[: self.account.comment_length]
        what = (self.book.new_order(), position.symbol, position.closing_side, position.volume, price, 0.0, 0.0)
        order = Order(*what, self.now_msc, position.magic, reason, kept, position.volume, closes=position.ticket)
        working = replace(order, filling=c.ORDER_FILLING_RETURN)
        lots = self.fillable(working)
        if not lots:
            self.book.place(working)
            return
        self.take(order.symbol, lots)
        self.execute(order if lots == order.volume else working, price, lots)
