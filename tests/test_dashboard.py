import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.dashboard_page import API, ENDPOINTS, body_of, client_of, get, the_client, the_record  # noqa: F401 - fixtures
from tests.sample_record import START, WALL, SampleRecord, a_trading_day

# what the endpoints say


def test_status_says_who_trades_in_which_mode_and_that_they_may(client: FlaskClient, tmp_path: Path) -> None:
    assert get(client, "/api/status") == {
        "mode": "DRY",
        "trading_enabled": True,
        "reason": "Entries and exits are sent.",
        "kill_switch": {"active": False, "enabled": True, "file": str(tmp_path / "EMERGENCY_STOP")},
        "trader": {
            "state": "running",
            "sentence": "The trader is running.",
            "last_seen": "2025-11-21T09:30:00+00:00",
            "age_seconds": 0.0,
            "silent_after_seconds": 75.0,
            "pid": 4711,
        },
        "run": {
            "run_id": 1,
            "started_at": "2018-02-05T00:00:00+00:00",
            "ended_at": None,
            "exit_code": None,
            "end_reason": None,
            "terminal": "simulated",
            "server": "Demo-Server",
            "account": "…678",
            "strategy_id": "sma_cross",
            "strategy_class": "SmaCross",
            "symbols": ["EURUSD"],
            "timeframe": "H1",
        },
        "market_time": "2018-02-07T12:00:00+00:00",
        "progress": {"bars": 52, "total": 100},
        "unsettled_orders": 0,
        "stopped": None,
        "bars": [
            {
                "symbol": "EURUSD",
                "timeframe": "H1",
                "bar_time": "2018-02-07T04:00:00+00:00",
                "next_close": "2018-02-07T06:00:00+00:00",
            }
        ],
    }


def test_summary_counts_the_run_the_day_and_the_money(client: FlaskClient) -> None:
    assert get(client, "/api/summary") == {
        "total_orders": 4,
        "executed": 3,
        "failed": 1,
        "denied": 1,
        "success_rate": 75.0,
        "day": "2018-02-07",
        "daily_trades": 1,
        "daily_pnl": 10.25,
        "daily_change": 35.25,
        "initial_balance": 10_000.0,
        "balance": 10_005.75,
        "equity": 10_025.25,
        "margin": 124.7,
        "free_margin": 9_900.55,
        "currency": "USD",
        "profit": 25.25,
        "open_positions": 1,
        "floating_profit": 19.5,
        "bars": 52,
        "signals": 5,
        "positions_opened": 2,
        "positions_closed": 2,
        "trades": 2,
        "winning_trades": 1,
        "losing_trades": 1,
        "win_rate": 50.0,
        "realized_profit": 5.75,
    }


def test_positions_come_with_their_number_and_floating_profit(client: FlaskClient) -> None:
    answer = get(client, "/api/positions")
    assert (answer["count"], answer["profit"]) == (1, 19.5)
    assert answer["positions"][0] | {"updated_at": "", "entry_time": ""} == {
        "ticket": 77,
        "updated_at": "",
        "strategy_id": "sma_cross",
        "symbol": "EURUSD",
        "side": "SELL",
        "volume": 0.1,
        "entry_price": 1.2451,
        "entry_time": "",
        "sl": 1.26,
        "tp": None,
        "price_current": 1.2471,
        "profit": 20.0,
        "swap": -0.5,
        "profit_at_stop": None,
    }


def test_recent_orders_are_newest_first_with_the_reason_of_a_refusal(client: FlaskClient) -> None:
    orders = get(client, "/api/recent_orders")["orders"]
    assert [order["client_order_id"] for order in orders] == ["FIFTH", "FOURTH", "THIRD", "SECOND", "FIRST"]
    assert (orders[1]["status"], orders[1]["retcode"], orders[1]["message"]) == ("FAILED", 10019, "no money: margin 120.00 of 80.00")


def test_recent_signals_say_why_one_did_not_become_an_order(client: FlaskClient) -> None:
    newest = get(client, "/api/recent_signals")["signals"][0]
    assert (newest["signal"], newest["order_status"], newest["reason"]) == ("BUY", "DENIED", "max positions: 1 of 1")


