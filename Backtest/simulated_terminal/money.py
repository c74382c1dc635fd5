"""Margin, profit and conversion between currencies (pure). Formulas and their sources: the MQL5 reference.

Money is a float in the account's currency unless a name says otherwise. None means that a rate is missing: a symbol
that has no quote yet.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from Backtest.errors import BadInput
from Backtest.simulated_terminal import constants as c
from Backtest.simulated_terminal.market import Quote
from Backtest.simulated_terminal.symbols import AccountSpec, SymbolSpec

BUY, SELL = c.ORDER_TYPE_BUY, c.ORDER_TYPE_SELL


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rates between the account's currency and others, through the symbols of the market."""

    account: str  # currency
    symbols: Mapping[str, SymbolSpec]
    quote: Callable[[str], Quote | None]

    def pair_for(self, currency: str) -> SymbolSpec | None:
        """The symbol that trades `currency` against the account's; None where there is none."""
        pairs = ({currency, self.account} == {spec.currency_base, spec.currency_profit} for spec in self.symbols.values())
        return next((spec for spec, fits in zip(self.symbols.values(), pairs, strict=True) if fits), None)

    def pairs_of(self, specs: Iterable[SymbolSpec]) -> set[str]:
        """The symbols that turn the money of these into the account's: a terminal selects them by itself."""
        currencies = {currency for spec in specs for currency in (spec.currency_profit, spec.currency_margin)} - {self.account}
        pairs = map(self.pair_for, currencies)
        return {pair.name for pair in pairs if pair is not None}

    def into_account(self, money: float, currency: str, *, selling: bool) -> float | None:
        """`money` of `currency` in the account's; `selling` that currency takes the pair's worse side for its holder."""
        if currency == self.account:
            return money
        pair = self.pair_for(currency)
        quote = self.quote(pair.name) if pair is not None else None
        if pair is None or quote is None:
            return None
        direct = pair.currency_base == currency
        rate = quote.bid if direct == selling else quote.ask
        return money * rate if direct else money / rate

    def refuse_unreachable(self) -> None:
        """Raise BadInput for symbols whose profit or margin cannot be told in the account's currency."""
        unknown = {
            f"{spec.name}: calculation mode {spec.calc_mode} is not simulated"
            for spec in self.symbols.values()
            if spec.calc_mode not in _MARGIN
        }
        missing = {
            f"{spec.name}: needs prices that turn {currency} into {self.account}, the account's currency: add a symbol with both"
            for spec in self.symbols.values()
            for currency in (spec.currency_profit, spec.currency_margin, _of_swap(spec))
            if currency != self.account and self.pair_for(currency) is None
        }
        if missing or unknown:
            raise BadInput(*sorted(missing | unknown))


def _of_swap(spec: SymbolSpec) -> str:
    return spec.currency_base if spec.swap_mode == c.SYMBOL_SWAP_MODE_CURRENCY_SYMBOL else spec.currency_profit


def signed(side: int, amount: float) -> float:
    """The amount, negative for a sell."""
    return amount if side == BUY else -amount


def profit(spec: SymbolSpec, units: float, open_price: float, close_price: float) -> float:
    """What so many units (negative for short) earn between two prices, in the symbol's profit currency.

    >>> profit(SymbolSpec("EURUSD", 5), -100_000.0, 1.5, 1.25)
    25000.0
    """
    if spec.calc_mode in _BY_TICK_VALUE:
        return (close_price - open_price) * (units / spec.contract_size) * spec.tick_value / spec.tick_size
    if spec.calc_mode == c.SYMBOL_CALC_MODE_SERV_COLLATERAL:
        return 0.0
    if spec.calc_mode in _BONDS:  # prices are percent of the face value; [I] accrued interest is paid for and got back
        return units * (close_price - open_price) * spec.face_value / 100 + 0.0
    # in backtesting.py's order of operations: parity needs every bit (`Trade.pl` of backtesting 0.6.6)
    return units * (close_price - open_price) + 0.0


def profit_in_account(spec: SymbolSpec, earned: float, close_price: float, exchange: Exchange) -> float | None:
    """`earned` of the symbol's profit currency in the account's; where the symbol itself is the pair, at the close price."""
    if spec.currency_profit != exchange.account == spec.currency_base:
        return earned / close_price if close_price else None
    return exchange.into_account(earned, spec.currency_profit, selling=earned > 0)


def margin(spec: SymbolSpec, lots: float, price: float, leverage: int, *, held: bool = False) -> float:
    """What an order binds, or with `held` a position that is open, in the symbol's margin currency.

    >>> margin(SymbolSpec("XAUUSD", 2, contract_size=100.0, calc_mode=4), 0.01, 1900.0, 100)
    19.0
    """
    per_lot = (held and spec.margin_maintenance) or spec.margin_initial
    if per_lot > 0:
        return lots * per_lot
    return _MARGIN[spec.calc_mode](spec, lots, price, leverage)


