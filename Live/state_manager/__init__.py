"""What we hold, what the day has cost, and whether we may trade: derived from the record and the terminal at any time."""

from Live.state_manager.cover import Bare
from Live.state_manager.manager import StateManager

__all__ = ["Bare", "StateManager"]
