"""The bot: asks Telegram for what was written to it, answers those who may ask, and hears nobody else."""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from Live.alerts.channels import form_body
from Live.alerts.letters import cut
from Live.alerts.pictures import chart_of
from Live.alerts.web import Answer, NotSent, Refused, Web
from Live.audit_logger.reader import RecordUnavailable
from Live.audit_logger.told import AlertReader
from Live.clock import Clock, SystemClock
from Live.config import LiveConfig
from Live.errors import LiveError, Misconfigured
from Live.redaction import redacted
from Live.telegram.acting import DANGEROUS, act
from Live.telegram.answers import Answers
from Live.telegram.confirming import Question, Questions

log = logging.getLogger("LiveTrader")

POLL_SECONDS = 25  # Telegram answers as soon as there is something
LONGEST = 4096  # characters of a message
LONGEST_PAUSE = 60.0
FRESH = timedelta(seconds=60)  # what was asked for longer ago, while nobody listened, is not done
HELP = """/status who trades, and whether entries go out
/positions /orders /trades /signals the newest
/profit /daily /balance /risk
/why NUMBER what became of an order
/chart SYMBOL
/logs the newest events
/health
/pause /resume entries
/stop /flatten the emergency stop, without and with closing our positions
/help"""


@dataclass(frozen=True, slots=True)
class Said:
    """A message or a pressed button of somebody who may give commands."""

    number: int
    user: int
    chat: int
    text: str
    at: datetime
    button: str = ""  # its id, to be acknowledged


class Bot:
    """`turn` waits for one thing that was said, at most half a minute, and answers it. Raises NotSent and Refused for the line."""

    def __init__(self, config: LiveConfig, web: Web, clock: Clock, *, poll_seconds: int = POLL_SECONDS) -> None:
        self._config, self._web, self._clock = config, web, clock
        self._poll_seconds = poll_seconds
        self._next: int | None = None
        self._questions = Questions()

    def turn(self) -> None:
        """What was written before this process listened is passed over: nobody knows whether it is still meant."""
        if self._next is None:
            found = self._call("getUpdates", {"offset": -1, "timeout": 0})
            self._next = max((int(update["update_id"]) for update in found), default=-1) + 1
            return
        # one at a time: what is read of an answer has an end
        asked = {"offset": self._next, "limit": 1, "timeout": self._poll_seconds, "allowed_updates": ["message", "callback_query"]}
        for update in self._call("getUpdates", asked, patience=self._poll_seconds):
            self._next = int(update["update_id"]) + 1
            said = said_in(update)
            if said is None:
                continue
            if said.user not in self._config.telegram_users:
                log.warning("a command of somebody who may give none", extra={"extra_data": {"user": said.user}})
                continue
            self._hear(said)

    def _hear(self, said: Said) -> None:
        if said.button:
            self._call("answerCallbackQuery", {"callback_query_id": said.button})
        command, *words = said.text.split() or [""]
        command = command.removeprefix("/").split("@")[0].lower()
        try:
            self._obey(command, words, said)
        except (LiveError, RecordUnavailable) as error:
            self._say(said.chat, str(error))

    def _obey(self, command: str, words: list[str], said: Said) -> None:
        if command in DANGEROUS:
            self._ask(command, said)
        elif command in ("confirm", "cancel"):
            self._say(said.chat, self._confirmed(words, said) if command == "confirm" else self._cancelled(words, said))
        elif command == "chart":
            self._chart(words, said.chat)
        elif command in ("help", "start"):
            self._say(said.chat, HELP)
        else:
            self._say(said.chat, self._answered(command, words))

    def _answered(self, command: str, words: list[str]) -> str:
        with AlertReader(self._config.audit_db_path) as reader:
            answers = Answers(self._config, reader, self._clock.now())
            try:
                return answers.answer(command, words)
            except KeyError:
                return f"/{cut(command, 30)} is no command: /help tells those that are."

    def _chart(self, words: list[str], chat: int) -> None:
        with AlertReader(self._config.audit_db_path) as reader:
            run = reader.latest_run()
            symbol = words[0] if words else self._config.symbols[0]
            picture = None if run is None else chart_of(reader, run, symbol)
        if picture is None:
            self._say(chat, f"No bar of {cut(symbol, 40)} was decided yet.")
        else:
            body, kind = form_body({"chat_id": str(chat)}, "photo", picture)
            self._result(self._web.send(self._url("sendPhoto"), body, {"Content-Type": kind}))

    # what changes anything

    def _ask(self, command: str, said: Said) -> None:
        if self._clock.now() - said.at > FRESH:
            self._say(said.chat, f"/{command} was sent more than a minute ago, so it is not done. Send it again if it is still meant.")
            return
        code = self._questions.ask(said.number, Question(command, said.user, self._clock.now()))
        buttons = [{"text": f"Yes, {command}", "callback_data": f"/confirm {code}"}, {"text": "No", "callback_data": f"/cancel {code}"}]
        text = f"{DANGEROUS[command]}\nWithin a minute: press a button, or send /confirm {code}"
        self._say(said.chat, text, reply_markup={"inline_keyboard": [buttons]})

    def _confirmed(self, words: list[str], said: Said) -> str:
        question = self._questions.confirm(words[0] if words else "", said.user, self._clock.now())
        if question is None:
            return "There is nothing to confirm: ask again."
        return act(
            question.command, self._config, f"{question.command} by Telegram user {said.user} at {self._clock.now():%Y-%m-%d %H:%M:%S} UTC"
        )

    def _cancelled(self, words: list[str], said: Said) -> str:
        self._questions.withdraw(words[0] if words else "", said.user)
        return "Nothing was done."

    # the line

    def _say(self, chat: int, text: str, **more: Any) -> None:
        shown = cut(redacted(text, self._config.secrets(), numbers=False), LONGEST)
        self._call("sendMessage", {"chat_id": chat, "text": shown, "link_preview_options": {"is_disabled": True}, **more})

    def _call(self, method: str, values: dict[str, Any], *, patience: float = 0) -> Any:
        body = json.dumps(values).encode()
        return self._result(self._web.send(self._url(method), body, {"Content-Type": "application/json"}, patience=patience))

    def _result(self, answer: Answer) -> Any:
        try:
            found = json.loads(answer.body)
        except ValueError:
            raise NotSent(f"Telegram answers {answer.status} with no JSON", answer.wait) from None
        if not isinstance(found, dict) or found.get("ok") is not True:
            raise NotSent(f"Telegram answers {answer.status}", answer.wait)
        return found.get("result")

    def _url(self, method: str) -> str:
        return f"{self._config.telegram_api_url}/bot{self._config.telegram_bot_token.reveal()}/{method}"


