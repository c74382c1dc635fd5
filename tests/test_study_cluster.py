"""Parameter studies on a real Dask cluster of this machine: a scheduler and workers in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from Backtest.errors import BadInput
from Backtest.strategies import LoadedStrategy, load_strategy
from Backtest.study.cluster import ClusterPool
from Backtest.study.task import Task, answer
from tests.dask_cluster import Cluster
from tests.live_runs import eurusd
from tests.test_architecture import imports_of, inside

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of distributed and tornado
HELPER = "def sma(values, n):\n    return pd.Series(values).rolling(n).mean()\n"
STRATEGY = """
from backtesting import Strategy
from backtesting.lib import crossover
from beside_of_a_cluster import sma

BACKTEST = dict(cash=10_000, commission=lambda size, price: 0.5, exclusive_orders=True)

class Crossing(Strategy):
    n1 = 10
    n2 = 20

    def init(self):
        if self.n1 == 7:
            raise LookupError("seven")
        self.fast = self.I(sma, self.data.Close, self.n1)
        self.slow = self.I(sma, self.data.Close, self.n2)

    def next(self):
        if crossover(self.fast, self.slow):
            self.buy()
        elif crossover(self.slow, self.fast):
            self.sell()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def strategy(tmp_path_factory: pytest.TempPathFactory) -> LoadedStrategy:
    folder = tmp_path_factory.mktemp("codes")
    (folder / "beside_of_a_cluster.py").write_text("import pandas as pd\n\n" + HELPER)
    (folder / "crossing.py").write_text(STRATEGY)
    return load_strategy(folder / "crossing.py")


def test_a_worker_is_killed_and_every_combination_is_there_once_and_as_it_is_here(cluster: Cluster, strategy: LoadedStrategy) -> None:
    bars = eurusd(300)
    tasks: list[Task] = [({"n1": n1}, 0, 300, None) for n1 in range(3, 25)]
    workers = [cluster.worker(f"worker-{number}") for number in range(2)]
    found = []
    with ClusterPool(cluster.url, strategy, {"n2": 31}, bars) as pool:
        pool.wait_for(2)
        for place, told in pool.answers(tasks):
            found.append((place, told))
            if len(found) == 6:
                workers[0].kill()
    assert workers[0].wait() == -9
    assert sorted(place for place, _ in found) == list(range(len(tasks)))
    here = [answer((strategy.cls, strategy.backtest, {"n2": 31}, bars), task) for task in tasks]
    assert [str(told) for _, told in sorted(found)] == [str(told) for told in here]
    assert here[4] == (None, "LookupError: seven, line 14")
    assert len({str(told) for told in here}) > 15


def test_a_worker_with_another_version_is_told_in_one_sentence(cluster: Cluster, strategy: LoadedStrategy, tmp_path: Path) -> None:
    (tmp_path / "backtesting-0.6.1.dist-info").mkdir()
    (tmp_path / "backtesting-0.6.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: backtesting\nVersion: 0.6.1\n")
    cluster.worker("dated", path=tmp_path)
    with pytest.raises(BadInput) as fault, ClusterPool(cluster.url, strategy, {}, eurusd(50)):
        pass
    [sentence] = fault.value.mistakes
    assert "has backtesting 0.6.1; install there what this machine has: Python 3." in sentence
    assert " backtesting==0.6.6 pandas==" in sentence


def test_a_scheduler_that_is_lost_ends_the_study_in_one_sentence(
    cluster: Cluster, strategy: LoadedStrategy, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster.worker("worker")
    tasks: list[Task] = [({"n1": n1}, 0, 400, None) for n1 in range(3, 31)]

    def lose_it() -> None:
        with ClusterPool(cluster.url, strategy, {}, eurusd(400)) as pool:
            for _ in pool.answers(tasks):
                cluster.scheduler.kill()

    with pytest.raises(BadInput, match="the scheduler is gone"):
        lose_it()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("address", ["host:8786", "dask://host", "tcp://host:8786", "dask://"])
def test_an_address_that_is_none(address: str, strategy: LoadedStrategy) -> None:
    with pytest.raises(BadInput, match=f"--cluster is '{address}'; want dask://HOST:PORT"):
        ClusterPool(address, strategy, {}, eurusd(5))


def test_nobody_at_the_address(strategy: LoadedStrategy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("Backtest.study.cluster.PATIENCE", 0.5)
    with (
        pytest.raises(BadInput, match="no scheduler answers there; start one with: dask scheduler"),
        ClusterPool("dask://127.0.0.1:9", strategy, {}, eurusd(5)),
    ):
        pass


def test_what_goes_to_a_cluster_imports_nothing_of_this_project() -> None:
    from Backtest.study import task

    found = imports_of(Path(task.__file__).read_text(encoding="utf-8"))
    assert [name for name in found if inside(name, ["Backtest", "Live"])] == []
