from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Live.alert_kinds import Alert, Delivery, Level, Type
from Live.alerts.letters import LONGEST, flat, for_discord, for_programs, for_slack, letter_of
from Live.alerts.waiting import FOLD, LONGEST_PAUSE, MOST_WAITING, OLDEST, PER_MINUTE, Message, Queued, Waiting

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def queued(number: int, at: datetime = START, text: str = "", level: Level = Level.INFO, type_: Type = Type.ORDER) -> Queued:
    return Queued(number, at, at.isoformat(), Alert(type_, level, "KIND", text or f"text {number}", "EURUSD"))


def filled(count: int) -> Waiting:
    waiting = Waiting()
    for number in range(1, count + 1):
        waiting.add(queued(number))
    return waiting


def test_what_is_most_severe_goes_first_then_what_is_oldest() -> None:
    waiting = Waiting()
    for number, level in enumerate([Level.INFO, Level.ERROR, Level.INFO, Level.CRITICAL], 1):
        waiting.add(queued(number, level=level))
    sent = []
    while (message := waiting.next(START)) is not None:
        sent.append(message.alerts[0].id)
        waiting.sent(message, START)
    assert sent == [4, 2, 1, 3]


def test_what_waits_is_bounded_and_the_oldest_of_the_least_severe_is_given_up_and_counted() -> None:
    waiting = Waiting()
    waiting.add(queued(1, level=Level.ERROR))
    given_up = [delivery for number in range(2, MOST_WAITING + 5) for delivery in waiting.add(queued(number))]
    assert [(each.alert_id, each.outcome) for each in given_up] == [(number, "DROPPED") for number in (2, 3, 4, 5)]
    assert len(waiting.alerts) == MOST_WAITING
    message = waiting.next(START)
    assert message is not None
    assert message.lost == 4
    waiting.sent(message, START)
    following = waiting.next(START)
    assert following is not None
    assert following.lost == 0


def test_what_is_older_than_a_day_is_given_up_and_counted() -> None:
    waiting = filled(2)
    assert waiting.expire(START + OLDEST) == []
    assert [each.outcome for each in waiting.expire(START + OLDEST + SECOND)] == ["EXPIRED", "EXPIRED"]
    assert waiting.lost == 2


def test_the_last_message_of_a_minute_tells_all_that_waits() -> None:
    waiting, sent = filled(60), []
    while (message := waiting.next(START)) is not None:
        sent.append(message)
        waiting.sent(message, START)
    assert (len(sent), sent[-1].digest, len(sent[-1].alerts)) == (PER_MINUTE, True, 60 - PER_MINUTE + 1)
    text = letter_of(sent[-1], "DRY sma", START).text
    assert text.startswith("41 alerts at once (41 KIND); the newest:")
    assert len(text.splitlines()) == 11


def test_what_is_critical_does_not_wait_for_the_rate() -> None:
    waiting = filled(PER_MINUTE)
    while (message := waiting.next(START)) is not None:
        waiting.sent(message, START)
    waiting.add(queued(98))
    waiting.add(queued(99, level=Level.CRITICAL))
    urgent = waiting.next(START)
    assert urgent is not None
    assert [each.id for each in urgent.alerts] == [99]
    waiting.sent(urgent, START)
    assert waiting.next(START) is None
    assert waiting.next(START + timedelta(minutes=1)) is not None


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (1000, 300)])
def test_pauses_grow_up_to_five_minutes(failures: int, seconds: int) -> None:
    waiting = filled(1)
    for _ in range(failures):
        waiting.failed(START)
    assert waiting.next(START + timedelta(seconds=seconds) - timedelta(milliseconds=1)) is None
    assert waiting.next(START + timedelta(seconds=seconds)) is not None


def test_a_wait_that_is_asked_for_is_kept_up_to_five_minutes() -> None:
    waiting = filled(1)
    waiting.failed(START, timedelta(seconds=40))
    assert waiting.next(START + 39 * SECOND) is None
    waiting.failed(START, timedelta(days=400))
    assert waiting.next(START + LONGEST_PAUSE) is not None


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    waiting = Waiting()
    waiting.add(queued(1, text="same"))
    message = waiting.next(START)
    assert message is not None
    waiting.sent(message, START)
    waiting.add(queued(2, text="same"))
    assert waiting.next(START) is None
    assert waiting.next(START - timedelta(days=1)) is not None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 3), st.sampled_from(Level), st.sampled_from([Type.ORDER, Type.SYSTEM])),
        st.tuples(st.just("pass"), st.integers(0, 400)),
        st.tuples(st.just("send"), st.sampled_from(["sent", "failed", "refused"])),
    ),
    max_size=80,
)


@given(STEPS)
def test_whatever_happens_each_alert_has_one_outcome_and_nothing_is_said_twice_too_soon(steps: list[tuple[object, ...]]) -> None:
    waiting, now, added = Waiting(), START, 0
    outcomes: list[Delivery] = []
    said: list[tuple[datetime, Message]] = []
    for kind, *rest in steps:
        if kind == "add":
            text, level, type_ = rest
            added += 1
            outcomes += waiting.add(queued(added, now, f"text {text}", level, type_))  # type: ignore[arg-type]
        elif kind == "pass":
            now += rest[0] * SECOND  # type: ignore[operator]
        elif (message := waiting.next(now)) is not None:
            if rest[0] == "sent":
                said.append((now, message))
                outcomes += waiting.sent(message, now)
            elif rest[0] == "refused":
                outcomes += waiting.refused(message, "no")
            else:
                waiting.failed(now)
        outcomes += waiting.expire(now)
    settled = [each.alert_id for each in outcomes]
    assert sorted([*settled, *(each.id for each in waiting.alerts)]) == list(range(1, added + 1))
    for number, (at, message) in enumerate(said):
        folds = {each.alert.fold for each in message.alerts}
        assert not any(at - before < FOLD and folds & {each.alert.fold for each in earlier.alerts} for before, earlier in said[:number])
        calm = [each for before, each in said[:number] if at - before < timedelta(minutes=1)]
        assert message.level is Level.CRITICAL or len(calm) < PER_MINUTE


# words


@given(st.text(max_size=200), st.text(max_size=4000))
def test_no_text_becomes_markup_a_mention_a_line_of_its_own_or_too_long(symbol: str, text: str) -> None:
    alert = Alert(Type.ERROR, Level.CRITICAL, "KIND", text + "<!channel> @everyone **x** <b>&", symbol)
    letter = letter_of(Message((Queued(1, START, START.isoformat(), alert),)), "DRY sma", START)
    assert len(letter.text) <= LONGEST
    assert letter.text.splitlines() in ([letter.text], [])
    slack, discord = for_slack(letter), for_discord(letter)
    assert "<" not in slack["text"]
    assert "@everyone" not in discord["content"].replace("\\@", "")
    assert discord["allowed_mentions"] == {"parse": []}
    assert len(discord["content"]) <= 2000
    assert for_programs(letter)["message"] == alert.text


def test_a_line_break_from_outside_stays_in_its_line() -> None:
    assert flat("one\r\nSubject: two\u2028three\x1b[31m") == "one Subject: two three [31m"
