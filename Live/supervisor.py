"""`run --supervised`: the trader in a process of its own, which is ended when it hangs, and started again.

The calls of the real terminal have no time limit and hold Python's lock, so that nothing within their process can end them,
and a strategy may do anything; only another process is safe from both. The journal makes the kill safe.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, MutableSequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from types import FrameType

from Live.clock import Clock, SystemClock
from Live.config import LiveConfig
from Live.endings import exit_code_of
from Live.errors import CrashLoop, KillSwitch, Unreachable
from Live.heartbeat import CELLS, Beat, Heartbeat, Phase, read
from Live.kill_switch import LIFTED_BY, StopSwitch
from Live.live_trader import CTRL_C
from Live.logs import terminal
from Live.running import Asked, trade_strategy
from Live.signals import told_by_signals
from Live.stop_latch import latch_alone, note_alone

LOOK_SECONDS = 0.2
UNSEEN_STOP_SECONDS = 3.0  # a trader that has not seen the stop file by then is in something that does not return
LONGEST_PAUSE = 60.0
DEATHS, WITHIN_SECONDS = 5, 600.0  # so many in this time, or so many in a row without a single turn: a person must look
TWICE = 2  # a bar on which the strategy did not come back so often is not tried again
FAILED = 1
WINDOWS = sys.platform == "win32"

Cells = MutableSequence[int]
Start = Callable[[Asked, LiveConfig, Mapping[str, str], Cells], BaseProcess]


@dataclass(frozen=True, slots=True)
class Death:
    """How a trader's process ended. `hung` is why it was killed; "" where it died by itself."""

    code: int
    beat: Beat
    hung: str


def supervise(asked: Asked, config: LiveConfig) -> int:
    """Trade under supervision; the exit code is the trader's. Raises CrashLoop when it dies again and again."""
    return Supervisor(asked, config, start).run()


def deadlines(config: LiveConfig) -> dict[Phase, float]:
    """Seconds without a beat after which a trader hangs, by what it is doing."""
    return {
        Phase.STARTING: 900.0,  # a record of millions of rows is checked, a strategy is measured
        Phase.WORKING: 300.0,  # a few commits to a disk that takes ten seconds for each
        Phase.WAITING: 120.0,
        Phase.CONNECTING: config.mt5_timeout / 1000 + config.order_deadline_seconds,
        Phase.READING: config.read_deadline_seconds,
        Phase.FETCHING: 4 * config.read_deadline_seconds,
        Phase.SENDING: config.order_deadline_seconds,
        Phase.WARMING_UP: 10 * config.decision_deadline_seconds,
        Phase.DECIDING: config.decision_deadline_seconds,
    }


