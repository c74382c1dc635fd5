"""Which account it is, and whether this run may trade it (pure of any terminal)."""

from typing import NamedTuple

from Live.config import LiveConfig
from Live.model import AccountState

REAL_ACCOUNT = 2
HEDGING = 2
_KINDS = {0: "demo", 1: "contest", REAL_ACCOUNT: "real"}
_MARGINS = {0: "netting", 1: "exchange", HEDGING: "hedging"}


class Identity(NamedTuple):
    """What must not change between two orders."""

    login: int
    server: str
    trade_mode: int
    margin_mode: int
    currency: str

    def __str__(self) -> str:
        kind = f"{_KINDS.get(self.trade_mode, self.trade_mode)}, {_MARGINS.get(self.margin_mode, self.margin_mode)}"
        return f"account {self.login} at {self.server} ({kind}, {self.currency})"


def identity_of(account: AccountState) -> Identity:
    """The account's."""
    return Identity(account.login, account.server, account.trade_mode, account.margin_mode, account.currency)


def objections(account: AccountState, config: LiveConfig, *, simulated: bool = False, paper: bool = False) -> tuple[str, ...]:
    """Why this run may not trade the account, one sentence each; empty when it may. A `simulated` one has a number of its own;
    beside a real-money account it may trade on `paper`.
    """
    found = []
    if config.mt5_login and not simulated and account.login != config.mt5_login:
        found.append(f"the terminal is logged in to account {account.login}, the settings say MT5_LOGIN={config.mt5_login}")
    if config.mt5_server and not simulated and account.server.casefold() != config.mt5_server.casefold():
        # servers give out the same numbers
        found.append(f"the terminal is logged in at {account.server}, the settings say MT5_SERVER={config.mt5_server}")
    if account.trade_mode == REAL_ACCOUNT and not (config.allow_real_account or paper):
        found.append(f"account {account.login} is a real-money account; set ALLOW_REAL_ACCOUNT=true if that is what you want")
    return tuple(found)
