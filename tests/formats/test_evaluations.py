"""Logs of other tools: those that the tools wrote (tests/formats/evaluations), and hostile ones."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audit.core.errors import InputError
from audit.core.imported import Formula, Log, Scores
from audit.formats.evaluations.json_stream import JsonDocument
from audit.formats.evaluations.reading import read_logs
from audit.formats.hostile import UnreadableError

LOGS = Path(__file__).parent / "evaluations"


def one(*paths: Path) -> Log:
    (log,) = read_logs(paths)
    return log


def scores(log: Log) -> dict[str, Scores]:
    return {f"{task.name}.{s.metric}": s for task in log.tasks for s in task.scores}


def mean(found: Scores) -> float:
    assert found.values is not None
    return float(np.nanmean(found.values))


@pytest.mark.parametrize("name", ["inspect-sums.eval", "inspect-sums-json.json"])
def test_a_log_of_inspect_is_read_sample_by_sample(name: str) -> None:
    log = one(LOGS / name)
    assert (log.origin.tool, log.origin.version, log.origin.model) == ("inspect", "0.3.285", "mockllm/model")
    assert (log.origin.file, log.origin.status) == (name, "success")
    right, length, spread = scores(log).values()
    assert (right.metric, length.metric, spread.metric) == ("match.accuracy", "length.mean", "length.std")
    assert len(right.units) == len(length.units) == 24
    assert len(set(right.units)) == 12
    assert right.values is not None
    assert length.values is not None
    assert int(np.isnan(right.values).sum()) == right.errored == 1
    assert (int(np.isnan(length.values).sum()), length.errored) == (2, 1)  # an error, and one not graded
    assert spread.formula is Formula.NONE
    assert "no mean" in spread.reason


def test_both_forms_of_inspect_say_the_same() -> None:
    a, b = (one(LOGS / name) for name in ("inspect-sums.eval", "inspect-sums-json.json"))
    for first, second in zip(a.tasks[0].scores, b.tasks[0].scores, strict=True):
        kept = [] if first.values is None else sorted(zip(first.units, map(str, first.values), strict=True))
        other = (
            [] if second.values is None else sorted(zip(second.units, map(str, second.values), strict=True))
        )
        assert kept == other
        assert first.reported == second.reported


def test_what_inspect_reduces_is_read_as_it_keeps_it() -> None:
    found = {s.metric: s for s in one(LOGS / "inspect-reduced.eval").tasks[0].scores}
    for metric, n in (
        ("match.accuracy", 15),
        ("match.max.accuracy", 5),
        ("shape.even.at_least_2.accuracy", 5),
    ):
        assert len(found[metric].units) == n
        assert mean(found[metric]) == pytest.approx(found[metric].reported)
    assert mean(found["shape.even.accuracy"]) == pytest.approx(4 / 15)
    assert "one group of samples" in found["by_size.small"].reason


def unfinished(entries: dict[str, bytes]) -> None:
    """Leave what an evaluation that was killed leaves: a journal, and the samples so far."""
    for name in ("header.json", "summaries.json", "reductions.json", "_journal/summaries/3.json"):
        del entries[name]
    last = json.loads(entries["_journal/summaries/2.json"])
    done = {f"samples/{s['id']}_epoch_{s['epoch']}.json" for s in last}
    done |= {
        f"samples/{s['id']}_epoch_{s['epoch']}.json" for s in json.loads(entries["_journal/summaries/1.json"])
    }
    for name in [n for n in entries if n.startswith("samples/") and n not in done]:
        del entries[name]


def test_an_evaluation_that_was_killed_is_read_and_says_so(tmp_path: Path) -> None:
    log = one(repacked(tmp_path / "x.eval", unfinished))
    assert "did not finish" in log.notes[0]
    right, _ = log.tasks[0].scores
    assert right.values is not None
    assert len(right.units) == 24  # what was asked for and is not there has no score
    with zipfile.ZipFile(tmp_path / "x.eval") as archive:
        kept = sum(name.startswith("samples/") for name in archive.namelist())
    assert int(np.isnan(right.values).sum()) == 24 - kept + right.errored


def test_lm_eval_is_recomputed_from_its_samples() -> None:
    log = one(*sorted((LOGS / "lm-eval-first").iterdir()))
    assert (log.origin.tool, log.origin.version, log.origin.model) == ("lm_eval", "0.4.13", "dummy")
    assert len(log.origins) == 4
    found = scores(log)
    for name in ("parity.acc", "written.exact_match.first", "written.exact_match.a letter"):
        assert mean(found[name]) == pytest.approx(found[name].reported)
    prose = found["prose.word_perplexity"]
    assert prose.values is not None
    assert prose.weights is not None
    assert math.exp(prose.values.sum() / prose.weights.sum()) == pytest.approx(prose.reported)
    bits = found["prose.bits_per_byte"]
    assert bits.values is not None
    assert bits.weights is not None
    assert bits.values.sum() / bits.weights.sum() == pytest.approx(bits.reported)
    assert "aggregates it by 'f1'" in found["parity.f1"].reason


def test_lm_eval_without_samples_says_which_file_is_wanted() -> None:
    results = next((LOGS / "lm-eval-first").glob("results*"))
    found = scores(one(results))
    assert all(s.formula is Formula.NONE for s in found.values())
    assert "samples_TASK_DATE.jsonl" in found["parity.acc"].reason


def test_samples_of_another_run_are_refused() -> None:
    results = next((LOGS / "lm-eval-first").glob("results*"))
    samples = next((LOGS / "lm-eval-second").glob("samples_parity*"))
    with pytest.raises(InputError, match="were not given"):
        read_logs([results, samples])


def test_garak_counts_hits_and_outputs_that_nothing_is_known_of() -> None:
    log = one(LOGS / "garak-unsure.report.jsonl")
    assert (log.origin.tool, log.origin.version) == ("garak", "0.17.1")
    found = scores(log)["promptinject.HijackKillHumans.promptinject.AttackRogueString"]
    assert found.values is not None
    assert (len(found.units), len(set(found.units)), int(np.isnan(found.values).sum())) == (16, 8, 2)
    assert mean(found) == pytest.approx(found.reported)
    assert one(LOGS / "garak-repeat.report.jsonl").origin.model == "test.Repeat"


def test_an_attempt_that_garak_never_evaluated_has_no_score(tmp_path: Path) -> None:
    lines = (LOGS / "garak-repeat.report.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    last = max(n for n, line in enumerate(lines) if '"status": 2' in line)
    path = tmp_path / "r.jsonl"
    path.write_text("".join(line for n, line in enumerate(lines) if n != last and '"eval"' not in line))
    log = one(path)
    found = scores(log)["promptinject.HijackKillHumans.promptinject.AttackRogueString"]
    assert found.values is not None
    assert (len(found.units), int(np.isnan(found.values).sum())) == (16, 2)
    assert "1 attempts were made and never evaluated" in log.notes[0]


def test_every_eval_ever_is_recomputed_from_its_samples(tmp_path: Path) -> None:
    log = one(LOGS / "eee-parity_samples.jsonl", LOGS / "eee-parity.json")
    assert (log.origin.tool, log.origin.version, log.origin.model) == (
        "every_eval_ever",
        "0.3.0",
        "example/dummy",
    )
    assert log.environment == {"lm_eval": "0.4.13"}
    right, f1 = log.tasks[0].scores
    assert (right.metric, len(set(right.units)), right.least, right.most) == ("accuracy", 22, 0.0, 1.0)
    assert mean(right) == pytest.approx(right.reported)
    assert f1.formula is Formula.NONE
    other = json.loads((LOGS / "eee-parity.json").read_text(encoding="utf-8"))
    other["evaluation_results"][0]["score_details"]["score"] = 0.9
    path = tmp_path / "x.json"
    path.write_text(json.dumps(other), encoding="utf-8")
    (right, _) = one(path, LOGS / "eee-parity_samples.jsonl").tasks[0].scores
    assert "made of them in another way" in right.reason
    path.write_text(json.dumps({**other, "schema_version": "0.9.0"}), encoding="utf-8")
    with pytest.raises(InputError, match=r"version 0\.3 is read"):
        read_logs([path])


# Hostile files. Each edit turns a log that a tool wrote into one that it did not.


def repacked(path: Path, edit: Callable[[dict[str, bytes]], None]) -> Path:
    """Write a copy of an archive of Inspect with other entries."""
    with zipfile.ZipFile(LOGS / "inspect-sums.eval") as old:
        entries = {name: old.read(name) for name in old.namelist()}
    edit(entries)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in entries.items():
            new.writestr(name, data)
    return path


def changed(name: str, change: Callable[[dict], object]) -> Callable[[dict[str, bytes]], None]:
    def edit(entries: dict[str, bytes]) -> None:
        plain = json.loads(entries[name])
        change(plain)
        entries[name] = json.dumps(plain).encode()

    return edit


ARCHIVES: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "bomb": (
        lambda e: e.update({"summaries.json": b"[" + b" " * 80_000_000 + b"]"}),
        "far more than a log does",
    ),
    "path up": (lambda e: e.update({"../../etc/cron.d/x": b"x"}), "leads out of the archive"),
    "absolute path": (lambda e: e.update({"/etc/passwd": b"x"}), "leads out of the archive"),
    "no header": (lambda e: [e.pop("header.json"), e.pop("_journal/start.json")], "no log of Inspect"),
    "a sample less": (lambda e: e.pop("samples/3_epoch_1.json"), "holds 23 samples and summaries of 24"),
    "a sample twice": (changed("summaries.json", lambda s: s.append(s[0])), "of epoch 1 stands in it twice"),
    "scores are a list": (
        changed("summaries.json", lambda s: s[0].update(scores=[1])),
        "'scores' is a list where an object is wanted",
    ),
    "no model": (changed("header.json", lambda h: h["eval"].pop("model")), "'model' is null"),
    "cut short": (lambda e: e.update({"summaries.json": e["summaries.json"][:-90]}), "cut short"),
    "another version": (changed("header.json", lambda h: h.update(version=7)), "version 7"),
    "asks for millions": (
        changed("header.json", lambda h: h["eval"]["config"].update(epochs=10**9)),
        "asks for 12,000,000,000 samples",
    ),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_that_no_tool_wrote_is_refused(what: str, tmp_path: Path) -> None:
    edit, words = ARCHIVES[what]
    path = repacked(tmp_path / "x.eval", edit)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=words) as caught:
        read_logs([path])
    assert "x.eval cannot be read" in str(caught.value)


def test_an_archive_is_refused_by_what_it_unpacks_to_not_by_what_it_says(tmp_path: Path) -> None:
    path = repacked(
        tmp_path / "x.eval", lambda e: e.update({"summaries.json": b"[" + b" " * 60_000_000 + b"]"})
    )
    data = path.read_bytes()
    said = (60_000_002).to_bytes(4, "little")
    assert data.count(said) == 2
    lying = tmp_path / "y.eval"
    lying.write_bytes(data.replace(said, (90).to_bytes(4, "little")))
    with pytest.raises(InputError, match=r"summaries.json' is damaged"):
        read_logs([lying])


LINES = (LOGS / "garak-unsure.report.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
DONE = next(line for line in LINES if '"status": 2' in line)


def edited(change: Callable[[dict], object]) -> str:
    plain = json.loads(DONE)
    change(plain)
    return "".join(LINES[:2]) + json.dumps(plain) + "\n"


REPORTS = {
    "cut short": ("".join(LINES)[:-300], "cut short"),
    "twice": (LINES[0] + DONE + DONE, "evaluated twice"),
    "results are a text": (
        edited(lambda a: a.update(detector_results="all")),
        "'detector_results' is a text",
    ),
    "no probe": (edited(lambda a: a.pop("probe_classname")), "'probe_classname' is null"),
    "nothing in it": (LINES[0], "no attempt"),
    "a line of nothing but brackets": (LINES[0] + "[" * 200_000 + "\n", "nested too deep"),
    "digits": (LINES[0] + '{"a": ' + "9" * 5_000 + "}\n", "thousands of digits"),
    "an array": (LINES[0] + "[1]\n", "line 2 is no object"),
    "no JSON": ("hello\n", "no JSON object"),
    "other JSON": ('{"a": 1, "b": 2}\n', "JSON of no kind"),
    "Latin-1": (LINES[0] + '{"entry_type": "é"}\n', "no UTF-8"),
}


@pytest.mark.parametrize("what", REPORTS)
def test_a_report_that_no_tool_wrote_is_refused(what: str, tmp_path: Path) -> None:
    text, words = REPORTS[what]
    path = tmp_path / "r.jsonl"
    path.write_bytes(text.encode("latin-1" if what == "Latin-1" else "utf-8"))
    with pytest.raises(InputError, match=words):
        read_logs([path])


def test_scores_that_are_no_numbers_are_counted_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    odd = [float("nan"), float("inf"), 10**400, "1", True, 0.0]
    path.write_text(edited(lambda a: a.update(detector_results={"d": odd})), encoding="utf-8")
    (found,) = one(path).tasks[0].scores
    assert found.values is not None
    assert np.isnan(found.values).tolist() == [True, True, True, True, False, False]


def test_names_are_made_safe_to_show(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(
        edited(lambda a: a.update(probe_classname="a\x1b[31m\u202e<b>" + "x" * 900)), encoding="utf-8"
    )
    (task,) = one(path).tasks
    assert task.name.startswith("a?[31m?<b>")
    assert task.name.isprintable()
    assert len(task.name) <= 160


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_logs([tmp_path])
    with pytest.raises(InputError, match="is missing"):
        read_logs([tmp_path / "x.eval"])
    with pytest.raises(InputError, match="given twice"):
        read_logs([LOGS / "inspect-sums.eval"] * 2)


# The reader of JSON


class Drops(io.BytesIO):
    """A file that gives a few bytes at a time, wherever they end."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(7, size) if size is not None and size >= 0 else 7)


