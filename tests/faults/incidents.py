"""Faults that happen once, at a point of the run: the trader dies, its disk fails, the stop file appears, its clock jumps."""

import contextlib
import signal
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from Backtest.simulated_terminal import MarketEnded
from tests.faults import stops

if TYPE_CHECKING:
    from tests.faults.stage import Stage

Params = Mapping[str, Any]


class SimKill(BaseException):
    """The trader is dead. Nothing that it would still do happens: its disk and its terminal raise this again."""


@dataclass(slots=True)
class Trouble:
    """What the disk answers, to how many more statements; None: to all, until the trader has ended."""

    text: str
    left: int | None

    def refuse(self) -> None:
        """Raise what SQLite raises, as long as the trouble lasts."""
        if self.left == 0:
            return
        if self.left is not None:
            self.left -= 1
        raise sqlite3.OperationalError(self.text)


def killed(stage: "Stage", params: Params, point: str) -> None:
    stage.down = params["down"]
    stage.dead, stage.trading = True, False
    raise SimKill(point)


def asked_to_end(stage: "Stage", params: Params, point: str) -> None:
    number = getattr(signal, params["signal"])
    listening = getattr(signal.getsignal(number), "__self__", None)  # the trader's own method, once it has taken up
    if listening is not None and listening is stage.trader and not stage.asked:
        stage.down = params["down"]
        stage.asked = True
        signal.raise_signal(number)


def disk_full(stage: "Stage", params: Params, point: str) -> None:
    _disk(stage, "database or disk is full", params)


def locked(stage: "Stage", params: Params, point: str) -> None:
    _disk(stage, "database is locked", params)


def io_error(stage: "Stage", params: Params, point: str) -> None:
    _disk(stage, "disk I/O error", params)


def _disk(stage: "Stage", text: str, params: Params) -> None:
    stage.trouble = Trouble(text, params["times"])
    stage.disk_failed = True


def stop_file(stage: "Stage", params: Params, point: str) -> None:
    name = params["as"]
    path = stage.folder / name.rstrip("/")
    if path.exists():
        return
    path.mkdir() if name.endswith("/") else path.touch()
    stops.appeared(stage, path, params["stays"])


def clock_steps(stage: "Stage", params: Params, point: str) -> None:
    stage.skew += params["seconds"]
    stage.clock_stepped_at = stage.now


def suspended(stage: "Stage", params: Params, point: str) -> None:
    with contextlib.suppress(MarketEnded):
        stage.terminal.clock.sleep(params["seconds"])


def symbol_restricted(stage: "Stage", params: Params, point: str) -> None:
    specs = stage.terminal.specs
    before = specs[stage.symbol]
    specs[stage.symbol] = replace(before, trade_mode=params["mode"])
    stage.later(params["lasts"], lambda: specs.__setitem__(stage.symbol, replace(specs[stage.symbol], trade_mode=before.trade_mode)))


def symbol_changed(stage: "Stage", params: Params, point: str) -> None:
    specs = stage.terminal.specs
    specs[stage.symbol] = replace(specs[stage.symbol], volume_min=params["lots"], volume_step=params["lots"])


def strategy_fails(stage: "Stage", params: Params, point: str) -> None:
    """On a bar: the strategy asks the stage (`Stage.instead`)."""
