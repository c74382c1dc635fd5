"""The settings, the secrets among them, and the files and ports that they name."""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from Live.audit_logger import check_record
from Live.audit_logger.reader import AuditReader, RecordUnavailable
from Live.config import DEFAULT_ENV_FILE, SECRETS, LiveConfig
from Live.doctor.findings import Finding, fail, ok, warn
from Live.errors import Misconfigured
from Live.kill_switch import LIFTED_BY, KillSwitchFile
from Live.locks import record_is_held
from Live.stop_latch import stop_seen

GIGABYTE = 1024**3
LITTLE, TOO_LITTLE = 1.0, 0.1  # gigabytes of free space


def settings(config: LiveConfig, env_file: Path | None, environ: Mapping[str, str], kind: str) -> Iterator[Finding]:
    """What the settings say, and whether what they name can be used."""
    file = env_file or DEFAULT_ENV_FILE
    yield ok("Settings", str(file) if file.exists() else "no .env file: the defaults, and what the environment says")
    yield from _secrets(config, file, environ, kind)
    yield _money(config, kind)
    yield _kill_switch(config)
    yield from _folders(config, kind)
    yield _record(config)
    yield _port(config)


def _secrets(config: LiveConfig, file: Path, environ: Mapping[str, str], kind: str) -> Iterator[Finding]:
    if kind != "simulated" and config.mt5_login is None:
        yield ok("Login", "MT5_LOGIN is empty: the account that the terminal is logged in to is taken")
    elif kind != "simulated" and not config.password():
        text = f"no password for MT5_LOGIN={config.mt5_login} in the settings or the keyring: the terminal uses the one that it has kept"
        yield warn("Login", text, "if it cannot log in, set MT5_PASSWORD, or store it: python -m Live secrets set MT5_PASSWORD")
    elif kind != "simulated":
        yield ok("Login", f"MT5_LOGIN={config.mt5_login} with a password")
    in_file = [name.upper() for name in SECRETS if getattr(config, name) and name.upper() not in environ]
    if in_file and file.exists():
        yield ok("Secrets", f"{', '.join(in_file)} in {file}, which only you can read" if os.name == "posix" else ", ".join(in_file))


def _money(config: LiveConfig, kind: str) -> Finding:
    if kind == "simulated":
        return ok("Orders go to", "the simulated terminal")
    if config.dry_run:
        return ok("Orders go to", "a paper account of ours on the terminal's prices; nothing is sent to the broker (DRY_RUN=true)")
    if config.allow_real_account:
        return warn("Orders go to", "the broker, also with real money (ALLOW_REAL_ACCOUNT=true)", "set it to false unless you mean it")
    return ok("Orders go to", "the broker, on a demo account only (ALLOW_REAL_ACCOUNT=false)")


def _kill_switch(config: LiveConfig) -> Finding:
    switch = KillSwitchFile.of(config)
    if (found := switch.found()) is not None:
        return fail("Emergency stop", f"{found} is there: nothing is sent, and no trader starts", LIFTED_BY)
    with contextlib.suppress(RecordUnavailable):  # told with the record, below
        if (stop := stop_seen(config.audit_db_path)) is not None:
            return fail("Emergency stop", str(stop), LIFTED_BY)
    if switch.path is None:
        return warn("Emergency stop", "ENABLE_KILL_SWITCH=false: no file stops the trader", "set it to true unless you mean it")
    return ok("Emergency stop", f"not set; creating {switch.path} stops the trader")


def _folders(config: LiveConfig, kind: str) -> Iterator[Finding]:
    folders = {"LOG_DIR": config.log_dir, "AUDIT_DB_PATH": config.audit_db_path.parent}
    if kind == "simulated" or config.dry_run:
        folders["SIM_ACCOUNT_DIR"] = config.sim_account_dir
    for name, folder in folders.items():
        yield _folder(name, folder)


def _folder(name: str, folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        return fail(name, f"{there} is a file, so {folder} cannot be a folder", f"choose another {name}")
    if not os.access(there, os.W_OK | os.X_OK):
        return fail(name, f"{there} may not be written to", f"choose another {name}, or give yourself the right to write there")
    free = shutil.disk_usage(there).free / GIGABYTE
    text = f"{folder}{'' if folder.exists() else ' (is made at the start)'}, {free:,.1f} GB free"
    if free < TOO_LITTLE:
        return fail(name, text, "make room: what cannot be recorded is not sent")
    return warn(name, text, "make room") if free < LITTLE else ok(name, text)


def _record(config: LiveConfig) -> Finding:
    path = config.audit_db_path
    try:
        check_record(path)
        if not path.exists():
            return ok("Record", f"{path} is made at the first start")
        if record_is_held(path):
            remedy = "stop it before you start another, or give that one an AUDIT_DB_PATH of its own"
            return warn("Record", f"{path} is being written: a trader is running", remedy)
        with AuditReader(path) as reader:
            run = reader.latest_run()
    except Misconfigured as error:
        return fail("Record", str(error), "move the file away, or choose another AUDIT_DB_PATH")
    except RecordUnavailable as error:
        return warn("Record", str(error), "look again in a moment")
    last = "no run yet" if run is None else f"last run {run.started_at[:16].replace('T', ' ')} UTC, {run.mode} {run.strategy_id}"
    return ok("Record", f"{path}, {last}")


def _port(config: LiveConfig) -> Finding:
    port = config.dashboard_port
    if not config.dashboard:
        return ok("Dashboard", "off (DASHBOARD=false)")
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return warn("Dashboard", f"port {port} is in use, perhaps by a dashboard that is open", "or set another DASHBOARD_PORT")
    return ok("Dashboard", f"port {port} is free")
