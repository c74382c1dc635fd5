"""Keeps secrets out of what is written: log lines, and the texts of the record."""

import functools
import json
import urllib.parse
from collections.abc import Iterable
from typing import Any

SHORTEST = 6  # characters; hiding a shorter one would blacken texts and numbers that have nothing to do with it
HIDDEN = "***"


@functools.lru_cache(maxsize=4)
def _written_forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """The spellings in which a secret can turn up: as it is, in a repr, in JSON, in a URL, also one in another; the longest first."""
    spellings = {secret for secret in secrets if len(secret) >= SHORTEST}
    for _ in range(2):  # an error's repr, which holds that of a list
        spellings |= {form for text in spellings for form in (repr(text)[1:-1], json.dumps(text)[1:-1], urllib.parse.quote(text, safe=""))}
    return tuple(sorted(spellings, key=len, reverse=True))


def redacted(value: Any, secrets: Iterable[str], *, numbers: bool = True) -> Any:
    """`value`, made of what JSON knows, with `***` for each secret of 6 characters or more in its texts and keys.

    With `numbers`, also for a number that reads like a secret: a chat id is one.
    """
    return _redacted(value, _written_forms(tuple(secrets)), numbers)


def redacted_json(text: str, secrets: Iterable[str]) -> str:
    """The same for a JSON text, which stays one; its numbers stay."""
    known = tuple(secrets)
    if not any(form in text for form in _written_forms(known)):
        return text
    return json.dumps(redacted(json.loads(text), known, numbers=False), sort_keys=True)


def _redacted(value: Any, forms: tuple[str, ...], numbers: bool) -> Any:
    if isinstance(value, str):
        return functools.reduce(lambda text, form: text.replace(form, HIDDEN), forms, value)
    if isinstance(value, dict):
        return {_redacted(key, forms, numbers): _redacted(item, forms, numbers) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, forms, numbers) for item in value]
    return HIDDEN if numbers and str(value) in forms else value
