"""Where a store lies, and that its address never shows a password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from audit.core.errors import InputError
from audit.store.location import resolve


def test_the_argument_comes_before_the_environment_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIT_STORE", raising=False)
    assert resolve().folder == tmp_path / "audit-store"
    monkeypatch.setenv("AUDIT_STORE", "/somewhere")
    assert resolve().folder == Path("/somewhere")
    assert resolve("here").folder == tmp_path / "here"
    assert resolve("here").blobs == tmp_path / "here" / "blobs"
    assert str(resolve("here")) == str(tmp_path / "here")


def test_a_database_has_its_blobs_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = resolve("postgresql://me@db:5433/audits?blobs=/shared/b&sslmode=require")
    assert address.blobs == Path("/shared/b")
    assert address.url == "postgresql+psycopg://me@db:5433/audits?sslmode=require"
    assert address.folder is None
    assert resolve("postgresql+psycopg://db/audits").blobs == tmp_path / "audit-store" / "blobs"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cr%40t@db/audits",
        "postgresql+psycopg://db/audits?user=me&password=s3cr%40t",
        "postgresql+psycopg://db/audits?sslpassword=s3cr%40t&sslkey=k",
    ],
)
def test_a_password_is_used_and_never_shown(url: str) -> None:
    address = resolve(url)
    assert "s3cr%40t" in address.url or "s3cr@t" in address.url
    for shown in (str(address), repr(address), f"{address}"):
        assert "s3cr" not in shown
        assert "audits" in shown


@pytest.mark.parametrize(
    "wanted", ["runs", "a b?c#d%20e&f=1", "./http:x", "postgresql://me:s3cr%40t@db/audits?sslmode=require"]
)
def test_an_address_is_spelled_the_same_from_any_folder(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = resolve(wanted)
    monkeypatch.chdir("/")
    assert resolve(here.spelled) == here


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("/shared/b", Path("/shared/b")),
        ("file:///shared/a%20b/", "file:///shared/a%20b"),
        ("s3://team/audits/", "s3://team/audits"),
        ("s3://team", "s3://team"),
        ("gs://team.example.com/a/b=c", "gs://team.example.com/a/b=c"),
        ("az://container/audits", "az://container/audits"),
    ],
)
def test_blobs_may_lie_beside_any_ledger(wanted: str, place: object, tmp_path: Path) -> None:
    database = resolve(f"postgresql://me@db/audits?blobs={quote(wanted, safe='')}&sslmode=require")
    assert (database.blobs, database.url) == (place, "postgresql+psycopg://me@db/audits?sslmode=require")
    folder = resolve(f"file://{tmp_path}/my%20runs?blobs={quote(wanted, safe='')}")
    assert (folder.blobs, folder.folder) == (place, tmp_path / "my runs")
    assert str(folder) == str(tmp_path / "my runs")
    for address in (database, folder):
        assert resolve(address.spelled) == address
    assert resolve(f"postgresql://me@db/audits?blobs={wanted}") == resolve(
        f"postgresql://me@db/audits?blobs={quote(wanted, safe='')}"
    )


def test_a_folder_named_as_a_url_is_that_folder(tmp_path: Path) -> None:
    assert resolve(f"file://{tmp_path}/runs") == resolve(str(tmp_path / "runs"))


@pytest.mark.parametrize(
    "blobs",
    [
        "s3://KEY:s3cret@bucket/x",
        "s3://bucket/x?secret=s3cret",
        "s3://bucket/x%23s3cret",
        "s3://bucket/../s3cret",
        "s3://bucket//s3cret",
        "s3://",
        "https://account.blob.core.windows.net/c%3Fsig=s3cret",
        "file://host/s3cret",
        "file:s3cret://x",
    ],
)
@pytest.mark.parametrize("ledger", ["postgresql://db/audits", "file:///runs"])
def test_blobs_that_cannot_lie_there_are_refused_and_no_secret_is_shown(ledger: str, blobs: str) -> None:
    with pytest.raises(InputError) as raised:
        resolve(f"{ledger}?blobs={quote(blobs, safe='')}")
    assert "s3cret" not in str(raised.value).replace("'file:s3cret'", "")


@pytest.mark.parametrize("wrong", ["file:///a?blob=s3://b/c", "file:///a?blobs=/b&blobs=/c", "file://host/a"])
def test_a_folder_as_a_url_says_how_it_is_written(wrong: str) -> None:
    with pytest.raises(InputError, match=r"file:///a/folder\?blobs=s3://bucket/folder"):
        resolve(wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("sqlite:///x.db", "cannot lie in 'sqlite'"),
        ("mysql://u:s3cret@h/d", "cannot lie in 'mysql'"),
        ("postgresql+psycopg2://h/d", "cannot lie in 'postgresql"),
        ("postgresql://u:s3cret@h:port/d", "cannot be read"),
        ("s3://bucket/x", "cannot lie in 's3'.*blobs=s3://bucket"),
        ("postgresql://h/d?blobs=/a&blobs=/b", "more than once"),
    ],
)
def test_what_no_store_lies_in_is_refused(wrong: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        resolve(wrong)
    assert "s3cret" not in str(raised.value)
