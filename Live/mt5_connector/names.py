"""What a broker may call a symbol: the same name with a prefix or suffix, an alias, or one that differs by a slip (pure)."""

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile

LONGEST_SUFFIX = 6  # letters and digits: .micro, .cash, -ECN
SHORTEST = 3  # letters and digits that can be told from a part of another name: CL and NG cannot
MOST = 5  # names in a sentence

# Names of one thing at different brokers, as public programs that trade at many of them map these.
ALIASES = tuple(
    frozenset(line.split())
    for line in """
XAUUSD GOLD GOLDUSD
XAGUSD SILVER SILVERUSD
XPTUSD PLATINUM
XPDUSD PALLADIUM
XTIUSD USOIL WTI USOUSD CRUDEOIL OILUSD SPOTCRUDE OILCASH CL
XBRUSD UKOIL BRENT UKOUSD BRENTCASH SPOTBRENT
XNGUSD NATGAS NGAS NATGASUSD NG
US500 SPX500 SP500 USA500 USSPX500 SPX SPX500USD US500USD
US30 DJ30 WS30 USA30 DJI DJI30 WALLSTREET30 US30USD DOW30
US100 NAS100 USTEC USTECH100 NDX100 USA100 NASDAQ100 NAS100USD NDX USNDAQ100
US2000 RUSSELL2000 RUS2000 USSMALLCAP2000 US2000USD
GER40 DE40 DAX40 GER30 DE30 DAX30 DAX GDAXI GERMANY40 DE30EUR
UK100 FTSE100 FTSE UKX UK100GBP
FRA40 F40 CAC40 FR40 FRANCE40 FR40EUR
EU50 STOXX50 EUSTX50 ESTX50 EUR50 EUROPE50 EU50EUR
ESP35 ES35 IBEX35 SPA35 SPAIN35
JPN225 JP225 JAP225 NIKKEI225 NI225 JP225USD
AUS200 AU200 ASX200 SPI200 AU200AUD
HK50 HKG50 HSI50 HK33 HK33HKD
BTCUSD XBTUSD BITCOIN BTCUSDT
ETHUSD ETHEREUM ETHUSDT
""".strip().splitlines()
)


def not_found(wanted: str, names: Iterable[str]) -> str:
    """One sentence for a symbol that is not among the broker's names: what to write into SYMBOLS in its place.

    >>> not_found("EURUSD", ["EURUSD.m", "USDJPY.m"])
    'the terminal has no symbol EURUSD (SYMBOLS); this broker has EURUSD.m: if that is the one, write it in place of EURUSD'
    """
    found = similar(wanted, names)
    if not found:
        return (
            f"the terminal has no symbol {wanted} (SYMBOLS), and none that looks like it: see Market Watch, Symbols (Ctrl+U), for its names"
        )
    if len(found) == 1:
        return (
            f"the terminal has no symbol {wanted} (SYMBOLS); this broker has {found[0]}: if that is the one, write it in place of {wanted}"
        )
    listed = ", ".join(found)
    return f"the terminal has no symbol {wanted} (SYMBOLS); this broker has {listed}: write the one that you mean in place of {wanted}"


def similar(wanted: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that could be meant, the likeliest first, at most five. A suggestion for a person, never a choice.

    >>> similar("XAUUSD", ["EURUSD", "GOLD.i#", "XAUUSD.pro"])
    ('XAUUSD.pro', 'GOLD.i#')
    >>> similar("EURUSDm", ["EURUSD"]), similar("EURSUD", ["EURUSD", "USDJPY"])
    (('EURUSD',), ('EURUSD',))
    """
    names = sorted(set(names), key=lambda name: (len(name), name))
    bases = [base for base in dict.fromkeys(_bases(wanted)) if base]
    if not bases:
        return ()
    aliases = sorted(alias for group in ALIASES if not group.isdisjoint(bases) for alias in group - set(bases))
    ranked = [(rank, name) for name in names if (rank := _rank(_bare(name), bases, aliases)) is not None]
    found = [name for _, name in sorted(ranked, key=lambda pair: pair[0])]
    if not found:
        found = [name for name in names if _is_slip(_bare(name), bases[0])]
    return tuple(found[:MOST])


def _rank(core: str, bases: list[str], aliases: list[str]) -> int | None:
    if core in bases:
        return bases.index(core)
    if any(_is_marked(core, base) for base in bases):
        return len(bases)
    if core in aliases:
        return len(bases) + 1
    return len(bases) + 2 if any(_is_marked(core, alias) for alias in aliases) else None


def _is_marked(core: str, base: str) -> bool:
    """Whether a name is another one with a prefix or a suffix; US3000 is not US30 with one."""
    before, found, after = core.partition(base)
    if not found or len(before) + len(after) > LONGEST_SUFFIX or len(base) < SHORTEST:
        return False
    return not (base[-1].isdigit() and after[:1].isdigit()) and not (before and after)


def _is_slip(core: str, wanted: str) -> bool:
    """Whether letters were exchanged, or one is another, missing or too many; US100 is no slip for US500."""
    if re.sub(r"\D", "", core) != re.sub(r"\D", "", wanted):
        return False
    same_beginning = _shared(core, wanted)
    same_end = _shared(core[same_beginning:][::-1], wanted[same_beginning:][::-1])
    longest = max(len(core), len(wanted))
    return longest > SHORTEST and (sorted(core) == sorted(wanted) or same_beginning + same_end >= longest - 1)


def _shared(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _bases(wanted: str) -> Iterator[str]:
    """The name as it is, then without what looks like a broker's mark: EURUSD.m, EURUSDm, #EURUSD, m.EURUSD."""
    yield _bare(wanted)
    yield _bare(max(re.split(r"[^A-Za-z0-9]", wanted), key=len))
    if (tail := re.fullmatch(r"([A-Z0-9]{3,})[a-z]+", wanted)) is not None:
        yield tail[1]


def _bare(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())
