"""Faults on purpose: any terminal, but its answers are lost, late, wrong or cut, by a plan or a seed.

    terminal = FaultyTerminal.from_seed(inner, seed=7)

A strategy, a bot or a library can be tried on it as on the terminal itself. What is wrapped stays the truth.
"""

from Backtest.simulated_terminal.faults.catalogue import KINDS as KINDS
from Backtest.simulated_terminal.faults.firing import FaultLog as FaultLog
from Backtest.simulated_terminal.faults.firing import Injection as Injection
from Backtest.simulated_terminal.faults.kind import Kind as Kind
from Backtest.simulated_terminal.faults.schedule import Planned as Planned
from Backtest.simulated_terminal.faults.schedule import Schedule as Schedule
from Backtest.simulated_terminal.faults.terminal import PREDICATES as PREDICATES
from Backtest.simulated_terminal.faults.terminal import FaultyTerminal as FaultyTerminal
from Backtest.simulated_terminal.faults.triggers import At as At
from Backtest.simulated_terminal.faults.triggers import Chance as Chance
from Backtest.simulated_terminal.faults.triggers import NthCall as NthCall
from Backtest.simulated_terminal.faults.triggers import Trigger as Trigger
from Backtest.simulated_terminal.faults.triggers import When as When
