"""What can be wrong with a trade request (pure): the rules in the order in which they are looked at.

A rule answers with a return code, or 0 when it has no objection. Codes: the documentation's list of return codes
(https://www.mql5.com/en/docs/constants/errorswarnings/enum_trade_return_codes). Which of them comes first, and some of
them, are inferred from published logs [I].
"""

import math
from collections.abc import Iterator

from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal import pending_checks as pending
from Backtest.simulated_terminal.case import INSTANT, PASSED, Case, Rule, closing_price, distances, level_fits, on_grid
from Backtest.simulated_terminal.money import BUY, SELL
from Backtest.simulated_terminal.retcodes import HEDGE_PROHIBITED
from Backtest.simulated_terminal.symbols import FILLING_FOK, FILLING_IOC, ORDER_CLOSE_BY

_FILLING_FLAG = {c.ORDER_FILLING_FOK: FILLING_FOK, c.ORDER_FILLING_IOC: FILLING_IOC}


def objection(case: Case, *, sending: bool) -> int:
    """The first rule's code that forbids the request; 0 when it may be executed.

    `sending=False` leaves out what a check before sending cannot see: a closed session and moved prices.
    """
    rules = _RULES.get(case.request.action)
    if rules is None:
        return c.TRADE_RETCODE_INVALID
    for rule in rules:
        if (sending or rule not in _ONLY_WHEN_SENDING) and (code := rule(case)):
            return code
    return PASSED


def _symbol_is_known(case: Case) -> int:
    return PASSED if case.spec is not None else c.TRADE_RETCODE_INVALID


def _type_is_a_market_order(case: Case) -> int:
    assert case.spec is not None
    if case.request.type in (BUY, SELL):
        return PASSED
    if case.request.type > c.ORDER_TYPE_CLOSE_BY:
        return c.TRADE_RETCODE_INVALID
    # an instant-execution server was seen to answer a DEAL of type BUY_STOP so
    return c.TRADE_RETCODE_REQUOTE if case.spec.execution in INSTANT else c.TRADE_RETCODE_INVALID_ORDER


def _volume_fits(case: Case) -> int:
    spec, volume = case.spec, case.request.volume
    assert spec is not None
    fits = math.isfinite(volume) and spec.volume_min - 1e-8 <= volume <= spec.volume_max + 1e-8 and on_grid(volume, spec.volume_step)
    return PASSED if fits else c.TRADE_RETCODE_INVALID_VOLUME


def _filling_fits(case: Case) -> int:
    spec, filling = case.spec, case.request.type_filling
    assert spec is not None
    if spec.execution in INSTANT:
        allowed = filling in (c.ORDER_FILLING_FOK, c.ORDER_FILLING_IOC, c.ORDER_FILLING_RETURN)
    elif filling == c.ORDER_FILLING_RETURN:
        allowed = spec.execution == c.SYMBOL_TRADE_EXECUTION_EXCHANGE
    else:
        allowed = bool(spec.filling_mode & _FILLING_FLAG.get(filling, 0))
    return PASSED if allowed else c.TRADE_RETCODE_INVALID_FILL


def _lifetime_fits(case: Case) -> int:
    return PASSED if case.request.type_time <= c.ORDER_TIME_SPECIFIED_DAY else c.TRADE_RETCODE_INVALID_EXPIRATION


def _price_is_given(case: Case) -> int:
    assert case.spec is not None
    given = math.isfinite(case.request.price) and case.request.price > 0
    return PASSED if given or case.spec.execution not in INSTANT else c.TRADE_RETCODE_INVALID_PRICE


def _account_may_trade(case: Case) -> int:
    if not case.account.trade_allowed:
        return c.TRADE_RETCODE_TRADE_DISABLED
    return PASSED if case.account.trade_expert else c.TRADE_RETCODE_SERVER_DISABLES_AT


def _session_is_open(case: Case) -> int:
    return PASSED if case.session_open else c.TRADE_RETCODE_MARKET_CLOSED


def _there_are_quotes(case: Case) -> int:
    return PASSED if case.quote is not None else c.TRADE_RETCODE_PRICE_OFF


def _position_is_there(case: Case) -> int:
    request, position = case.request, case.position
    if not request.position and (position or request.action == c.TRADE_ACTION_DEAL):
        return PASSED
    if position is None:  # [I] a netting account looks for the position by its symbol
        named = request.position or (request.symbol and not case.account.hedging)
        return c.TRADE_RETCODE_POSITION_CLOSED if named else c.TRADE_RETCODE_INVALID
    return PASSED if request.symbol in ("", position.symbol) else c.TRADE_RETCODE_INVALID


