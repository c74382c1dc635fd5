"""The door to a terminal: which one, how to reach it, and the translation of its answers."""

from Live.mt5_connector.connector import MT5Connector
from Live.mt5_connector.terminals import OpenedTerminal, kind_of, look_at_terminal, open_copy, open_terminal

__all__ = ["MT5Connector", "OpenedTerminal", "kind_of", "look_at_terminal", "open_copy", "open_terminal"]
