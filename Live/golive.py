"""`python -m Live golive`: the checklist before real money, judged by what is on record and in the settings."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from Live.audit_logger import AuditLogger
from Live.audit_logger.experience import Experience, Traded
from Live.audit_logger.outbox import deliveries_of
from Live.audit_logger.reader import Row, Run
from Live.clock import Clock
from Live.config import LiveConfig
from Live.errors import Misconfigured
from Live.locks import hold_record

CHECK_FAILED = 6
CONFIRMED = "GOLIVE_CONFIRMED"
DRY_TRADES = 30  # closed ones, of this very file
DEMO_DAYS = 7
MOST_RISK_PCT, MOST_LOTS = 1.0, 1.0
MOST_DAILY_TRADES, MOST_DAILY_LOSS_PCT = 10, 5.0

# What only a person can know.
BY_A_PERSON = {
    "reviewed": "Backtest and live results compared",
    "targets": "Expected profit and drawdown written down",
    "plan": "A plan for watching and stepping in",
}


@dataclass(frozen=True, slots=True)
class Box:
    """One line of the checklist: whether it is met, by what evidence, and what to do when it is not."""

    name: str
    title: str
    met: bool
    evidence: str
    remedy: str


def checklist(config: LiveConfig) -> list[Box]:
    """The ten boxes for the strategy that ran last on this record. Raises RecordUnavailable, and Misconfigured where none ran."""
    with Experience(config.audit_db_path) as record:
        run = record.latest_run()
        if run is None:
            raise Misconfigured(f"{config.audit_db_path}: no trader has run on this record yet; begin with run --dry-run")
        traded, confirmed = record.traded(run), record.confirmed(CONFIRMED)
        stopped, resumed = record.newest_event("KILL_SWITCH"), record.newest_event("RESUMED")
        may_trade = record.programs_may_trade()
    return [
        _dry(traded["DRY"]),
        _demo(traded["DEMO"], run),
        _by_a_person("reviewed", confirmed, "python -m Live drift explains the difference trade by trade"),
        _risk(config),
        _daily(config),
        _alerts(config),
        _stop(stopped, resumed),
        _allowed(traded, may_trade=may_trade),
        _by_a_person("targets", confirmed, "python -m Live report shows what to expect"),
        _by_a_person("plan", confirmed, "docs/going-live.md has what a plan names"),
    ]


def confirm(config: LiveConfig, box: str, note: str, *, by: str, clock: Clock) -> None:
    """Put on record that a person vouches for a box. Raises Misconfigured for one that evidence decides, or without a note."""
    if box not in BY_A_PERSON:
        raise Misconfigured(f"--confirm {box}: a person can confirm {', '.join(BY_A_PERSON)}; the other boxes are judged by evidence")
    if not note.strip():
        raise Misconfigured(f"--confirm {box}: say with --note what was looked at, or where it is written down")
    with ExitStack() as resources:
        hold_record(resources, config.audit_db_path)
        record = AuditLogger(config.audit_db_path, clock, secrets=config.secrets)
        resources.callback(record.close)
        record.event(CONFIRMED, f"{BY_A_PERSON[box]}: {note}", details={"box": box, "by": by, "note": note})


def print_checklist(config: LiveConfig, *, as_json: bool) -> int:
    """Tell it; exit code 0 when every box is met, else 6."""
    boxes = checklist(config)
    missing = sum(not box.met for box in boxes)
    out = Console(highlight=False, soft_wrap=as_json)
    if as_json:
        out.print(json.dumps({"ready": not missing, "boxes": [asdict(box) for box in boxes]}, ensure_ascii=False, indent=1), markup=False)
        return CHECK_FAILED if missing else 0
    table = Table(box=None, pad_edge=False, header_style="bold", title="Before going live", title_justify="left")
    for heading in ("", "What", "Evidence, and what to do"):
        table.add_column(heading, overflow="fold")
    for box in boxes:
        mark = Text("met", style="green") if box.met else Text("open", style="yellow")
        table.add_row(mark, box.title, Text(box.evidence if box.met else f"{box.evidence}; {box.remedy}"))
    out.print(table)
    out.print("All boxes are met." if not missing else f"{missing} of {len(boxes)} boxes are open. Real money should wait for them.")
    return CHECK_FAILED if missing else 0


def _dry(traded: Traded) -> Box:
    evidence = f"{traded.trades} closed trades in dry runs of this very file"
    return Box("dry_run", "Tested in dry runs", traded.trades >= DRY_TRADES, evidence, f"want {DRY_TRADES}: run --dry-run")


def _demo(traded: Traded, run: Run) -> Box:
    days = traded.time / timedelta(days=1)
    met = days >= DEMO_DAYS and traded.trades > 0
    evidence = f"{days:.1f} days and {traded.trades} closed trades of {run.strategy_id} on demo accounts, as the file is now"
    return Box("demo", "A week on a demo account", met, evidence, f"want {DEMO_DAYS} days and a trade: DRY_RUN=false on a demo account")


def _risk(config: LiveConfig) -> Box:
    met = config.default_risk_pct <= MOST_RISK_PCT and config.max_position_size <= MOST_LOTS
    evidence = f"DEFAULT_RISK_PCT={config.default_risk_pct:g}, MAX_POSITION_SIZE={config.max_position_size:g}"
    return Box("risk", "Conservative risk limits", met, evidence, f"want at most {MOST_RISK_PCT:g} and {MOST_LOTS:g} to begin with")


def _daily(config: LiveConfig) -> Box:
    met = config.max_daily_trades <= MOST_DAILY_TRADES and config.max_daily_loss_pct <= MOST_DAILY_LOSS_PCT
    evidence = f"MAX_DAILY_TRADES={config.max_daily_trades}, MAX_DAILY_LOSS_PCT={config.max_daily_loss_pct:g}"
    return Box("daily", "Daily limits", met, evidence, f"want at most {MOST_DAILY_TRADES} and {MOST_DAILY_LOSS_PCT:g}")


def _alerts(config: LiveConfig) -> Box:
    well = sorted({str(each["channel"]) for each in deliveries_of(config.audit_db_path, 0) if each["outcome"] == "SENT"})
    met = config.enable_alerts and bool(well)
    evidence = f"ENABLE_ALERTS={str(config.enable_alerts).lower()}, channels that have delivered: {', '.join(well) or 'none'}"
    return Box("alerts", "Alerts reach somebody", met, evidence, "set up a channel, and try it with: python -m Live alerts test")


def _stop(stopped: Row | None, resumed: Row | None) -> Box:
    met = stopped is not None and resumed is not None
    told = [f"stopped {str(stopped['timestamp'])[:16]}" if stopped else "never stopped"]
    told += [f"resumed {str(resumed['timestamp'])[:16]}"] if resumed else []
    return Box("kill_switch", "Emergency stop tried out", met, ", ".join(told), "python -m Live stop while it trades, then resume")


def _allowed(traded: Mapping[str, Traded], *, may_trade: bool) -> Box:
    filled = traded["DEMO"].filled + traded["REAL"].filled
    evidence = f"{filled} orders of this file filled by a broker" + ("" if may_trade else ", but programs may not trade at the moment")
    return Box(
        "allowed", "The broker lets programs trade", bool(filled) and may_trade, evidence, "python -m Live doctor looks at the switches"
    )


def _by_a_person(box: str, confirmed: Mapping[str, Row], hint: str) -> Box:
    said: Mapping[str, Any] | None = confirmed.get(box)
    evidence = "not confirmed" if said is None else f"confirmed by {said['by']}, {str(said['timestamp'])[:10]}: {said['note']}"
    return Box(box, BY_A_PERSON[box], said is not None, evidence, f"{hint}; then golive --confirm {box} --note TEXT")
