"""`python -m tests.reference`: writes docs/reference.md anew, from the settings, the command line, the errors and the schema themselves."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from Live.__main__ import cli
from Live.config import PROJECT_ROOT

FILE = PROJECT_ROOT / "docs" / "reference.md"
HEAD = """# Reference

Made by `python -m tests.reference` from the program itself; a test holds it to that.
"""


def settings() -> Iterator[str]:
    """Each key of `.env.template` with its meaning, by section."""
    yield "\n## Settings\n\nKeys of `.env` and of the environment. A flag wins over the environment, the environment over the file."
    about: list[str] = []
    for line in (PROJECT_ROOT / ".env.template").read_text(encoding="utf-8").splitlines()[3:]:
        if section := re.match(r"# -+ (.+?) -+$", line):
            yield f"\n### {section[1]}\n\n| key | default | meaning |\n|---|---|---|"
            about = []
        elif line.startswith("# "):
            about.append(line[2:])
        elif line and not line.startswith("#"):
            key, _, default = line.partition("=")
            yield f"| `{key}` | {f'`{default}`' if default else ''} | {_cell(' '.join(about))} |"
            about = []


def commands() -> Iterator[str]:
    """Each command with its arguments and options."""
    yield "\n## Commands\n\n`python run.py VERB …` in the project's environment, or `python -m Live VERB …`. Each takes `--help`."
    for path, command in _leaves(cli, ()):
        yield f"\n### {' '.join(path)}\n\n{(command.help or '').strip()}"
        rows = [_option(each) for each in command.params if not getattr(each, "hidden", False)]
        if rows:
            yield "\n| argument | meaning |\n|---|---|\n" + "\n".join(rows)


def exit_codes() -> Iterator[str]:
    """The README's table."""
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## Exit codes\n")[2].partition("\n## ")[0].strip()
    yield f"\n## Exit codes\n\n{table}"


def tables() -> Iterator[str]:
    """Each table of the record with its columns."""
    yield "\n## Tables of the record\n"
    schema = (PROJECT_ROOT / "Live" / "audit_logger" / "schema.sql").read_text(encoding="utf-8")
    yield "| table | columns |\n|---|---|"
    for name, body in re.findall(r"^CREATE TABLE (\w+) \((.*?)^\)", schema, re.MULTILINE | re.DOTALL):
        names = re.findall(r"^    (\w+) +(?:TEXT|INTEGER|REAL|BLOB)", body, re.MULTILINE)
        yield f"| `{name}` | {', '.join(names)} |"
    yield "\n[record.md](record.md) says what each is for, [sql.md](sql.md) asks them."
    yield "The API of the dashboard describes itself at `/api/v1/openapi.json`."


def text() -> str:
    """The whole page."""
    return "\n".join([HEAD.rstrip(), *settings(), *commands(), *exit_codes(), *tables()]) + "\n"


def _leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    if path and command.invoke_without_command:
        yield path, command
    for name in sorted(command.commands):
        if not command.commands[name].hidden:
            yield from _leaves(command.commands[name], (*path, name))


def _option(param: click.Parameter) -> str:
    if isinstance(param, click.Option):
        shown = ", ".join([*param.opts, *param.secondary_opts])
        return f"| `{shown}{'' if param.is_flag else f' {param.make_metavar(click.Context(cli))}'}` | {_cell(param.help or '')} |"
    return f"| `{param.make_metavar(click.Context(cli))}` | |"


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    """Write it."""
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{FILE.relative_to(Path.cwd()) if FILE.is_relative_to(Path.cwd()) else FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
