import re
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from Backtest.bars import builtin_prices
from Backtest.errors import BadInput
from Backtest.simulated_terminal import AccountSpec, SymbolSpec, retail_symbol
from Backtest.simulated_terminal.catalogue import SHIPPED, catalogue
from tests.simulated_terminal.terminals import bars, flat, market_terminal

SHIPPED_SYMBOLS = catalogue()
MONDAY = 1_704_067_200


def own(folder: Path, text: str) -> dict[str, SymbolSpec]:
    """The catalogue with a file of the user's own."""
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return dict(catalogue(file))


def mistakes(folder: Path, text: str) -> list[str]:
    """What is said of such a file, without its name."""
    with pytest.raises(BadInput) as caught:
        own(folder, text)
    start = f"symbols file {folder / 'mine.toml'}"
    assert all(mistake.startswith(start) for mistake in caught.value.mistakes)
    return [mistake.removeprefix(start).lstrip(",: ") for mistake in caught.value.mistakes]


def test_the_markets_that_traders_know_are_in_it() -> None:
    pairs = [spec for spec in SHIPPED_SYMBOLS.values() if spec.path.startswith("Forex")]
    assert len(pairs) >= 28
    assert {"EURUSD", "USDJPY", "XAUUSD", "XAGUSD", "US500", "GER40", "AAPL", "BTCUSD", "ES"} <= SHIPPED_SYMBOLS.keys()
    assert all(spec.description and spec.path.endswith(f"\\{name}") and spec.spread_points for name, spec in SHIPPED_SYMBOLS.items())


def test_a_pair_has_the_usual_figures() -> None:
    euro, yen = SHIPPED_SYMBOLS["EURUSD"], SHIPPED_SYMBOLS["USDJPY"]
    assert (euro.digits, euro.contract_size, euro.volume_min, euro.volume_step, euro.tick_size) == (5, 100_000.0, 0.01, 0.01, 1e-5)
    assert (euro.path, euro.filling_mode, euro.execution, euro.calc_mode, euro.swap_mode, euro.swap_rollover3days) == (
        ("Forex\\Majors\\EURUSD", 3, 2, 0, 1, 3)
    )
    assert (yen.digits, yen.tick_size, yen.currency_base, yen.currency_profit, yen.currency_margin) == (3, 1e-3, "USD", "JPY", "USD")
    assert euro.sessions is not None
    assert [euro.sessions.is_open(MONDAY + day * 86_400) for day in range(7)] == [True] * 5 + [False] * 2


def test_metals_are_of_their_own_size_and_rest_for_an_hour() -> None:
    gold, silver = SHIPPED_SYMBOLS["XAUUSD"], SHIPPED_SYMBOLS["XAGUSD"]
    assert (gold.contract_size, gold.margin_hedged, gold.digits, silver.contract_size) == (100.0, 100.0, 2, 5_000.0)
    assert gold.sessions is not None
    assert [gold.sessions.is_open(MONDAY + second) for second in (0, 3599, 3600, 86_399)] == [False, False, True, True]


def test_a_future_has_a_fixed_margin_and_money_by_the_tick() -> None:
    future = SHIPPED_SYMBOLS["ES"]
    assert (future.calc_mode, future.execution, future.tick_size, future.tick_value, future.margin_initial) == (33, 3, 0.25, 12.5, 21_000.0)


def test_every_symbol_can_be_traded_on_an_account_in_dollars() -> None:
    made = market_terminal({name: (spec, flat(100.0)) for name, spec in SHIPPED_SYMBOLS.items()}, AccountSpec(1e9, margin_mode=2))
    for name, spec in SHIPPED_SYMBOLS.items():
        bound = made.order_calc_margin(0, name, spec.volume_min, 100.0)
        assert bound, (name, made.last_error())
        assert made.order_calc_profit(0, name, spec.volume_min, 100.0, 101.0) > 0


