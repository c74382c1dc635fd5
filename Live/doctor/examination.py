"""All the looks in their order. Whatever goes wrong in one of them is a finding, too."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from Backtest.errors import BadInput
from Live.clock import SystemClock
from Live.config import LiveConfig
from Live.doctor.findings import Finding, Grade, fail, ok
from Live.doctor.machine import machine
from Live.doctor.settings import settings
from Live.doctor.symbols import history, symbol
from Live.doctor.terminal import LookedAt, account, connection, server_time
from Live.errors import LiveError, Misconfigured
from Live.mt5_connector import MT5Connector, OpenedTerminal, kind_of, look_at_terminal
from Live.mt5_connector.server_time import ServerTime

LOOK_AGAIN, CHANGE_THAT = "see that the terminal runs and answers, and look again", "change that, and look again"
Open = Callable[[LiveConfig], OpenedTerminal]


def examine(
    config: LiveConfig, env_file: Path | None, environ: Mapping[str, str], *, opened_by: Open = look_at_terminal
) -> Iterator[Finding]:
    """Every finding, as soon as it is made. Changes nothing, and raises nothing."""
    kind = kind_of(config)
    yield from _guarded("Machine", lambda: machine(kind, SystemClock().now()))
    yield from _guarded("Settings", lambda: settings(config, env_file, environ, kind))
    yield ok("Terminal", f"{kind}, {_why(config)}")
    yield from _guarded("Terminal", lambda: _at_the_terminal(config, opened_by(config)))


def examine_without_settings(error: Misconfigured, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What can be found out without settings, and each mistake in them."""
    kind = environ.get("MT5_TERMINAL", "simulated")
    yield from _guarded("Machine", lambda: machine(kind if kind in ("native", "remote") else "simulated", SystemClock().now()))
    yield from (fail("Settings", mistake, "put it right; .env.template describes every setting") for mistake in error.mistakes)


def _at_the_terminal(config: LiveConfig, opened: OpenedTerminal) -> Iterator[Finding]:
    looked, simulated = LookedAt(opened.functions), opened.name == "simulated"
    connector = MT5Connector(config, looked, opened.clock, simulated=simulated)
    try:
        reached = list(connection(connector, looked))
        yield from reached
        if reached[-1].grade is Grade.FAIL:
            return
        yield from _guarded("Account", lambda: account(connector, config))
        yield from _prices(looked, opened, config)
    finally:
        looked.hang_up()


def _prices(looked: LookedAt, opened: OpenedTerminal, config: LiveConfig) -> Iterator[Finding]:
    simulated, clock = opened.name == "simulated", opened.clock
    time = ServerTime(looked, clock, config.symbols, offset=0 if simulated else None)
    if simulated:
        done, total = clock.progress  # type: ignore[attr-defined]  # a replay's clock
        yield ok("Prices", f"{total - done:,} bars of {config.timeframe} are replayed, from the first one on")
    else:
        yield from _guarded("Server time", lambda: [server_time(time, looked, clock, config)])
    server_now = None if time.offset is None else time.epoch(clock.now())
    for name in config.symbols:
        yield from _guarded(name, lambda name=name: symbol(name, looked, config, server_now))  # type: ignore[misc]
        if not simulated and looked.symbol_info(name) is not None:
            yield from _guarded(name, lambda name=name: [history(name, looked, config)])  # type: ignore[misc]


def _why(config: LiveConfig) -> str:
    if config.mt5_terminal != "auto":
        return f"because of MT5_TERMINAL={config.mt5_terminal}"
    return f"because of MT5_TERMINAL=auto with DRY_RUN={'true' if config.dry_run else 'false'}"


def _guarded(topic: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except (Misconfigured, BadInput) as error:
        yield from (fail(topic, mistake, CHANGE_THAT) for mistake in error.mistakes)
    except LiveError as error:
        yield fail(topic, str(error), LOOK_AGAIN)
    except Exception as error:  # noqa: BLE001 - a doctor that dies of what it finds helps nobody; the finding says what it was
        yield fail(topic, f"this could not be looked at: {type(error).__name__}: {error}", "please report it")
