"""The commands as a user meets them: what they print, where, and the code they end with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_store(cli, letters_spec, tmp_path: Path) -> Path:
    """A store with two finished runs."""
    store = tmp_path / "store"
    cli("run", letters_spec(), "--store", store)
    cli("run", letters_spec(), "--seed", 1, "--store", store)
    return store


def test_help_names_every_command_and_exit_code(cli) -> None:
    said = cli("--help")
    assert said.code == 0
    for command in COMMANDS:
        assert command in said.out
    assert "130" in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_examples(cli, command: str) -> None:
    said = cli(command, "--help")
    assert said.code == 0
    assert "Examples:" in said.out
    assert f"audit {command}" in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rnu", "x.toml"), ["no command 'rnu'", "Did you mean 'run'"]),
        (("run",), ["Missing argument"]),
        (("run", "absent.toml"), ["no spec at absent.toml"]),
        (("run", "absent.toml", "--sampels", "3"), ["--sampels", "--samples"]),
        (("list", "modles"), ["modles"]),
        (("show", "--store", "nowhere"), ["nowhere"]),
        (("report", "--store", "nowhere"), ["nowhere"]),
        (("fetch", "smollm"), ["smollm2-135m-instruct"]),
        (("train", "digits-vea"), ["Did you mean 'digits-vae'"]),
    ],
)
def test_bad_input_ends_with_2_and_says_what_to_do(
    cli, arguments: tuple[str, ...], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cli(*arguments)
    assert said.code == 2
    assert said.out == ""
    for word in words:
        assert word in said.err
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"quality.vowels"',
            '"quality.vowel"',
            ["no evaluator 'quality.vowel'", "Did you mean 'quality.vowels'"],
        ),
        ('adapter = "letters"', 'adapter = "leters"', ["Did you mean 'letters'"]),
        ('mood = "good"', 'mood = "god"', ["Did you mean 'good'"]),
        ('mood = "good"', 'temper = "good"', ["no option 'temper'"]),
        ('use = "letters"', 'use = "digits"', ["text", "image"]),
        (
            'name = "quality.vowels"',
            'name = "quality.vowels"\nlevle = 0.9',
            ["levle", "Did you mean 'level'"],
        ),
        ('name = "quality.vowels"', 'name = "quality.vowels"\nlevel = "x"', ["level", "'x'", "a number"]),
        ('executor = "inline"', 'executor = "inlin"', ["Did you mean 'inline'"]),
        ('executor = "inline"', 'executor = "inline"\ndevice = "banana"', ["banana", "cpu", "cuda"]),
        (
            'name = "quality.vowels"',
            'name = "quality.vowels"\n[[evaluators]]\nname = "quality.vowels"\nlevel = 0.5',
            ["2 evaluators are called 'quality.vowels'", "as ="],
        ),
        ("[policy]", '[features]\nuse = "pixels"\n[policy]', ["pixels", "image", "text"]),
    ],
)
def test_a_spec_that_names_what_is_not_there(
    cli, letters_spec, tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    spec = letters_spec()
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new, 1))
    said = cli("run", spec, "--store", tmp_path / "store")
    assert said.code == 2
    for word in words:
        assert word in said.err
    assert not (tmp_path / "store").exists(), "nothing was written"


def test_a_criterion_that_fails_ends_with_1(cli, letters_spec, tmp_path: Path) -> None:
    spec = letters_spec()
    spec.write_text(spec.read_text().replace("at_most = 0.3", "at_most = 0.15"))
    said = cli("run", spec, "--store", tmp_path / "store")
    assert said.code == 1
    assert "FAIL" in said.out


def test_too_little_evidence_ends_with_3_and_the_n_that_would_decide(
    cli, letters_spec, tmp_path: Path
) -> None:
    spec = letters_spec(samples=40)
    spec.write_text(spec.read_text().replace("at_most = 0.3", "at_most = 0.21"))
    said = cli("run", spec, "--store", tmp_path / "store", "--format", "json")
    (judgement,) = json.loads(said.out)["judgements"]
    assert said.code == 3
    assert judgement["verdict"] == "inconclusive"
    assert judgement["n_to_decide"] > 40 * 8


def test_json_is_all_there_is_on_standard_output(cli, letters_spec, run_store: Path) -> None:
    for arguments in (
        ("run", letters_spec(), "--store", run_store),
        ("plan", letters_spec(), "--store", run_store),
        ("show", "--store", run_store),
        ("list", "evaluators"),
        ("list", "runs", "--store", run_store),
        ("doctor", "--store", run_store),
    ):
        json.loads(cli(*arguments, "--format", "json").out)


def test_a_log_holds_every_event_as_a_line_of_json(cli, letters_spec, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    cli("run", letters_spec(), "--store", tmp_path / "store", "--log", log)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds == ["began", "needed", *["made"] * 8, "assessed", "finished"]
    assert events[-1]["verdict"] == "pass"
    assert cli("run", letters_spec(), "--store", tmp_path / "s", "--log", tmp_path / "no" / "log").code == 2
    os.mkfifo(tmp_path / "pipe")
    said = cli("run", letters_spec(), "--store", tmp_path / "s", "--log", tmp_path / "pipe")
    assert (said.code, "is a pipe that nobody reads" in said.err) == (2, True)
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    cli("run", letters_spec(), "--store", tmp_path / "store", "--log", tmp_path / "pipe")
    assert b'"event"' in os.read(reader, 1 << 16)
    os.close(reader)


def test_a_plan_says_what_is_shared_here_and_skipped(cli, letters_spec, run_store: Path) -> None:
    spec = letters_spec()
    spec.write_text(
        spec.read_text().replace("[policy]", '[[evaluators]]\nname = "quality.frechet"\n[policy]')
    )
    plan = json.loads(cli("plan", spec, "--store", run_store, "--format", "json").out)
    samples = next(a for a in plan["artifacts"] if a["label"] == "samples")
    assert (samples["shards"], samples["made"], samples["examples"]) == (4, 4, 400)
    assert [s["evaluator"] for s in plan["skipped"]] == ["quality.frechet"]
    assert plan["skipped"][0]["unmet"][0]["remedy"]


def test_planning_writes_nothing(cli, letters_spec, tmp_path: Path) -> None:
    assert cli("plan", letters_spec(), "--store", tmp_path / "store").code == 0
    assert not (tmp_path / "store").exists()


def test_a_run_is_one_line_of_a_terminal(cli, run_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, *_ = json.loads(cli("list", "runs", "--store", run_store, "--format", "json").out)
    monkeypatch.setenv("COLUMNS", "90")
    lines = [
        line.split()
        for line in cli("list", "runs", "--store", run_store).out.splitlines()
        if run["run"] in line
    ]
    (line,) = lines
    assert line[:2] == [run["run"], run["name"]]
    assert line[-4:-2] == [run["began"][:10], run["began"][11:16]]
    assert line[-1] == run["verdict"]


def test_show_reads_the_last_run_or_the_one_named(cli, run_store: Path) -> None:
    runs = json.loads(cli("list", "runs", "--store", run_store, "--format", "json").out)
    assert json.loads(cli("show", "--store", run_store, "--format", "json").out)["run"] == runs[0]["run"]
    named = cli("show", runs[1]["run"], "--store", run_store, "--format", "json")
    assert json.loads(named.out)["run"] == runs[1]["run"]
    assert cli("show", "zzz", "--store", run_store).code == 2
    assert "\\x0a" not in cli("show", "--store", run_store).out, "a line of ours is no text from outside"


def test_compare_gives_differences_with_intervals(cli, run_store: Path) -> None:
    a, b = (
        run["run"] for run in json.loads(cli("list", "runs", "--store", run_store, "--format", "json").out)
    )
    said = json.loads(cli("compare", a, b, "--store", run_store, "--format", "json").out)
    (difference,) = said["differences"]
    assert difference["change"] == "within noise"
    assert difference["interval"]["low"] < difference["difference"] < difference["interval"]["high"]
    assert any("seed" in note for note in said["unlike"])
    short = cli("compare", a, b, "--store", run_store, "--fail-on", "worse")
    assert short.code == 0
    assert "No criterion changed its verdict (1 criterion in both runs)" in short.out
    assert "within noise" not in short.out
    assert "within noise" in cli("compare", a, b, "--store", run_store, "--all").out


def test_the_help_of_report_lists_every_format_that_ships(cli) -> None:
    from audit.registry import catalogue

    said = "".join(cli("report", "--help").out.split())
    ours = [
        name for name, kind in catalogue("reports").survey().items() if kind.__module__.startswith("reports.")
    ]
    assert "annex" in ours
    assert [name for name in ours if f"{name}," not in said] == []


def test_report_writes_every_format(cli, run_store: Path, tmp_path: Path) -> None:
    for form in ("html", "json", "line"):
        out = tmp_path / f"report.{form}"
        assert cli("report", "--store", run_store, "--format", form, "-o", out).code == 0
        assert out.stat().st_size > 0
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "pass"
    assert (tmp_path / "report.line").read_text() == "letters: pass\n"
    for ending, begins in (
        ("md", "# letters"),
        ("card.md", "---\ntags:"),
        ("xml", "<?xml"),
        ("sarif", "{"),
        ("csv", "run,dimension"),
        ("HTML", "<!DOCTYPE"),
        ("line", "letters:"),
    ):
        out = tmp_path / f"by-ending.{ending}"
        assert cli("report", "--store", run_store, "-o", out).code == 0
        assert out.read_text(encoding="utf-8").lower().startswith(begins.lower())


def test_an_ending_that_names_no_format_is_an_error_that_lists_them(
    cli, run_store: Path, tmp_path: Path
) -> None:
    for name in ("report.docx", "report"):
        said = cli("report", "--store", run_store, "-o", tmp_path / name)
        assert said.code == 2
        assert ".sarif" in said.err
        assert "junit" in said.err
        assert not (tmp_path / name).exists()


def test_a_report_that_cannot_be_written_is_bad_input(cli, run_store: Path, tmp_path: Path) -> None:
    said = cli("report", "--store", run_store, "-o", tmp_path / "absent" / "r.html")
    assert said.code == 2
    assert "cannot be written" in said.err


def test_doctor_names_what_is_broken_and_the_remedy(cli, letters: Path, tmp_path: Path) -> None:
    said = cli("doctor", "--store", tmp_path / "store", "--format", "json")
    found = json.loads(said.out)
    broken = [plugin for plugin in found["plugins"] if not plugin["usable"]]
    assert [plugin["name"] for plugin in broken] == ["quality.broken"]
    assert "audit-letters[missing]" in broken[0]["remedy"]
    assert said.code == 2
    assert {extra["name"] for extra in found["extras"]} == {
        *("bench", "browser", "dev", "login", "postgres", "ray", "rivagan", "shared", "text-credentials"),
    }
    assert all(extra["gives"] for extra in found["extras"])
    shipped = [asset for asset in found["assets"] if asset["shipped"]]
    assert [(asset["name"], asset["remedy"]) for asset in shipped] == [("efficientnet-lite0", None)]
    plain = cli("doctor", "--store", tmp_path / "store").out
    assert "asset efficientnet-lite0: here: its weights ship with this package" in plain
    assert "extra browser (the slow tests that drive a browser): " in plain


def test_lists_name_what_specs_may_say(cli) -> None:
    names = {
        kind: {row["name"] for row in json.loads(cli("list", kind, "--format", "json").out)}
        for kind in ("models", "evaluators", "datasets", "extractors", "adapters", "assets", "policies")
    }
    assert "digits-vae" in names["models"]
    assert {"quality.frechet", "privacy.membership"} <= names["evaluators"]
    assert {"digits", "python-reference", "images", "text"} <= names["datasets"]
    assert {"pixels", "efficientnet-lite0", "minilm"} <= names["extractors"]
    assert {"smollm2-135m-instruct", "efficientnet-lite0"} <= names["assets"]
    assert "default" in names["policies"]


def test_an_extractor_that_waits_for_its_asset_is_listed_as_such_and_breaks_nothing(
    cli, letters_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_ASSETS", str(tmp_path / "assets"))
    rows = {row["name"]: row for row in json.loads(cli("list", "extractors", "--format", "json").out)}
    assert rows["pixels"]["lacks"] is None
    assert "audit fetch minilm-l6-v2" in rows["minilm"]["lacks"]
    found = json.loads(cli("doctor", "--store", tmp_path / "store", "--format", "json").out)
    waiting = {plugin["name"] for plugin in found["plugins"] if plugin["lacks"]}
    assert "minilm" in waiting
    assert "efficientnet-lite0" not in waiting, "its weights ship with the package"
    assert all(plugin["usable"] for plugin in found["plugins"] if plugin["lacks"])
    assert "waiting extractors minilm" in cli("doctor", "--store", tmp_path / "store").out
    spec = letters_spec()
    spec.write_text(spec.read_text() + '[features]\nuse = "minilm"\n')
    said = cli("plan", spec, "--store", tmp_path / "store")
    assert said.code == 2
    assert "audit fetch minilm-l6-v2" in said.err


def test_a_bug_is_no_verdict(cli, letters_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("audit.engine.record.build", broken)
    monkeypatch.setattr("audit.engine.audit.build", broken)
    said = cli("run", letters_spec(), "--store", tmp_path / "store")
    assert said.code == 4
    assert "ZeroDivisionError: a bug" in said.err
    assert "AUDIT_TRACEBACK" in said.err


def test_a_reader_who_leaves_changes_no_code(letters, run_store: Path) -> None:
    command = f"{sys.executable} -m audit show --store {run_store} --groups"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_cuda_that_is_not_here_is_refused(cli, letters_spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.config.assemble.best_device", lambda: "cpu")
    said = cli("plan", letters_spec(), "--store", "nowhere")
    assert said.code == 0
    spec = letters_spec()
    spec.write_text(spec.read_text() + 'device = "cuda:1"\n')
    said = cli("plan", spec, "--store", "nowhere")
    assert said.code == 2
    assert "NVIDIA" in said.err


def test_compare_names_what_else_differs(cli, letters_spec, tmp_path: Path) -> None:
    store = tmp_path / "store"
    cli("run", letters_spec(), "--store", store)
    cli("run", letters_spec(), "--samples", 300, "--store", store)
    a, b = (run["run"] for run in json.loads(cli("list", "runs", "--store", store, "--format", "json").out))
    said = json.loads(cli("compare", a, b, "--store", store, "--format", "json").out)
    assert any("samples: 300 and 400" in note for note in said["unlike"])


def test_a_hostile_name_cannot_write_to_the_terminal(cli, letters_spec, tmp_path: Path) -> None:
    spec = letters_spec()
    spec.write_text(spec.read_text().replace('name = "letters"', 'name = "a\\u001b[31mred[bold]"', 1))
    said = cli("run", spec, "--store", tmp_path / "store")
    assert "\x1b[31mred" not in said.out
    assert "[bold]" in said.out


def test_a_plan_with_more_shards_than_can_be_looked_at_is_refused(cli, letters_spec, tmp_path: Path) -> None:
    said = cli("run", letters_spec(samples=10_000_000, shard_size=1), "--store", tmp_path / "store")
    assert said.code == 2
    assert "10,000,000 shards" in said.err
    assert "Set shard_size to 100 or more" in said.err
    assert not (tmp_path / "store").exists()
    assert (
        cli("plan", letters_spec(samples=10_000_000, shard_size=100), "--store", tmp_path / "store").code == 0
    )


def test_a_name_of_any_length_is_shown(cli, letters_spec, tmp_path: Path) -> None:
    """In time that grows with its length: at the square of it this would take half an hour."""
    spec, store, name = letters_spec(), tmp_path / "store", "n" * 400_000
    spec.write_text(spec.read_text().replace('name = "letters"', f'name = "{name}"', 1))
    for command in (("plan", spec), ("run", spec), ("show",), ("list", "runs")):
        said = cli(*command, "--store", store)
        assert said.code == 0
        assert said.out.count("n") >= len(name)


def test_a_plan_counts_the_criteria_that_the_run_judges(cli, letters_spec, tmp_path: Path) -> None:
    spec, store = letters_spec(), tmp_path / "store"
    more = '[[policy.criteria]]\nmetric = "quality.{}"\nat_{} = 1\nwhy = "x"\nrequired = {}\n'
    added = more.format("frechet", "most", "false") + more.format("familiar", "least", "true")
    text = spec.read_text().replace("[run]", f"{added}[run]")
    spec.write_text(text)
    plain = json.loads(cli("plan", spec, "--store", store, "--format", "json").out)
    record = json.loads(cli("run", spec, "--store", store, "--format", "json").out)
    assert [c["metric"] for c in plain["left_out"]] == ["quality.frechet"]
    judged = [j["criterion"]["metric"] for j in record["judgements"]]
    assert [c["metric"] for c in plain["criteria"]] == judged == ["quality.vowels", "quality.familiar"]
    said = " ".join(cli("plan", spec, "--store", store).out.split())
    assert (
        "; 2 criteria to judge (1 that is not required is left out: nothing that will run reports its" in said
    )
    maybe = 'why = "5 of 26 letters are vowels"\nrequired = false'
    spec.write_text(text.replace('why = "5 of 26 letters are vowels"', maybe))
    assert "; up to 2 criteria to judge" in " ".join(cli("plan", spec, "--store", store).out.split())


def test_a_plan_opens_with_what_runs_and_says_what_it_costs_by_an_earlier_run(
    cli, letters_spec, run_store: Path, tmp_path: Path
) -> None:
    new = cli("plan", letters_spec(samples=900), "--store", tmp_path / "new").out
    assert "of one core" not in new
    said = cli("plan", letters_spec(samples=900), "--store", run_store).out
    assert "of one core by run" in said
    assert "artifact  " not in said
    assert "; 1 criterion to judge. --verbose" in said
    assert said.index("will run") < said.index("shards to make")
    assert "Artifacts" in cli("plan", letters_spec(samples=900), "--store", run_store, "--verbose").out
    plain = json.loads(cli("plan", letters_spec(samples=900), "--store", run_store, "--format", "json").out)
    assert plain["cost"]["unknown"] == 0
    assert plain["cost"]["seconds"] > 0
