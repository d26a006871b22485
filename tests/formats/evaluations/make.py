"""Write the logs in this folder with the tools themselves; README.md says which version wrote which.

Run it with the Python of an environment that has the tool:

    python tests/formats/evaluations/make.py inspect    # pip install inspect-ai
    python tests/formats/evaluations/make.py lm_eval    # pip install lm-eval
    python tests/formats/evaluations/make.py garak      # pip install garak

Every question and answer is made up here, and no model is loaded. What says where a log was written (paths, host,
commit, machine) is taken out of it afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
QUESTIONS = [(f"What is {a} + {b}?", str(a + b)) for a, b in zip(range(2, 24), range(7, 51, 2), strict=True)]
"""Twenty-two sums, with their answers."""


def write_inspect() -> None:
    """Ask twelve sums twice; some answers are wrong, one sample fails, one is not graded."""
    for name, shift, form in (("sums", 0, "eval"), ("sums-later", 1, "eval"), ("sums-json", 0, "json")):
        with tempfile.TemporaryDirectory() as folder:
            _ask(shift, Path(folder), form)
            written = next(Path(folder).glob(f"*.{form}"))
            target = HERE / f"inspect-{name}.{form}"
            if form == "json":
                target.write_text(_without_places(written.read_text(encoding="utf-8")), encoding="utf-8")
            else:
                _repacked(written, target)
    _write_reduced()


def _ask(shift: int, folder: Path, form: str) -> None:
    from inspect_ai import Epochs, Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import Score, match, mean, scorer, std, stderr
    from inspect_ai.solver import generate, solver

    asked: dict[int, int] = {}

    def answer(messages: Any, *_: object) -> Any:
        place = next(i for i, (question, _) in enumerate(QUESTIONS) if question in messages[-1].text)
        asked[place] = asked.get(place, 0) + 1
        right = (place + shift + asked[place]) % 4 != 0
        output = ModelOutput.from_content("mockllm/model", QUESTIONS[place][1] if right else "no idea")
        output.usage = ModelUsage(
            input_tokens=6, output_tokens=2, total_tokens=8
        )  # else it fetches a tokenizer
        return output

    @solver
    def stumbles():  # type: ignore[no-untyped-def]
        async def solve(state, generate):  # type: ignore[no-untyped-def]
            if state.sample_id == 7 and state.epoch == 2:
                raise RuntimeError("the sandbox went away")
            return state

        return solve

    @scorer(metrics=[mean(), std(), stderr()])
    def length():  # type: ignore[no-untyped-def]
        async def score(state, target):  # type: ignore[no-untyped-def]
            if state.sample_id == 3 and state.epoch == 1:
                return Score.unscored(reason="grader_failed")
            return Score(value=len(state.output.completion) / 7)

        return score

    samples = [Sample(input=q, target=a, id=n) for n, (q, a) in enumerate(QUESTIONS[:12], 1)]
    evaluate(
        Task(
            dataset=MemoryDataset(samples, name="sums"),
            solver=[stumbles(), generate()],
            scorer=[match(), length()],
            epochs=Epochs(2, "mean"),
            name="sums",
            version=3,
        ),
        model=get_model("mockllm/model", custom_outputs=answer),
        log_dir=str(folder),
        log_format=form,
        fail_on_error=False,
        display="none",
        max_samples=1,
    )


def _write_reduced() -> None:
    """Ask five questions thrice, reduced in three ways, with a scorer of two values and a metric by group."""
    from inspect_ai import Epochs, Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import Score, accuracy, grouped, match, mean, scorer, stderr

    turn = {"now": 0}

    def answer(messages: Any, *_: object) -> Any:
        place = next(i for i, (question, _) in enumerate(QUESTIONS) if question in messages[-1].text)
        turn["now"] += 1
        output = ModelOutput.from_content("mockllm/model", QUESTIONS[place][1] if turn["now"] % 3 else "no")
        output.usage = ModelUsage(input_tokens=6, output_tokens=2, total_tokens=8)
        return output

    @scorer(metrics={"short": [mean(), stderr()], "even": [accuracy()]})
    def shape():  # type: ignore[no-untyped-def]
        async def score(state, target):  # type: ignore[no-untyped-def]
            said = state.output.completion
            return Score(value={"short": float(len(said) < 3), "even": float(said[-1] in "02468")})

        return score

    @scorer(metrics=[grouped(mean(), "size")])
    def by_size():  # type: ignore[no-untyped-def]
        async def score(state, target):  # type: ignore[no-untyped-def]
            return Score(value=float(state.output.completion == target.text))

        return score

    samples = [
        Sample(input=q, target=a, id=f"sum-{a}", metadata={"size": "large" if len(a) > 1 else "small"})
        for q, a in QUESTIONS[:5]
    ]
    with tempfile.TemporaryDirectory() as folder:
        evaluate(
            Task(
                dataset=MemoryDataset(samples, name="sums"),
                scorer=[match(), shape(), by_size()],
                epochs=Epochs(3, ["mean", "max", "at_least_2"]),
                name="sums-reduced",
            ),
            model=get_model("mockllm/model", custom_outputs=answer),
            log_dir=folder,
            log_format="eval",
            display="none",
            max_samples=1,
        )
        _repacked(next(Path(folder).glob("*.eval")), HERE / "inspect-reduced.eval")


def _repacked(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            text = _without_places(old.read(entry).decode())
            new.writestr(zipfile.ZipInfo(entry.filename, (2026, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)


_SAMPLES = "\n".join(
    json.dumps({"text": question.removesuffix("?"), "ends": int(answer) % 2})
    for question, answer in QUESTIONS
)
_CHOICES = """\
task: parity
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{text}} is"
doc_to_choice: [" even", " odd"]
doc_to_target: ends
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: f1, aggregation: f1, higher_is_better: true}
metadata: {version: 2.0}
"""
_LIKELIHOOD = """\
task: prose
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity}
  - {metric: bits_per_byte}
