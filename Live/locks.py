"""One trader per record, per account and magic number, and per simulated account: a lock that dies with its process."""

import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from Live.errors import AnotherInstance, Misconfigured
from Live.model import Slot

ENDING_SECONDS = 60.0  # for which alerts are still delivered after their trader has ended, and a little
ANOTHER_USER = "another user's trader may have made it; let that user trade, or remove the file"


def hold_record(resources: ExitStack, record: Path) -> None:
    """The only writer of this record. Raises AnotherInstance, or Misconfigured when its folder cannot be written."""
    taken = f"another trader writes {record}; stop it, or give this one an AUDIT_DB_PATH of its own"
    file = record.resolve()  # by whichever name it is called
    _hold(resources, file.with_name(file.name + ".lock"), taken, "choose an AUDIT_DB_PATH in a folder that you may write to")


def record_is_held(record: Path) -> bool:
    """Whether a trader writes this record at the moment. Makes no file."""
    file = record.resolve()
    lock = file.with_name(file.name + ".lock")
    if not lock.exists():
        return False
    try:
        FileLock(lock, timeout=0).acquire().lock.release()
    except (Timeout, OSError):
        return True
    return False


def hold_delivery(resources: ExitStack, record: Path, what: str) -> None:
    """The only process that does this for this record: `what` is "alerts" or "telegram".

    One that is about to end, because its trader did, is waited for. Raises AnotherInstance, or Misconfigured.
    """
    taken = f"another process does this for {record} already: stop that one"
    file = record.resolve()
    remedy = "choose an AUDIT_DB_PATH in a folder that you may write to"
    _hold(resources, file.with_name(f"{file.name}.{what}.lock"), taken, remedy, patience=ENDING_SECONDS)


def hold_account(resources: ExitStack, slot: Slot) -> None:
    """The only trader with this magic number on this account, whichever folder it was started from.

    Raises AnotherInstance, or Misconfigured when the machine's folder for temporary files cannot be written.
    """
    who = f"account {slot.login} at {slot.server} with MAGIC_NUMBER={slot.magic}"
    taken = f"another trader on this machine trades {who}; stop it, or choose another number"
    _hold(resources, _of_the_machine(f"{slot.login}@{slot.server}#{slot.magic}"), taken, ANOTHER_USER)


def hold_symbols(resources: ExitStack, slot: Slot, symbols: Sequence[str]) -> None:
    """The only trader of these symbols on this netting account, whatever its magic number: two would share one net position.

    Raises AnotherInstance, or Misconfigured when the machine's folder for temporary files cannot be written.
    """
    for symbol in symbols:
        who = f"{symbol} on account {slot.login} at {slot.server}, which keeps one net position a symbol"
        taken = f"another trader on this machine trades {who}; stop it, or trade another symbol"
        _hold(resources, _of_the_machine(f"{slot.login}@{slot.server}/{symbol}"), taken, ANOTHER_USER)


def hold_simulated_account(resources: ExitStack, file: Path) -> None:
    """The only trader of the simulated account in this file. Raises AnotherInstance, or Misconfigured when its folder cannot be written."""
    taken = (
        f"another trader trades the simulated account {file}; stop it, start with --fresh, or give this one a SIM_ACCOUNT_DIR of its own"
    )
    _hold(resources, file.with_name(file.name + ".lock"), taken, "choose a SIM_ACCOUNT_DIR that you may write to")


def _of_the_machine(what: str) -> Path:
    # per machine, not per folder: two copies of the project trade the same account
    return Path(tempfile.gettempdir()) / f"algoagent-live-{hashlib.sha256(what.encode()).hexdigest()[:16]}.lock"


def _hold(resources: ExitStack, path: Path, taken: str, remedy: str, *, patience: float = 0) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        resources.enter_context(FileLock(path, timeout=patience))
    except Timeout as error:
        if not path.exists():  # some systems' folders answer so where no file can be made, as /proc does
            raise Misconfigured(f"the lock {path} cannot be made; {remedy}") from error
        raise AnotherInstance(taken) from error
    except OSError as error:
        raise Misconfigured(f"the lock {path} cannot be made ({error.strerror or error}); {remedy}") from error
