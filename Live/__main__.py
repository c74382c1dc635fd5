"""`python -m Live VERB`: run, stop, resume, dashboard, doctor, explain and so on."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import click

from Live.care.commands import add_to as add_care
from Live.config import PROJECT_ROOT, LiveConfig, load_config
from Live.endings import INTERRUPTED, MISTAKEN, exit_code_of
from Live.strategy_commands import absolute, price_files
from Live.strategy_commands import add_to as add_strategies
from Live.views.commands import add_to as add_views

HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=HELP)
def cli() -> None:
    """Trade an unchanged backtesting.py strategy on MetaTrader 5, or on the simulated terminal."""


add_views(cli, absolute)
add_care(cli)
add_strategies(cli)


@cli.command(context_settings=HELP)
@click.option("--strategy", "-s", required=True, metavar="FILE[:CLASS]", help="A backtesting.py strategy file.")
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--dry-run", is_flag=True, default=None, help="Trade on paper, whatever the settings say (DRY_RUN=true).")
@click.option("--symbols", metavar="A,B", help="Symbols to trade (SYMBOLS).")
@click.option("--timeframe", metavar="1h", help="Bars to decide on (TIMEFRAME).")
@click.option("--params", multiple=True, metavar="NAME=VALUE …", help="Parameters of the strategy, as many as you like after one --params.")
@click.option("--params-file", metavar="FILE", help="Those that `optimize` found; its hash is recorded. --params may name others beside.")
@click.option("--data", multiple=True, metavar="[SYMBOL=]FILE", help="Your own prices for the simulated terminal (SIM_PRICES).")
@click.option("--speed", metavar="N|max", help="Market seconds that a replay plays in one second (SIM_SPEED).")
@click.option("--once", is_flag=True, help="Decide the newest closed bar, act, and leave.")
@click.option("--fresh", is_flag=True, help="Start a new simulated account; without it an earlier replay is continued.")
@click.option("--dashboard/--no-dashboard", default=None, help="Show the page while it trades (DASHBOARD).")
@click.option("--supervised", is_flag=True, help="Watch over the trader from another process: one that hangs or dies is started again.")
@click.option("--allow-lookahead", is_flag=True, help="Trade real money even with a strategy that knows the future in its backtest.")
def run(strategy: str, params: tuple[str, ...], *, supervised: bool, **given: Any) -> int:
    """Trade a strategy, on paper unless the settings say otherwise."""
    from Live.running import Asked, trade_strategy
    from Live.supervisor import supervise

    file = absolute(given.pop("env_file"))
    params_file = absolute(given.pop("params_file"))
    asked = Asked(
        strategy, params, file, params_file=params_file, **{name: given.pop(name) for name in ("once", "fresh", "allow_lookahead")}
    )
    flags = {"sim_speed": given.pop("speed"), "sim_prices": price_files(given.pop("data")), **given}
    config = load_config(flags, file, os.environ)
    return supervise(asked, config) if supervised else trade_strategy(asked, config)


@cli.command(context_settings=HELP)
@click.option("--flatten", is_flag=True, help="Close our positions first, whatever KILL_SWITCH_ACTION says.")
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record of the trader to stop (AUDIT_DB_PATH).")
def stop(env_file: str | None, db: str | None, *, flatten: bool) -> int:
    """Emergency stop: nothing more is sent, our waiting orders go, the trader leaves. It holds until `resume`."""
    from Live.stopping import stop as stop_trading

    return stop_trading(_of_record(env_file, db), flatten=flatten)


@cli.command(context_settings=HELP)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record of the trader to pause (AUDIT_DB_PATH).")
def pause(env_file: str | None, db: str | None) -> int:
    """Send no new entries until `resume`; exits and stops go on, and the trader runs on."""
    from Live.stopping import pause as pause_entries

    return pause_entries(_of_record(env_file, db))


@cli.command(context_settings=HELP)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record of the trader that was stopped or paused (AUDIT_DB_PATH).")
def resume(env_file: str | None, db: str | None, *, yes: bool) -> int:
    """Lift a pause, or an emergency stop: remove its file, and let a trader start again."""
    from Live.stopping import resume as lift

    def confirm(what: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise click.UsageError(f"{what}. Say --yes to lift the stop or pause: nobody can be asked here")
        return click.confirm(f"{what}. Lift it?")

    return lift(_of_record(env_file, db), confirm=confirm)


def _of_record(env_file: str | None, db: str | None) -> LiveConfig:
    path = absolute(db)
    return load_config({"audit_db_path": None if path is None else str(path)}, absolute(env_file), os.environ)


@cli.command(context_settings=HELP)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record to show (AUDIT_DB_PATH).")
@click.option("--port", metavar="N", help="Where to listen on 127.0.0.1 (DASHBOARD_PORT).")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the standard input does.")
def dashboard(env_file: str | None, db: str | None, port: str | None, *, with_parent: bool) -> int:
    """Show the record at http://127.0.0.1:5000; needs no trader."""
    from Live.dashboard import Access, serve

    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    path = absolute(db)
    config = load_config({"audit_db_path": None if path is None else str(path), "dashboard_port": port}, absolute(env_file), os.environ)
    access = Access(config.dashboard_host, config.dashboard_token.reveal())
    where = f"http://{f'[{access.host}]' if ':' in access.host else access.host}:{config.dashboard_port}"
    click.echo(f"Dashboard of {config.audit_db_path} at {where} (Ctrl-C ends it)", err=True)
    serve(config.audit_db_path, config.kill_switch_file, config.dashboard_port, access)
    return INTERRUPTED  # it serves until Ctrl-C


