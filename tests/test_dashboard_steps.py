"""What an answer costs, counted in instructions of SQLite's machine: as many on a long record as on a short one."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from Live.audit_logger import listing, reader
from Live.dashboard import create_app
from tests.bench.bench_dashboard import make_record
from tests.sample_record import WALL

SHORT, LONG = 4_000, 16_000  # orders; of everything else in proportion
ADDRESSES = [
    *("/api/v1/orders", "/api/v1/orders?before=1000", "/api/v1/orders?symbol=NONE", "/api/v1/orders?status=FILLED&symbol=NONE"),
    *("/api/v1/orders?kind=CANCEL", "/api/v1/orders?run=1", "/api/v1/signals?acting=true&symbol=NONE", "/api/v1/signals?symbol=EURUSD"),
    *(
        "/api/v1/trades",
        "/api/v1/trades?exit_reason=manual",
        "/api/v1/trades?exit_reason=strategy&side=SELL",
        "/api/v1/events?text=nothing",
    ),
    *("/api/v1/orders.csv?limit=500", "/api/v1/signals.csv?symbol=NONE", "/api/v1/trades.csv?exit_reason=manual"),
    *("/figures/equity.json?only_sources=true", "/figures/price.json", "/api/overview", "/api/v1/limits", "/orders/5"),
]
FEW = 100  # instructions between two counts


class CountingClock:
    """A clock that stands still and counts how often it is looked at: after so many instructions of SQLite's machine each time."""

    looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return WALL

    def sleep(self, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> None:
        raise AssertionError("a dashboard does not wait")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("records")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # an emergency stop in the project must not end the tests
        for orders in (SHORT, LONG):
            make_record(folder / f"{orders}.db", orders)
        yield folder / f"{SHORT}.db", folder / f"{LONG}.db"


def cost(path: Path, address: str) -> int:
    """Looks at the clock that one answer has taken."""
    clock = CountingClock()
    client = create_app(path, stop_file=path.parent / "EMERGENCY_STOP", clock=clock).test_client()
    with closing(client.get(address)) as answer:
        assert answer.status_code == 200
        assert answer.data
    return clock.looks


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_answer_costs_the_same_on_four_times_the_rows(records: tuple[Path, Path], address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "STEPS_BETWEEN_LOOKS", FEW)
    monkeypatch.setattr(reader, "LOOK_BACK", 500)  # both records have more rows than are looked at
    monkeypatch.setattr(listing, "WINDOW", 500)
    short, long = (cost(path, address) for path in records)
    assert long <= 1.1 * short + 40, (short, long)  # a tree of four times the rows is a little deeper


def test_the_cost_is_what_is_counted(records: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "STEPS_BETWEEN_LOOKS", FEW)
    address = "/api/v1/trades?side=SELL"  # nothing but looking through the rows
    costs = []
    for window in (500, 1_500):
        monkeypatch.setattr(listing, "WINDOW", window)
        costs.append(cost(records[1], address))
    assert costs[1] > 2 * costs[0]
