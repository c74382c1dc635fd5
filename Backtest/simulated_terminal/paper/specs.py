"""A broker's symbols and account as the trade server wants them (pure): what `symbol_info` and `account_info` say, taken over.

What the package does not show is taken as usual: hedging is allowed, and nothing is charged beside the spread unless a
commission is given.
"""

from dataclasses import replace
from typing import Any

from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.symbols import AccountSpec, Commission, SymbolSpec, no_commission

_SWAPS = range(c.SYMBOL_SWAP_MODE_REOPEN_BID + 1)
_FUTURES = frozenset(
    {
        c.SYMBOL_CALC_MODE_FUTURES,
        c.SYMBOL_CALC_MODE_EXCH_FUTURES,
        c.SYMBOL_CALC_MODE_EXCH_OPTIONS,
        c.SYMBOL_CALC_MODE_EXCH_OPTIONS_MARGIN,
    }
)
_SAME_MARGIN = 0.005  # of it: less than that is rounding


def symbol_spec(info: Any, currency: str) -> SymbolSpec:
    """The symbol of a `symbol_info`, for an account in `currency`. Raises BadInput when its figures cannot work together.

    Its sessions are not known to the package. Swaps in a mode that is not simulated are left out.
    """
    mode, index = info.trade_calc_mode, c.SYMBOL_CALC_MODE_CFDINDEX
    swapped = has_simulated_swaps(info)
    return SymbolSpec(
        info.name,
        digits=info.digits,
        contract_size=info.trade_contract_size,
        tick_size=info.trade_tick_size,
        volume_min=info.volume_min,
        volume_step=info.volume_step,
        volume_max=info.volume_max,
        volume_limit=info.volume_limit,
        stops_level=info.trade_stops_level,
        freeze_level=info.trade_freeze_level,
        filling_mode=info.filling_mode,
        execution=info.trade_exemode,
        trade_mode=info.trade_mode,
        order_mode=info.order_mode,
        expiration_mode=info.expiration_mode,
        order_gtc_mode=info.order_gtc_mode,
        calc_mode=mode,
        # symbol_info shows the value of a tick in the account's currency; so is what it is multiplied into
        tick_value=info.trade_tick_value if mode in _FUTURES or mode == index else 0.0,
        currency_base=info.currency_base,
        currency_profit=currency if mode in _FUTURES else info.currency_profit,
        currency_margin=currency if mode == index else info.currency_margin,
        margin_initial=info.margin_initial,
        margin_maintenance=info.margin_maintenance,
        margin_hedged=info.margin_hedged,
        margin_hedged_use_leg=bool(info.margin_hedged_use_leg),
        face_value=info.trade_face_value,
        liquidity_rate=info.trade_liquidity_rate,
        swap_mode=info.swap_mode if swapped else c.SYMBOL_SWAP_MODE_DISABLED,
        swap_long=info.swap_long if swapped else 0.0,
        swap_short=info.swap_short if swapped else 0.0,
        swap_rollover3days=info.swap_rollover3days,
        description=info.description,
        path=info.path,
    )


def with_margin(spec: SymbolSpec, per_lot: float, *, ours: float, theirs: float) -> SymbolSpec:
    """The symbol with the margin that its broker asks for, where the formula gives another one.

    Rates by which brokers multiply margins are not shown by the package. `per_lot` is what the formula gives for a lot in
    the margin's currency; `ours` and `theirs` are margins of one order, in one currency.

    >>> eurusd = SymbolSpec("EURUSD", 5)
    >>> with_margin(eurusd, 1000.0, ours=110.0, theirs=220.0).margin_initial
    2000.0
    >>> with_margin(eurusd, 1000.0, ours=110.0, theirs=110.0) is eurusd
    True
    """
    if abs(theirs - ours) <= ours * _SAME_MARGIN:
        return spec
    initial = per_lot * theirs / ours
    factor = initial / (spec.margin_initial or spec.contract_size)  # beside an initial margin the hedged one is money, too
    maintenance, hedged = spec.margin_maintenance * theirs / ours, spec.margin_hedged * factor
    return replace(spec, margin_initial=initial, margin_maintenance=maintenance, margin_hedged=hedged)


def has_simulated_swaps(info: Any) -> bool:
    """Whether the nights of a `symbol_info` are charged here as the broker charges them."""
    return info.swap_mode in _SWAPS


def paper_account(info: Any, *, login: int, balance: float | None = None, commission: Commission = no_commission) -> AccountSpec:
    """A paper account beside the account of an `account_info`: its currency, leverage, mode, levels and limits, another number.

    `balance` None is what that account has now. Raises BadInput when that is nothing.
    """
    start = info.balance if balance is None else balance
    if not start > 0:
        raise BadInput(f"account {info.login} has a balance of {start:g} {info.currency}; name one for the paper account (SIM_BALANCE)")
    return AccountSpec(
        start,
        leverage=max(1, info.leverage),
        margin_mode=info.margin_mode,
        currency=info.currency,
        money_digits=info.currency_digits,
        commission=commission,
        stop_out=info.margin_so_so,
        margin_call=info.margin_so_call,
        stop_out_mode=info.margin_so_mode,
        limit_orders=info.limit_orders,
        fifo_close=bool(info.fifo_close),
        login=login,
        server=f"Paper at {info.server}",
        name="Paper account",
        company=info.company,
    )
