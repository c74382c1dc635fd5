"""The names that the `MetaTrader5` package offers besides its functions: 223 constants and 11 structures."""

from typing import Any

from Backtest.simulated_terminal import constants, structs
from Backtest.simulated_terminal.structs import Structure

CONSTANTS: dict[str, int] = {name: value for name, value in vars(constants).items() if name.isupper()}
STRUCTURES: dict[str, type[Structure]] = {each.__name__: each for each in Structure.__subclasses__() if hasattr(structs, each.__name__)}
NAMES: dict[str, Any] = {**CONSTANTS, **STRUCTURES}
