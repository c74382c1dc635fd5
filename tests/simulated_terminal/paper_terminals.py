"""A terminal of which nothing may be ordered, and paper accounts on its prices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from Backtest.simulated_terminal import AccountSpec, SimulatedTerminal, SymbolSpec
from Backtest.simulated_terminal.paper import PaperTerminal, paper_account
from tests.simulated_terminal.terminals import Row, terminal

LOGIN = 77_000_001
NOT_CONNECTED, LOST = (-10004, "No IPC connection"), (-10001, "IPC send failed")
HOUR = 3600


class Watched:
    """A terminal that notes what is asked of it. `lost` answers every question with that error; `offline` has lost its
    server; functions in `blind` fail; `seen` is told the names of all that are called.
    """

    FORBIDDEN = ("order_send", "order_check", "login")

    def __init__(self, inner: SimulatedTerminal) -> None:
        self.inner = inner
        self.called: list[str] = []
        self.lost = False
        self.offline = False
        self.blind: set[str] = set()
        self._failed: tuple[int, str] | None = None

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.inner, name)
        return self._watched(name, value) if callable(value) and name.islower() else value

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.called.append(name)
            assert name not in self.FORBIDDEN, f"{name} was called on the terminal whose prices these are"
            self._failed = LOST if self.lost else (-1, "Terminal: Call failed") if name in self.blind else None
            answer = None if self._failed else function(*args, **options)
            if name == "terminal_info" and answer is not None and self.offline:
                return type(answer)((answer._asdict() | {"connected": False}).values())
            return answer

        return call

    def last_error(self) -> tuple[int, str]:
        return self._failed or self.inner.last_error()


def paper(
    source: Any, account: AccountSpec | None = None, *, state_file: Path | None = None, initialized: bool = True, **more: Any
) -> PaperTerminal:
    """A connected paper account on the prices of a terminal whose clock is virtual."""
    inner = getattr(source, "inner", source)
    inner.initialize()
    spec = account or paper_account(inner.account_info(), login=LOGIN)
    made = PaperTerminal(source, spec, now=inner.clock.now, state_file=state_file, **more)
    assert not initialized or made.initialize()
    return made


def prices(*each: float) -> list[Row]:
    """One bar of one price for each."""
    return [(price,) * 4 for price in each]


def watched(*each: float, spec: SymbolSpec | None = None, account: AccountSpec | None = None) -> Watched:
    return Watched(terminal(prices(*each), spec, account))