def margin_in_account(spec: SymbolSpec, side: int, bound: float, price: float, exchange: Exchange) -> float | None:
    """`bound` of the margin currency in the account's; where the symbol itself is the pair, at `price`."""
    if spec.currency_margin == exchange.account:
        return bound
    if spec.currency_margin == spec.currency_base and spec.currency_profit == exchange.account:
        return bound * price
    # a buyer pays the ask of the base currency (the documentation's EURJPY margin is EURUSD's at the ask)
    return exchange.into_account(bound, spec.currency_margin, selling=side == SELL)


def order_margin(spec: SymbolSpec, side: int, lots: float, price: float, market: tuple[AccountSpec, Exchange]) -> float | None:
    """The margin of one order in the account's currency, rounded as the account does."""
    account, exchange = market
    money = margin_in_account(spec, side, margin(spec, lots, price, account.leverage), price, exchange)
    return None if money is None else account.rounded(money)


@dataclass(frozen=True, slots=True)
class Leg:
    """The long or the short side of one symbol: lots and their weighted open price."""

    side: int
    lots: float
    price: float

    @classmethod
    def of(cls, side: int, parts: Iterable[tuple[float, float]]) -> "Leg":
        """From (lots, open price) of each position."""
        parts = list(parts)
        lots = sum(each for each, _ in parts)
        if len(parts) == 1:  # not through the weighting: it would cost the last bit
            return cls(side, lots, parts[0][1])
        return cls(side, lots, sum(each * price for each, price in parts) / lots if lots else 0.0)


def hedged_margin(spec: SymbolSpec, long: Leg, short: Leg, market: tuple[AccountSpec, Exchange]) -> float | None:
    """The margin of all positions of a symbol on a hedging account: the covered volume counts once."""
    account, exchange = market

    def bound(leg: Leg, lots: float) -> float | None:
        return margin_in_account(spec, leg.side, margin(spec, lots, leg.price, account.leverage, held=True), leg.price, exchange)

    if spec.margin_hedged_use_leg:
        legs = [bound(leg, leg.lots) for leg in (long, short) if leg.lots]
        return None if None in legs else max((each or 0.0 for each in legs), default=0.0)
    larger = long if long.lots >= short.lots else short
    covered = min(long.lots, short.lots)
    open_part = bound(larger, round(larger.lots - covered, 8))
    if open_part is None or not covered:
        return open_part
    # [I] the covered part, as a contract of its own size (or money per lot), at the larger leg's price
    whole = bound(larger, covered)
    per_lot = spec.margin_hedged / (spec.margin_maintenance or spec.margin_initial or spec.contract_size)
    return None if whole is None else open_part + whole * per_lot


def level(equity: float, bound: float) -> float:
    """The margin level in percent; 0.0 without margin."""
    return equity / bound * 100 if bound else 0.0


_BONDS = frozenset({c.SYMBOL_CALC_MODE_EXCH_BONDS, c.SYMBOL_CALC_MODE_EXCH_BONDS_MOEX})
_OPTIONS = frozenset({c.SYMBOL_CALC_MODE_EXCH_OPTIONS, c.SYMBOL_CALC_MODE_EXCH_OPTIONS_MARGIN})
_BY_TICK_VALUE = frozenset({c.SYMBOL_CALC_MODE_FUTURES, c.SYMBOL_CALC_MODE_EXCH_FUTURES}) | _OPTIONS
_Formula = Callable[[SymbolSpec, float, float, int], float]
_MARGIN: dict[int, _Formula] = {
    c.SYMBOL_CALC_MODE_FOREX: lambda spec, lots, _, leverage: lots * spec.contract_size / leverage,
    c.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE: lambda spec, lots, _, __: lots * spec.contract_size,
    c.SYMBOL_CALC_MODE_CFD: lambda spec, lots, price, _: lots * spec.contract_size * price,
    c.SYMBOL_CALC_MODE_CFDLEVERAGE: lambda spec, lots, price, leverage: lots * spec.contract_size * price / leverage,
    c.SYMBOL_CALC_MODE_CFDINDEX: lambda spec, lots, price, _: lots * spec.contract_size * price * spec.tick_value / spec.tick_size,
    c.SYMBOL_CALC_MODE_FUTURES: lambda spec, lots, _, __: lots * spec.margin_initial,
    c.SYMBOL_CALC_MODE_EXCH_FUTURES: lambda spec, lots, _, __: lots * spec.margin_initial,
    c.SYMBOL_CALC_MODE_EXCH_STOCKS: lambda spec, lots, price, _: lots * spec.contract_size * price,
    c.SYMBOL_CALC_MODE_EXCH_STOCKS_MOEX: lambda spec, lots, price, _: lots * spec.contract_size * price,
    **dict.fromkeys(_OPTIONS, lambda spec, lots, _, __: lots * spec.margin_initial),  # [I] as futures: no formula is published
    **dict.fromkeys(_BONDS, lambda spec, lots, price, _: lots * spec.contract_size * spec.face_value * price / 100),
    c.SYMBOL_CALC_MODE_SERV_COLLATERAL: lambda *_: 0.0,
}