def test_a_document_is_read_as_python_reads_it() -> None:
    plain = {
        "a": [1, {"b": 'é "} ]'}, None],
        "long": "x" * 5_000,
        "n": 12.5e3,
        "o": {},
        "z": [[], "\\\\"],
        "nan": [1.0],
    }
    file = Drops(json.dumps(plain, ensure_ascii=False).encode())
    document = JsonDocument(file)
    found: dict[str, object] = {}
    for name in document.names():
        if name == "a":
            found[name] = list(document.items())
        elif name != "o":
            found[name] = document.value()
    assert found == {k: v for k, v in plain.items() if k != "o"}


def test_nan_is_read_as_python_writes_it() -> None:
    document = JsonDocument(io.BytesIO(b'{"a": [NaN, 1]}'))
    (values,) = [list(document.items()) for _ in document.names()]
    assert math.isnan(values[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": 1} {"b": 2}', "more after"),
        (b'{"a": ', "cut short"),
        (b'{"a" 1}', "no JSON near"),
        (b"[1]", "no JSON object"),
        (b'{"a": "\xff"}', "no UTF-8"),
        (b'{"a": "' + b"x" * 2_000_000 + b'"}', "over 100,000 characters"),
    ],
)
def test_a_broken_document_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        list(JsonDocument(io.BytesIO(text), most=100_000).names())


def test_an_empty_object_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b" {}\n")
    with pytest.raises(InputError, match="it is empty: a JSON object that holds nothing"):
        read_logs([tmp_path / "a.json"])
