import enum
import json
import logging
import math
import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.config import PROJECT_ROOT, LiveConfig
from Live.errors import Misconfigured
from Live.logs import close_logging, plain, setup_logging, terminal

log = logging.getLogger("LiveTrader")
NOON = datetime(2025, 10, 18, 12, 30, 45, tzinfo=UTC)


class StandingClock:
    def now(self) -> datetime:
        return NOON

    def sleep(self, seconds: float, interrupted: object = None) -> None:
        raise AssertionError("logging waits for nothing")


@pytest.fixture(autouse=True)
def _console_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal.cache_clear()
    yield
    terminal.cache_clear()
    close_logging()


def start(folder: Path, *, console: bool = False, **settings: object) -> None:
    setup_logging(LiveConfig.model_validate({"log_dir": folder, **settings}), StandingClock(), console=console)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "live_trader.log").read_text(encoding="utf-8").splitlines()]


class Fragile:
    def __str__(self) -> str:
        raise RuntimeError("do not look at me")


class Side(enum.Enum):
    BUY = 0


@dataclass(frozen=True, slots=True)
class Fill:
    lots: float
    at: datetime


Tick = namedtuple("Tick", "bid ask")


def test_a_line_is_one_json_object_with_the_documented_fields(tmp_path: Path) -> None:
    start(tmp_path)
    log.info("Order executed", extra={"extra_data": {"symbol": "EURUSD", "volume": 0.01}})
    (line,) = lines(tmp_path)
    number = line.pop("line")
    assert line == {
        "timestamp": "2025-10-18T12:30:45+00:00",
        "level": "INFO",
        "logger": "LiveTrader",
        "message": "Order executed",
        "module": "test_logs",
        "function": "test_a_line_is_one_json_object_with_the_documented_fields",
        "extra_data": {"symbol": "EURUSD", "volume": 0.01},
    }
    assert isinstance(number, int)


def test_extra_data_stays_nested_and_whatever_is_in_it_is_written(tmp_path: Path) -> None:
    """D28: the original merged extra_data into the line, and lost lines with a datetime in them."""
    start(tmp_path)
    extra = {
        "message": "is not the line's message",
        "at": NOON,
        "day": date(2025, 10, 18),
        "bar": pd.Timestamp("2025-10-18"),
        "missing": pd.NaT,
        "nan": math.nan,
        "price": np.float64(1.0950),
        "ticket": np.int64(7),
        "flag": np.bool_(True),
        "prices": np.array([1.5, math.inf]),
        "times": np.array(["2025-10-18"], dtype="datetime64[D]"),
        "money": Decimal("10.10"),
        "side": Side.BUY,
        "path": Path("data/audit.db"),
        "fill": Fill(0.01, NOON),
        "tick": Tick(1.1, 1.2),
        "age": timedelta(seconds=90),
        "raw": b"\xff",
        7: {"deep": {"deeper": [1, (2, 3)]}},
        "fragile": Fragile(),
    }
    log.info("said", extra={"extra_data": extra})
    (line,) = lines(tmp_path)
    assert line["message"] == "said"
    assert line["extra_data"] == {
        "message": "is not the line's message",
        "at": "2025-10-18T12:30:45+00:00",
        "day": "2025-10-18",
        "bar": "2025-10-18T00:00:00",
        "missing": "NaT",
        "nan": "nan",
        "price": 1.095,
        "ticket": 7,
        "flag": True,
        "prices": [1.5, "inf"],
        "times": "['2025-10-18']",
        "money": "10.10",
        "side": 0,
        "path": str(Path("data/audit.db")),
        "fill": {"lots": 0.01, "at": "2025-10-18T12:30:45+00:00"},
        "tick": {"bid": 1.1, "ask": 1.2},
        "age": "0:01:30",
        "raw": "\\xff",
        "7": {"deep": {"deeper": [1, [2, 3]]}},
        "fragile": "<Fragile that cannot be shown>",
    }


def test_a_circle_and_a_depth_without_end_are_written_as_far_as_they_can_be() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    assert "again" in json.dumps(plain(circle))
    assert json.dumps(plain(nested)).startswith("[[[")


ANY_KEY = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers())
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes() | st.decimals() | st.just(Fragile()),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_KEY, inner) | st.tuples(inner, inner),
)


@given(ANYTHING)
def test_anything_becomes_strict_json(value: object) -> None:
    json.loads(json.dumps(plain(value), allow_nan=False))


def test_a_message_that_does_not_fit_its_arguments_is_still_written(tmp_path: Path) -> None:
    start(tmp_path)
    record = logging.makeLogRecord({"name": "LiveTrader", "msg": "%d lots", "args": ("many",)})
    logging.getLogger().handlers[-1].handle(record)  # pytest's own handler would raise
    assert lines(tmp_path)[0]["message"] == "'%d lots' ('many',)"


def test_an_exception_comes_with_its_traceback(tmp_path: Path) -> None:
    start(tmp_path)
    try:
        raise ValueError("the reason")
    except ValueError:
        log.exception("it failed")
    assert lines(tmp_path)[0]["traceback"].startswith("Traceback (most recent call last):")
    assert lines(tmp_path)[0]["traceback"].endswith("ValueError: the reason")


AWKWARD = "p\"a\\s's wörd/1%"


