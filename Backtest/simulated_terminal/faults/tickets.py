"""Other ticket numbers than the server's: large, and in no order."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from Backtest.simulated_terminal.faults.calls import Call, Go, Reply, changed
from Backtest.simulated_terminal.faults.firing import Firing

_BASE = 2**62  # more than a float or JavaScript can hold exactly, less than a signed 64-bit number ends
_FACTOR = 0x2545_F491_4F6C_DD1D  # odd: what it does can be undone
_INVERSE = pow(_FACTOR, -1, _BASE)
_NOWHERE = 2**63
_IN_ROWS = ("ticket", "identifier", "position_id", "position_by_id", "order", "deal")
_IN_REQUESTS = ("order", "position", "position_by")
_IN_FILTERS = ("ticket", "position")


def large(ticket: int) -> int:
    """The number that is shown for a ticket; 0 stays 0.

    >>> large(50_000_001), [own(large(ticket)) for ticket in (50_000_001, 7, 0)]
    (6201141922652265373, [50000001, 7, 0])
    >>> sorted([1, 2, 3, 4], key=large)
    [2, 4, 1, 3]
    """
    return _BASE + ticket * _FACTOR % _BASE if ticket else 0


def own(shown: Any) -> Any:
    """The ticket that a shown number means; for any other number one that no server has."""
    if not isinstance(shown, int) or not shown:
        return shown
    return (shown - _BASE) * _INVERSE % _BASE if _BASE <= shown < 2 * _BASE else shown | _NOWHERE


def renumbered(call: Call, go: Go, firing: Firing) -> Reply:
    """Tickets are shown as other numbers everywhere, and understood as such."""
    reply = go(_in_own(call))
    value = reply.value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = _in_large(value)
    elif isinstance(value, tuple):
        value = tuple(_in_large(row) for row in value)
    if value != reply.value:
        firing.shown(call, "the server's numbers are its own")
    return Reply(value, reply.error)


def _in_own(call: Call) -> Call:
    given: Any = call.args[0] if len(call.args) == 1 and not call.options else None
    args = ({**given, **_replaced(given, _IN_REQUESTS)},) if isinstance(given, dict) else call.args
    names = _IN_REQUESTS if call.function.startswith("order_") else _IN_FILTERS
    return replace(call, args=args, options={**call.options, **_replaced(call.options, names)})


def _replaced(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: own(given[name]) for name in names if name in given}


def _in_large(row: Any) -> Any:
    fields = row._asdict()
    numbers = {name: large(fields[name]) for name in _IN_ROWS if name in fields}
    asked = fields.get("request")
    if asked is not None:
        numbers["request"] = changed(asked, **{name: large(asked._asdict()[name]) for name in _IN_REQUESTS})
    return changed(row, **numbers)