def said_in(update: dict[str, Any]) -> Said | None:
    """What somebody said; None for anything else. A button that was pressed is as if its command were written now."""
    number = int(update["update_id"])
    try:
        if "callback_query" in update:
            query = update["callback_query"]
            chat = query["message"]["chat"]["id"]
            return Said(
                number,
                query["from"]["id"],
                chat,
                str(query["data"]),
                datetime.fromtimestamp(query["message"]["date"], UTC),
                str(query["id"]),
            )
        message = update["message"]
        at = datetime.fromtimestamp(message["date"], UTC)
        return Said(number, message["from"]["id"], message["chat"]["id"], str(message["text"]), at)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None  # a picture, a channel's post, or what a later version of the Bot API has


def serve(config: LiveConfig, clock: Clock | None = None) -> None:
    """Answer until this process is ended; a line that is broken is tried again after 1, 2, 4 … 60 seconds."""
    if not config.telegram_commands:
        raise Misconfigured("TELEGRAM_COMMANDS=false: set it to true, and TELEGRAM_USERS to those who may give commands (docs/alerts.md)")
    time = clock or SystemClock()
    bot, pause = Bot(config, Web(config.alert_private_hosts), time), 1.0
    while True:
        try:
            bot.turn()
            pause = 1.0
        except (NotSent, Refused) as error:
            log.warning("Telegram is not reached", extra={"extra_data": {"reason": str(error)}})
            time.sleep(max(pause, min(getattr(error, "wait", None) or 0.0, LONGEST_PAUSE)))
            pause = min(2 * pause, LONGEST_PAUSE)