def _close_fits_the_position(case: Case) -> int:
    position, request, spec = case.position, case.request, case.spec
    if position is None or spec is None or not case.account.hedging:
        return _rest_is_tradable(case)
    if request.type != position.closing_side:
        return c.TRADE_RETCODE_INVALID
    return c.TRADE_RETCODE_INVALID_CLOSE_VOLUME if round(position.volume - request.volume, 8) < 0 else _rest_is_tradable(case)


def _no_order_closes_it(case: Case) -> int:
    return c.TRADE_RETCODE_CLOSE_ORDER_EXIST if case.closing else PASSED


def _rest_is_tradable(case: Case) -> int:
    """[I] neither what is left of the position nor what a reversal opens may be smaller than the smallest volume."""
    assert case.spec is not None
    rest = round(case.position.volume - case.request.volume, 8) if case.position and case.closes else 0.0
    return PASSED if rest == 0 or abs(rest) >= case.spec.volume_min - 1e-8 else c.TRADE_RETCODE_INVALID_VOLUME


def _stops_fit(case: Case) -> int:
    request, spec, quote = case.request, case.spec, case.quote
    if spec is None or quote is None or (request.action == c.TRADE_ACTION_DEAL and not case.opens):
        return PASSED  # a closing request's levels are ignored
    side = case.position.side if case.position and request.action == c.TRADE_ACTION_SLTP else case.side
    fits = all(level_fits(level, spec) for level in (request.sl, request.tp)) and (spec.immediate_stops or _far_enough(case, side))
    return PASSED if fits else c.TRADE_RETCODE_INVALID_STOPS


def _far_enough(case: Case, side: int) -> bool:
    """On the right side of the price at which the position would close, and as far as the stops level says."""
    assert case.spec is not None
    least = max(1, case.spec.stops_level)  # a level at the very price is refused also where the stops level is 0
    return all(distance >= least for distance in _distances(case, side, case.request.sl, case.request.tp))


def _distances(case: Case, side: int, sl: float, tp: float) -> Iterator[int]:
    assert case.spec is not None
    assert case.quote is not None
    return distances(side, closing_price(side, case.quote), (sl, tp), case.spec)


def _not_frozen(case: Case) -> int:
    spec = case.spec
    if spec is None or not spec.freeze_level or (case.request.action == c.TRADE_ACTION_DEAL and not case.closes):
        return PASSED
    away = (_distances(case, each.side, each.sl, each.tp) for each in (case.position, case.by) if each is not None)
    near = any(distance < spec.freeze_level for each in away for distance in each)
    return c.TRADE_RETCODE_FROZEN if near else PASSED


def _close_by_is_offered(case: Case) -> int:
    offered = case.account.hedging and (case.spec is None or case.spec.order_mode & ORDER_CLOSE_BY)
    return PASSED if offered else c.TRADE_RETCODE_INVALID_ORDER


def _two_opposite_positions_are_there(case: Case) -> int:
    request, position, by = case.request, case.position, case.by
    if not request.position or not request.position_by:
        return c.TRADE_RETCODE_INVALID
    if position is None or by is None:
        return c.TRADE_RETCODE_POSITION_CLOSED
    opposite = position.symbol == by.symbol and position.side != by.side
    return PASSED if opposite else c.TRADE_RETCODE_INVALID


def _something_changes(case: Case) -> int:
    position, request = case.position, case.request
    same = position is not None and (request.sl, request.tp) == (position.sl, position.tp)
    return c.TRADE_RETCODE_NO_CHANGES if same else PASSED


def _symbol_may_be_traded(case: Case) -> int:
    assert case.spec is not None
    mode = case.spec.trade_mode
    if mode == c.SYMBOL_TRADE_MODE_DISABLED:
        return c.TRADE_RETCODE_TRADE_DISABLED
    forbidden = {
        c.SYMBOL_TRADE_MODE_LONGONLY: (SELL, c.TRADE_RETCODE_LONG_ONLY),
        c.SYMBOL_TRADE_MODE_SHORTONLY: (BUY, c.TRADE_RETCODE_SHORT_ONLY),
        c.SYMBOL_TRADE_MODE_CLOSEONLY: (case.side, c.TRADE_RETCODE_CLOSE_ONLY),
    }
    side, code = forbidden.get(mode, (None, PASSED))
    return code if case.opens and side == case.side else PASSED


