"""Every strategy of the tests in every combination of what changes how a broker fills, as files of their own."""

from itertools import product
from pathlib import Path

import pandas as pd

from Backtest.bars import timeframe_of
from tests import odd_strategies
from tests.documented_strategies import DOCUMENTED, slower_than, source
from tests.many_strategies import CASES, FIXED, RELATIVE, Drawn
from tests.suite_strategies import SUITE
from tests.waiting_strategies import WAITING, DrawnFreely

FLAGS = ("hedging", "exclusive_orders", "trade_on_close")
COMMISSIONS = ("0.0", repr(RELATIVE), repr(FIXED), "cheap")
ODD = ("Base", "Super", "Floats", "Stateful", "Frames")
FIRST = [case.strategy for case in CASES]
CLASSES = list(dict.fromkeys([*FIRST, *WAITING, *SUITE, *(getattr(odd_strategies, name) for name in ODD), Drawn, DrawnFreely]))
WIDE = [*(f"{cls.__module__}.{cls.__name__}" for cls in CLASSES), *DOCUMENTED]
WAYS = [(*flags, commission) for *flags, commission in product((False, True), (False, True), (False, True), COMMISSIONS)]

_FILE = '''"""{name}, in one of all ways."""
from {module} import {name} as Base
from tests.many_strategies import cheap

BACKTEST = dict({settings})


class {name}(Base):
    units, rule = {units}, {rule!r}
'''


def write_wide(folder: Path, number: int, name: str, bars: pd.DataFrame) -> Path:
    """The strategy of that name in the way of that number, with sizes and cash that suit the prices.

    Every other way has a spread, of a tenth of a usual bar at most: one that is wider than the levels of an order is refused.
    """
    dearest = float(bars["High"].max())
    units = 1000 if dearest < 200 else 8
    flags = dict(zip((*FLAGS, "commission"), WAYS[number], strict=True))
    spread = min(0.0002, float(((bars["High"] - bars["Low"]) / bars["Close"]).median()) / 10)
    more = {"cash": float(round(50 * units * dearest, -3)), "margin": 0.5, "spread": (0, float(f"{spread:.1g}"))[number % 2]}
    settings = ", ".join(f"{key}={value}" for key, value in {**more, **flags}.items())
    module, _, cls = name.rpartition(".")
    rule = slower_than(timeframe_of(bars))
    if module:
        text = _FILE.format(name=cls, module=module, settings=settings, units=units, rule=rule)
    else:
        text = "from tests.many_strategies import cheap\n" + source(name, settings=settings, slower=rule)
    file = folder / f"{cls}_{number}.py"
    file.write_text(text, encoding="utf-8")
    return file