def test_a_file_of_ones_own_changes_a_symbol_and_keeps_the_rest_of_it(tmp_path: Path) -> None:
    mine = own(tmp_path, "['Forex\\Mine']\nsymbols.EURUSD = { spread = 2, stops_level = 30 }")
    euro, before = mine["EURUSD"], SHIPPED_SYMBOLS["EURUSD"]
    changed = {each.name for each in fields(SymbolSpec) if getattr(euro, each.name) != getattr(before, each.name)}
    assert changed == {"spread_points", "stops_level", "path"}
    assert (euro.spread_points, euro.stops_level, euro.path) == (2, 30, "Forex\\Mine\\EURUSD")
    assert {**mine, "EURUSD": before} == dict(SHIPPED_SYMBOLS)


def test_a_new_symbol_begins_with_its_folder(tmp_path: Path) -> None:
    mine = own(tmp_path, "[Forex]\nvolume_max = 20\nsymbols.EURDKK = { spread = 40 }")
    krone = mine["EURDKK"]
    assert (krone.digits, krone.volume_max, krone.spread_points, krone.currency_profit) == (5, 20.0, 40, "DKK")
    assert mine["EURUSD"] == SHIPPED_SYMBOLS["EURUSD"]


def test_a_folder_inside_another_begins_with_it(tmp_path: Path) -> None:
    mine = own(
        tmp_path,
        """
        [Rates]
        digits = 3
        contract_size = 10
        currency_profit = "USD"
        ['Rates\\Long']
        spread = 7
        symbols.BUND = { currency_profit = "EUR" }
        """,
    )
    assert (mine["BUND"].digits, mine["BUND"].spread_points, mine["BUND"].currency_profit) == (3, 7, "EUR")
    assert mine["BUND"].calc_mode == 0  # as `symbols.toml` says: forex, unless told


def test_a_name_with_a_suffix_is_like_another_symbol(tmp_path: Path) -> None:
    mine = own(tmp_path, '[\'Forex\\Raw\']\nsymbols."GBPUSD.r" = { like = "GBPUSD", spread = 3 }\nsymbols.CABLE = { like = "GBPUSD.r" }')
    assert (mine["GBPUSD.r"].spread_points, mine["GBPUSD.r"].swap_long) == (3, SHIPPED_SYMBOLS["GBPUSD"].swap_long)
    assert (mine["CABLE"].currency_base, mine["CABLE"].currency_profit, mine["CABLE"].spread_points) == ("GBP", "USD", 3)


def test_all_mistakes_are_told_at_once_each_with_its_place_and_remedy(tmp_path: Path) -> None:
    text = """
        loose = 3
        [Forex]
        spread = "x"
        sesions = "always"
        symbols.EURUSD = { stops_level = 2.5, lik = "x" }
        symbols.EURDKK = { digits = true }
        symbols.FOO = { like = "GBPUDS" }
        symbols.BAR = 7
        [Own]
        symbols.ABC = { digits = 9, sessions = "Mon-Blub", currency_profit = "usd", contract_size = inf }
        symbols.DEF = { digits = 2, contract_size = 1, calc_mode = "cfd" }
        symbols.GHI = { digits = 2, contract_size = 1, currency_profit = "USD", filling = ["fak"], trade_mode = "open" }
        symbols.MNO = { contract_size = 1 }
        symbols.EURUSD = { spread = 1 }
    """
    assert mistakes(tmp_path, text) == [
        "loose: want a folder, ['loose'], and below it symbols.NAME = { key = value, … }",
        "[Forex]: spread = 'x': want a whole number of points, 0 or more",
        "[Forex]: sesions is no key: did you mean sessions?",
        "[Forex], EURUSD: stops_level = 2.5: want a whole number of points, 0 or more",
        "[Forex], EURUSD: lik is no key: did you mean like?",
        "[Forex], EURDKK: digits = True: want a whole number from 0 to 8",
        "[Forex], FOO: like = 'GBPUDS': want a symbol that stands before this one; did you mean GBPUSD?",
        "[Forex], BAR: want BAR = { key = value, … }, not 7",
        "[Own], ABC: digits = 9: want a whole number from 0 to 8",
        "[Own], ABC: contract_size = inf: want a number of units above 0",
        '[Own], ABC: sessions = \'Mon-Blub\': want "always", or days and spans such as "Mon-Thu 00:05-24:00; Fri 00:05-23:00", from Sun to Sat',  # noqa: E501
        "[Own], ABC: currency_profit = 'usd': want a currency such as \"EUR\"",
        '[Own], DEF: currency_profit is missing: say in which currency it earns, such as "USD"',
        '[Own], GHI: filling = [\'fak\']: want a list of "fok", "ioc" and "boc"',
        "[Own], GHI: trade_mode = 'open': want one of disabled, long_only, short_only, close_only, full",
        "[Own], MNO: digits is missing: want a whole number from 0 to 8, here or in its folder",
        "[Own], EURUSD: it stands in the file twice: keep one of the lines",
    ]