def _the_oldest_goes_first(case: Case) -> int:
    bound = case.account.fifo_close and case.account.hedging and case.closes
    return c.TRADE_RETCODE_FIFO_CLOSE if bound and not case.is_oldest else PASSED


def _sides_do_not_meet(case: Case) -> int:
    return HEDGE_PROHIBITED if case.hedges else PASSED


def _positions_are_within_limits(case: Case) -> int:
    most = case.account.limit_positions
    one_more = case.opens and (case.account.hedging or case.position is None) and case.request.action == c.TRADE_ACTION_DEAL
    return c.TRADE_RETCODE_LIMIT_POSITIONS if one_more and most and case.positions >= most else PASSED


def _money_suffices(case: Case) -> int:
    if not case.opens:
        return PASSED
    if case.margin_needed is None:
        return c.TRADE_RETCODE_PRICE_OFF
    return PASSED if case.margin_needed <= case.margin_free else c.TRADE_RETCODE_NO_MONEY


def _price_has_not_moved(case: Case) -> int:
    assert case.spec is not None
    if case.spec.execution not in INSTANT:
        return PASSED
    request, points = case.request, case.spec.points
    if abs(points(case.execution_price - request.price)) <= request.deviation:
        return PASSED
    # [I] a dealer who is asked first has confirmed the price that was shown: then it is the market that has changed
    confirmed = case.spec.execution == c.SYMBOL_TRADE_EXECUTION_REQUEST and abs(points(case.price - request.price)) <= request.deviation
    return c.TRADE_RETCODE_PRICE_CHANGED if confirmed else c.TRADE_RETCODE_REQUOTE


_ONLY_WHEN_SENDING = frozenset({_session_is_open, _price_has_not_moved})
_RULES: dict[int, tuple[Rule, ...]] = {
    c.TRADE_ACTION_DEAL: (
        _position_is_there,
        _symbol_is_known,
        _type_is_a_market_order,
        pending.type_is_offered,
        _volume_fits,
        _filling_fits,
        _lifetime_fits,
        _price_is_given,
        _stops_fit,
        _account_may_trade,
        _session_is_open,
        _there_are_quotes,
        _close_fits_the_position,
        _no_order_closes_it,
        _not_frozen,
        _symbol_may_be_traded,
        _the_oldest_goes_first,
        _sides_do_not_meet,
        _positions_are_within_limits,
        pending.orders_are_within_limits,
        _money_suffices,
        _price_has_not_moved,
    ),
    c.TRADE_ACTION_PENDING: (
        _symbol_is_known,
        pending.type_is_a_pending_order,
        pending.type_is_offered,
        _volume_fits,
        pending.filling_of_a_pending_order_fits,
        pending.lifetime_of_a_pending_order_fits,
        pending.pending_prices_fit,
        pending.pending_levels_fit,
        _account_may_trade,
        _session_is_open,
        _there_are_quotes,
        _symbol_may_be_traded,
        _the_oldest_goes_first,
        _sides_do_not_meet,
        _positions_are_within_limits,
        pending.orders_are_within_limits,
        _money_suffices,
    ),
    c.TRADE_ACTION_SLTP: (
        _position_is_there,
        _symbol_is_known,
        pending.levels_are_offered,
        _stops_fit,
        _account_may_trade,
        _session_is_open,
        _not_frozen,
        _something_changes,
    ),
    c.TRADE_ACTION_MODIFY: (
        pending.order_is_there,
        pending.order_is_pending,
        pending.type_is_offered,
        pending.lifetime_of_a_pending_order_fits,
        pending.pending_prices_fit,
        pending.pending_levels_fit,
        _account_may_trade,
        _session_is_open,
        pending.order_is_not_frozen,
        pending.order_changes,
    ),
    c.TRADE_ACTION_REMOVE: (
        pending.order_is_there,
        _account_may_trade,
        _session_is_open,
        pending.order_is_not_frozen,
    ),
    c.TRADE_ACTION_CLOSE_BY: (
        _close_by_is_offered,
        _two_opposite_positions_are_there,
        _account_may_trade,
        _session_is_open,
        _not_frozen,
    ),
}
