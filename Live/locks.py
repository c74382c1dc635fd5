"""One trader per record, and per account and magic number: a lock that dies with its process."""

import hashlib
import tempfile
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from Live.config import LiveConfig
from Live.errors import AnotherInstance, Misconfigured


def hold_locks(resources: ExitStack, config: LiveConfig, *, simulated: bool) -> None:
    """Take the locks for as long as `resources` live. Raises AnotherInstance when somebody else has one."""
    record = config.audit_db_path
    _hold(
        resources,
        record.with_name(record.name + ".lock"),
        f"another trader writes {record}; stop it, or give this one an AUDIT_DB_PATH of its own",
    )
    if not simulated:
        # per machine, not per folder: two copies of the project trade the same account
        account = f"{config.mt5_login}@{config.mt5_server}#{config.magic_number}"
        name = hashlib.sha256(account.encode()).hexdigest()[:16]
        who = f"account {config.mt5_login} with MAGIC_NUMBER={config.magic_number}"
        text = f"another trader on this machine trades {who}; stop it, or choose another number"
        _hold(resources, Path(tempfile.gettempdir()) / f"algoagent-live-{name}.lock", text)


def _hold(resources: ExitStack, path: Path, sentence: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        resources.enter_context(FileLock(path, timeout=0))
    except Timeout as error:
        raise AnotherInstance(sentence) from error
    except OSError as error:
        reason = error.strerror or error
        raise Misconfigured(f"{path} cannot be made ({reason}); choose an AUDIT_DB_PATH in a folder that you may write to") from error