def test_figures_that_cannot_work_together_are_told_with_their_place(tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, "[Forex]\nsymbols.EURUSD = { volume_min = 0.001 }")
    assert told.startswith("[Forex], EURUSD: want 0 < volume_step <= volume_min <= volume_max, have")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[Forex]\nx = \n", r"is not TOML: .*\(at line 2, column 5\); write it as .*symbols\.toml is"),
        (b"\xff\xfe[", "is not TOML: .*utf-8"),
        (None, r"cannot be read \(No such file or directory\); write one as .*symbols\.toml is"),
    ],
)
def test_a_file_that_is_none_is_told_in_a_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "none.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput, match=f"symbols file {re.escape(str(file))}: {sentence}"):
        catalogue(file)


def test_the_keys_are_explained_in_the_file_itself() -> None:
    from Backtest.simulated_terminal.catalogue import _Line

    told = set(re.findall(r"\w+", "\n".join(line for line in SHIPPED.read_text(encoding="utf-8").splitlines() if line.startswith("#"))))
    assert {*_Line.model_fields, "like"} <= told | {"margin_hedged_use_leg", "face_value", "liquidity_rate"}


def test_the_retail_symbol_is_that_of_the_catalogue() -> None:
    frame = bars(flat(2_000.5), first=MONDAY + 3600)
    assert retail_symbol("XAUUSD", frame) == SHIPPED_SYMBOLS["XAUUSD"]
    mine = {"XAUUSD": SHIPPED_SYMBOLS["XAGUSD"]}
    assert retail_symbol("XAUUSD", bars(flat(20.5), first=MONDAY + 3600), mine) == SHIPPED_SYMBOLS["XAGUSD"]


def test_prices_with_more_decimals_have_a_finer_point_and_cost_the_same() -> None:
    before = SHIPPED_SYMBOLS["USDJPY"]
    spec = retail_symbol("USDJPY", bars(flat(150.12345), first=MONDAY))
    assert (spec.digits, spec.tick_size) == (5, 1e-5)
    assert spec.spread_points * spec.point == pytest.approx(before.spread_points * before.point)
    assert spec.swap_long * spec.point == pytest.approx(before.swap_long * before.point)
    future = retail_symbol("ES", bars(flat(5000.125), first=MONDAY + 3600))
    assert future.tick_value / future.tick_size == pytest.approx(50.0)


def test_prices_outside_of_its_sessions_open_a_symbol_whenever_they_have_a_bar() -> None:
    monday, sunday = bars(flat(1.1), first=MONDAY), bars(flat(1.1), first=MONDAY - 3600)
    assert retail_symbol("EURUSD", monday).sessions == SHIPPED_SYMBOLS["EURUSD"].sessions
    assert retail_symbol("EURUSD", sunday).sessions is None
    assert retail_symbol("GOOG", builtin_prices("GOOG")).sessions is None  # days, which open at midnight


def test_what_is_not_in_the_catalogue_is_plain() -> None:
    pair, share = retail_symbol("EURTRY", bars(flat(32.5))), retail_symbol("ACME", pd.DataFrame(bars(flat(10.25))))
    assert (pair.contract_size, pair.currency_profit, pair.spread_points) == (100_000.0, "TRY", 10)
    assert (share.contract_size, share.volume_min, share.margin_hedged, share.path) == (1.0, 1.0, 1.0, "Stocks\\ACME")