@pytest.mark.parametrize("secret", ["hunter2", AWKWARD])
def test_a_secret_is_in_no_line_however_it_got_there(secret: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path, console=True, mt5_password=secret, telegram_chat_id="-100200300")
    extra = {"password": secret, secret: 1, "chat": -100200300, "nested": [{"url": f"https://x/{secret}?a=1"}], "request": {"k": (secret,)}}
    log.error("logged in with %s", secret, extra={"extra_data": extra})
    log.error("%r and %s", {"password": secret}, json.dumps(secret))
    try:
        raise ValueError(f"bad password {secret!r}, {secret}")
    except ValueError:
        log.exception("it failed")
    written = (tmp_path / "live_trader.log").read_text(encoding="utf-8") + capsys.readouterr().err
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(json.dumps(secret))[3:-3], "100200300"}
    assert [form for form in forms if form in written] == []
    assert lines(tmp_path)[0]["message"] == "logged in with ***"
    assert lines(tmp_path)[0]["extra_data"]["chat"] == "***"


def test_a_secret_of_a_few_characters_is_not_looked_for(tmp_path: Path) -> None:
    start(tmp_path, telegram_chat_id="1")
    log.info("11 bars", extra={"extra_data": {"lots": 0.1, "orders": 1}})
    assert lines(tmp_path)[0]["message"] == "11 bars"
    assert lines(tmp_path)[0]["extra_data"] == {"lots": 0.1, "orders": 1}


def test_a_full_file_is_put_aside_and_only_so_many_are_kept(tmp_path: Path) -> None:
    start(tmp_path, max_log_size_mb=0.001, log_backup_count=2)
    for number in range(40):
        log.info("line %d", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["live_trader.log", "live_trader.log.1", "live_trader.log.2"]
    assert all(path.stat().st_size <= 1024 * 1024 * 0.001 for path in tmp_path.iterdir())
    assert lines(tmp_path)[-1]["message"] == "line 39"


def test_only_lines_of_the_level_that_was_asked_for_are_written(tmp_path: Path) -> None:
    start(tmp_path, log_level="WARNING")
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)(level)
    assert [line["message"] for line in lines(tmp_path)] == ["warning", "error"]


def test_the_console_can_be_quieter_than_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(LiveConfig(log_dir=tmp_path), StandingClock(), console_level="WARNING")
    log.info("detail")
    log.warning("trouble")
    assert [line["message"] for line in lines(tmp_path)] == ["detail", "trouble"]
    assert capsys.readouterr().err == "2025-10-18 12:30:45 - LiveTrader - WARNING - trouble\n"


def test_our_loggers_and_their_children_are_heard_and_others_from_warning_on(tmp_path: Path) -> None:
    start(tmp_path, log_level="DEBUG")
    for name in ("LiveTrader", "LiveTrader.executor", "Backtest.session", "urllib3"):
        logging.getLogger(name).debug("detail")
        logging.getLogger(name).warning("trouble")
    heard = [(line["logger"], line["level"]) for line in lines(tmp_path)]
    assert heard[:6] == [
        (name, level) for name in ("LiveTrader", "LiveTrader.executor", "Backtest.session") for level in ("DEBUG", "WARNING")
    ]
    assert heard[6:] == [("urllib3", "WARNING")]


def test_setting_up_twice_writes_every_line_once_and_to_the_second_place(tmp_path: Path) -> None:
    start(tmp_path / "first")
    start(tmp_path / "second")
    log.info("here")
    assert lines(tmp_path / "first") == []
    assert [line["message"] for line in lines(tmp_path / "second")] == ["here"]


def test_a_log_folder_that_cannot_be_used_is_a_sentence_and_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    start(tmp_path / "good")
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=r"^LOG_DIR=.*file.*cannot be written \(.+\); choose a folder that you may write to$"):
        start(tmp_path / "file" / "logs")
    (tmp_path / "taken" / "live_trader.log").mkdir(parents=True)
    with pytest.raises(Misconfigured, match=r"\(Is a directory\)|\(Permission denied\)"):
        start(tmp_path / "taken")
    log.info("still here")
    assert [line["message"] for line in lines(tmp_path / "good")] == ["still here"]


def test_without_a_terminal_the_console_has_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path, console=True)
    log.info("Order executed", extra={"extra_data": {"symbol": "EURUSD", "volume": 0.01}})
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "2025-10-18 12:30:45 - LiveTrader - INFO - Order executed symbol=EURUSD volume=0.01\n"


def test_on_a_terminal_the_lines_are_coloured_and_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    start(tmp_path, console=True)
    log.warning("[bold]spread[/bold] :smile:", extra={"extra_data": {"points": 12}})
    err = capsys.readouterr().err
    assert "\x1b[" in err
    assert re.sub(r"\x1b\[[0-9;]*m", "", err) == "2025-10-18 12:30:45 WARNING  [bold]spread[/bold] :smile:  points=12\n"


def test_nothing_that_is_logged_can_pass_for_another_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path, console=True)
    log.info("bought\n2025-10-18 12:30:45 - LiveTrader - INFO - sold \x1b[2J", extra={"extra_data": {"note": "a\nb"}})
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert len(lines(tmp_path)) == 1


def test_a_console_that_goes_away_does_not_stop_the_program(tmp_path: Path) -> None:
    program = (
        "import logging, sys; from pathlib import Path; from Live.clock import SystemClock; from Live.config import LiveConfig;"
        "from Live.logs import setup_logging; setup_logging(LiveConfig(log_dir=Path(sys.argv[1])), SystemClock());"
        "sys.stdin.read(); [logging.getLogger('LiveTrader').info('line') for _ in range(1000)]; print('alive')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stderr.close()
        child.stdin.close()
        assert child.stdout.read() == b"alive\n"
    assert len(lines(tmp_path)) == 1000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_full_disk_is_told_once_and_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "live_trader.log").symlink_to("/dev/full")
    start(tmp_path)
    for number in range(100):
        log.info("line %d", number)
    close_logging()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "a log line could not be written" in told[0]
    assert "No space left" in told[0]
