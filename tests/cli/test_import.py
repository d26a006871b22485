"""``audit import``: logs that other tools wrote become runs, judged, compared and reported like any other."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from reports.json import problems

LOGS = Path(__file__).parents[1] / "formats" / "evaluations"
SUMS, LATER = LOGS / "inspect-sums.eval", LOGS / "inspect-sums-later.eval"
UNSURE, REPEAT = LOGS / "garak-unsure.report.jsonl", LOGS / "garak-repeat.report.jsonl"
FIRST, SECOND = (sorted((LOGS / f"lm-eval-{name}").iterdir()) for name in ("first", "second"))


def imported(cli, store: Path, *files: Path, options: tuple[object, ...] = ()) -> dict:
    said = cli("import", *files, "--store", store, "--format", "json", *options)
    assert said.err == ""
    assert said.code in (0, 1, 3)
    record: dict = json.loads(said.out)
    assert problems(record) == []
    return {**record, "code": said.code}


def by_metric(record: dict) -> dict[str, dict]:
    return {m["metric"]: m for m in record["measurements"]}


def test_a_log_becomes_a_record_with_its_origin(cli, tmp_path: Path) -> None:
    record = imported(cli, tmp_path / "s", SUMS)
    assert record["code"] == 0
    assert record["verdict"] == "not assessed"
    assert record["model"]["options"] == {"name": "mockllm/model"}
    (origin,) = record["settings"]["imported"]
    assert (origin["tool"], origin["version"], origin["file"]) == ("inspect", "0.3.285", "inspect-sums.eval")
    assert origin["size"] == SUMS.stat().st_size
    assert len(origin["digest"]) == 40
    right = by_metric(record)["inspect.sums.match.accuracy"]
    assert right["n"] == 23
    assert right["ungraded"] == {"count": 1, "errored": 1, "low": 0.75, "high": pytest.approx(19 / 24)}
    assert right["interval"]["low"] < 0.75 < 19 / 24 < right["interval"]["high"]
    assert "between 0.75 and 0.7917" in right["notes"][0]
    length = by_metric(record)["inspect.sums.length.mean"]
    assert length["interval"] is None
    assert "2 of 24 have no score" in length["unquantified"]


def test_the_same_log_is_the_same_record(cli, tmp_path: Path) -> None:
    a, b = (imported(cli, tmp_path / name, SUMS) for name in ("a", "b"))
    for key in ("run", "began", "finished"):
        del a[key], b[key]
    assert a == b


def test_a_range_bounds_what_was_not_graded(cli, tmp_path: Path) -> None:
    record = imported(cli, tmp_path / "s", SUMS, options=("--range", "inspect.*.length.mean=0:1"))
    length = by_metric(record)["inspect.sums.length.mean"]
    assert length["ungraded"]["low"] == pytest.approx(length["value"] * 22 / 24)
    assert length["ungraded"]["high"] == pytest.approx((length["value"] * 22 + 2) / 24)
    for said, words in (("inspect.*.length.mean=0:0.5", "outside the range"), ("x=1", "PATTERN=LEAST:MOST")):
        refused = cli("import", SUMS, "--store", tmp_path / "t", "--range", said)
        assert refused.code == 2
        assert words in refused.err
    assert not (tmp_path / "t").exists()


POLICY = """
[[criteria]]
metric = "lm_eval.written.exact_match.first"
at_least = 0.2
why = "Chance is below it."

