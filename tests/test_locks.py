import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from Live.config import PROJECT_ROOT
from Live.errors import AnotherInstance, Misconfigured
from Live.locks import hold_account, hold_record
from Live.model import Magic, Slot

SLOT = Slot(12345678, "Demo-Server", "sma_cross", Magic(123456))
HOLDER = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from Live.locks import hold_record
with ExitStack() as resources:
    hold_record(resources, Path(sys.argv[1]))
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _locks_of_accounts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_record_has_one_writer(tmp_path: Path) -> None:
    with ExitStack() as mine, ExitStack() as theirs:
        hold_record(mine, tmp_path / "audit.db")
        with pytest.raises(AnotherInstance, match=r"another trader writes .*audit\.db; stop it, or give this one an AUDIT_DB_PATH"):
            hold_record(theirs, tmp_path / "audit.db")
        hold_record(theirs, tmp_path / "other.db")


def test_a_record_has_one_writer_by_whichever_name_it_is_called(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "audit.db")
    with ExitStack() as mine, ExitStack() as theirs:
        hold_record(mine, tmp_path / "audit.db")
        with pytest.raises(AnotherInstance):
            hold_record(theirs, link)


def test_a_lock_is_free_again_when_its_holder_leaves(tmp_path: Path) -> None:
    for _ in range(2):
        with ExitStack() as mine:
            hold_record(mine, tmp_path / "audit.db")


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "audit.db")]
    holder = subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with ExitStack() as mine, pytest.raises(AnotherInstance):
        hold_record(mine, tmp_path / "audit.db")
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with ExitStack() as mine:
        hold_record(mine, tmp_path / "audit.db")


def test_an_account_has_one_trader_with_each_magic_number(tmp_path: Path) -> None:
    with ExitStack() as mine, ExitStack() as theirs:
        hold_account(mine, SLOT)
        with pytest.raises(AnotherInstance, match="trades account 12345678 at Demo-Server with MAGIC_NUMBER=123456; stop it, or choose"):
            hold_account(theirs, replace(SLOT, strategy_id="another strategy"))
        hold_account(theirs, replace(SLOT, magic=Magic(2)))
        hold_account(theirs, replace(SLOT, login=1))
        hold_account(theirs, replace(SLOT, server="Another"))


def test_a_lock_that_cannot_be_made_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with (
        ExitStack() as mine,
        pytest.raises(Misconfigured, match=r"the lock .*audit\.db\.lock cannot be made \(.+\); choose an AUDIT_DB_PATH"),
    ):
        hold_record(mine, tmp_path / "file" / "audit.db")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has a folder in which nobody can make a file")
def test_a_folder_in_which_no_file_can_be_made_is_not_taken_for_another_trader() -> None:
    with ExitStack() as mine, pytest.raises(Misconfigured, match=r"the lock .*x\.db\.lock cannot be made"):
        hold_record(mine, Path("/proc/x.db"))
