"""A sentence in a record names no folder, no machine and no user."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from audit.engine import places
from audit.engine.places import placeless


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No such file: '/home/ann lee/weights/w.bin'", "No such file: '…/w.bin'"),
        ('File "/opt/venv/lib/python3.11/site-packages/x/y.py", line 3, in z', 'File "…/y.py", line 3, in z'),
        (
            "3 of 9 files in /mnt/data/faces cannot be used: a.png (b)",
            "3 of 9 files in …/faces cannot be used: a.png (b)",
        ),
        ("file:///home/ann/x.txt and /home/ann/", "…/x.txt and …/ann"),
        ("(/a/b/c), [/d/e]: </f/g>; `/h/i`", "(…/c), […/e]: <…/g>; `…/i`"),
        ("/tmp", "…/tmp"),
        (
            "a /metre, 3/4/5, and/or/not, https://h.example/a/b?c=d",
            "a /metre, 3/4/5, and/or/not, https://h.example/a/b?c=d",
        ),
        ("./here/x ../there/y ~/home/z pkg/mod/file.py", "./here/x ../there/y ~/home/z pkg/mod/file.py"),
        ("path=/d/e", "path=…/e"),
        ("", ""),
    ],
)
def test_the_last_part_of_a_path_is_left(text: str, expected: str) -> None:
    assert placeless(text) == expected
    assert placeless(placeless(text)) == placeless(text)


def test_a_folder_with_spaces_is_taken_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    places._known.cache_clear()
    monkeypatch.setattr(Path, "home", lambda: Path("/users/ann lee"))
    try:
        assert placeless("no /users/ann lee/data/x.png here") == "no …/x.png here"
    finally:
        places._known.cache_clear()


def test_the_name_of_the_machine_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    places._machine.cache_clear()
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-42.example.org")
    try:
        assert placeless("lab-42.example.org, lab-42: not lab-421 nor collab-42") == (
            "this machine, this machine: not lab-421 nor collab-42"
        )
    finally:
        places._machine.cache_clear()