@cli.command(context_settings=HELP)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--symbols", metavar="A,B", help="Symbols to look at (SYMBOLS).")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(env_file: str | None, symbols: str | None, *, as_json: bool) -> int:
    """Look whether all is ready for a start, with the remedy beside what is not. Changes nothing."""
    from Live.doctor import consult

    return consult({"symbols": symbols}, absolute(env_file), os.environ, as_json=as_json)


def _reads_record(command: Callable[..., int]) -> Callable[..., int]:
    """The settings, and another record than theirs."""
    for decorate in (
        click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env."),
        click.option("--db", metavar="FILE", help="The record to read (AUDIT_DB_PATH)."),
    ):
        command = decorate(command)
    return command


@cli.group(context_settings=HELP)
def alerts() -> None:
    """Try the ways on which people are told, and see what was told (docs/alerts.md)."""


@alerts.command("test", context_settings=HELP)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
def test_alerts(env_file: str | None) -> int:
    """Send one alert through each channel that is set up, and say how it went. Exit code 6 when one did not work."""
    from Live.alerts.command import try_channels

    return try_channels(load_config({}, absolute(env_file), os.environ))


@alerts.command("list", context_settings=HELP)
@_reads_record
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=20, show_default=True, metavar="N", help="So many of the newest.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_alerts(env_file: str | None, db: str | None, count: int, *, as_json: bool) -> int:
    """The newest alerts, and what became of each on each channel."""
    from Live.alerts.command import list_alerts as show

    return show(_of_record(env_file, db), count, as_json=as_json)


@alerts.command("deliver", context_settings=HELP)
@_reads_record
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the standard input does.")
def deliver_alerts(env_file: str | None, db: str | None, *, with_parent: bool) -> int:
    """Deliver what is in the record. A trader starts this by itself; it may also run alone, beside one or after it."""
    from Live.alerts import deliver

    return deliver(_of_record(env_file, db), with_parent=with_parent)


@cli.command(context_settings=HELP)
@_reads_record
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the standard input does.")
def telegram(env_file: str | None, db: str | None, *, with_parent: bool) -> int:
    """Answer commands of those in TELEGRAM_USERS. A trader starts this by itself with TELEGRAM_COMMANDS=true."""
    from Live.telegram import serve

    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(_of_record(env_file, db))
    return INTERRUPTED  # it serves until Ctrl-C


@cli.group(context_settings=HELP)
def secrets() -> None:
    """Keep passwords and tokens in the operating system's keyring."""


@secrets.command("set", context_settings=HELP)
@click.argument("key", metavar="KEY")
def set_secret(key: str) -> int:
    """Ask for the secret of KEY (MT5_PASSWORD), without showing it, and keep it."""
    from Live.secret_command import set_secret as ask

    return ask(key)


@secrets.command("list", context_settings=HELP)
def list_secrets() -> int:
    """Which secrets the keyring holds; never what they are."""
    from Live.secret_command import list_secrets as show

    return show()


@secrets.command("delete", context_settings=HELP)
@click.argument("key", metavar="KEY")
def delete_secret(key: str) -> int:
    """Take the secret of KEY out of the keyring."""
    from Live.secret_command import delete_secret as take_out

    return take_out(key)