metadata: {version: 1.0}
"""
_WRITTEN = """\
task: written
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: generate_until
doc_to_text: "{{text}} ="
doc_to_target: "{{ 'lol' if ends else 'no' }}"
repeats: 2
generation_kwargs: {until: ["\\n"], do_sample: true, temperature: 0.7}
filter_list:
  - name: first
    filter: [{function: take_first}]
  - name: a letter
    filter: [{function: regex, regex_pattern: "(l)ol"}, {function: take_first}]
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
"""


def write_lm_eval() -> None:
    """Run three tasks of our own on the model 'dummy', whose answers are random, with two seeds."""
    for name, seed in (("first", 1), ("second", 2)):
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder)
            (at / "sums.jsonl").write_text(_SAMPLES + "\n", encoding="utf-8")
            for task, text in (("parity", _CHOICES), ("prose", _LIKELIHOOD), ("written", _WRITTEN)):
                (at / f"{task}.yaml").write_text(text % (at / "sums.jsonl"), encoding="utf-8")
            os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(at / "home")}
            _evaluate(at, seed)
            target = HERE / f"lm-eval-{name}"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            for written in sorted((at / "out").rglob("*.json*")):
                text = written.read_text(encoding="utf-8").replace(folder, "")
                (target / written.name).write_text(_without_machine(text), encoding="utf-8")


def _evaluate(at: Path, seed: int) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    tracker = EvaluationTracker(output_path=str(at / "out"))
    results = simple_evaluate(
        model="dummy",
        tasks=["parity", "prose", "written"],
        task_manager=TaskManager(include_path=str(at)),
        evaluation_tracker=tracker,
        bootstrap_iters=100,
        random_seed=seed,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])


def _without_machine(text: str) -> str:
    if text.startswith('{"doc_id"'):
        return text
    plain = json.loads(text)
    for key in ("pretty_env_info", "git_hash"):
        plain.pop(key, None)
    return json.dumps(plain, indent=2)


def write_garak() -> None:
    """Probe test.Repeat, which repeats the prompt, and a function that repeats it, says no or fails to answer."""
    for name, kind, target in (
        ("repeat", "test.Repeat", ()),
        ("unsure", "function.Single", ("--target_name", "unsure#reply")),
    ):
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder)
            (at / "unsure.py").write_text(_UNSURE, encoding="utf-8")
            (at / "c.yaml").write_text("run: {soft_probe_prompt_cap: 8, generations: 2, seed: 3}\n")
            homes = {f"XDG_{kind}_HOME": str(at / kind) for kind in ("DATA", "CONFIG", "CACHE")}
            asked = ["--config", str(at / "c.yaml"), "--target_type", kind, *target, "--report_prefix", name]
            probes = "probes.promptinject.HijackKillHumans,probes.encoding.InjectROT13"
            subprocess.run(
                [sys.executable, "-m", "garak", *asked, "--spec", probes],
                check=True,
                cwd=at,
                env={**os.environ, **homes, "PYTHONPATH": folder},
            )
            written = next(at.rglob(f"{name}.report.jsonl"))
            lines = _without_words(written.read_text(encoding="utf-8").splitlines())
            (HERE / f"garak-{name}.report.jsonl").write_text("".join(lines), encoding="utf-8")


_UNSURE = """\
turn = [0]

def reply(prompt, **kwargs):
    turn[0] += 1
    return [None if turn[0] % 7 == 0 else prompt if turn[0] % 3 else "No."]
"""


def _without_words(lines: Iterable[str]) -> Iterable[str]:
    """Yield garak's lines with each text, which is garak's own or offensive, as 'text N', and without paths and the digest."""
    known: dict[str, str] = {}

    def worded(value: Any) -> Any:
        match value:
            case dict():
                return {
                    k: known.setdefault(v, f"text {len(known) + 1}")
                    if k in ("text", "triggers") and isinstance(v, str)
                    else worded(v)
                    for k, v in value.items()
                    if k not in ("triggers", "attack_text", "settings")
                }
            case list():
                return [worded(v) for v in value]
        return value

    for line in lines:
        plain = json.loads(line)
        if plain["entry_type"] in ("digest", "payload_init", "plugin_cache"):
            continue
        if plain["entry_type"] == "attempt":
            plain["notes"], plain["conversations"] = {}, []
        for key in [k for k in plain if k.endswith(("filename", "files", "report_dir"))]:
            del plain[key]
        yield json.dumps(worded(plain)) + "\n"


def _without_places(text: str) -> str:
    """Return an entry of an Inspect log without its events and what says where it was made."""
    plain = json.loads(text)
    for sample in plain if isinstance(plain, list) else [plain, *plain.get("samples", ())]:
        for key in ("events", "events_data", "attachments", "store"):
            sample.pop(key, None)
        if isinstance(error := sample.get("error"), dict):
            error |= {"traceback": "", "traceback_ansi": ""}
    if isinstance(plain, dict):
        plain.get("eval", {}).pop("revision", None)
    return json.dumps(plain)


if __name__ == "__main__":
    {"inspect": write_inspect, "lm_eval": write_lm_eval, "garak": write_garak}[sys.argv[1]]()
