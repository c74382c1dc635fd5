"""The terminal: which one, reached or not, logged in to what, and whether programs may trade."""

from collections.abc import Iterator
from typing import Any

from Live.clock import Clock
from Live.config import LiveConfig
from Live.doctor.findings import Finding, fail, ok, warn
from Live.errors import LiveError
from Live.explanations import REASONS, explain
from Live.model import AccountState
from Live.mt5_connector import MT5Connector, kind_of
from Live.mt5_connector.admission import HEDGING, objections
from Live.mt5_connector.connector import FIRST_TICK_SECONDS, LOOK_SECONDS
from Live.mt5_connector.server_time import ServerTime
from Live.outcomes import ERRORS, SWITCHES

# No shutdown: where one server reaches the terminal for several programs, it would cut off a trader that runs.
QUESTIONS = frozenset(
    "initialize last_error version account_info terminal_info symbol_info symbol_info_tick symbols_get copy_rates_from_pos".split()
)
THERE = "see that the terminal and what serves it run on that machine, and that MT5_REMOTE_HOST and MT5_REMOTE_PORT name it"
NOT_STARTED = -10003
KINDS = {0: "demo", 1: "contest", 2: "real money"}
SLOW_MS, CLOCK_SECONDS = 500, 3


class LookedAt:
    """A terminal of which questions get through, and nothing that changes anything."""

    def __init__(self, functions: Any) -> None:
        self._functions = functions

    def __getattr__(self, name: str) -> Any:
        if name not in QUESTIONS:
            raise AttributeError(f"the doctor only looks: it never calls {name}")
        return getattr(self._functions, name)

    def hang_up(self) -> None:
        """End the line to another machine, where there is one."""
        getattr(self._functions, "hang_up", lambda: None)()


def connection(connector: MT5Connector, looked: LookedAt) -> Iterator[Finding]:
    """Whether the terminal lets us in, and has its trade server; the last finding is a failure when it does not."""
    try:
        connector.start_terminal()
    except LiveError:
        code, text = looked.last_error()
        what = explain(str(code)).meaning if code in ERRORS else "a code that is not documented"
        yield fail("Connection", f"{text} ({code}): {what}", _remedy(code, connector.config))
        return
    info = looked.terminal_info()
    if info is None or not info.connected:
        yield fail("Connection", "the terminal answers, and is not connected to its trade server", REASONS[10031][1])
        return
    ping = info.ping_last / 1000
    text = f"{info.name} build {info.build} ({info.company}), {ping:.0f} ms to its server"
    yield warn("Connection", text, "a machine nearer to the broker fills closer to the quote") if ping > SLOW_MS else ok("Connection", text)


def account(connector: MT5Connector, config: LiveConfig) -> Iterator[Finding]:
    """Logged in to what, and whether this run may trade it."""
    state = connector.account()
    refused = objections(state, config, simulated=connector.simulated, paper=config.dry_run and not connector.simulated)
    if not refused:
        yield ok("Account", _told(state))
    for sentence in refused:
        yield fail(
            "Account", f"{_told(state)}: {sentence}", "log in to another account (File, Login to Trade Account), or change that setting"
        )
    yield from _switches(connector, config)


def server_time(time: ServerTime, looked: LookedAt, clock: Clock, config: LiveConfig) -> Finding:
    """The server's offset from UTC, read off a tick that comes while we look, and whether the two clocks agree."""
    waited = 0.0
    time.measure()
    while time.offset is None and waited < FIRST_TICK_SECONDS:
        clock.sleep(LOOK_SECONDS)
        waited += LOOK_SECONDS
        time.measure()
    if time.offset is None:
        remedy = "look again while the market is open; until a tick comes the trader takes UTC"
        return warn("Server time", "cannot be told while no tick comes: is the market closed?", remedy)
    ticks = [tick.time for symbol in config.symbols if (tick := looked.symbol_info_tick(symbol)) is not None]
    behind = max(ticks) - time.epoch(clock.now())
    text = f"UTC{time.offset / 3600:+g} hours"
    if abs(behind) > CLOCK_SECONDS:
        side = "behind" if behind > 0 else "ahead of"
        return warn(
            "Server time",
            f"{text}; this machine's clock is {abs(behind)} seconds {side} the server's",
            "let it be set by the network (NTP)",
        )
    return ok("Server time", f"{text}; this machine's clock agrees with the server's")


def _remedy(code: int, config: LiveConfig) -> str:
    if code == NOT_STARTED and kind_of(config) == "remote":
        return THERE
    return REASONS[code][1] if code in ERRORS else "start the terminal by hand, and look again"


def _switches(connector: MT5Connector, config: LiveConfig) -> Iterator[Finding]:
    off = connector.switched_off()
    if not off:
        yield ok("Algo trading", "allowed by the terminal's button and options, the account and the server")
    codes = {words: code for code, words in SWITCHES.items()}
    graded = warn if config.dry_run and not connector.simulated else fail
    for words in off:
        yield graded("Algo trading", words, REASONS[codes[words]][1])


def _told(state: AccountState) -> str:
    kind = KINDS.get(state.trade_mode, f"kind {state.trade_mode}")
    mode = "hedging" if state.margin_mode == HEDGING else "netting"
    money = f"{state.balance:,.2f} {state.currency}, leverage 1:{state.leverage}"
    return f"{state.login} at {state.server}, {kind}, {mode}, {money}"
