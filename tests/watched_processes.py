"""Processes that a supervisor watches in place of a trader: each does one thing that a trader might."""

import ctypes
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess

from Live.config import LiveConfig
from Live.heartbeat import Heartbeat, Phase
from Live.running import Asked

FOREVER = 10_000


def ends(code: int, heartbeat: Heartbeat) -> None:
    """In order, as a trader does that has nothing more to do."""
    heartbeat.end()
    sys.exit(code)


def vanishes(code: int, heartbeat: Heartbeat) -> None:
    """What `os._exit` in a strategy does."""
    heartbeat.turned()
    os._exit(code)


def never_begins(code: int, heartbeat: Heartbeat) -> None:
    os._exit(code)


def hangs(phase: int, heartbeat: Heartbeat) -> None:
    """In a call that holds Python's lock, as those of the terminal do."""
    heartbeat.turned()
    with heartbeat.thinking(Phase(phase), 0, 4711):
        ctypes.PyDLL(None).sleep(FOREVER)


def is_slow(seconds: int, heartbeat: Heartbeat) -> None:
    """Works, and beats when it has done something, as with a disk that takes long."""
    with heartbeat.during(Phase.WORKING):
        time.sleep(seconds)
    ends(0, heartbeat)


def reads_again_and_again(calls: int, heartbeat: Heartbeat) -> None:
    """Is in calls nearly all the time, none of which takes long."""
    for _ in range(calls):
        with heartbeat.during(Phase.READING):
            time.sleep(0.06)
    ends(0, heartbeat)


def stops_slowly(seconds: int, heartbeat: Heartbeat) -> None:
    """Has seen the emergency stop, and takes long to leave."""
    heartbeat.acknowledge()
    time.sleep(seconds)
    ends(10, heartbeat)


KINDS = {each.__name__: each for each in (ends, vanishes, never_begins, hangs, is_slow, reads_again_and_again, stops_slowly)}


def _live(kind: str, what: int, cells: MutableSequence[int]) -> None:
    KINDS[kind](what, Heartbeat(cells))


@dataclass
class Script:
    """One life after the other; the last is lived again and again. Notes what each was given."""

    lives: list[tuple[str, int]]
    asked: list[Asked] = field(default_factory=list)
    given_up: list[dict[str, str]] = field(default_factory=list)

    def start(self, asked: Asked, config: LiveConfig, given_up: Mapping[str, str], cells: MutableSequence[int]) -> BaseProcess:
        kind, what = self.lives[min(len(self.asked), len(self.lives) - 1)]
        self.asked.append(asked)
        self.given_up.append(dict(given_up))
        context = multiprocessing.get_context("forkserver")  # a fresh interpreter for each would take seconds
        context.set_forkserver_preload(["tests.watched_processes"])
        child = context.Process(target=_live, args=(kind, what, cells), daemon=True)
        child.start()
        return child
