"""What could not be written into the record: kept aside in the spill file, and read back by the next run before anything else."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from Live.audit_logger.rows import to_json
from Live.audit_logger.spill import Spill
from Live.model import MOVES, ClientOrderId, Status
from Live.redaction import redacted_json

if TYPE_CHECKING:
    from Live.audit_logger.writer import AuditLogger

log = logging.getLogger("LiveTrader")

# The columns of an order that are told with a move; what a file says beyond them is not written.
TOLD = frozenset("request volume price message retcode retcode_message mt5_order_id mt5_deal_id executed_volume executed_price".split())


def keep_aside(spill: Spill, entry: Mapping[str, Any], secrets: Callable[[], Iterable[str]]) -> None:
    """Keep a move of an order that the database did not take: the answer to what was sent cannot be asked for again."""
    try:
        spill.keep(json.loads(redacted_json(to_json(entry), secrets())))
    except OSError:
        log.critical("an answer could be put down nowhere", exc_info=True, extra={"extra_data": {"client_order_id": entry["order_id"]}})


def read_back(record: "AuditLogger", spill: Spill) -> None:
    """Put down what was kept aside, each with an event that says so. What the order's life has no room for any more is that event only."""
    for entry in spill.entries:
        order_id, to = ClientOrderId(entry["order_id"]), Status(entry["to"])
        with record.transaction(durable=True):
            order = record.order(order_id)
            if order is not None and to in MOVES[order.status]:
                columns = {name: value for name, value in entry["columns"].items() if name in TOLD}
                record.move(order_id, to, payload={**entry["payload"], "kept_aside_at": entry["at"]}, **columns)
            text = f"order {order_id}: {to.value} could not be put down at {entry['at']}, and was read back from {spill.path.name}"
            record.event("READ_BACK", text, severity="WARNING", details=entry)
    if spill.torn:
        text = f"the end of {spill.path.name} is not whole: what was being put down there is settled by what the terminal shows"
        record.event("READ_BACK", text, severity="ERROR")
    if spill.entries or spill.torn:
        spill.forget_entries()
