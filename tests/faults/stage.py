"""One case on stage: a broker that lives on, one trader after the other on the same record, and everything that is seen of it."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from Backtest.simulated_terminal.faults import KINDS as TERMINAL_KINDS
from Backtest.simulated_terminal.faults import FaultyTerminal
from Backtest.simulated_terminal.faults.tickets import large, own
from Live.clock import SystemClock
from Live.live_trader import LiveTrader
from tests.faults import conduct, tapes
from tests.faults.case import Case
from tests.faults.conduct import Conduct
from tests.faults.engine import Armed, Engine
from tests.faults.hands import Broker
from tests.faults.incidents import SimKill, Trouble
from tests.faults.journal import Head, Journal
from tests.faults.oracles import Breach, Sent, at_arrival, at_send
from tests.faults.scenery import CANARY, SYMBOL, account_of, settings_of, strategy_of, symbol_of
from tests.faults.scenes import SCENES
from tests.faults.seams import Ledger, Line, TraderClock, kind_of_request
from tests.faults.stops import Stop
from tests.faults.strategies import WRONG, Step, rests

# What the broker is, and not what goes wrong on a day: these stay when the others cease.
_STAYS = frozenset(name for name, kind in TERMINAL_KINDS.items() if kind.rate is None) | {"deal_cancelled", "money_came"}
RESTING_BARS = 3  # at the end, on which the strategy does nothing: what was sent before is settled then
LATELY = 3700.0  # seconds
MOST_CALLS = 60_000
MOST_CALLS_AT_ONE_MOMENT = 3_000


class Stuck(BaseException):
    """The trader works on and on, and time stands still."""


class Standing(SystemClock):
    """How often the page is written does not hang on the speed of the machine."""

    def now(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Tally:
    """What there was of everything."""

    calls: int = 0
    turns: int = 0
    runs: int = 0
    kills: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # fault, kind of order, its state
    exits: Counter[int] = field(default_factory=Counter)


class Stage:
    """The state of one run of a case. The seams call it; the oracles read it."""

    symbol = SYMBOL

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        world = case.world
        self.market = tapes.market(world.calendar, world.walk, world.bars + world.calm, world.spread, symbol_of(case))
        self.terminal = Broker(self.market, account_of(case))
        self._began = self.terminal.clock.now_msc
        predicates = {f"an order is {status}": lambda status=status: status in self.status.values() for status in ("UNKNOWN", "PLACED")}
        self.faulty = FaultyTerminal(Ledger(self), case.terminal, self.terminal.clock, predicates=predicates)
        self.line, self.clock = Line(self), TraderClock(self)
        self.config = settings_of(case, folder)
        self.strategy = strategy_of(case, self.instead)
        self.journal = Journal(folder / "audit.db")
        self.engine = Engine(case.seed, case.others, self._fire)
        self.tally = Tally()
        self.breaches: list[Breach] = []
        self.trader: LiveTrader | None = None
        self.head: Head | None = None
        self.stuck = self.last = self.trading = False
        self.reasons: list[tuple[int, str]] = []
        self.disks: list[Any] = []
        self.dead, self.asked, self.calm, self.disk_failed = False, False, False, False
        self.down, self.skew, self.clock_stepped_at = 0.0, 0.0, -math.inf
        self.trouble: Trouble | None = None
        self.views: list[Armed] = []
        self.stops: list[Stop] = []
        self.twins: set[int] = set()
        self.kinds: dict[str, str] = {}  # of orders, by id
        self.status: dict[str, str] = {}
        self.at_hand = ("none", "none")  # kind and state of the order that was moved last
        self.sents: list[Sent] = []
        self.sending: Sent | None = None
        self.seen: dict[str, Any] = {}  # the last answers, by function
        self.taken_back: set[int] = set()  # positions that the broker says it has taken back, and that live on in its books
        self.asked_at: dict[str, float] = {}
        self.conduct = Conduct(0.0)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._scene = SCENES.get(world.menu.removeprefix("scene: "))
        self._trace = hashlib.sha256()
        self._quiet_calls, self._hits = 0, 0
        self._ends_at = (self.market.end_msc - self._began) / 1000 - tapes.BAR_SECONDS
        self._calm_at = tapes.ends_after(world.calendar, world.bars)
        self._large = any(event.fault == "large_tickets" for event in case.plan)

    # -- time

    @property
    def now(self) -> float:
        """Seconds since the case began, by the broker's clock."""
        return (self.terminal.clock.now_msc - self._began) / 1000

    @property
    def epoch(self) -> float:
        """The server's clock, seconds."""
        return self.terminal.clock.now_msc / 1000

    def due(self) -> float:
        """The next moment at which something happens that nobody asks for."""
        timers = min((at for at, _, _ in self._timers), default=math.inf)
        return max(min(self.engine.due(), timers, math.inf if self.calm else self._calm_at), self.now + 0.001)

    def advance(self, seconds: float) -> None:
        """Let time pass at the broker. Raises MarketEnded."""
        self._quiet_calls = 0
        self.terminal.clock.sleep(max(seconds, 0.001))
        self.tick()

    def tick(self) -> None:
        """Let happen what is due by now."""
        while self._timers and min(self._timers)[0] <= self.now:
            self._timers.sort()
            self._timers.pop(0)[2]()
        self.engine.tick(self.now)
        if not self.calm and self.now >= self._calm_at:
            self._cease()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something so much later."""
        self._timers.append((self.now + seconds, len(self._timers) + self.tally.calls, action))

    def _cease(self) -> None:
        """From now on nothing goes wrong any more."""
        self.calm = True
        self.engine.cease()
        self.faulty.cease(_STAYS)
        self.views.clear()
        self.trouble, self.skew = None, 0.0
        self.clock_stepped_at = self.now if any(event.fault == "clock_steps" for event in self.case.plan) else -math.inf
        for stop in self.stops:
            stop.remove(self.now)
        for timer in sorted(self._timers):
            timer[2]()
        self._timers.clear()
        for ticket in self.twins & self.terminal.book.positions.keys():
            held = self.terminal.book.positions[ticket]
            deal = {"action": 1, "symbol": held.symbol, "volume": held.volume, "type": held.closing_side, "position": ticket}
            self.terminal.by_hand(**deal, price=held.price_open, deviation=100_000, type_filling=1 - (self.case.world.filling & 1))

    # -- what the seams tell

    def alive(self) -> None:
        """Raise SimKill when the trader is dead."""
        if self.dead:
            raise SimKill("the dead do nothing")

    def called(self, function: str) -> None:
        """The terminal is called."""
        self.tally.calls += 1
        self._quiet_calls += 1
        if self.tally.calls > MOST_CALLS or self._quiet_calls > MOST_CALLS_AT_ONE_MOMENT:
            raise Stuck(f"{self.tally.calls} calls, {self._quiet_calls} since time went on")
        self.asked_at[function] = self.now
        self.conduct.does(function)
        self.tick()

    def passing(self, point: str) -> None:
        """The trader passes a point."""
        if point == conduct.LOOK:
            self.conduct.does(point)
        self.engine.passing(point)

    def moved(self, order: str, status: str) -> None:
        """An order's step is committed."""
        self.status[order] = status
        self.at_hand = (self.kinds.get(order, "?"), status)
        self.conduct.does(status)
        self.breaches += conduct.at_move(self, order, status)
        self.engine.reached(status)

    def sends(self, request: Mapping[str, Any]) -> None:
        """The trader sends: look at it before anything else can happen."""
        self.sending = Sent(len(self.sents), self.now, kind_of_request(request), dict(request))
        self.sents.append(self.sending)
        for stop in self.stops:
            stop.sends += stop.path.exists()
        self.breaches += [*at_send(self, self.sending), *conduct.at_send(self, self.sending)]
        self.conduct.does(conduct.SEND)

    def answered(self, result: Any) -> None:
        """What the trader is told of what it sent."""
        assert self.sending is not None
        self.sending.retcode = getattr(result, "retcode", None)
        self.conduct.returned[self.sending.cid] = self.now
        self.sending = None

    def arrived(self, request: Mapping[str, Any], result: Any) -> None:
        """A request has come to the broker, at once or late."""
        sent = self.sending if self.sending is not None and _alike(self.sending.request, request) else self._late(request)
        self.breaches += at_arrival(self, sent, result, request)

    def _late(self, request: Mapping[str, Any]) -> Sent | None:
        waiting = (sent for sent in self.sents if not sent.arrivals and _alike(sent.request, request))
        return next(waiting, None)

    def traced(self, function: str, args: Any, options: Any, value: Any) -> None:
        """The call goes into the trace."""
        shown = value if isinstance(value, (bool, int, float, type(None))) else getattr(value, "retcode", None) or len(value)
        self._trace.update(f"{self.terminal.clock.now_msc}|{function}|{args!r}|{options!r}|{shown}\n".encode())
        total = self.faulty.log.hits.total()
        if total != self._hits:
            fresh = self.faulty.log.hits - self.tally.hits
            for name, count in fresh.items():
                self.tally.cells[(name, *self.at_hand)] += count
            self.tally.hits |= self.faulty.log.hits
            self._hits = total

    def saw(self, function: str, value: Any) -> None:
        """The trader has this answer."""
        self.seen[function] = value
        if function == "history_deals_get":  # DEAL_TYPE_BUY_CANCELED, _SELL_CANCELED
            self.taken_back |= {self.own_ticket(deal.position_id) for deal in value or () if deal.type in (13, 14) and deal.entry == 0}
        self.conduct.sees(function, value, self.now)

    @property
    def trace(self) -> str:
        """The hash of all calls so far."""
        return self._trace.hexdigest()

    # -- faults

    def _fire(self, armed: Armed, point: str) -> None:
        name, kind = armed.event.fault, armed.kind
        if kind.view is not None:
            if armed not in self.views:
                armed.until = self.now + (armed.params["lasts"] or math.inf)
                armed.left = armed.params["times"] or math.inf
                armed.memory.clear()
                self.views.append(armed)
            return
        assert kind.act is not None
        if name != "killed" or self.trading:
            self._hit(name)
            kind.act(self, armed.params, point)

    def _hit(self, name: str) -> None:
        self.tally.hits[name] += 1
        self.tally.cells[(name, *self.at_hand)] += 1

    def viewed(self, function: str, value: Any) -> Any:
        """An answer as the faults of the feed let it be seen."""
        for armed in list(self.views):
            if self.now >= armed.until or armed.left <= 0:
                self.views.remove(armed)
            elif function in armed.kind.sees and value is not None:
                assert armed.kind.view is not None
                shown = armed.kind.view(value, armed.params, armed.memory)
                if shown is not value:
                    armed.left -= 1
                    self._hit(armed.event.fault)
                    value = shown
        return value

    def instead(self, bar: Any) -> Step | None:
        """What the strategy does on a bar in place of its menu: nothing at the end, a step of a scene, or something wrong."""
        at = bar.timestamp() - self._began / 1000
        number = round(at / tapes.BAR_SECONDS) + 1  # 0: the bar that has closed just before the case begins
        if at >= self._ends_at - RESTING_BARS * tapes.BAR_SECONDS:
            return rests
        if self._scene is not None:
            return self._scene.steps.get(number, rests)
        for armed in self.engine.armed:
            if armed.event.when.get("bar") == number and not armed.spent:
                self._hit(armed.event.fault)
                armed.left = min(armed.left, 2) - 1
                armed.spent = armed.left <= 0  # a strategy that is started anew meets the bar again
                return WRONG[armed.params["how"]]
        return None

    # -- traders

    def reset(self) -> None:
        """The next trader is started."""
        self.dead, self.asked, self.trading, self.down = False, False, True, 0.0
        self.trouble = None if self.trouble is None or self.trouble.left is None else self.trouble
        self.seen.clear()
        self.conduct = Conduct(self.now)

    def settled(self) -> None:
        """A trader has settled what an earlier one left."""

    def rest(self, seconds: float) -> None:
        """Nobody trades for a while. Raises MarketEnded."""
        self.dead = self.trading = False
        until = self.now + seconds
        while self.now < until:
            self.advance(min(until, self.due()) - self.now)

    def breach(self, oracle: str, sentence: str) -> None:
        """Put a breach down."""
        self.breaches.append(Breach(oracle, sentence, self.now))

    def ended(self, code: int, reason: str) -> None:
        """A trader has come to its end by itself: may it, in this way?"""
        self.reasons.append((code, reason))
        if code == 1 and not self.disk_failed and not self._strategies_fail():
            self.breach("liveness", f"a run ended with {reason}")
        if code == 10 and not self.stops:
            self.breach("liveness", f"there was no stop file, and a run ended with {reason}")
        if code == 7:
            self.breach("liveness", reason)

    def _strategies_fail(self) -> bool:
        return any(event.fault == "strategy_fails" for event in self.case.plan)

    @property
    def clock_has_stepped(self) -> bool:
        """Whether the trader's clock was set lately."""
        return self.now - self.clock_stepped_at < LATELY

    @property
    def over(self) -> bool:
        """Whether the case ends here: there is time left to settle what is open, and no more."""
        return self.stuck or self.now >= self._ends_at

    def follower(self, bar: int) -> float:
        """The open of the bar that followed a bar, server seconds."""
        rates = self.market.series[SYMBOL].whole["time"]
        later = rates[rates >= bar + tapes.BAR_SECONDS]
        return float(later[0] // tapes.BAR_SECONDS * tapes.BAR_SECONDS) if len(later) else math.inf

    def last_closed(self) -> int:
        """The open of the last bar that has closed before the end."""
        minutes = self.market.series[SYMBOL].whole["time"] // tapes.BAR_SECONDS * tapes.BAR_SECONDS
        return int(max(bar for bar in set(minutes.tolist()) if bar + tapes.BAR_SECONDS <= self._began / 1000 + self._ends_at))

    @property
    def has_foreigners(self) -> bool:
        """Whether somebody else has traded on the account."""
        return bool(self.twins) or any(
            deal.magic != self.config.magic_number for deal in self.terminal.book.deals.between(1, 2**31) if deal.symbol
        )

    def excuses(self) -> frozenset[str]:
        """Why the trader may have stopped before the end."""
        found = set()
        if self._strategies_fail():
            found.add("the strategy fails")
        if self.journal.rows("SELECT 1 FROM orders WHERE status = 'UNRESOLVED'"):
            found.add("a person must settle an order")
        ends = [code for code, _ in self.reasons]
        if ends[-1:] == [0] and not self.journal.rows("SELECT 1 FROM bars WHERE run_id = (SELECT max(run_id) FROM runs)"):
            ends.pop()  # the prices have ended before that run had begun to decide
        if ends[-1:] in ([4], [5]):
            found.add("a person must look at the account")
        if ends[-1:] == [4]:
            found.add("no trader may begin")
        return frozenset(found)

    def leaked(self) -> list[str]:
        """Files that hold the secret."""
        files = (file for file in self.folder.rglob("*") if file.is_file())
        return [file.name for file in files if CANARY.encode() in file.read_bytes()]

    # -- who is who

    def is_ours(self, magic: int) -> bool:
        """Whether something carries our magic number."""
        return magic == self.config.magic_number

    def shown_ticket(self, ticket: int) -> int:
        """A broker's ticket as the trader sees it."""
        return large(ticket) if self._large else ticket

    def own_ticket(self, shown: int) -> int:
        """The broker's ticket that the trader means."""
        return int(own(shown)) if self._large else shown


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("action", "symbol", "type", "comment", "sl", "tp"))
