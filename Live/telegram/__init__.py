"""Commands from a phone: what the record says, and the same doors as the command line's for what changes anything."""

from Live.telegram.bot import serve

__all__ = ["serve"]
