"""The file in which a study leaves its best parameters, and from which a run takes them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Backtest.errors import BadInput
from Backtest.files import write_whole
from Backtest.strategies import LoadedStrategy, check_params, parse_params

FORMAT = "AlgoAgent Live parameters 1"
AGAIN = "make one with: python -m Live optimize"


@dataclass(frozen=True, slots=True)
class ParamsFile:
    """The parameters of a file, and the SHA-256 of its bytes."""

    path: Path
    params: Mapping[str, Any]
    sha256: str


def write_params_file(file: Path, strategy: LoadedStrategy, params: Mapping[str, Any], study: Mapping[str, Any]) -> None:
    """Write parameters with what they are for, and the study that they come from. Raises BadInput for a file that cannot be written."""
    what = {"file": str(strategy.path), "class": strategy.cls.__name__, "sha256": strategy.sha256}
    text = json.dumps({"format": FORMAT, "strategy": what, "params": dict(params), "study": study}, indent=2, allow_nan=False)
    try:
        write_whole(file, text + "\n")
    except OSError as error:
        raise BadInput(f"{file}: the parameters cannot be written ({error.strerror or error}); name another file with --out") from error


def read_params_file(file: Path, strategy: LoadedStrategy) -> ParamsFile:
    """The parameters that a study found for this very strategy.

    Raises BadInput for a file that is none, or was made for another class, or for the strategy's file as it was before it was changed: what
    was found for one strategy says nothing about another.
    """
    try:
        raw = file.read_bytes()
        told = json.loads(raw)
    except OSError as error:
        raise BadInput(f"{file}: the file of parameters cannot be read ({error.strerror or error}); {AGAIN}") from error
    except ValueError as error:
        raise BadInput(f"{file}: this is no file of parameters ({error}); {AGAIN}") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT or not isinstance(told.get("params"), dict):
        raise BadInput(f"{file}: this is no file of parameters; {AGAIN}")
    made_for = told.get("strategy")
    made_for = made_for if isinstance(made_for, dict) else {}
    if made_for.get("class") != strategy.cls.__name__:
        raise BadInput(f"{file}: these parameters are for {made_for.get('class')}, and the strategy is {strategy.cls.__name__}; {AGAIN}")
    if made_for.get("sha256") != strategy.sha256:
        raise BadInput(f"{file}: {strategy.path} is not the file that these parameters were found for, or was changed since; {AGAIN}")
    try:
        check_params(strategy.cls, told["params"])
    except BadInput as fault:
        raise BadInput(*(f"{file}: {mistake}" for mistake in fault.mistakes)) from fault
    return ParamsFile(file, told["params"], hashlib.sha256(raw).hexdigest())


def read_params(strategy: LoadedStrategy, words: Sequence[str], file: Path | None) -> tuple[dict[str, Any], ParamsFile | None]:
    """The parameters of `--params` words and of a file together. Raises BadInput, also for one that both name, even where they agree."""
    given = parse_params(words)
    check_params(strategy.cls, given)
    if file is None:
        return given, None
    read = read_params_file(file, strategy)
    if both := [name for name in given if name in read.params]:
        raise BadInput(f"--params and --params-file {file} both name {', '.join(both)}; leave it out of --params")
    return {**read.params, **given}, read
