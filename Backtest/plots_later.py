"""backtesting.py without its plots until somebody wants one: they bring bokeh, which is most of what importing it costs.

What imports `backtesting` is given a module in the place of `backtesting._plotting` that has its three functions; the first call
of any of them, or the first look at anything else in it, puts the real one there. In a process that has imported `backtesting`
before, nothing is changed.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

PLOTTING = "backtesting._plotting"
FUNCTIONS = ("plot", "plot_heatmaps", "set_bokeh_output")  # that backtesting's own modules import from it


class _PutOff(ModuleType):
    def __getattr__(self, name: str) -> Any:
        # what the import system asks of every module is no wish for a plot
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(), name)


def put_off() -> None:
    """Let `backtesting` be imported without bokeh from now on."""
    if "backtesting" in sys.modules:
        return
    stand_in = _PutOff(PLOTTING, __doc__)
    for name in FUNCTIONS:
        setattr(stand_in, name, _calling(name))
    sys.modules[PLOTTING] = stand_in


def _calling(name: str) -> Any:
    def function(*args: Any, **options: Any) -> Any:
        return getattr(_real(), name)(*args, **options)

    function.__name__ = function.__qualname__ = name
    return function


def _real() -> ModuleType:
    if isinstance(sys.modules.get(PLOTTING), _PutOff):
        del sys.modules[PLOTTING]
    return importlib.import_module(PLOTTING)
