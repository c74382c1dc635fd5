"""Which rows of the record a view is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from Live.audit_logger.listing import LISTINGS, Listing, Pages, all_rows
from Live.audit_logger.reader import Row
from Live.clock import Clock
from Live.errors import Misconfigured
from Live.views.moments import moment_of
from Live.views.tables import is_since

OLDER_IN_A_ROW = 1_000  # after so many rows that are too old nothing newer is looked for: a replay's times may begin anew


@dataclass(frozen=True, slots=True)
class Question:
    """At most `most` of the newest rows of a table, none older than `since`, which pass the filters `only`, NAME=VALUE each."""

    name: str
    most: int
    since: str | None = None
    only: Sequence[str] = ()


def rows_of(question: Question, record: Path, clock: Clock) -> list[Row]:
    """The rows, newest first. Raises RecordUnavailable, and Misconfigured for a question that cannot be asked."""
    with Pages(record) as pages:
        since = None if question.since is None else moment_of(question.since, _now_of(pages, clock))
        if question.name == "positions":
            run = pages.latest_run()
            held = pages.positions(run) if run else []
            return [row for row in held if _passes(row, _pairs(question.only, ("symbol", "side")))][: question.most]
        listing = LISTINGS[question.name]
        return _newest(pages, listing, _filters(listing, question.only), since=since, most=question.most)


def _newest(pages: Pages, listing: Listing, given: Mapping[str, object], *, since: datetime | None, most: int) -> list[Row]:
    found: list[Row] = []
    older = 0
    for row in all_rows(pages, listing, given, most=most if since is None else 2**63):
        if since is None or is_since(row, since):
            found.append(row)
            older = 0
        else:
            older += 1
        if len(found) == most or older == OLDER_IN_A_ROW:
            break
    return found


def _now_of(pages: Pages, clock: Clock) -> datetime:
    """The moment that `2h` is counted back from: in a replay the market's, else the machine's."""
    run, said = pages.latest_run(), pages.state().get("market_time")
    if run is not None and run.terminal == "simulated" and isinstance(said, str):
        return datetime.fromisoformat(said)
    return clock.now()


def _filters(listing: Listing, only: Sequence[str]) -> dict[str, object]:
    pairs = _pairs(only, listing.names)
    values: dict[str, object] = {name: None if name in listing.switches else value for name, value in pairs.items()}
    if (run := pairs.get("run")) is not None:
        if not run.isdecimal():
            raise Misconfigured(f"--only run={run}: want the number of a run, as in --only run=3")
        values["run"] = int(run)
    return values


def _pairs(only: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in only]
    if unknown := [name for name, _, _ in pairs if name not in names]:
        raise Misconfigured(f"--only {unknown[0]}: these rows are told apart by {', '.join(names)}, as in --only {names[0]}=VALUE")
    return {name: value for name, _, value in pairs}


def _passes(row: Row, wanted: Mapping[str, str]) -> bool:
    return all(str(row[name]).casefold() == value.casefold() for name, value in wanted.items())
