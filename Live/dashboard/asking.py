"""What a question may ask for, checked before the record is opened: one sentence for what it may not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

LONGEST = 100  # characters
LARGEST = 2**53 - 1  # what every JSON parser reads exactly


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an address: a text, a whole number between `least` and `most`, or true or false."""

    name: str
    says: str
    kind: str = "string"  # string, integer, boolean
    default: object = None
    least: int = 0
    most: int = LARGEST
    one_of: tuple[str, ...] = ()
    must: bool = False

    def value(self, text: str) -> object:
        """What the text stands for. Raises BadRequest."""
        if self.kind == "boolean":
            if text in ("true", "false"):
                return text == "true"
            raise BadRequest(f"{self.name}: want true or false.")
        if self.kind == "integer":
            if re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) and self.least <= int(text) <= self.most:
                return int(text)
            raise BadRequest(f"{self.name}: want a whole number from {self.least} to {self.most}.")
        if self.one_of and text not in self.one_of:
            raise BadRequest(f"{self.name}: want one of {', '.join(self.one_of)}.")
        if not 0 < len(text) <= LONGEST or "\0" in text:
            raise BadRequest(f"{self.name}: want a text of 1 to {LONGEST} characters.")
        return text

    def described(self) -> dict[str, object]:
        """The same for OpenAPI."""
        schema: dict[str, object] = {"type": self.kind}
        if self.kind == "integer":
            schema |= {"minimum": self.least, "maximum": self.most}
        if self.kind == "string":
            schema |= {"enum": list(self.one_of)} if self.one_of else {"minLength": 1, "maxLength": LONGEST, "pattern": "^[^\\x00]*$"}
        if self.default is not None:
            schema["default"] = self.default
        return {"name": self.name, "in": "query", "description": self.says, "required": self.must, "schema": schema}


def given(args: "MultiDict[str, str]", known: Mapping[str, Argument]) -> dict[str, object]:
    """The arguments by name, with their defaults. Raises BadRequest for any that is unknown, given twice, missing or wrong."""
    if unknown := [name for name in args if name not in known]:
        raise BadRequest(f"{unknown[0][:LONGEST]} is no argument of this address; it takes {', '.join(known) or 'none'}.")
    if twice := [name for name in args if len(args.getlist(name)) > 1]:
        raise BadRequest(f"{twice[0]} is given twice.")
    if missing := [name for name, argument in known.items() if argument.must and name not in args]:
        raise BadRequest(f"{missing[0]} is missing.")
    found = {name: argument.default for name, argument in known.items() if argument.default is not None}
    return found | {name: known[name].value(text) for name, text in args.items()}


def by_name(*arguments: Argument) -> dict[str, Argument]:
    """Arguments by their names."""
    return {argument.name: argument for argument in arguments}
