from pathlib import Path

import pytest

from Live.config import LiveConfig
from Live.errors import KillSwitch
from Live.kill_switch import KillSwitchFile


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def started_in(tmp_path: Path) -> Path:
    (tmp_path / "started").mkdir()
    return tmp_path / "started"


def switch(root: Path, started_in: Path, *, enabled: bool = True) -> KillSwitchFile:
    return KillSwitchFile(root / "EMERGENCY_STOP", enabled=enabled, started_in=started_in)


def test_without_the_file_trading_goes_on(root: Path, started_in: Path) -> None:
    (root / "EMERGENCY").touch()
    (root / "README_EMERGENCY_STOP").touch()
    stop = switch(root, started_in)
    assert not stop.is_on()
    assert stop.found() is None
    assert stop.path == root / "EMERGENCY_STOP"
    stop.check()


@pytest.mark.parametrize("name", ["EMERGENCY_STOP", "EMERGENCY_STOP.txt", "EMERGENCY_STOP - Copy", "emergency_stop.TXT"])
@pytest.mark.parametrize("folder", ["root", "started"])
def test_the_file_stops_trading_in_both_folders_and_by_every_name_that_begins_so(
    name: str, folder: str, root: Path, started_in: Path
) -> None:
    stop = switch(root, started_in)
    file = root.parent / folder / name
    file.touch()
    assert stop.found() == file
    with pytest.raises(KillSwitch, match=r"/(?i:emergency_stop).* exists: nothing more is sent"):
        stop.check()
    file.unlink()
    assert not stop.is_on()


def test_a_folder_of_that_name_counts(root: Path, started_in: Path) -> None:
    (root / "EMERGENCY_STOP").mkdir()
    assert switch(root, started_in).is_on()


def test_a_link_that_leads_nowhere_counts(root: Path, started_in: Path) -> None:
    (root / "EMERGENCY_STOP").symlink_to(root / "gone")
    assert switch(root, started_in).is_on()


@pytest.mark.parametrize("missing", ["root", "started"])
def test_a_folder_that_cannot_be_read_stops_trading(missing: str, root: Path, started_in: Path) -> None:
    stop = switch(root, started_in)
    (root.parent / missing).rmdir()
    assert stop.is_on()
    with pytest.raises(KillSwitch, match=f"{missing} cannot be read, so nobody can tell whether EMERGENCY_STOP is there"):
        stop.check()


def test_a_switch_that_is_off_sees_nothing(root: Path, started_in: Path) -> None:
    (root / "EMERGENCY_STOP").touch()
    stop = switch(root, started_in, enabled=False)
    assert not stop.is_on()
    assert stop.path is None
    stop.check()


def test_the_settings_name_the_file_and_the_start_folder_is_where_the_process_was_started(
    root: Path, started_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(started_in)
    stop = KillSwitchFile.of(LiveConfig(kill_switch_file=root / "HALT"))
    monkeypatch.chdir(root)
    assert not stop.is_on()
    (started_in / "HALT.txt").touch()
    assert stop.found() == started_in / "HALT.txt"
    assert not KillSwitchFile.of(LiveConfig(kill_switch_file=root / "HALT", enable_kill_switch=False)).is_on()
