"""Looks at what a terminal serves before it is decided upon, and puts down what was otherwise than before: nothing is decided again."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict

from Backtest.decisions import Bar
from Live.bar_judgement import differences_of, faults_of, gaps, is_revised, off_calendar, told
from Live.desk import Desk

log = logging.getLogger("LiveTrader")

MOST_EVENTS = 10  # of one kind at once; the rest is counted in one more
SHOWN = 3  # faults in a sentence
KEPT = 64  # decided bars that are kept in memory: those before them are on record, and a terminal is asked for a few at a time


class BarWatch:
    """What was seen of the bars of one symbol, by this run and those before it."""

    def __init__(self, symbol: str, desk: Desk) -> None:
        self._symbol, self._desk = symbol, desk
        self._first = 0  # the open of the first bar of the history
        self._seen: dict[int, Bar] = {}  # from `_since` on; what is older is on record
        self._since = 0
        self._last: int | None = None  # the newest bar that was decided, when bars were last forgotten
        self._newest: int | None = None  # the open of the newest of them
        self._moved = set[int]()  # opens of bars that were not decided because the server's clock had changed
        self._refused = ""

    def are_sound(self, bars: Sequence[Bar], forming: int | None) -> bool:
        """Whether they can be true; where not, that is an event, once for as long as they are served like that."""
        faults = faults_of(bars, forming)
        text = "; ".join(faults[:SHOWN]) + (f"; and {len(faults) - SHOWN} more faults" if len(faults) > SHOWN else "")
        if text and text != self._refused:
            self._event("BARS_REFUSED", "ERROR", f"nothing is decided on bars that cannot be true: {text}")
        self._refused = text
        return not faults

    def begin(self, history: Sequence[Bar]) -> None:
        """Put down what a strategy is warmed up with: so its decisions can be made again from the record alone."""
        desk, steps = self._desk, self._desk.timeframe
        first = history[0].epoch if history else desk.connector.server_now()
        self._first = self._since = first
        self._seen = desk.record.seen_bars(desk.slot, self._symbol, steps.name, first)
        oldest = min(self._seen, default=None)
        self._newest = max(self._seen, default=None)
        before = [bar for bar in history if oldest is None or bar.epoch < oldest]
        with desk.record.transaction(durable=False):
            desk.record.add_history(desk.slot, self._symbol, steps.name, before)
            self._compare([bar for bar in history if oldest is not None and bar.epoch >= oldest])
            spec = asdict(desk.connector.spec(self._symbol))
            desk.record.add_warm_up(desk.slot, self._symbol, steps.name, history, spec)
            self._note(history)
            missing = list(gaps([bar.epoch for bar in history], steps, self._all_seen))
            if missing:
                places = ", ".join(f"between {told(one)} and {told(other)}" for one, other in missing[-SHOWN:])
                text = f"the history of {len(history):,} bars misses some in {len(missing)} places, the newest {places}"
                self._event("BARS_MISSING", "WARNING", text, gaps=len(missing))

    def compare(self, bars: Sequence[Bar]) -> None:
        """Compare what is served now with what was seen before; every bar that differs, came late or is missing is an event."""
        newest = self._newest
        self._compare([bar for bar in bars if newest is not None and bar.epoch <= newest])
        fresh = [bar.epoch for bar in bars if newest is None or bar.epoch > newest]
        for one, other in gaps([*([] if newest is None else [newest]), *fresh], self._desk.timeframe, self._all_seen):
            text = f"no bar between {told(one)} and {told(other)}, where this broker usually has one"
            self._event("BARS_MISSING", "WARNING", text, before=one, after=other)
        self._note(bars)

    def decidable(self, new: Sequence[Bar], last: int | None) -> list[Bar]:
        """The new bars without those that were decided under another hour; each such bar is an event, once."""
        steps = self._desk.timeframe
        self._forget(last)
        moved = off_calendar(new, last, steps)
        for bar in moved:
            if bar.epoch not in self._moved:
                self._moved.add(bar.epoch)
                text = f"the bar of {told(bar.epoch)} begins less than half of {steps.name} after the one before it"
                why = "the server's clock has changed, and it is not decided a second time"
                self._event("SKIPPED_CALENDAR", "WARNING", f"{text}: {why}", bar=asdict(bar))
        return [bar for bar in new if bar not in moved]

    def _note(self, bars: Sequence[Bar]) -> None:
        self._seen |= {bar.epoch: bar for bar in bars}
        if bars:
            self._newest = max(bars[-1].epoch, self._newest or bars[-1].epoch)

    def _all_seen(self) -> Collection[int]:
        self._recall(self._first)
        return self._seen.keys()

    def _recall(self, since: int) -> None:
        desk = self._desk
        self._seen = desk.record.seen_bars(desk.slot, self._symbol, desk.timeframe.name, since) | self._seen
        self._since = min(since, self._since)

    def _forget(self, last: int | None) -> None:
        """Of the bars that are decided, and so on record, keep the newest; `last` is the newest one."""
        if last == self._last or last is None or len(self._seen) <= 2 * KEPT:
            return
        self._last = last
        for epoch in sorted(epoch for epoch in self._seen if epoch <= last)[:-KEPT]:
            del self._seen[epoch]
        self._since = min(self._seen)

    def _compare(self, bars: Sequence[Bar]) -> None:
        desk = self._desk
        if bars and bars[0].epoch < self._since:
            self._recall(bars[0].epoch)
        late = [bar for bar in bars if bar.epoch not in self._seen and bar.epoch not in self._moved]
        revised = [(self._seen[bar.epoch], bar) for bar in bars if bar.epoch in self._seen and is_revised(self._seen[bar.epoch], bar)]
        if not late and not revised:
            return
        desk.record.add_history(desk.slot, self._symbol, desk.timeframe.name, [*late, *(bar for _, bar in revised)])
        for bar in late[:MOST_EVENTS]:
            self._event("BAR_LATE", "WARNING", f"the bar of {told(bar.epoch)} came after newer ones; it is not decided", bar=asdict(bar))
        for seen, now in revised[:MOST_EVENTS]:
            text = f"the bar of {told(now.epoch)} was revised: {differences_of(seen, now)}; nothing is decided again"
            self._event("DATA_REVISED", "WARNING", text, before=asdict(seen), after=asdict(now))
        for kind, found in (("BAR_LATE", late), ("DATA_REVISED", revised)):
            if len(found) > MOST_EVENTS:
                self._event(kind, "WARNING", f"{len(found) - MOST_EVENTS:,} more bars like these; all are in the record's history")

    def _event(self, kind: str, severity: str, text: str, **details: object) -> None:
        sentence = f"{self._symbol}: {text}"
        self._desk.record.event(kind, sentence, severity=severity, details={"symbol": self._symbol, **details})
        log.warning(sentence)
