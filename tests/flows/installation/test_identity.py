"""The name of an installation: one for each state folder, also of copies, moved ones, and many first commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.installation import identity


def test_a_state_folder_has_one_name_and_another_folder_another(tmp_path: Path) -> None:
    one, other = identity.of(tmp_path / "one"), identity.of(tmp_path / "other")
    assert identity.of(tmp_path / "one") == one
    assert one.name != other.name
    assert one.copied_from is None


def test_many_first_commands_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from flows.installation import identity;"
        " print(identity.of(pathlib.Path(sys.argv[1])).name)"
    )
    run = [sys.executable, "-c", code, str(tmp_path / "state")]
    commands = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(12)]
    names = {command.communicate()[0].strip() for command in commands}
    assert names == {identity.of(tmp_path / "state").name}


def test_a_moved_folder_keeps_its_name(tmp_path: Path) -> None:
    before = identity.of(tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "after")
    moved = identity.of(tmp_path / "after")
    assert (moved.name, moved.folder, moved.copied_from) == (before.name, tmp_path / "after", None)
    # Whoever comes to the old place is somebody new, and leaves the moved one as it is.
    assert identity.of(tmp_path / "before").name != before.name
    assert identity.of(tmp_path / "after") == moved


def test_a_copy_gets_a_name_of_its_own_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    original = identity.of(tmp_path / "original")
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    copy = identity.of(tmp_path / "copy")
    assert copy.name != original.name
    assert copy.copied_from == tmp_path / "original"
    assert "creditlens restore" in caplog.text
    caplog.clear()
    assert identity.of(tmp_path / "copy") == copy
    assert identity.of(tmp_path / "original") == original
    assert caplog.text == ""


def test_a_copy_whose_original_was_removed_and_made_anew_keeps_the_name(tmp_path: Path) -> None:
    original = identity.of(tmp_path / "original")
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    shutil.rmtree(tmp_path / "original")
    assert identity.of(tmp_path / "original").name != original.name
    assert identity.of(tmp_path / "copy").name == original.name


def test_one_folder_by_two_paths_is_one_installation(tmp_path: Path) -> None:
    known = identity.of(tmp_path / "state")
    (tmp_path / "link").symlink_to(tmp_path / "state")
    assert identity.of(tmp_path / "link") == known


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_who_may_not_look_at_the_original_has_a_copy(open_folder: Path) -> None:
    closed, copy = open_folder / "closed-original", open_folder / "copy-of-closed"
    original = identity.of(closed / "state")
    closed.chmod(0o700)
    shutil.copytree(closed / "state", copy)
    for path in (copy, *copy.iterdir()):
        os.chown(path, 65534, 65534)
    code = (
        "import os, sys; from pathlib import Path; from flows.installation import identity;"
        " os.setgid(65534); os.setuid(65534); print(identity.of(Path(sys.argv[1])).name)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != original.name
