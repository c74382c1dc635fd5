"""The whole trader on a terminal whose answers go wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backtesting import Strategy

from Backtest.simulated_terminal import SimulatedTerminal, parity_account, retail_symbol
from Live.audit_logger import AuditLogger
from Live.live_trader import LiveTrader
from Live.model import Status
from tests.crash_points import after, before
from tests.faulty_terminal import Fault, FaultyTerminal, answer_lost, answered, late, without_answer
from tests.live_runs import Ran, eurusd, loaded, run_live

REQUOTE = 10004


class InAndOut(Strategy):
    """Buys on bar 10, moves its stop on bar 15, closes on bar 20."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar, price = len(self.data), self.data.Close[-1]
        if bar == 10:
            self.buy(size=1000, sl=price - 0.02)
        elif bar == 15:
            for trade in self.trades:
                trade.sl = price - 0.01
        elif bar == 20:
            self.position.close()


class InAndOutAgain(Strategy):
    """Buys on bars 10, 30 and 50, closes on bars 25 and 45."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar in (10, 30, 50):
            self.buy(size=1000)
        elif bar in (25, 45):
            self.position.close()


class TakesFrom(Strategy):
    """Buys 3000 units on bar 10, and sells `sold` of them on bar 15."""

    sold = 1000

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar = len(self.data)
        if bar == 10:
            self.buy(size=3000)
        elif bar == 15:
            self.sell(size=self.sold)


class TakesAll(TakesFrom):
    sold = 3000


def run(folder: Path, arrange: Callable[[FaultyTerminal], None], strategy: type[Strategy] = InAndOut, **given: object) -> Ran:
    def made(*args: Any, **options: Any) -> FaultyTerminal:
        terminal = FaultyTerminal(SimulatedTerminal(*args, **options))
        arrange(terminal)
        return terminal

    return run_live(folder, loaded(strategy), eurusd(40), given=given, made_by=made)


def statuses(ran: Ran) -> list[tuple[str, str]]:
    return [(row["kind"], row["status"]) for row in ran.rows("SELECT kind, status FROM orders ORDER BY id")]


def trades(ran: Ran) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in ran.rows("SELECT entry_time, exit_time, entry_price, exit_price, size FROM trades")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(tmp_path_factory.mktemp("undisturbed"), lambda terminal: None)


def at_send(number: int, fault: Fault) -> Callable[[FaultyTerminal], None]:
    """This fault for the n-th order, from 1; the others are answered truly."""

    def truly(terminal: FaultyTerminal, request: dict[str, Any]) -> Any:
        return terminal.inner.order_send(request)

    return lambda terminal: terminal.faults.extend([truly] * (number - 1) + [fault])


def test_without_faults_it_enters_protects_and_leaves(undisturbed: Ran) -> None:
    assert statuses(undisturbed) == [("ENTRY", "FILLED"), ("SLTP", "FILLED"), ("EXIT", "FILLED")]
    assert len(trades(undisturbed)) == 1


@pytest.mark.parametrize("number", [1, 2, 3])
def test_answers_that_are_lost_change_nothing(number: int, tmp_path: Path, undisturbed: Ran) -> None:
    ran = run(tmp_path, at_send(number, answer_lost()))
    assert statuses(ran) == statuses(undisturbed)
    assert trades(ran) == trades(undisturbed)


def test_an_entry_that_was_not_delivered_is_missed_and_what_follows_finds_nothing_to_do(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(1, without_answer()))
    assert statuses(ran) == [("ENTRY", "ABSENT")]
    assert ran.code == 0


def test_an_exit_that_was_not_delivered_is_decided_again(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(3, without_answer()))
    assert statuses(ran) == [("ENTRY", "FILLED"), ("SLTP", "FILLED"), ("EXIT", "ABSENT"), ("EXIT", "FILLED")]
    assert len(trades(ran)) == 1


def test_an_exit_that_is_given_up_is_told_and_decided_again_also_where_the_trader_dies_just_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(AuditLogger, "move", AuditLogger.move)
        after(AuditLogger, "move", lambda _record, _order_id, to, **_: to is Status.ABSENT)(die)
        assert run(tmp_path, at_send(3, without_answer())).code == 1
    ran = run(tmp_path, lambda terminal: None)
    assert statuses(ran) == [("ENTRY", "FILLED"), ("SLTP", "FILLED"), ("EXIT", "ABSENT"), ("EXIT", "FILLED")]
    assert ran.count("events", "event_type = 'MISSED_BY_SAFETY'") == 1
    assert ran.trader.final_positions == ()


def test_a_stop_is_told_together_with_what_it_takes_back_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die() -> None:
        raise ConnectionResetError

    stop = tmp_path / "EMERGENCY_STOP"
    with monkeypatch.context() as patch:
        patch.setattr(AuditLogger, "move", AuditLogger.move)
        before(AuditLogger, "move", lambda _record, _order_id, to, **_: to is Status.CANCELLED)(die)
        with pytest.raises(ConnectionResetError):
            run(tmp_path, lambda terminal: terminal.before.update(order_check=stop.touch))
    stop.unlink()  # the trader died before it could say that it had seen it
    stopped = run(tmp_path, lambda terminal: terminal.before.update(order_check=stop.touch))
    assert (stopped.code, statuses(stopped), stopped.count("events", "event_type = 'KILL_SWITCH'")) == (10, [("ENTRY", "CANCELLED")], 1)


def test_a_close_of_a_part_that_was_not_delivered_is_not_decided_again(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(2, without_answer()), TakesFrom)
    assert statuses(ran) == [("ENTRY", "FILLED"), ("EXIT", "ABSENT"), ("ENTRY", "DENIED")]
    assert [held.lots for held in ran.trader.final_positions] == [0.03]


def test_a_whole_trade_that_an_entry_takes_is_closed_again_where_the_close_was_not_delivered(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(2, without_answer()), TakesAll)
    assert statuses(ran) == [("ENTRY", "FILLED"), ("EXIT", "ABSENT"), ("ENTRY", "DENIED"), ("EXIT", "FILLED")]
    assert ran.trader.final_positions == ()


def test_a_close_that_was_decided_again_and_not_sent_is_sent_by_the_next_run(tmp_path: Path) -> None:
    def dies_before_the_third(terminal: FaultyTerminal) -> None:
        def die() -> None:
            if len(terminal.sent) == 2:
                raise ConnectionResetError

        at_send(2, without_answer())(terminal)
        terminal.before["order_check"] = die

    died = run(tmp_path, dies_before_the_third, TakesAll)
    assert (died.code, statuses(died)[-1]) == (1, ("EXIT", "PENDING"))
    ran = run(tmp_path, lambda terminal: None, TakesAll)
    assert (ran.code, statuses(ran)[-1]) == (0, ("EXIT", "FILLED"))
    assert ran.trader.final_positions == ()


@pytest.mark.parametrize(
    ("switch", "off", "words"), [("autotrading", False, "the Algo Trading button"), ("api_disabled", True, "the Python package")]
)
def test_while_programs_may_not_trade_there_are_no_entries_and_exits_are_tried(switch: str, off: bool, words: str, tmp_path: Path) -> None:
    told: dict[int, str] = {}

    def turn_off(trader: LiveTrader) -> None:
        told[trader.bars] = trader.why_not()
        if trader.bars in (20, 42):
            setattr(trader.terminal.functions, switch, off if trader.bars == 20 else not off)

    ran = run_live(tmp_path, loaded(InAndOutAgain), eurusd(60), on_turn=turn_off)
    assert ran.code == 0
    assert statuses(ran) == [("ENTRY", "FILLED"), ("EXIT", "FAILED"), ("ENTRY", "DENIED"), ("EXIT", "FILLED"), ("ENTRY", "FILLED")]
    assert words in ran.rows("SELECT message FROM orders WHERE status = 'DENIED'")[0]["message"]
    assert (told[20], told[50]) == ("", "")
    assert words in told[30]
    assert ran.count("events", "event_type = 'TRADING_OFF' AND severity = 'CRITICAL'") == 1
    assert ran.count("events", "event_type = 'TRADING_ON'") == 1


@pytest.mark.parametrize(("switch", "words"), [("trade_allowed", "the account may not trade"), ("trade_expert", "the server forbids")])
def test_an_account_that_may_not_trade_gets_no_entries(switch: str, words: str, tmp_path: Path) -> None:
    account = replace(parity_account(10_000.0), **{switch: False})  # type: ignore[arg-type]
    ran = run_live(tmp_path, loaded(InAndOut), eurusd(40), account=account)
    assert statuses(ran) == [("ENTRY", "DENIED")]
    assert words in ran.rows("SELECT message FROM orders")[0]["message"]


def test_an_entry_that_was_refused_for_its_price_is_tried_again_within_the_days_last_trade(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(1, answered(REQUOTE)), max_daily_trades=1)
    assert (statuses(ran)[0], ran.count("trades")) == (("ENTRY", "FILLED"), 1)


@pytest.mark.parametrize(("points", "status"), [(150, "FILLED"), (250, "FAILED")])
def test_a_retry_that_would_risk_more_than_allowed_is_not_sent(points: int, status: str, tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(1, answered(REQUOTE, points=points)), sizing="risk")  # the stop is 2,000 points away
    assert statuses(ran)[0] == ("ENTRY", status)
    refused = "would be lost at the stop, DEFAULT_RISK_PCT allows" in ran.rows("SELECT message FROM orders")[0]["message"]
    assert refused == (status == "FAILED")


@pytest.mark.parametrize(("points", "status"), [(900, "FILLED"), (1_200, "DENIED"), (-1_200, "DENIED")])
def test_an_entry_that_a_crash_has_held_up_is_not_sent_far_from_the_open_of_its_bar(points: int, status: str, tmp_path: Path) -> None:
    def die() -> None:
        raise ConnectionResetError

    died = run(tmp_path, lambda terminal: terminal.before.update(order_check=die))
    assert (died.code, statuses(died)) == (1, [("ENTRY", "PENDING")])
    ran = run(tmp_path, lambda terminal: setattr(terminal, "points", points))
    assert statuses(ran)[0] == ("ENTRY", status)
    refused = "at which its bar has opened; PRICE_COLLAR_PCT allows 1 %" in ran.rows("SELECT message FROM orders")[0]["message"]
    assert refused == (status == "DENIED")


def test_levels_that_were_not_delivered_are_set_again(tmp_path: Path, undisturbed: Ran) -> None:
    ran = run(tmp_path, at_send(2, without_answer()))
    assert statuses(ran) == [("ENTRY", "FILLED"), ("SLTP", "ABSENT"), ("SLTP", "FILLED"), ("EXIT", "FILLED")]
    assert trades(ran) == trades(undisturbed)


@pytest.mark.parametrize(("function", "after"), [("order_check", ""), ("symbol_info_tick", ""), ("orders_get", "order_check")])
def test_an_exit_that_could_not_be_sent_is_sent_as_soon_as_the_terminal_answers(function: str, after: str, tmp_path: Path) -> None:
    def silent_once(terminal: FaultyTerminal) -> None:
        def blind() -> None:
            if after not in ("", terminal.calls[-2]):
                return  # the orders are also looked at before anything is decided
            if len(terminal.sent) == 2 and terminal.inner.positions_get()[0].sl and terminal.clock.progress[0] == 21 and not done:
                done.append(True)
                terminal.blind.add(function)
                terminal.before["terminal_info"] = terminal.blind.clear

        done: list[bool] = []
        terminal.before[function] = blind

    ran = run(tmp_path, silent_once)
    assert statuses(ran) == [("ENTRY", "FILLED"), ("SLTP", "FILLED"), ("EXIT", "FILLED")]
    assert len(trades(ran)) == 1


def test_refused_orders_are_on_record_and_the_run_goes_on(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(1, answered(10019)))
    assert statuses(ran) == [("ENTRY", "FAILED")]
    assert ran.rows("SELECT retcode, message FROM orders") == [
        {"retcode": 10019, "message": "10019 NO_MONEY: there is not enough free margin"}
    ]
    assert ran.code == 0


def test_an_account_that_cannot_be_read_for_the_page_does_not_end_the_run(tmp_path: Path) -> None:
    def made(*args: Any, **options: Any) -> FaultyTerminal:
        terminal = FaultyTerminal(SimulatedTerminal(*args, **options))
        terminal.before["terminal_info"] = terminal.blind.clear
        return terminal

    def publish_in_the_dark(trader: LiveTrader) -> None:
        trader.terminal.functions.blind.add("account_info")
        trader.reporter.publish(trader.why_not, force=True)

    ran = run_live(tmp_path, loaded(InAndOut), eurusd(40), made_by=made, on_turn=publish_in_the_dark)
    assert (ran.code, statuses(ran)[-1]) == (0, ("EXIT", "FILLED"))


class WaitsAndCancels(Strategy):
    """Places a limit far below on bar 10, takes it away on bar 15; places one that fills at once on bar 20."""

    def init(self) -> None:
        pass

    def next(self) -> None:
        bar, price = len(self.data), self.data.Close[-1]
        if bar == 10:
            self.far = self.buy(size=1000, limit=price * 0.9)
        elif bar == 15 and self.far in self.orders:
            self.far.cancel()
        elif bar == 20:
            self.buy(size=1000, limit=price * 1.1, sl=price * 0.9)
        elif bar == 25:
            self.position.close()


def test_an_order_waits_is_taken_away_and_another_one_fills(tmp_path: Path) -> None:
    ran = run(tmp_path, lambda terminal: None, WaitsAndCancels)
    assert statuses(ran) == [("PENDING", "CANCELLED"), ("CANCEL", "FILLED"), ("PENDING", "FILLED"), ("EXIT", "FILLED")]
    assert len(trades(ran)) == 1


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_answers_about_waiting_orders_that_are_lost_change_nothing(number: int, tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(number, answer_lost()), WaitsAndCancels)
    assert statuses(ran) == [("PENDING", "CANCELLED"), ("CANCEL", "FILLED"), ("PENDING", "FILLED"), ("EXIT", "FILLED")]
    assert len(trades(ran)) == 1
    assert len(ran.terminal.sent) == 4  # nothing was sent a second time


def test_a_waiting_order_that_was_not_delivered_is_missed_and_not_in_the_queue(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(1, without_answer()), WaitsAndCancels)
    assert statuses(ran) == [("PENDING", "ABSENT"), ("PENDING", "FILLED"), ("EXIT", "FILLED")]


def test_a_waiting_order_that_comes_after_it_was_given_up_is_taken_away_again(tmp_path: Path) -> None:
    def deliver(trader: LiveTrader) -> None:
        if trader.bars == 12:
            trader.terminal.functions.deliver()

    def made(*args: Any, **options: Any) -> FaultyTerminal:
        terminal = FaultyTerminal(SimulatedTerminal(*args, **options))
        terminal.faults.append(late())
        return terminal

    ran = run_live(tmp_path, loaded(WaitsAndCancels), eurusd(40), made_by=made, on_turn=deliver)
    assert statuses(ran) == [("PENDING", "ABSENT"), ("CANCEL", "FILLED"), ("PENDING", "FILLED"), ("EXIT", "FILLED")]
    assert [row["severity"] for row in ran.rows("SELECT severity FROM events WHERE event_type = 'LATE_ORDER'")] == ["CRITICAL"]
    ran.terminal.inner.initialize()
    assert ran.terminal.inner.history_orders_get(1, 2**31 - 1)[0].state == 2  # ORDER_STATE_CANCELED


def test_a_cancellation_that_was_not_delivered_is_decided_again(tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(2, without_answer()), WaitsAndCancels)
    assert statuses(ran) == [
        ("PENDING", "CANCELLED"),
        ("CANCEL", "ABSENT"),
        ("CANCEL", "FILLED"),
        ("PENDING", "FILLED"),
        ("EXIT", "FILLED"),
    ]


@pytest.mark.parametrize("retcode", [10013, 10033, 10018])
def test_a_waiting_order_that_is_refused_is_not_tried_again(retcode: int, tmp_path: Path) -> None:
    ran = run(tmp_path, at_send(1, answered(retcode)), WaitsAndCancels)
    assert statuses(ran)[0] == ("PENDING", "FAILED")
    assert len(ran.terminal.sent) == 3


def test_a_price_that_the_market_has_passed_is_entered_at_market_where_a_broker_refuses_it(tmp_path: Path) -> None:
    ran = run_live(tmp_path, loaded(WaitsAndCancels), eurusd(40), spec=retail_symbol, given={"sizing": "fixed", "fixed_lots": 0.01})
    placed = ran.rows("SELECT * FROM orders WHERE kind = 'PENDING'")
    assert [(row["status"], row["order_type"]) for row in placed] == [("CANCELLED", "LIMIT"), ("FILLED", "LIMIT")]
    assert '"action": 1' in placed[1]["request"]
    assert placed[1]["attempts"] == 1  # order_check saw it: nothing was sent for nothing