def test_recent_signals_can_leave_out_hold(client: FlaskClient) -> None:
    assert "HOLD" in {signal["signal"] for signal in get(client, "/api/recent_signals")["signals"]}
    assert "HOLD" not in {signal["signal"] for signal in get(client, "/api/recent_signals?hold=false")["signals"]}


def test_recent_trades_and_the_equity_curve_are_rows_of_the_record(client: FlaskClient) -> None:
    assert [trade["net_profit"] for trade in get(client, "/api/recent_trades")["trades"]] == [10.25, -4.5]
    points = get(client, "/api/equity")["points"]
    assert len(points) == 52
    assert points[0] == {"timestamp": "2018-02-05T00:00:00+00:00", "equity": 10_000.0, "balance": 10_000.0}


def test_the_overview_is_all_the_others_in_one_answer(client: FlaskClient) -> None:
    overview = get(client, "/api/overview")
    assert overview == {name: get(client, f"/api/{name}") for name in API if name != "overview"} | {"limits": get(client, "/api/v1/limits")}


def test_a_record_without_a_run_has_nothing_to_say(tmp_path: Path) -> None:
    made = SampleRecord(tmp_path / "audit.db")
    client = client_of(made.path)
    status = get(client, "/api/status")
    assert (status["mode"], status["trading_enabled"], status["reason"]) == (None, False, "No trader has run on this record yet.")
    assert get(client, "/api/summary") == {}
    assert get(client, "/api/positions")["positions"] == get(client, "/api/equity")["points"] == []
    assert get(client, "/health") == {"status": "ok", "trader": "none", "message": "No trader has run on this record yet."}
    assert client.get("/").status_code == 200
    made.close()


def test_before_the_trader_speaks_of_its_account_the_last_snapshot_counts(tmp_path: Path) -> None:
    made = SampleRecord(tmp_path / "audit.db")
    made.run()
    made.snapshot(START, 9_990.0)
    summary = get(client_of(made.path), "/api/summary")
    assert (summary["equity"], summary["profit"], summary["success_rate"], summary["win_rate"]) == (9_990.0, -10.0, None, None)
    made.close()


# old numbers never pass for fresh ones


def test_a_trader_without_a_heartbeat_for_longer_than_a_turn_is_silent(record: SampleRecord) -> None:
    client = client_of(record.path, WALL + timedelta(seconds=76))
    status = get(client, "/api/status")
    assert status["trader"]["state"] == "silent"
    assert status["trader"]["age_seconds"] == 76.0
    assert not status["trading_enabled"]
    assert status["reason"] == "The trader has given no sign of life since 2025-11-21 09:30:00 UTC; it may have been killed."
    assert client.get("/health").status_code == 503


def test_a_trader_within_its_turn_runs(record: SampleRecord) -> None:
    assert get(client_of(record.path, WALL + timedelta(seconds=74)), "/api/status")["trader"]["state"] == "running"


def test_a_longer_interval_makes_the_page_more_patient(record: SampleRecord) -> None:
    record.run(settings=json.dumps({"INTERVAL_SECONDS": 600}))
    trader = get(client_of(record.path, WALL + timedelta(seconds=500)), "/api/status")["trader"]
    assert (trader["state"], trader["silent_after_seconds"]) == ("running", 615.0)


def test_a_heartbeat_from_the_future_proves_nothing(record: SampleRecord) -> None:
    assert get(client_of(record.path, WALL - timedelta(hours=1)), "/api/status")["trader"]["state"] == "silent"


def test_a_run_that_has_ended_is_shown_as_stopped_with_its_reason(record: SampleRecord) -> None:
    record.db.execute("UPDATE runs SET ended_at = ?, exit_code = 0, end_reason = 'the replay is over'", (START.isoformat(),))
    client = client_of(record.path)
    status = get(client, "/api/status")
    assert (status["trader"]["state"], status["trading_enabled"]) == ("stopped", False)
    assert status["reason"] == "The trader stopped at 2025-11-21 09:30:00 UTC: the replay is over."
    assert get(client, "/health")["trader"] == "stopped"


@pytest.mark.parametrize("said", [None, 7, "x", [], {"wall": 5}, {"wall": "yesterday"}, {"wall": "9999-99-99"}, {"pid": "x"}])
def test_a_heartbeat_that_says_nothing_is_silence(record: SampleRecord, said: object) -> None:
    record.state(heartbeat=said)
    trader = get(client_of(record.path), "/api/status")["trader"]
    assert (trader["state"], trader["age_seconds"], trader["pid"]) == ("silent", None, None)


