"""`python -m Live reconcile | audit | backup`."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from Live.config import LiveConfig, load_config

_HELP = {"help_option_names": ["-h", "--help"]}


def add_to(cli: click.Group) -> None:
    """Give the command line these commands."""
    for command in (reconcile, audit, backup):
        cli.add_command(command)


def _typed(text: str | None) -> Path | None:
    # a path on the command line is relative to where it was typed, one in the settings to the project
    return None if text is None else Path.cwd() / Path(text).expanduser()


def _config(env_file: str | None, db: str | None, flags: Mapping[str, object] | None = None) -> LiveConfig:
    path = _typed(db)
    return load_config({**(flags or {}), "audit_db_path": None if path is None else str(path)}, _typed(env_file), os.environ)


@click.group(context_settings=_HELP, invoke_without_command=True)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record (AUDIT_DB_PATH).")
@click.option("--slot", metavar="SLOT", help="Another session than the newest: login@server/strategy_id/magic.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def reconcile(context: click.Context, env_file: str | None, db: str | None, slot: str | None, *, as_json: bool) -> int:
    """What the record says beside what the terminal shows; changes nothing. Exit code 5 when something needs a person."""
    from Live.care.settling import look, session_of, settings_of

    session = session_of(_config(env_file, db), slot)
    context.obj = _config(env_file, db, settings_of(session)), session
    return 0 if context.invoked_subcommand else look(*context.obj, as_json=as_json)


def _by_a_person(command: Callable[..., int]) -> Callable[..., int]:
    """Who settles something, and why."""
    import getpass

    for decorate in (
        click.option("--reason", required=True, metavar="TEXT", help="Why; it goes into the record."),
        click.option("--by", default=getpass.getuser, metavar="NAME", help="Who; by default the name of this machine's user."),
        click.pass_obj,
    ):
        command = decorate(command)
    return command


@reconcile.command(context_settings=_HELP)
@click.argument("ticket", type=int, required=False)
@click.option("--restored", is_flag=True, help="Take a record that has lost rows as it is, with all positions of our magic number.")
@_by_a_person
def adopt(at: Any, ticket: int | None, by: str, reason: str, *, restored: bool) -> int:
    """Make position TICKET ours, which this record did not open: the strategy sees it from the next start on."""
    from Live.care import settling
    from Live.care.settling import Person

    if restored == (ticket is not None):
        raise click.UsageError("name the ticket of a position, or --restored for a record that has lost rows")
    click.echo(settling.adopt(at[0], at[1], ticket, Person(by, reason)))
    return 0


@reconcile.command(context_settings=_HELP)
@click.argument("name")
@_by_a_person
def release(at: Any, name: str, by: str, reason: str) -> int:
    """Give up the position, order or hold NAME: it is not ours any more, and keeps no entry back."""
    from Live.care import settling
    from Live.care.settling import Person

    click.echo(settling.release(at[0], at[1], name, Person(by, reason)))
    return 0


@reconcile.command(context_settings=_HELP)
@click.argument("order")
@click.option("--as", "outcome", required=True, type=click.Choice(["filled", "absent"]), help="What became of it.")
@click.option("--ticket", type=int, metavar="N", help="Which of the terminal's orders it is.")
@_by_a_person
def resolve(at: Any, order: str, *, outcome: str, ticket: int | None, **person: str) -> int:
    """Say what became of ORDER (client order id, 13-character key or row id), which is UNRESOLVED or UNKNOWN."""
    from Live.care import settling
    from Live.care.settling import Outcome, Person
    from Live.model import Status

    became = Outcome(Status.FILLED if outcome == "filled" else Status.ABSENT, ticket)
    click.echo(settling.resolve(at[0], at[1], order, became, Person(person["by"], person["reason"])))
    return 0


@click.group(context_settings=_HELP)
def audit() -> None:
    """Look after the record."""


@audit.command("verify", context_settings=_HELP)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record to look at (AUDIT_DB_PATH).")
@click.option("--head", metavar="N:HASH", help="A head of the chain that you have noted: nothing before it may have changed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def audit_verify(env_file: str | None, db: str | None, head: str | None, *, as_json: bool) -> int:
    """Whether the record is as it was written; the first row that is not is named. Exit code 6 when any is not."""
    from Live.care.record import print_verified

    return print_verified(_config(env_file, db).audit_db_path, head, as_json=as_json)


@click.command(context_settings=_HELP)
@click.argument("file", required=False)
@click.option("--config", "-c", "env_file", metavar="FILE", help="Settings file in place of .env.")
@click.option("--db", metavar="FILE", help="The record to copy (AUDIT_DB_PATH).")
def backup(file: str | None, env_file: str | None, db: str | None) -> int:
    """Copy the record to FILE while it is traded on; by default to the folder `backups` beside it."""
    from Live.care.record import back_up
    from Live.clock import SystemClock

    path = _config(env_file, db).audit_db_path
    return back_up(path, _typed(file), path.parent / "backups", SystemClock())
