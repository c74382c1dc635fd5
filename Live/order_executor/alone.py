"""What an executor needs that works without a trader: a slot, a record and intents of its own."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from Live.audit_logger import AuditLogger, to_json
from Live.config import LiveConfig
from Live.locks import hold_record
from Live.model import BarId, ClientOrderId, Intent, Kind, Magic, Side, Slot
from Live.mt5_connector import MT5Connector
from Live.mt5_connector.admission import REAL_ACCOUNT
from Live.order_executor.telling import KINDS, waits_for
from Live.order_requests import ticket_of


def own_slot(config: LiveConfig, connector: MT5Connector) -> Slot:
    """Who we are on the account that the terminal is logged in to."""
    account = connector.account()
    return Slot(account.login, account.server, config.strategy_id or "manual", Magic(config.magic_number))


def own_record(config: LiveConfig, connector: MT5Connector, slot: Slot, resources: ExitStack) -> AuditLogger:
    """The record of the settings, opened as its only writer, with a run of its own; `resources` let go of it."""
    account = connector.account()
    hold_record(resources, config.audit_db_path)
    record = AuditLogger(config.audit_db_path, connector.clock, secrets=config.secrets)
    resources.callback(record.close)
    who = {"slot": str(slot), "login": account.login, "server": account.server, "strategy_id": slot.strategy_id}
    what = dict.fromkeys(("strategy_file", "strategy_class", "strategy_sha256"), "") | {"params": "{}", "versions": "{}"}
    mode = "DRY" if config.dry_run else "REAL" if account.trade_mode == REAL_ACCOUNT else "DEMO"
    terminal = "simulated" if connector.simulated else "native"
    money = {"initial_balance": account.balance, "settings": to_json(config.public())}
    record.start_run({**who, **what, **money, "mode": mode, "terminal": terminal})
    return record


def own_intent(request: Mapping[str, Any], order_id: ClientOrderId, slot: Slot, connector: MT5Connector) -> Intent:
    """An intent for a request that somebody made without one."""
    kind = KINDS.get(request["action"]) or _kind_of_deal(request, connector)
    side = Side.SELL if request.get("type", 0) % 2 else Side.BUY  # even numbers buy, whatever the kind of order
    levels = (request.get("sl") or None, request.get("tp") or None)
    bar = BarId(slot, request["symbol"], "", connector.server_now(), connector.clock.now())
    limit, stop = waits_for(request)
    return Intent(order_id, bar, kind, "0", side, None, *levels, ticket_of(request), limit=limit, stop=stop)


def _kind_of_deal(request: Mapping[str, Any], connector: MT5Connector) -> Kind:
    ticket = ticket_of(request)
    if ticket is None:
        return Kind.ENTRY
    held = next((held for held in connector.all_positions(request["symbol"]) if held.ticket == ticket), None)
    return Kind.PARTIAL if held is not None and request["volume"] < held.lots else Kind.EXIT