# a code such as -10003 is no option
@cli.command(context_settings={**HELP, "ignore_unknown_options": True})
@click.argument("codes", nargs=-1, metavar="CODE …")
@click.option("--all", "every", is_flag=True, help="All codes, as a table.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def explain(codes: tuple[str, ...], *, every: bool, as_json: bool) -> int:
    """Why an order or a call was answered with CODE (10016, -10003, INVALID_STOPS), and what to do."""
    from Live.explain import print_explanations

    if not codes and not every:
        raise click.UsageError("name a code, as in: python -m Live explain 10016; or all of them with --all")
    return print_explanations(codes, every=every, as_json=as_json)


@cli.command(context_settings=HELP)
@click.argument("symbols", nargs=-1, metavar="SYMBOL …")
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, metavar="N", help="Measure the spread of so many days.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def costs(symbols: tuple[str, ...], env_file: str | None, days: int, *, as_json: bool) -> int:
    """What trading SYMBOL costs at this broker, as arguments for Backtest(…). Sends nothing."""
    from Live.costs import print_costs

    config = load_config({"symbols": ",".join(symbols) or None}, absolute(env_file), os.environ)
    return print_costs(config, days, as_json=as_json)


@cli.command(context_settings=HELP)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record to read (AUDIT_DB_PATH).")
@click.option("--slot", metavar="SLOT", help="Another session than the newest: login@server/strategy_id/magic.")
@click.option("--run", type=int, metavar="N", help="Only what run N decided.")
@click.option("--since", metavar="DATE", help="Only from then on (UTC).")
@click.option("--symbols", metavar="A,B", help="Only these symbols.")
@click.option("--html", metavar="FILE", help="Write the plot to this file (default: report.html beside the log).")
@click.option("--plot/--no-plot", default=True, help="Whether to write it.")
@click.option("--open/--no-open", "opens", default=True, help="Whether to show it, where there is a screen.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def report(env_file: str | None, db: str | None, **given: Any) -> int:
    """Show a recorded session with backtesting.py's statistics and plot."""
    from Live.report import Wanted, print_reports

    path, html = absolute(db), absolute(given["html"])
    config = load_config({"audit_db_path": None if path is None else str(path)}, absolute(env_file), os.environ)
    symbols = tuple(filter(None, (given["symbols"] or "").split(",")))
    wanted = Wanted(given["run"], given["slot"], given["since"], symbols)
    file = (html or config.log_dir / "report.html") if given["plot"] else None
    files = print_reports(config.audit_db_path, wanted, file, as_json=given["as_json"])
    if files and given["opens"] and not given["as_json"] and _has_screen():
        click.launch(str(files[0]))
    return 0


@cli.command(context_settings=HELP)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record to read (AUDIT_DB_PATH).")
@click.option("--slot", metavar="SLOT", help="Another session than the newest: login@server/strategy_id/magic.")
@click.option("--since", metavar="DATE", help="Only what was decided from then on (UTC).")
@click.option("--symbols", metavar="A,B", help="Only these symbols.")
@click.option("--trades", is_flag=True, help="Trade by trade, too.")
@click.option("--html", metavar="FILE", help="Write the waterfall to this file (default: drift.html beside the log).")
@click.option("--plot/--no-plot", default=True, help="Whether to write it.")
@click.option("--open/--no-open", "opens", default=True, help="Whether to show it, where there is a screen.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def drift(env_file: str | None, db: str | None, **given: Any) -> int:
    """Why a recorded session earned something else than its backtest: each cause with its money, adding up to the cent."""
    from Live.drift import print_drifts
    from Live.report import Wanted

    path, html = absolute(db), absolute(given["html"])
    config = load_config({"audit_db_path": None if path is None else str(path)}, absolute(env_file), os.environ)
    wanted = Wanted(None, given["slot"], given["since"], tuple(filter(None, (given["symbols"] or "").split(","))))
    file = (html or config.log_dir / "drift.html") if given["plot"] else None
    files = print_drifts(config.audit_db_path, wanted, file, trades=given["trades"], as_json=given["as_json"])
    if files and given["opens"] and not given["as_json"] and _has_screen():
        click.launch(str(files[0]))
    return 0


@cli.command(context_settings=HELP)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record to read (AUDIT_DB_PATH).")
@click.option("--slot", metavar="SLOT", help="Another session than the newest: login@server/strategy_id/magic.")
@click.option("--run", type=int, metavar="N", help="Only run N.")
@click.option("--since", metavar="DATE", help="Count only what was decided from then on (UTC).")
@click.option("--symbols", metavar="A,B", help="Only these symbols.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def replay(env_file: str | None, db: str | None, *, as_json: bool, **given: Any) -> int:
    """Decide a recorded session again, from what its strategy saw. Exit code 6 where something is decided otherwise."""
    from Live.replay import print_replays
    from Live.report import Wanted

    path = absolute(db)
    config = load_config({"audit_db_path": None if path is None else str(path)}, absolute(env_file), os.environ)
    wanted = Wanted(given["run"], given["slot"], given["since"], tuple(filter(None, (given["symbols"] or "").split(","))))
    return print_replays(config.audit_db_path, wanted, as_json=as_json)


def _has_screen() -> bool:
    shown = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(shown) and sys.stdout.isatty()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # the server has nothing to save


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Mistakes of the user are sentences on stderr, never tracebacks."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for option in ("--params", "--grid"):
        words = _spread(words, option)
    return exit_code_of(lambda: _click(words))


def _click(words: list[str]) -> int:
    try:
        return int(cli.main(words, prog_name="python -m Live", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return MISTAKEN
    except click.Abort:
        return INTERRUPTED


def trade() -> None:
    """`python live_trader.py …` is `python -m Live run …`."""
    sys.exit(main(["run", *sys.argv[1:]]))


def _spread(words: list[str], option: str) -> list[str]:
    """`--params a=1 b=2` → `--params a=1 --params b=2`: click's options take a fixed number of words.

    A `--params` with none comes last, where click says what is missing.
    """
    spread: list[str] = []
    inside = False
    for word in words:
        if inside and not word.startswith("-"):
            spread += [option, word]
            continue
        inside = word == option
        spread += [] if inside else [word]
    bare = any(word == option and (not after or after.startswith("-")) for word, after in zip(words, [*words[1:], ""], strict=True))
    return [*spread, option] if bare else spread


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT_ROOT))
    sys.exit(main())
