import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from backtesting import Strategy

from Backtest.errors import BadInput
from Live.errors import RecordFailed
from Live.mt5_connector import open_terminal
from tests.live_runs import eurusd, loaded, settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a process's files")


class Idle(Strategy):
    def init(self) -> None:
        pass

    def next(self) -> None:
        pass


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """A full disk, for this process only."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_account_that_cannot_be_kept_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    eurusd(20).to_csv(tmp_path / "prices.csv")
    given = {"sim_prices": {"EURUSD": str(tmp_path / "prices.csv")}, "sim_account_dir": str(tmp_path), "timeframe": "1h"}
    with ExitStack() as resources:
        opened = open_terminal(settings(tmp_path, **given), loaded(Idle), {}, resources)
        opened.clock.sleep(7200)
        (account,) = tmp_path.glob("*.jsonl")
        full = pytest.raises(RecordFailed, match=r"the simulated account cannot be kept in SIM_ACCOUNT_DIR: .+; make room")
        with no_file_grows_beyond(account.stat().st_size), full:
            opened.clock.sleep(7200)


def test_a_symbols_file_is_what_the_retail_broker_goes_by(tmp_path: Path) -> None:
    eurusd(20).to_csv(tmp_path / "prices.csv")
    mine = tmp_path / "mine.toml"
    mine.write_text("[Mine]\nsymbols.EURUSD = { spread = 3, volume_step = 0.05, volume_min = 0.05 }")
    prices = {"EURUSD": str(tmp_path / "prices.csv")}
    given = {"sim_prices": prices, "sim_account_dir": str(tmp_path), "timeframe": "1h", "sim_broker": "retail", "sim_symbols": str(mine)}
    with ExitStack() as resources:
        opened = open_terminal(settings(tmp_path, **given), loaded(Idle), {}, resources)
        opened.functions.initialize()
        info = opened.functions.symbol_info("EURUSD")
        assert (info.volume_step, info.path, info.spread) == (0.05, "Mine\\EURUSD", 3)
    mine.write_text("[Mine]\nsymbols.EURUSD = { spred = 3 }")
    from Backtest.simulated_terminal.catalogue import catalogue

    catalogue.cache_clear()  # a person would start again
    with ExitStack() as resources, pytest.raises(BadInput, match=r"\[Mine\], EURUSD: spred is no key: did you mean spread\?"):
        open_terminal(settings(tmp_path, **given), loaded(Idle), {}, resources)
