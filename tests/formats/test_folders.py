"""Folders: links, loops, hidden files, odd names and great depth."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.formats.folders import listing
from audit.formats.hostile import Mark, Refused, shown, tolerate


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def reasons(refused: tuple[Refused, ...]) -> dict[str, str]:
    return {entry.name: entry.reason for entry in refused}


def test_links_are_followed_inside_and_otherwise_when_asked(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    put(folder / "a")
    put(outside / "sub" / "b")
    (folder / "inside").symlink_to("a")
    (folder / "out").symlink_to(outside / "sub" / "b")
    (folder / "all").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "lost").symlink_to("nowhere")
    (folder / "null").symlink_to("/dev/null")
    found = listing(folder)
    assert found.names == ("a", "inside")
    assert reasons(found.refused) == {
        "all": "a link that leads out of the folder",
        "lost": "a broken link",
        "null": "a link that leads out of the folder",
        "out": "a link that leads out of the folder",
        "round": "a link to a folder",
        "self": "a link that cannot be followed",
    }
    found = listing(folder, links="follow")
    assert found.names == ("a", "all/sub/b", "inside", "out")
    assert set(reasons(found.refused)) == {"lost", "null", "self"}
    assert reasons(found.refused)["null"] == "a link to a device"


def test_folders_that_link_to_each_other_are_each_read_once(tmp_path: Path) -> None:
    put(tmp_path / "one" / "a")
    put(tmp_path / "two" / "b")
    (tmp_path / "one" / "next").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "next").symlink_to(tmp_path / "one")
    assert listing(tmp_path / "one", links="follow").names == ("a", "next/b")


@pytest.mark.parametrize(
    ("store", "root"),
    [
        ("blobs/0f", "snapshots/abc/data"),
        (".git/annex/objects/X1/SHA--1/SHA--1", "images"),
        (".dvc/cache/files/md5/0f/12", "deep/images"),
    ],
)
def test_the_store_of_a_folder_of_links_counts_as_inside(tmp_path: Path, store: str, root: str) -> None:
    put(tmp_path / store)
    (tmp_path / root).mkdir(parents=True)
    (tmp_path / root / "a.png").symlink_to(tmp_path / store)
    assert listing(tmp_path / root).names == ("a.png",)


def test_what_git_annex_has_not_fetched_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(".git/annex/objects/X1/SHA--1/SHA--1")
    assert reasons(listing(tmp_path).refused)["a.png"].endswith("run 'git annex get'")


def test_hidden_files_and_folders_stand_beside(tmp_path: Path) -> None:
    for name in ("a", ".DS_Store", "._a", ".git/config", "sub/.hidden/b", "@eaDir/a/thumb.jpg"):
        put(tmp_path / name)
    (tmp_path / "lost+found").mkdir(mode=0)
    found = listing(tmp_path)
    assert found.names == ("a",)
    assert [entry.name for entry in found.refused] == [
        ".DS_Store",
        "._a",
        ".git",
        "@eaDir",
        "lost+found",
        "sub/.hidden",
    ]
    assert {entry.mark for entry in found.refused} == {Mark.BESIDE}
    assert tolerate(found.refused, found.total, "images", "F") == (
        "6 other files were found in F and not read: .DS_Store, ._a, .git, @eaDir, lost+found and 1 more.",
    )


def test_names_that_are_no_utf8_and_names_that_attack_a_terminal(tmp_path: Path) -> None:
    hostile = (
        b"caf\xe9.png",
        b"a\nb",
        "\u202egnp.exe".encode(),
        b"\x1b[31mred",
        "e\u0301".encode(),
        "\u00e9".encode(),
    )
    for name in hostile:
        put(tmp_path / os.fsdecode(name))
    found = listing(tmp_path)
    assert sorted(os.fsencode(name) for name in found.names) == sorted(hostile)
    assert all(path.read_text() == "x" for path in found.files().values())
    for name in found.names:
        shown(name).encode("utf-8")
        assert shown(name).isprintable()


@pytest.mark.slow
def test_a_folder_thousands_of_levels_deep_is_refused(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("dd", dir_fd=here)
        below = os.open("dd", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(InputError, match=r"cannot be listed: its path is too long") as refusal:
        listing(tmp_path)
    assert len(str(refusal.value)) < 400
    subprocess.run(
        ["rm", "-rf", str(tmp_path / "dd")], check=True
    )  # pytest's own clearing does not go so deep


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("x" * 5000, "file name too long"),
        ("a\0b", "no possible path"),
        ("missing", "does not exist"),
        ("file", "is not a folder"),
        ("pipe", "is not a folder"),
        ("loop", "cannot be read"),
        ("lost", "a broken link"),
    ],
)
def test_a_place_that_is_no_folder_is_refused(tmp_path: Path, path: str, said: str) -> None:
    put(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "lost").symlink_to("nowhere")
    with pytest.raises(InputError, match=said) as refusal:
        listing(tmp_path / path)
    assert len(str(refusal.value)) < 400


def test_reasons_are_given_once_for_many_files() -> None:
    refused = [Refused(f"{n}.png", "empty") for n in range(9)] + [Refused("x", "a named pipe")]
    (said,) = tolerate(refused, 1000, "images", "F")
    assert said == (
        "10 of 1,000 images in F cannot be used: 0.png, 1.png, 2.png, 3.png, 4.png and 4 more (empty); "
        "x (a named pipe). They were left out."
    )
    noted = [Refused(f"{n}.png", "are of two kinds", Mark.NOTED) for n in range(3)]
    assert tolerate(noted, 13, "images", "F") == ("3 of 10 images in F are of two kinds.",)
    with pytest.raises(InputError, match=r"More than 5% .* then run again\. Do this\.$"):
        tolerate(refused, 100, "images", "F", "Do this.")


def test_reasons_that_differ_in_a_place_alone_are_one() -> None:
    refused = [
        Refused("line 1", "not UTF-8 at byte 175: save it as UTF-8"),
        Refused("line 2", "empty"),
        Refused("line 3", "not UTF-8 at byte 1,180: save it as UTF-8"),
    ]
    (said,) = tolerate(refused, 1000, "texts", "F")
    assert "cannot be used: line 1, line 3 (not UTF-8: save it as UTF-8); line 2 (empty)." in said
    (said,) = tolerate(refused[:2], 1000, "texts", "F")
    assert "line 1 (not UTF-8 at byte 175: save it as UTF-8)" in said
