"""Whether the trader lives: the heartbeat for a dead man's switch, and an alert when it has died or gives no sign of life."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from Live.alert_kinds import Alert, Level, system_alert
from Live.alerts.web import NotSent, Refused, Web
from Live.audit_logger.reader import AuditReader, RecordUnavailable, Run
from Live.clock import Clock
from Live.config import LiveConfig
from Live.standing import Standing, Trader, trader_of

LOOK_EVERY = timedelta(seconds=2)


class Health:
    """Looks at the signs of life that the trader writes into its record."""

    def __init__(self, config: LiveConfig, web: Web, clock: Clock) -> None:
        self._config, self._web, self._clock = config, web, clock
        self._before: Standing | None = None
        self._look_due = self._beat_due = datetime.min.replace(tzinfo=clock.now().tzinfo)
        self._beating: threading.Thread | None = None

    def look(self) -> Iterator[Alert]:
        """What has changed since the last look; and the next heartbeat, while the trader lives."""
        now = self._clock.now()
        if now < self._look_due:
            return
        self._look_due = now + LOOK_EVERY
        found = self._trader()
        if found is None:
            return
        _, trader = found
        before, self._before = self._before, trader.standing
        if (before, trader.standing) == (Standing.RUNNING, Standing.SILENT):
            yield system_alert("TRADER_SILENT", trader.sentence, Level.CRITICAL)
        elif (before, trader.standing) == (Standing.SILENT, Standing.RUNNING):
            yield system_alert("TRADER_BACK", "The trader gives signs of life again.")
        if trader.standing is Standing.RUNNING and now >= self._beat_due:
            self._beat_due = now + timedelta(seconds=self._config.heartbeat_seconds)
            self._beat()

    def last_words(self, *, with_parent: bool) -> Iterator[Alert]:
        """When the trader whose child we are has ended without saying so: it was killed, or its machine goes down."""
        found = self._trader()
        if with_parent and found is not None and found[0] is not None and found[0].ended_at is None:
            text = "The trader's process has ended without a word: it was killed, or has crashed. Its stops stay with the broker."
            yield system_alert("TRADER_DIED", text, Level.CRITICAL)

    def _trader(self) -> tuple[Run | None, Trader] | None:
        try:
            with AuditReader(self._config.audit_db_path) as reader:
                run = reader.latest_run()
                return run, trader_of(run, reader.state().get("heartbeat"), self._clock.now())
        except RecordUnavailable:
            return None

    def _beat(self) -> None:
        url = self._config.heartbeat_url
        if not url or (self._beating is not None and self._beating.is_alive()):
            return  # the last one still waits for its answer
        self._beating = threading.Thread(target=self._send, args=(url.reveal(),), daemon=True)
        self._beating.start()

    def _send(self, url: str) -> None:
        with suppress(NotSent, Refused):  # that it does not arrive is what the other side tells
            self._web.send(url)
