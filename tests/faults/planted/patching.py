"""Small patches of the product: a piece of a function's text, of the schema's, or a constant becomes another one for a while."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any, Protocol

from Live.audit_logger import opening

Undo = Callable[[], object]


class Gone(Exception):
    """The product is not any more what a patch changes."""


class Patch(Protocol):
    """A change of the product."""

    def apply(self) -> Undo:
        """Make it; the answer unmakes it. Raises Gone where there is nothing to change."""
        ...


@dataclass(frozen=True, slots=True)
class Edit:
    """A function of the product, "module:name" or "module:Class.name", with other text: pairs of what is there and what takes its place.

    The function stays the same object, whoever has imported it: it only gets the code of the changed text.
    """

    place: str
    changes: tuple[tuple[str, str], ...]

    def apply(self) -> Undo:
        function = _function(self.place)
        before, text = function.__code__, textwrap.dedent(inspect.getsource(function))
        for old, new in self.changes:
            if text.count(old) != 1:
                raise Gone(f"{self.place} has {old!r} {text.count(old)} times")
            text = text.replace(old, new)
        function.__code__ = _code(text, function.__name__)
        return lambda: setattr(function, "__code__", before)


def edit(place: str, *texts: str) -> Edit:
    """An edit of old and new texts, in turn."""
    return Edit(place, tuple(zip(texts[::2], texts[1::2], strict=True)))


@dataclass(frozen=True, slots=True)
class Value:
    """A name of a module, "module:NAME", that stands for something else; `change` makes that of what it was."""

    place: str
    change: Callable[[Any], Any]

    def apply(self) -> Undo:
        owner, name = _owner(self.place)
        if not hasattr(owner, name):
            raise Gone(f"{self.place} is not there")
        before = getattr(owner, name)
        changed = self.change(before)
        if changed == before:
            raise Gone(f"{self.place} is {before!r} already")
        setattr(owner, name, changed)
        return lambda: setattr(owner, name, before)


@dataclass(frozen=True, slots=True)
class Schema:
    """Other text in the record's schema."""

    old: str
    new: str

    def apply(self) -> Undo:
        text = opening.schema()
        if text.count(self.old) != 1:
            raise Gone(f"the schema has {self.old!r} {text.count(self.old)} times")
        before, changed = opening.schema, text.replace(self.old, self.new)

        def put(schema: Callable[[], str]) -> None:
            opening.schema = schema
            opening._our_names.cache_clear()

        put(lambda: changed)
        return lambda: put(before)


@contextmanager
def patched(patches: Sequence[Patch]) -> Iterator[None]:
    """The product with all of these patches. Raises Gone."""
    with ExitStack() as undo:
        for patch in patches:
            undo.callback(patch.apply())
        yield


def _owner(place: str) -> tuple[Any, str]:
    module, _, path = place.partition(":")
    import_module(module)
    owner: Any = sys.modules[module]
    *outer, name = path.split(".")
    for each in outer:
        owner = inspect.getattr_static(owner, each, None)
    return owner, name


def _function(place: str) -> FunctionType:
    owner, name = _owner(place)
    found = inspect.getattr_static(owner, name, None)
    found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
    found = inspect.unwrap(found) if callable(found) else found
    if not isinstance(found, FunctionType):
        raise Gone(f"{place} is no function")
    return found


def _code(text: str, name: str) -> CodeType:
    tree = ast.parse(text)
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    made = compile(tree, f"<{name}, patched>", "exec")
    return next(each for each in made.co_consts if isinstance(each, CodeType) and each.co_name == name)
