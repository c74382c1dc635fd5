"""What the record says, as plain text for a phone."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from Live.audit_logger.reader import Run
from Live.audit_logger.told import AlertReader
from Live.config import LiveConfig
from Live.kill_switch import KillSwitchFile
from Live.pause import PauseFile
from Live.risk import daily_loss_pct
from Live.standing import Standing, day_of, kill_switch_of, trader_of, trading_of

SHOWN = 10
NOBODY = "No trader has run on this record yet."


class Answers:
    """One sitting with the record, and the machine's time. Each answer is one text."""

    def __init__(self, config: LiveConfig, reader: AlertReader, now: datetime) -> None:
        self._config, self._reader, self._now = config, reader, now
        self._run, self._state = reader.latest_run(), reader.state()

    @property
    def run(self) -> Run | None:
        """The run that is told of."""
        return self._run

    def answer(self, command: str, words: list[str]) -> str:
        """The text for a command that only asks; KeyError for one that there is not."""
        tell = _ASKED[command]
        if self._run is None:
            return NOBODY
        return tell(self, self._run, words)

    def status(self, run: Run, _words: list[str]) -> str:
        """Who trades, in which mode, and whether entries go out."""
        trader = trader_of(run, self._state.get("heartbeat"), self._now)
        switch = kill_switch_of(run, self._state.get("kill_switch"), KillSwitchFile.of(self._config))
        _, why = trading_of(trader, switch, self._state.get("trading"))
        paused = "\nPaused: entries wait (/resume)" if PauseFile.of(self._config).is_on() else ""
        held = len(self._reader.positions(run))
        lines = [f"{run.mode} {run.strategy_id} on account {run.login} at {run.server}", trader.sentence]
        lines += [why] if why != trader.sentence else []
        return "\n".join([*lines, f"Open positions: {held}", self._account()]) + paused

    def health(self, run: Run, _words: list[str]) -> str:
        """Whether the trader lives, and what it does not know."""
        trader = trader_of(run, self._state.get("heartbeat"), self._now)
        age = "–" if trader.age_seconds is None else f"{trader.age_seconds:.0f} s ago"
        sign = "OK" if trader.standing is Standing.RUNNING else trader.standing.value.upper()
        market = str(self._state.get("market_time") or "–")[:19].replace("T", " ")
        return (
            f"{sign}: {trader.sentence}\nLast sign of life: {age}\nMarket's time: {market}\nOrders of unknown outcome: {self._unsettled()}"
        )

    def balance(self, _run: Run, _words: list[str]) -> str:
        """The account's money."""
        account = self._known("account")
        if not account:
            return "The account has not been seen yet."
        currency = account.get("currency", "")
        names = ("balance", "equity", "margin", "free_margin")
        return "\n".join(f"{name.replace('_', ' ').capitalize()}: {_money(account.get(name))} {currency}" for name in names)

    def positions(self, run: Run, _words: list[str]) -> str:
        """What is held."""
        rows = self._reader.positions(run)
        if not rows:
            return "No open positions."
        return "\n".join(
            f"{row['side']} {row['volume']:g} {row['symbol']} at {row['entry_price']:.7g}, now {row['price_current']:.7g}, "
            f"SL {_price(row['sl'])}, TP {_price(row['tp'])}: {_money(row['profit'], sign=True)} (#{row['ticket']})"
            for row in rows[:50]
        )

    def orders(self, run: Run, _words: list[str]) -> str:
        """The newest orders, with the numbers for /why."""
        rows = self._reader.recent_orders(run, SHOWN)
        found = (
            f"{_short(row['timestamp'])} {row['kind']} {row['side']} {row['symbol']}: {row['status']} (/why {row['id']})" for row in rows
        )
        return "\n".join(found) or "No orders yet."

    def trades(self, run: Run, _words: list[str]) -> str:
        """The newest closed trades."""
        rows = self._reader.recent_trades(run, SHOWN)
        found = (
            f"{_short(row['exit_time'])} {row['side']} {row['volume']:g} {row['symbol']} "
            f"{row['entry_price']:.7g} → {row['exit_price']:.7g}: {_money(row['net_profit'], sign=True)} ({row['exit_reason']})"
            for row in rows
        )
        return "\n".join(found) or "No closed trades yet."

    def signals(self, run: Run, _words: list[str]) -> str:
        """The newest decisions, and why one has no order."""
        rows = self._reader.recent_signals(run, SHOWN, hold=False)
        found = (
            f"{_short(row['bar_time'])} {row['signal']} {row['symbol']} at {row['price']:.7g}: "
            + (f"{row['order_status']}" if row["order_status"] else "no order")
            + (f" ({row['reason']})" if row["reason"] else "")
            for row in rows
        )
        return "\n".join(found) or "No signals yet."

    def profit(self, run: Run, _words: list[str]) -> str:
        """What this run has come to."""
        counts = self._reader.run_counts(run.run_id)
        won = f"{100 * counts.winning_trades / counts.trades:.0f} % won" if counts.trades else "none won yet"
        trades = (
            f"Run {run.run_id} since {_short(run.started_at)}: {counts.trades} trades closed, {won}, net {_money(counts.profit, sign=True)}"
        )
        orders = (
            f"{counts.orders_sent} sent, {counts.orders_filled} filled, {counts.orders_refused} refused, {counts.orders_denied} kept back"
        )
        return f"{trades}\nOrders: {orders}"

    def daily(self, run: Run, _words: list[str]) -> str:
        """The broker's day so far."""
        day = day_of(self._state.get("day"), self._state.get("market_time"))
        if day is None:
            return "The day has not begun yet."
        trades, profit = self._reader.day_totals(run, day)
        return f"{day}: {trades} trades closed, net {_money(profit, sign=True)}\n{self._account()}"

    def risk(self, run: Run, _words: list[str]) -> str:
        """Each limit, and how far away it is."""
        equity, opening = self._known("account").get("equity"), self._known("day").get("opening_equity")
        lost = daily_loss_pct(float(equity), float(opening)) if equity is not None and opening else 0.0
        held = self._reader.positions(run)
        lines = [
            f"Lost today: {max(0.0, lost):.2f} % of {run.settings.get('MAX_DAILY_LOSS_PCT')} %",
            f"Positions: {len(held)} of {run.settings.get('MAX_POSITIONS')}",
            f"Without a stop loss: {sum(row['sl'] is None for row in held)}",
            f"Orders of unknown outcome: {self._unsettled()}",
        ]
        said = self._known("trading")
        return "\n".join([*lines, f"Entries wait: {said['reason']}" if said.get("reason") else "Entries are sent."])

    def why(self, run: Run, words: list[str]) -> str:
        """What became of one order, step by step."""
        if len(words) != 1 or not words[0].isdecimal():
            return "Say which one, as in /why 17: /orders tells the numbers."
        order = self._reader.order_numbered(run.slot, int(words[0]))
        if order is None:
            return f"There is no order {int(words[0])} here."
        steps = "\n".join(
            f"{_short(step['timestamp'])} {step['to_status']}" for step in self._reader.steps_of(str(order["client_order_id"]))
        )
        what = f"{order['kind']} {order['side']} {order['symbol']}, decided on the bar of {_short(order['bar_time'])}"
        why = order["message"] or order["retcode_message"]
        return f"{what}\n{steps}" + (f"\n{why}" if why else "")

    def logs(self, _run: Run, _words: list[str]) -> str:
        """The newest events."""
        rows = self._reader.recent_events(SHOWN)
        return (
            "\n".join(f"{_short(row['timestamp'])} {row['severity']} {row['event_type']}: {row['message']}" for row in rows)
            or "No events yet."
        )

    def _unsettled(self) -> int:
        return self._reader.unsettled_orders()

    def _known(self, key: str) -> Mapping[str, Any]:
        said = self._state.get(key)
        return said if isinstance(said, Mapping) else {}

    def _account(self) -> str:
        account = self._known("account")
        return f"Equity: {_money(account.get('equity'))} {account.get('currency', '')}" if account else "Equity: not known yet"


_ASKED: Mapping[str, Callable[[Answers, Run, list[str]], str]] = {
    name: getattr(Answers, name)
    for name in ("status", "positions", "orders", "trades", "profit", "daily", "balance", "risk", "signals", "why", "logs", "health")
}


def _money(value: object, *, sign: bool = False) -> str:
    if not isinstance(value, int | float):
        return "–"
    return f"{value:+,.2f}" if sign else f"{value:,.2f}"


def _price(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, int | float) else "none"


def _short(text: object) -> str:
    return str(text)[5:16].replace("T", " ")