[[criteria]]
metric = "{metric}"
at_most = {most}
why = "Agreed."
"""


@pytest.mark.parametrize(
    ("metric", "most", "code", "words"),
    [
        ("lm_eval.prose.word_perplexity", 1.5, 0, "PASS"),
        ("lm_eval.prose.word_perplexity", 1.01, 1, "FAIL"),
        ("lm_eval.prose.bits_per_byte", 0.033, 3, "INCONCLUSIVE"),
        ("lm_eval.prose.word_perplexitty", 1.5, 3, "but they have 'lm_eval.prose.word_perplexity'"),
        ("lm_eval.parity.acc", 0.5, 2, "higher is better"),
    ],
)
def test_a_policy_judges_an_import(
    cli, tmp_path: Path, metric: str, most: float, code: int, words: str
) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(POLICY.format(metric=metric, most=most), encoding="utf-8")
    said = cli("import", *FIRST, "--store", tmp_path / "s", "--policy", policy)
    assert said.code == code
    assert words in " ".join((said.out + said.err).split())
    assert (tmp_path / "s").exists() is (code != 2)


def test_what_was_not_graded_decides_nothing(cli, tmp_path: Path) -> None:
    """The graded samples alone would pass; with what is missing the interval crosses the bound, and more samples do not help."""
    policy = tmp_path / "p.toml"
    policy.write_text(
        '[[criteria]]\nmetric = "inspect.sums.match.accuracy"\nat_least = 0.75\nwhy = "Agreed."\n',
        encoding="utf-8",
    )
    said = cli("import", SUMS, "--store", tmp_path / "s", "--policy", policy)
    assert said.code == 3
    assert "Grade the 1 that have no score" in " ".join(said.out.split())


def test_two_imports_are_compared_sample_by_sample(cli, tmp_path: Path) -> None:
    store = tmp_path / "s"
    runs = [imported(cli, store, *files)["run"] for files in (FIRST, SECOND)]
    said = cli("compare", *runs, "--store", store, "--format", "json")
    plain = json.loads(said.out)
    shared = {d["metric"]: d["shared"] for d in plain["differences"]}
    assert shared["lm_eval.parity.acc"] == shared["lm_eval.prose.bits_per_byte"] == 22
    assert plain["unlike"] == []
    assert cli("compare", *runs, "--store", store, "--all").code == 0


def test_a_comparison_of_what_was_not_all_graded_is_not_paired(cli, tmp_path: Path) -> None:
    store = tmp_path / "s"
    runs = [imported(cli, store, path)["run"] for path in (UNSURE, REPEAT)]
    plain = json.loads(cli("compare", *runs, "--store", store, "--format", "json").out)
    hits = "garak.promptinject.HijackKillHumans.promptinject.AttackRogueString"
    (found,) = [d for d in plain["differences"] if d["metric"] == hits]
    assert found["shared"] in (None, 0)
    assert found["difference"] == pytest.approx(1 - 10 / 14)


def test_files_of_several_tools_make_one_run_of_one_model(cli, tmp_path: Path) -> None:
    said = cli("import", SUMS, REPEAT, "--store", tmp_path / "s")
    assert said.code == 2
    assert "2 models: mockllm/model, test.Repeat" in said.err
    assert not (tmp_path / "s").exists()
    record = imported(cli, tmp_path / "s", SUMS, REPEAT, options=("--model", "ours-1.2"))
    assert record["model"]["options"] == {"name": "ours-1.2"}
    assert {e["name"].split(".")[0] for e in record["evaluators"]} == {"inspect", "garak"}


def test_a_task_stands_where_the_command_says(cli, tmp_path: Path) -> None:
    record = imported(cli, tmp_path / "s", REPEAT, options=("--dimension", "garak.prompt*=privacy"))
    dimensions = {e["name"]: e["dimension"] for e in record["evaluators"]}
    assert dimensions == {
        "garak.promptinject.HijackKillHumans": "privacy",
        "garak.encoding.InjectROT13": "quality",
    }
    said = cli("import", REPEAT, "--store", tmp_path / "t", "--dimension", "x=security")
    assert said.code == 2
    assert "no dimension 'security'" in said.err


@pytest.mark.parametrize(
    ("option", "said", "words"),
    [
        (
            "--dimension",
            "garak.promptinjection.*=privacy",
            "no task of the files fits the pattern 'garak.promptinjection.*'. They have garak.promptinject.HijackKillHumans,",
        ),
        (
            "--range",
            "garak.promptinject=0:1",
            "no metric of the files fits the pattern 'garak.promptinject'. They have garak.",
        ),
    ],
)
def test_a_pattern_that_fits_nothing_is_refused(
    cli, tmp_path: Path, option: str, said: str, words: str
) -> None:
    refused = cli("import", REPEAT, "--store", tmp_path / "s", option, said)
    assert refused.code == 2
    assert f"{option}: {words}" in " ".join(refused.err.split())
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("form", ["html", "markdown", "json", "csv", "junit", "sarif", "model-card", "annex"])
def test_every_report_shows_an_import_and_escapes_its_names(cli, tmp_path: Path, form: str) -> None:
    lines = REPEAT.read_text(encoding="utf-8").replace(
        "promptinject.HijackKillHumans", "<img src=x onerror=alert(1)>"
    )
    path = tmp_path / "=cmd|<script>.jsonl"
    path.write_text(lines.replace("test.Repeat", "=HYPERLINK(<b>x</b>)"), encoding="utf-8")
    policy = tmp_path / "p.toml"
    policy.write_text(
        '[[criteria]]\nmetric = "garak.<img src=x onerror=alert(1)>.promptinject.AttackRogueString"\n'
        'at_most = 0.1\nwhy = "Agreed."\n',
        encoding="utf-8",
    )
    assert imported(cli, tmp_path / "s", path, options=("--policy", policy))["code"] == 1
    assert cli("report", "--store", tmp_path / "s", "--format", form, "-o", tmp_path / "r").code == 0
    text = (tmp_path / "r").read_text(encoding="utf-8")
    assert "AttackRogueString" in text or form == "annex"
    if form in ("html", "markdown", "junit"):
        assert "<img src=x" not in text
        assert "<script>.jsonl" not in text
        assert "&lt;img src=x" in text
    if form == "csv":
        assert not any(cell.startswith("=") for line in text.splitlines() for cell in line.split(","))


def test_bad_files_leave_nothing_behind(cli, tmp_path: Path) -> None:
    (tmp_path / "x\x1b[31m.jsonl").write_bytes(REPEAT.read_bytes()[:-400])
    said = cli("import", tmp_path / "x\x1b[31m.jsonl", "--store", tmp_path / "s")
    assert said.code == 2
    assert "x?[31m.jsonl cannot be read" in said.err
    assert "cut short" in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "s").exists()


def test_the_example_of_the_page_works(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)
    (policy,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "policy.toml").write_text(policy, encoding="utf-8")
    for path in FIRST:
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    first, second, _ = (line.removeprefix("$ audit ").split() for line in commands.splitlines())
    files = [
        found for word in first for found in (sorted(map(str, Path().glob(word))) if "*" in word else [word])
    ]
    said = cli(*files)
    assert said.code == 0
    assert said.out.count("PASS") == 3
    assert cli(*second).code == 0
    assert "lm_eval.prose.word_perplexity" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(json.loads(cli("list", "runs", "--format", "json").out)) == 1


def test_an_import_is_exported_and_read_again(cli, tmp_path: Path) -> None:
    imported(cli, tmp_path / "s", *FIRST)
    assert cli("report", "--store", tmp_path / "s", "-o", tmp_path / "x.eee.json").code == 0
    again = imported(cli, tmp_path / "t", tmp_path / "x.eee.json")
    found = by_metric(again)["every_eval_ever.lm_eval.prose.word_perplexity"]
    assert found["interval"] is None
    assert "samples of this result were not given" in found["unquantified"]
    assert found["notes"][0].startswith("The file itself claims [")
    assert found["direction"] == "lower"
