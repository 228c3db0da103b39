"""Whole files: what cannot be written is told by the name that was given, and before."""

import errno
import os
import sys
from pathlib import Path

import pytest

from elulayer._support.whole_files import require_writable, write_whole


def write(path):
    write_whole(path, b"new")


BOTH = pytest.mark.parametrize("act", [write, require_writable])


def refused(act, path, error):
    """Return what is told of a path that must be refused, without a trace of a part."""
    with pytest.raises(error) as caught:
        act(path)
    assert caught.value.filename == os.fspath(path)
    assert ".part" not in str(caught.value)
    return str(caught.value)


@BOTH
def test_a_missing_folder(tmp_path, act):
    refused(act, tmp_path / "none" / "a", FileNotFoundError)


@BOTH
def test_a_folder_in_the_files_place(tmp_path, act):
    refused(act, tmp_path, IsADirectoryError)


@BOTH
def test_a_file_in_the_folders_place(tmp_path, act):
    (tmp_path / "file").touch()
    refused(act, tmp_path / "file" / "a", NotADirectoryError)


@BOTH
def test_a_link_to_nowhere(tmp_path, act):
    (tmp_path / "link").symlink_to(tmp_path / "none" / "a")
    refused(act, tmp_path / "link", FileNotFoundError)


@BOTH
@pytest.mark.skipif(os.name != "posix", reason="devices are files on POSIX systems")
def test_a_device_is_not_replaced(tmp_path, act):
    (tmp_path / "link").symlink_to(os.devnull)
    for path in (os.devnull, tmp_path / "link"):
        assert "a device" in refused(act, path, OSError)
    assert not Path(os.devnull).is_file()


@BOTH
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to(act):
    refused(act, "/proc/a", OSError)


@BOTH
@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind the superuser"
)
def test_no_permission(tmp_path, act):
    tmp_path.chmod(0o500)
    try:
        refused(act, tmp_path / "a", PermissionError)
    finally:
        tmp_path.chmod(0o700)


@BOTH
def test_a_relative_path_and_a_home_folder_are_named_as_given(tmp_path, act, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    refused(act, "none/a", FileNotFoundError)
    refused(act, "~/none/a", FileNotFoundError)
    act("~/a")
    act("b")
    act("~nobody-of-this-name")
    assert all(path.read_bytes() == b"new" for path in tmp_path.iterdir())


@BOTH
def test_a_long_name(tmp_path, act):
    act(tmp_path / ("a" * 250))
    message = refused(act, tmp_path / ("a" * 300), OSError)
    assert os.strerror(errno.ENAMETOOLONG) in message


def test_trying_changes_nothing(tmp_path):
    old = tmp_path / "old"
    old.write_bytes(b"old")
    before = old.stat()
    require_writable(old)
    require_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == ["old"] and old.read_bytes() == b"old"
    assert old.stat().st_mtime_ns == before.st_mtime_ns


def test_a_file_that_is_mounted_is_written_where_it_is(tmp_path, monkeypatch):
    """As single files of containers are: nothing can take their place."""
    (tmp_path / "a").write_bytes(b"old, and longer")

    def busy(source, target):
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX systems have such folders")
def test_another_users_file_in_a_shared_folder(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1)
    assert "another user's" in refused(require_writable, tmp_path / "a", PermissionError)
    require_writable(tmp_path / "b")


def test_a_file_that_may_not_be_changed(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    opened = Path.open

    def refuse(path, mode="r"):
        if mode == "r+b":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", refuse)
    refused(require_writable, tmp_path / "a", PermissionError)
    require_writable(tmp_path / "b")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_names_the_file(tmp_path, monkeypatch, step):
    (tmp_path / "a").write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "an internal name.part")

    monkeypatch.setattr(os, step, full)
    assert "No space left" in refused(write, tmp_path / "a", OSError)
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"
