"""The page that starts audits, against real processes: ordinary runs that outlive whoever started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from audit.core.errors import InputError
from audit.store.location import StoreAddress, resolve
from audit.store.runs import open_store
from dashboards import access, choices, started
from dashboards.choices import Choice
from dashboards.started import State
from tests.dashboards.test_app import HARMFUL, opened, words

SPEC = """
name = "small"
samples = {samples}
[model]
{model}
[[evaluators]]
name = "quality.samples"
[[policy.criteria]]
metric = "quality.samples.repeated"
at_most = 1.0
why = "a bound to try"
[run]
executor = "inline"
"""
SLOW = """
import os, time

class Slow:
    def sample(self, n, rng, condition=None):
        while n > 2 and not os.path.exists({go!r}):
            time.sleep(0.02)
        return rng.integers(0, 255, (n, 8, 8), dtype="uint8")

def make(state, device) -> Slow:
    with open({loaded!r}, "a") as file:
        file.write(f"{{os.getpid()}} ")
    return Slow()
"""


@pytest.fixture(autouse=True)
def _local() -> Iterator[None]:
    """Serve as ``audit dashboard`` does: on this machine alone."""
    before = st.get_option("server.address")
    st.config.set_option("server.address", "127.0.0.1")
    yield
    st.config.set_option("server.address", before)


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "small.toml").write_text(SPEC.format(samples=20, model='use = "digits-vae"'))
    (folder / "settings.toml").write_text("[tool]\nname = 'no spec'\n")
    (folder / "broken.toml").write_text("[model\n")
    (folder / "link.toml").symlink_to(folder / "small.toml")
    monkeypatch.setenv(choices.SPECS, str(folder))
    return folder


def waiting(specs: Path) -> str:
    """Add a spec whose model waits for the file ``go``, and return its name. The file ``loaded`` says which processes made it."""
    plugin = specs / "plugin"
    plugin.mkdir()
    code = SLOW.format(go=str(specs / "go"), loaded=str(specs / "loaded"))
    (plugin / "slow_model.py").write_text(code)
    save_file({"weight": np.zeros(1, dtype=np.float32)}, plugin / "weights.safetensors")
    model = (
        'adapter = "torch_module"\nfactory = "slow_model:make"\npython_path = "plugin"\n'
        'weights = "plugin/weights.safetensors"\nmodality = "image"\n[data]\nuse = "digits"\n'
    )
    (specs / "slow.toml").write_text(SPEC.format(samples=20, model=model))
    return "slow.toml"


def begun(address: StoreAddress) -> started.Started:
    """Wait until the newest audit has a place in the ledger."""
    end = time.monotonic() + 120
    while not (one := started.every(address)[0]).run:
        assert one.state in started.ALIVE, one
        assert time.monotonic() < end
        time.sleep(0.1)
    return one


def until(address: StoreAddress, *states: State, seconds: float = 120) -> started.Started:
    """Wait until the newest audit is in one of some states."""
    end = time.monotonic() + seconds
    while True:
        (newest, *_) = started.every(address)
        if newest.state in states:
            return newest
        assert newest.state in started.ALIVE, newest
        assert time.monotonic() < end, newest
        time.sleep(0.1)


def button(app: AppTest, key: str) -> Any:
    return next(b for b in app.button if b.key == key or str(b.key).startswith(key))


@pytest.mark.slow
def test_the_main_path_by_the_page(store: Path, specs: Path) -> None:
    address = resolve(str(store))
    app = opened("start")
    assert not app.exception
    assert app.title[0].value == "Start an audit"
    assert not store.exists()  # looking made nothing
    app.button_group(key="what").set_value("A spec file").run()
    assert app.selectbox(key="spec").options == ["small.toml"]
    button(app, "plan").click().run()
    assert not app.exception
    assert "samples" in words(app)
    assert "No earlier run of these weights" in words(app)
    button(app, "start").click().run()
    assert not app.exception
    app = opened("start")  # another browser, which has seen none of this
    assert "running" in words(app)
    one = until(address, State.FINISHED)
    app = opened("start")
    assert not app.exception
    assert one.verdict == "pass"
    with open_store(address, create=False, read_only=True) as opened_store:
        assert opened_store.read(one.run).finished is not None
    assert f"run {one.run}" in words(app).replace("\\", "")
    app.button_group(key="what").set_value("A spec file").run()
    button(app, "plan").click().run()
    assert f"by run {one.run}" in words(app).replace("\\", "")  # what it cost the last time


@pytest.mark.slow
def test_a_run_outlives_its_dashboard_and_another_one_stops_and_resumes_it(store: Path, specs: Path) -> None:
    address, choice = resolve(str(store)), Choice(spec=waiting(specs))
    code = (
        "import os, signal; from dashboards import started; from dashboards.choices import Choice; from audit.store.location "
        f"import resolve; started.start(resolve({str(store)!r}), Choice(spec={choice.spec!r})); os.killpg(0, signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code], start_new_session=True, check=False)
    assert ended.returncode == -signal.SIGKILL  # the dashboard, and its whole group
    run = begun(address).run
    with pytest.raises(InputError, match="running already"):
        started.start(address, choice)
    with pytest.raises(InputError, match="running already"):
        started.resume(address, started.every(address)[0].id)
    app = opened("start")  # this one knows nothing but the store
    button(app, "stop-").click().run()
    assert not app.exception
    assert "interrupted" in until(address, State.STOPPED).output
    app = opened("start")
    assert "stopped" in words(app)
    (specs / "go").touch()
    button(app, "resume-").click().run()
    assert not app.exception
    finished = until(address, State.FINISHED)
    assert (finished.run, finished.times, finished.verdict) == (run, 2, "pass")  # the same run, resumed
    loaded = (specs / "loaded").read_text().split()
    assert loaded
    assert str(os.getpid()) not in loaded  # this process, in which the page is, never loaded the model


def test_a_run_that_is_killed_has_failed_and_its_number_is_nobody_elses(store: Path, specs: Path) -> None:
    address = resolve(str(store))
    started.start(address, Choice(spec=waiting(specs)))
    one = begun(address)
    folder = store / started.FOLDER / one.id
    os.kill(int((folder / "1.pid").read_text()), signal.SIGKILL)
    assert until(address, State.FAILED).run == one.run
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (folder / "1.pid").write_text(str(other.pid))  # as if its number had been given to another process
        assert started.every(address)[0].state is State.FAILED
        started.stop(address, one.id)
        assert other.poll() is None
        assert not (folder / "1.stop").exists()
        other.communicate(b"\n")
        assert other.returncode == 0  # nothing was sent to it
    app = opened("start")
    assert "failed" in words(app)


def test_an_audit_that_cannot_begin_says_why(store: Path, specs: Path) -> None:
    address = resolve(str(store))
    (specs / "small.toml").write_text(SPEC.format(samples=20, model='use = "no-such-model"'))
    app = opened("start")
    app.button_group(key="what").set_value("A spec file").run()
    button(app, "plan").click().run()
    assert not app.exception
    assert "no-such-model" in words(app)
    assert not [b for b in app.button if b.key == "start"]
    started.start(address, Choice(spec="small.toml"))
    failed = until(address, State.FAILED)
    assert "no-such-model" in failed.message
    app = opened("start")
    assert "no\\-such\\-model" in words(app)
    (specs / "small.toml").unlink()
    button(app, "resume-").click().run()
    assert not app.exception
    assert "here any more" in words(app)


HOSTILE = [
    Choice(model="../../etc/passwd"),
    Choice(model="digits-vae; touch x"),
    Choice(spec="../small.toml"),
    Choice(spec="/etc/passwd"),
    Choice(spec="broken.toml"),
    Choice(spec="settings.toml"),
    Choice(spec="link.toml"),
    Choice(spec="--help"),
    Choice(model="digits-vae", data="--store=/tmp"),
    Choice(model="digits-vae", policy="$(id)"),
    Choice(model="digits-vae", spec="small.toml"),
    Choice(spec="small.toml", data="digits"),
    Choice(),
    Choice(model="digits-vae", samples=0),
    Choice(model="digits-vae", samples=10**12),
]


@pytest.mark.parametrize("choice", HOSTILE)
def test_only_what_is_offered_is_started(choice: Choice, store: Path, specs: Path) -> None:
    for act in (started.start, choices.planned):
        with pytest.raises(InputError):
            act(resolve(str(store)), choice)
    assert not store.exists()


@pytest.mark.parametrize(
    "name", [HARMFUL, 'a"\n[run]\nexecutor = "x"', "\\", "\x7f\u2028\ud800", "名前", "", " "]
)
def test_a_name_of_any_kind_is_a_string_of_the_spec(name: str) -> None:
    from audit.config.spec import parse_spec

    text = choices.spec_text(Choice(model="digits-vae", name=name, samples=7, policy="default"))
    text.encode()
    spec = parse_spec(tomllib.loads(text), Path.cwd())
    assert (spec.model, spec.samples, spec.run.executor) == ({"use": "digits-vae"}, 7, "pool")
    assert spec.name == ("".join(c for c in name if c.isprintable()).strip() or "digits-vae")


def test_hostile_strings_are_shown_as_text(store: Path, specs: Path) -> None:
    folder = store / started.FOLDER / "20260101-000000-aaaa"
    folder.mkdir(parents=True)
    said = {"model": HARMFUL, "spec": "", "data": HARMFUL, "policy": "", "samples": 3, "name": HARMFUL}
    (folder / "choice.json").write_text(json.dumps({**said, "began": HARMFUL}))
    (folder / "1.log").write_bytes(b"\x1b[31m\xff\x00 audit\naudit: " + HARMFUL.encode())
    events = [{"event": "began", "run": HARMFUL}, {"event": "needed", "artifacts": []}]
    (folder / "1.events").write_text("".join(json.dumps(e) + "\n" for e in events) + '{"event": "fin')
    for odd in ("empty", "20260101-000000-bbbb"):
        (folder.parent / odd).mkdir()
    (folder.parent / "20260101-000000-bbbb" / "choice.json").write_text("[1, 2")
    app = opened("start")
    assert not app.exception
    assert ":red[r]" not in words(app).replace("\N{WORD JOINER}", "~").replace(HARMFUL.encode().decode(), "")
    assert "\x1b" not in words(app)
    assert "failed" in words(app)


def test_a_model_that_is_gone_cannot_be_resumed(store: Path, specs: Path) -> None:
    folder = store / started.FOLDER / "20260101-000000-aaaa"
    folder.mkdir(parents=True)
    said = {"model": "retired", "spec": "", "data": "", "policy": "", "samples": 3, "name": ""}
    (folder / "choice.json").write_text(json.dumps({**said, "began": "2026-01-01T00:00:00+00:00"}))
    app = opened("start")
    button(app, "resume-").click().run()
    assert not app.exception
    assert "There is no included model" in words(app)
    assert not (folder / "1.log").exists()


def test_a_store_that_is_empty_or_a_folder_without_specs(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(resolve(str(store))).close()
    monkeypatch.delenv(choices.SPECS, raising=False)
    app = opened("start")
    assert not app.exception
    assert "digits-vae" in app.selectbox(key="model").options
    app.button_group(key="what").set_value("A spec file").run()
    assert "holds no spec" in words(app)


@pytest.mark.parametrize(
    ("host", "names", "may"),
    [
        ("127.0.0.1", ["localhost", "127.0.0.1", "::1"], True),
        ("localhost", [], True),
        ("::1", [], True),
        ("127.0.0.5", ["127.0.0.5"], True),
        ("127.0.0.1", ["localhost", "audits.example.com"], False),  # a proxy lets others in
        ("0.0.0.0", ["localhost"], False),
        ("10.0.0.7", ["localhost", "10.0.0.7"], False),
        ("", [], False),
        ("localhost.evil.example", [], False),
    ],
)
def test_where_others_can_reach_it_nothing_is_started(
    host: str, names: list[str], may: bool, store: Path, specs: Path
) -> None:
    assert access.only_here(host, names) is may
    before = st.get_option("server.allowedHosts")
    st.config.set_option("server.address", host)
    st.config.set_option("server.allowedHosts", names)
    try:
        app = opened("start")
    finally:
        st.config.set_option("server.allowedHosts", before)
    assert not app.exception
    assert bool([b for b in app.button if b.key == "plan"]) is may
    assert ("without a login" in words(app)) is not may


def test_a_store_that_may_not_be_written_or_is_a_database_starts_nothing(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_args, **_more: False)
    assert "may not write" in access.may_not_start(resolve(str(store)))
    address = resolve("postgresql+psycopg://nobody@localhost/none")
    assert "database" in access.may_not_start(address)
    with pytest.raises(InputError):
        started.start(address, Choice(model="digits-vae"))
