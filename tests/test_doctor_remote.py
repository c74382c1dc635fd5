from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from Backtest.simulated_terminal import AccountSpec, ReplayMarket, SimulatedTerminal
from Live.doctor import Grade, examine
from tests.live_runs import settings
from tests.served import served_here
from tests.simulated_terminal.terminals import H1, bars, flat, symbol


def test_a_terminal_on_another_machine_is_looked_at_and_its_other_users_stay_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("Live.doctor.terminal.FIRST_TICK_SECONDS", 0.0)  # its market is of another year: no tick is of now
    market = ReplayMarket({"EURUSD": (symbol(spread_points=10), bars(flat(1.2, 48)))}, H1)
    terminal = SimulatedTerminal(market, AccountSpec(login=12345678))
    assert terminal.initialize()
    for _ in range(46):
        terminal.clock.sleep(3600)
    with served_here(terminal) as port:
        config = settings(tmp_path, mt5_terminal="remote", mt5_remote_port=port, warmup_bars=20)
        found = {finding.topic: finding for finding in examine(config, tmp_path / "empty.env", {})}
        assert terminal.account_info() is not None  # nobody has shut it down
        assert [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port] == []
    assert [finding for finding in found.values() if finding.grade is Grade.FAIL] == []
    assert "12345678 at Simulated-Demo" in found["Account"].text
    assert "20 closed bars of H1" in found["EURUSD history"].text
