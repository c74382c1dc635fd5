"""A paper account: our own trade server on the live prices of another terminal, to which no order is ever sent."""

from Backtest.simulated_terminal.paper.specs import paper_account as paper_account
from Backtest.simulated_terminal.paper.specs import symbol_spec as symbol_spec
from Backtest.simulated_terminal.paper.terminal import PaperTerminal as PaperTerminal
