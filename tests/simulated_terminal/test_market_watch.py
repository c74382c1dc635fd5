"""Which symbols the terminal gets ticks of, and the depth that it shows."""

from Backtest.simulated_terminal import AccountSpec, Dealing
from tests.simulated_terminal.terminals import deal, done, flat, market_terminal, symbol, terminal

YEN = {"digits": 3, "tick_size": 0.001}


def test_a_symbol_may_begin_outside_of_market_watch_and_what_another_needs_is_selected_and_not_shown() -> None:
    specs = {
        name: symbol(name, visible=name == "EURJPY", **yen)
        for name, yen in (("EURJPY", YEN), ("USDJPY", YEN), ("EURUSD", {}), ("GBPUSD", {}))
    }
    made = market_terminal({name: (spec, flat(100.0 if name.endswith("JPY") else 1.1)) for name, spec in specs.items()})
    shown = {each.name: (each.select, each.visible) for each in made.symbols_get() or ()}
    needed = {"USDJPY": (True, False), "EURUSD": (True, False)}
    assert shown == {"EURJPY": (True, True), "GBPUSD": (False, False)} | needed
    assert made.symbol_info("USDJPY").bid == 100.0
    assert made.symbol_info_tick("GBPUSD") is None
    assert made.symbol_select("GBPUSD", True)
    assert made.symbol_info_tick("GBPUSD").bid == 1.1
    assert made.symbol_select("EURJPY", False)
    assert made.symbol_info("USDJPY").select is False  # nobody needs it any more


def test_the_market_depth_shows_what_can_be_had() -> None:
    made = terminal(flat(1.1), symbol(spread_points=10, execution=3), AccountSpec(1e6, dealing=Dealing(lots_per_tick=2.5)))
    made.market_book_add("EURUSD")
    assert made.symbol_info("EURUSD").ticks_bookdepth == 1
    assert made.market_book_get("EURUSD") == ((1, 1.1001, 2, 2.5), (2, 1.1, 2, 2.5))
    done(made.order_send(deal(volume=1.5)))
    assert [row.volume_dbl for row in made.market_book_get("EURUSD")] == [1.0, 1.0]
    done(made.order_send(deal(volume=1.0)))
    assert (made.market_book_get("EURUSD"), made.last_error()) == ((), (1, "Success"))
    made.clock.sleep(0.5)
    assert [row.volume_dbl for row in made.market_book_get("EURUSD")] == [2.5, 2.5]
