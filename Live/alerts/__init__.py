"""Telling people: what is due on which channel, in which words, and its delivery, in a process of its own.

The trader puts each alert down in its record, in the transaction of what it tells of (`Live.alert_kinds` says what becomes
one), and does no more. The process that delivers them reads the record only, and keeps beside it what became of each.
"""

from Live.alerts.delivery import deliver

__all__ = ["deliver"]