class Supervisor:
    """Watches one trader after the other, each made by `start`. It writes the record only while none runs."""

    def __init__(self, asked: Asked, config: LiveConfig, start: Start, *, clock: Clock | None = None) -> None:
        self._asked, self._config, self._start, self._clock = asked, config, start, clock or SystemClock()
        self._deadlines = deadlines(config)
        self._switch = StopSwitch.of(config)
        self._child: BaseProcess | None = None
        self._signalled: int | None = None
        self._age = 0.0  # seconds of looking and waiting: a machine that sleeps does not age
        self._deaths: list[float] = []
        self._untried = 0  # deaths in a row without a turn
        self._thoughts: dict[tuple[int, int], int] = {}  # symbol and bar: how often the strategy did not come back
        self._given_up: dict[str, str] = {}

    def run(self) -> int:
        """Until a trader ends in order. Its exit code, or 10 when an emergency stop ends it."""
        with told_by_signals(self._hand_on):
            while (code := self._one_life()) is None:
                self._pause()
            return code

    # one trader

    def _one_life(self) -> int | None:
        """Start a trader and watch it; its exit code, None when another one is due."""
        if self._signalled is not None:
            return self._code_of_signal()
        cells: Cells = multiprocessing.get_context("spawn").RawArray("q", CELLS)
        self._child = self._start(self._asked, self._config, self._given_up, cells)
        death = self._watch(self._child, cells)
        self._child = None
        if death.beat.ended and not (death.code == Unreachable.exit_code and self._deaths):
            return death.code
        return self._judge(death)

    def _watch(self, child: BaseProcess, cells: Cells) -> Death:
        silent = unseen = 0.0
        beats = -1
        hung = ""
        while child.is_alive():
            child.join(LOOK_SECONDS)
            beat = read(cells)
            silent = silent + LOOK_SECONDS if beat.beats == beats else 0.0
            unseen = unseen + LOOK_SECONDS if self._switch.is_on() and not beat.acknowledged else 0.0
            self._age, beats = self._age + LOOK_SECONDS, beat.beats
            if hung := self._hangs(beat, silent, unseen):
                child.kill()
                child.join()
        return Death(child.exitcode or 0, read(cells), hung)

    def _hangs(self, beat: Beat, silent: float, unseen: float) -> str:
        where = beat.phase.name.lower().replace("_", " ")
        if silent > (allowed := self._deadlines[beat.phase]):
            return f"it gave no sign of life for {allowed:g} seconds while {where}"
        if unseen > UNSEEN_STOP_SECONDS:
            return f"it did not acknowledge the emergency stop within {UNSEEN_STOP_SECONDS:g} seconds, {where}"
        return ""

    # what follows

    def _judge(self, death: Death) -> int | None:
        text = f"the trader was killed: {death.hung}" if death.hung else f"the trader's process has died ({_told(death.code)})"
        if self._signalled is not None:
            self._note("TRADER_DIED", f"{text}; it had been asked to end")
            return self._code_of_signal() if not death.hung else FAILED
        if self._switch.is_on() or death.beat.acknowledged:
            latch_alone(self._config, f"{self._switch.found() or 'the emergency stop'} is on, and {text}")
            self._say(f"{text}; {LIFTED_BY}")
            return KillSwitch.exit_code
        if death.beat.ended:  # no terminal, after a trader that had one: it is waited for, as the trader itself would
            self._say("the terminal is not reached; the next attempt follows")
            return None
        self._note("TRADER_KILLED" if death.hung else "TRADER_DIED", f"{text}; it is started again")
        self._count(death)
        # another start must not begin another account
        self._asked = replace(self._asked, fresh=False)
        return None

    def _count(self, death: Death) -> None:
        beat = death.beat
        self._deaths = [age for age in self._deaths if self._age - age < WITHIN_SECONDS] + [self._age]
        self._untried = 0 if beat.has_traded else self._untried + 1
        if beat.phase.is_thought:
            self._count_thought(beat)
        if len(self._deaths) >= DEATHS or self._untried >= DEATHS:
            times = max(len(self._deaths), self._untried)
            text = f"the trader has died {times} times and is not started again: look into the log and the record"
            self._note("CRASH_LOOP", text)
            raise CrashLoop(text)

    def _count_thought(self, beat: Beat) -> None:
        key, symbol = (beat.symbol, beat.bar), self._config.symbols[beat.symbol]
        self._thoughts[key] = self._thoughts.get(key, 0) + 1
        if self._thoughts[key] == TWICE:
            where = f"the bar {beat.bar} (server seconds)" if beat.phase is Phase.DECIDING else "its warm-up"
            text = f"{symbol}: the strategy did not come back from {where}, twice; no more decisions on this symbol until the next start"
            self._given_up[symbol] = text
            self._note("STRATEGY_FAILED", text)

    def _note(self, event: str, text: str) -> None:
        self._say(text)
        note_alone(self._config, event, text)

    def _pause(self) -> None:
        """1, 2, 4 … 60 seconds, the longer the more often it died lately."""
        pause = min(LONGEST_PAUSE, 2.0 ** (max(len(self._deaths), self._untried) - 1))
        self._clock.sleep(pause, lambda: self._signalled is not None or self._switch.is_on())
        self._age += pause

    def _code_of_signal(self) -> int:
        return CTRL_C if self._signalled == signal.SIGINT else 0

    def _hand_on(self, number: int, _frame: FrameType | None) -> None:
        """Ask the trader to end, as we are asked. On Windows the console has told it already."""
        self._signalled = self._signalled or number
        child = self._child
        if not WINDOWS and child is not None and child.pid is not None and child.is_alive():
            os.kill(child.pid, number)

    def _say(self, text: str) -> None:
        terminal().print(f"supervisor: {text}", markup=False)


def start(asked: Asked, config: LiveConfig, given_up: Mapping[str, str], cells: Cells) -> BaseProcess:
    """A trader in a process of its own."""
    # a daemon is asked to end when this process comes to an end that nobody foresaw
    child = multiprocessing.get_context("spawn").Process(target=_trade, args=(asked, config, dict(given_up), cells), daemon=True)
    child.start()
    return child


def _trade(asked: Asked, config: LiveConfig, given_up: Mapping[str, str], cells: Cells) -> None:
    """What runs in the trader's process."""
    if not WINDOWS:
        os.setpgrp()  # Ctrl-C is for the supervisor, who hands it on: twice would mean at once
    parent = multiprocessing.parent_process()
    heartbeat = Heartbeat(cells, given_up=given_up, is_alone=lambda: parent is not None and not parent.is_alive())
    code = exit_code_of(lambda: trade_strategy(asked, config, heartbeat))
    if code != FAILED:
        heartbeat.end()
    sys.exit(code)


def _told(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
