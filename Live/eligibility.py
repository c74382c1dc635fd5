"""What keeps an account from being traded by a run, looked at once before it begins."""

from Backtest.strategies import LoadedStrategy
from Live.audit_logger import AuditLogger
from Live.errors import WrongAccount
from Live.model import AccountState, Slot
from Live.mt5_connector import MT5Connector
from Live.mt5_connector.admission import Identity, identity_of
from Live.outcomes import SWITCHES


def refuse_unfit(account: AccountState, connector: MT5Connector, record: AuditLogger, slot: Slot, strategy: LoadedStrategy) -> None:
    """Raises WrongAccount where this strategy cannot trade on this account, nobody may, or the record is of one of another kind."""
    if connector.netting and strategy.backtest["hedging"]:  # trades of both sides have no place where there is one net position
        raise WrongAccount(
            f"account {slot.login} keeps one net position a symbol, and {strategy.path.name} asks for hedging=True in its "
            "BACKTEST, which holds buys and sells at once: trade it on a hedging account, or set hedging to False"
        )
    # an investor's password may only look; while a run goes on that is a switch like the others, which may be put back
    off = [] if connector.simulated or connector.paper else [SWITCHES[code] for code in connector.account_switches_off()]
    if off:
        raise WrongAccount(f"account {slot.login} cannot be traded: {'; '.join(off)}; log in with the master password")
    _refuse_another_kind(account, record, slot)


def _refuse_another_kind(account: AccountState, record: AuditLogger, slot: Slot) -> None:
    """An account keeps its books in one way: what is on record is of no use in another."""
    kind, key = list(identity_of(account)), f"identity {slot}"
    known = record.state(key)
    if known not in (None, kind):
        raise WrongAccount(
            f"this record has traded {Identity(*known)}, and now it is {identity_of(account)}: use another AUDIT_DB_PATH for that one"
        )
    record.set_state(**{key: kind})
