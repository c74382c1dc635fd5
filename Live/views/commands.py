"""`python -m Live status | positions | orders | trades | signals | events | runs | logs | golive`."""

import getpass
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from Live.clock import SystemClock
from Live.config import LiveConfig, load_config

WATCH_SECONDS = 2.0
LISTS = {
    "positions": "What is open now.",
    "orders": "The newest orders, with what became of them and why.",
    "trades": "The newest closed trades.",
    "signals": "The newest decisions, with the reason where one did not become an order.",
    "events": "The newest events.",
    "runs": "The newest starts of the trader.",
}
NOTHING_YET = "Nothing to show."


def add_to(cli: click.Group, absolute: Callable[[str | None], Path | None]) -> None:
    """Give the command line these commands; `absolute` makes a path of what was typed."""

    def config_of(env_file: str | None, db: str | None) -> LiveConfig:
        path = absolute(db)
        return load_config({"audit_db_path": None if path is None else str(path)}, absolute(env_file), os.environ)

    cli.add_command(_status(config_of))
    cli.add_command(_logs(config_of))
    cli.add_command(_golive(config_of))
    for name, about in LISTS.items():
        cli.add_command(_list(name, about, config_of))


_ConfigOf = Callable[[str | None, str | None], LiveConfig]
_HELP = {"help_option_names": ["-h", "--help"]}
_CONFIG = click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
_DB = click.option("--db", metavar="FILE", help="The record to read (AUDIT_DB_PATH).")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
_WATCH = click.option("--watch", is_flag=True, help="Show it anew every two seconds, until Ctrl-C.")
_SINCE = click.option("--since", metavar="WHEN", help="Nothing older: 90m, 2h, 3d, 1w, today, or a date or time (UTC).")


def _list(name: str, about: str, config_of: _ConfigOf) -> click.Command:
    @click.command(name, help=about, context_settings=_HELP)
    @_CONFIG
    @_DB
    @click.option("-n", "most", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="At most so many.")
    @_SINCE
    @click.option("--only", multiple=True, metavar="NAME=VALUE", help="Only such rows, as in --only symbol=EURUSD; may be repeated.")
    @click.option("--hold", is_flag=True, hidden=name != "signals", help="HOLD among them.")
    @_JSON
    @click.option("--csv", "as_csv", is_flag=True, help="For spreadsheets.")
    @_WATCH
    def command(env_file: str | None, db: str | None, **given: Any) -> int:
        config = config_of(env_file, db)
        only = [*given["only"], *(["acting"] if name == "signals" and not given["hold"] else [])]
        return _print_list(config, name, given, only)

    return command


def _print_list(config: LiveConfig, name: str, given: dict[str, Any], only: Sequence[str]) -> int:
    from rich.console import Console

    from Live.views.reading import Question, rows_of
    from Live.views.tables import as_csv, as_json, as_table

    _one_of({"--json": given["as_json"], "--csv": given["as_csv"], "--watch": given["watch"]})
    question, clock = Question(name, given["most"], given["since"], only), SystemClock()
    if given["as_json"] or given["as_csv"]:
        rows = rows_of(question, config.audit_db_path, clock)
        click.echo(as_json(rows) if given["as_json"] else as_csv(rows), nl=given["as_json"])
        return 0
    # a table that goes into a file or another program keeps its whole width
    screen = Console(highlight=False)
    screen = screen if screen.is_terminal else Console(highlight=False, width=10_000)

    def table() -> Any:
        rows = rows_of(question, config.audit_db_path, clock)
        return as_table(name, rows) if rows else NOTHING_YET

    return _show(table, screen, watch=given["watch"])


def _status(config_of: _ConfigOf) -> click.Command:
    @click.command("status", context_settings=_HELP)
    @_CONFIG
    @_DB
    @_JSON
    @_WATCH
    def status(env_file: str | None, db: str | None, *, as_json: bool, watch: bool) -> int:
        """How the trader stands: running or not, what it did, its money and its positions."""
        from rich.console import Console

        from Live.kill_switch import KillSwitchFile
        from Live.logs import plain
        from Live.views.status import as_facts, block, status_of

        _one_of({"--json": as_json, "--watch": watch})
        config, clock = config_of(env_file, db), SystemClock()
        switch = KillSwitchFile.of(config)
        if as_json:
            facts = as_facts(status_of(config.audit_db_path, switch, clock))
            click.echo(json.dumps(plain(facts), ensure_ascii=False, indent=1))
            return 0
        return _show(lambda: block(status_of(config.audit_db_path, switch, clock)), Console(highlight=False), watch=watch)

    return status


def _logs(config_of: _ConfigOf) -> click.Command:
    @click.command("logs", context_settings=_HELP)
    @_CONFIG
    @click.option("-n", "most", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="At most so many lines.")
    @click.option("-f", "--follow", is_flag=True, help="Go on with what is added, until Ctrl-C.")
    @_SINCE
    @click.option("--level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False), default="DEBUG")
    @_JSON
    def logs(env_file: str | None, **given: Any) -> int:
        """The newest lines of the log."""
        from rich.console import Console

        from Live.logs import line_of
        from Live.views.log_lines import LogFile, wanted_from
        from Live.views.moments import moment_of

        clock, screen = SystemClock(), Console(highlight=False, soft_wrap=True)
        log = LogFile(config_of(env_file, None).log_dir)
        since = None if given["since"] is None else moment_of(given["since"], clock.now())
        wanted = wanted_from(given["level"].upper(), since)

        def tell(facts: dict[str, Any]) -> None:
            if given["as_json"]:
                click.echo(json.dumps(facts, ensure_ascii=False))
            else:
                screen.print(line_of(facts, coloured=screen.is_terminal))

        for facts in log.newest(given["most"], wanted):
            tell(facts)
        for facts in log.follow(clock, wanted) if given["follow"] else ():
            tell(facts)
        return 0

    return logs


def _golive(config_of: _ConfigOf) -> click.Command:
    @click.command("golive", context_settings=_HELP)
    @_CONFIG
    @_DB
    @click.option("--confirm", "box", metavar="BOX", help="Vouch for a box that only a person can judge: reviewed, targets or plan.")
    @click.option("--note", default="", metavar="TEXT", help="What was looked at, or where it is written down; it goes into the record.")
    @click.option("--by", default=getpass.getuser, metavar="NAME", help="Who; by default the name of this machine's user.")
    @_JSON
    def golive(env_file: str | None, db: str | None, *, as_json: bool, **given: str | None) -> int:
        """The checklist before real money, judged by the record and the settings. Exit code 6 while a box is open."""
        from Live.golive import confirm, print_checklist

        config = config_of(env_file, db)
        if given["box"] is not None:
            confirm(config, given["box"], given["note"] or "", by=given["by"] or "", clock=SystemClock())
        return print_checklist(config, as_json=as_json)

    return golive


def _show(draw: Callable[[], Any], screen: Any, *, watch: bool) -> int:
    """Print it once, or again and again in the same place."""
    if not watch:
        screen.print(draw(), markup=False)
        return 0
    from rich.live import Live

    clock = SystemClock()
    with Live(draw(), console=screen, screen=screen.is_terminal, auto_refresh=False) as view:
        while True:
            clock.sleep(WATCH_SECONDS)
            view.update(draw(), refresh=True)


def _one_of(flags: dict[str, bool]) -> None:
    if len(given := [flag for flag, on in flags.items() if on]) > 1:
        raise click.UsageError(f"{' and '.join(given)} do not go together: choose one")
