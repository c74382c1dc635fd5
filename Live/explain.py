"""`python -m Live explain`: codes in words, on the standard output."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from Backtest.errors import BadInput
from Live.explanations import Explanation, everything, explain


def print_explanations(words: Sequence[str], *, every: bool, as_json: bool) -> int:
    """Print each code with its cause and remedy; 0. Raises BadInput, with a sentence for each word that is no code."""
    found = everything() if every else _explained(words)
    out = Console(highlight=False)
    if as_json:
        out.out(json.dumps([asdict(item) for item in found], indent=2))
    elif every:
        out.print(_table(found))
    else:
        for number, item in enumerate(found):
            out.print(*([""] if number else []), _card(item), sep="\n")
    return 0


def _explained(words: Sequence[str]) -> tuple[Explanation, ...]:
    found: list[Explanation] = []
    mistakes: list[str] = []
    for word in words:
        try:
            found.append(explain(word))
        except BadInput as error:
            mistakes += error.mistakes
    if mistakes:
        raise BadInput(*mistakes)
    return tuple(found)


def _card(item: Explanation) -> Table:
    card = Table(
        title=f"{item.code} {item.name}".strip(), title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False
    )
    card.add_column(style="dim", no_wrap=True)
    card.add_column()
    card.add_row("Meaning", _sentence(item.meaning))
    card.add_row("Cause", item.cause)
    card.add_row("What to do", item.remedy)
    card.add_row("The trader", item.trader)
    return card


def _table(items: Sequence[Explanation]) -> Table:
    table = Table(box=None, pad_edge=False, expand=False)
    table.add_column("Code", justify="right", no_wrap=True)
    table.add_column("Name", overflow="fold", max_width=26)
    table.add_column("Meaning", ratio=1)
    table.add_column("What to do", ratio=1)
    for item in items:
        table.add_row(str(item.code), item.name.removeprefix("TRADE_RETCODE_"), _sentence(item.meaning), item.remedy)
    return table


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