# may we trade?


def test_the_stop_file_shows_at_once_also_with_another_ending(record: SampleRecord, client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "EMERGENCY_STOP.txt").touch()
    status = get(client, "/api/status")
    assert status["kill_switch"] == {"active": True, "enabled": True, "file": str(tmp_path / "EMERGENCY_STOP.txt")}
    assert not status["trading_enabled"]
    assert status["reason"] == f"The kill switch is on: {tmp_path / 'EMERGENCY_STOP.txt'} exists."


def test_a_kill_switch_that_only_the_trader_has_seen_shows_too(record: SampleRecord, client: FlaskClient) -> None:
    record.state(kill_switch={"active": True, "file": "/elsewhere/EMERGENCY_STOP"})
    assert get(client, "/api/status")["kill_switch"] == {"active": True, "enabled": True, "file": "/elsewhere/EMERGENCY_STOP"}


def test_a_kill_switch_that_is_off_names_the_file_that_would_stop_the_trader(
    record: SampleRecord, client: FlaskClient, tmp_path: Path
) -> None:
    record.state(kill_switch={"active": False, "file": "/elsewhere"})
    assert get(client, "/api/status")["kill_switch"]["file"] == str(tmp_path / "EMERGENCY_STOP")


def test_a_kill_switch_that_the_settings_switch_off_is_shown_as_switched_off(record: SampleRecord, tmp_path: Path) -> None:
    record.run(settings=json.dumps({"ENABLE_KILL_SWITCH": False}))
    (tmp_path / "EMERGENCY_STOP").touch()
    kill_switch = get(client_of(record.path), "/api/status")["kill_switch"]
    assert (kill_switch["active"], kill_switch["enabled"]) == (False, False)


def test_the_traders_own_reason_is_passed_on(record: SampleRecord, client: FlaskClient) -> None:
    record.state(trading={"enabled": False, "reason": "max daily trades: 10 of 10"})
    status = get(client, "/api/status")
    assert (status["trading_enabled"], status["reason"]) == (False, "max daily trades: 10 of 10")


def test_a_trader_that_has_not_said_that_it_may_trade_may_not(record: SampleRecord, client: FlaskClient) -> None:
    record.state(trading=None)
    status = get(client, "/api/status")
    assert (status["trading_enabled"], status["reason"]) == (False, "The trader has not said yet that it may trade.")


# a record that cannot be read


def spoil_nothing(path: Path) -> None:
    path.unlink(missing_ok=True)


def spoil_empty(path: Path) -> None:
    path.write_bytes(b"")


def spoil_text(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 400)


def spoil_version(path: Path) -> None:
    made = SampleRecord(path)
    made.db.execute("PRAGMA user_version = 99")
    made.close()


@pytest.mark.parametrize("spoil", [spoil_nothing, spoil_empty, spoil_text, spoil_version])
def test_what_cannot_be_read_is_said_in_a_sentence_and_shows_again_by_itself(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "audit.db"
    spoil(path)
    client = client_of(path)
    for endpoint in ENDPOINTS:
        answer = client.get(endpoint)
        assert answer.status_code == 503
        assert list(body_of(answer)) == ["error"]
        assert re.fullmatch(r"(The record|There is no record|The file)[^\n]*\.", body_of(answer)["error"])
    page = client.get("/")
    assert page.status_code == 503
    assert "audit.db" in page.text
    path.unlink(missing_ok=True)
    made = a_trading_day(path)
    assert get(client, "/api/status")["mode"] == "DRY"
    assert client.get("/").status_code == 200
    made.close()


def test_a_locked_record_is_said_in_a_sentence_and_shows_again_by_itself(record: SampleRecord, client: FlaskClient) -> None:
    record.db.execute("PRAGMA journal_mode = DELETE")
    record.db.execute("BEGIN EXCLUSIVE")
    answer = client.get("/api/summary")
    assert (answer.status_code, "is locked by another program" in body_of(answer)["error"]) == (503, True)
    record.db.execute("COMMIT")
    assert get(client, "/api/summary")["bars"] == 52
