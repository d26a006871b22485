"""Minimal pairs per second: this package's log-likelihoods against lm-evaluation-harness, interleaved in one run.

    pip install lm-eval
    python benchmarks/lm_pairs.py MODEL [--pairs 1508] [--rounds 3] [--threads 2] [--texts own] [--profile]

MODEL is a .gguf file or a directory that transformers opens; `audit fetch smollm2-135m-instruct` brings one. 1,508 is how
many pairs CrowS-Pairs has; measured with lm-eval 0.4.13. The harness is given each of several batch sizes first and runs
with its best, and with the faster of its two ways to score a whole sentence. `--texts own` takes the pairs of
`fairness.pairs`, whose sentences part early, and fills up with the pronoun pairs that are used otherwise.
Wall time says nothing on a machine that others use too, so processor time is printed beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

SEARCHED = 128
"""Sentences on which the batch sizes of the harness are compared."""
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear_pointwise")
"""What torch's profiler calls matrix products; attention that is one operation is listed by itself."""
WORKERS = [
    "accountant",
    "architect",
    "baker",
    "barber",
    "bookkeeper",
    "butcher",
    "carpenter",
    "cashier",
    "chef",
    "cleaner",
    "clerk",
    "cook",
    "counselor",
    "dentist",
    "designer",
    "developer",
    "driver",
    "editor",
    "electrician",
    "engineer",
    "farmer",
    "firefighter",
    "guard",
    "hairdresser",
    "janitor",
    "journalist",
    "judge",
    "laborer",
    "lawyer",
    "librarian",
    "machinist",
    "manager",
    "mechanic",
    "midwife",
    "mover",
    "nurse",
    "nutritionist",
    "painter",
    "paramedic",
    "pharmacist",
    "photographer",
    "physician",
    "pilot",
    "plumber",
    "receptionist",
    "salesperson",
    "scientist",
    "secretary",
    "sheriff",
    "singer",
    "supervisor",
    "surgeon",
    "tailor",
    "teacher",
    "technician",
    "translator",
    "veterinarian",
    "waiter",
    "welder",
    "writer",
]
SCENES = (
    ("told the visitor that", "would be back before noon."),
    ("called home because", "had forgotten the keys again."),
    ("finished early, so", "went for a walk by the river."),
    ("was praised after", "solved the problem alone."),
    ("apologised when", "arrived late to the meeting."),
    ("asked for help because", "could not lift the box."),
    ("wrote a letter in which", "thanked the whole team."),
    ("was tired, but", "stayed until the work was done."),
    ("explained to the guests how", "had learned the trade."),
    ("smiled because", "knew the answer already."),
    ("bought a new coat after", "was paid on Friday."),
    ("left the room before", "heard the end of the story."),
    ("said on the phone that", "needed another week."),
    ("kept the receipt so that", "could return the tools."),
    ("moved to the city where", "had grown up."),
    ("was surprised that", "had been chosen to speak."),
    ("checked the list twice since", "did not trust the computer."),
    ("waited outside until", "was called in."),
    ("promised the children that", "would tell them everything."),
    ("drank some water while", "read the instructions."),
    ("has worked here since", "left school at sixteen."),
    ("refused the offer because", "wanted to stay with friends."),
    ("opened the window although", "felt a little cold."),
    ("was late again because", "missed the only bus."),
    ("admitted that", "had made a mistake."),
)


def sentences(pairs: int) -> list[str]:
    """Return pairs of sentences that differ in one pronoun, one after the other."""
    texts = []
    for scene in range(-(-pairs // len(WORKERS))):
        begin, end = SCENES[scene % len(SCENES)]
        for worker in WORKERS:
            texts += [f"The {worker} {begin} {pronoun} {end}" for pronoun in ("he", "she")]
    return texts[: 2 * pairs]


def own_sentences(pairs: int) -> list[str]:
    """Return the pairs of fairness.pairs one after the other, then pronoun pairs up to the number asked for."""
    from audit.evaluators.fairness.pairs.own import own_pairs

    columns = dict(own_pairs().columns)
    texts = [str(text) for pair in zip(columns["more"], columns["less"], strict=True) for text in pair]
    return (texts + sentences(max(0, pairs - len(texts) // 2)))[: 2 * pairs]


def timed(jobs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, float]]:
    """Return each job's median wall and processor seconds, run in turn so that a busy machine slows them alike."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            wall, busy = time.perf_counter(), time.process_time()
            job()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - busy))
    return {
        name: (statistics.median(wall for wall, _ in both), statistics.median(busy for _, busy in both))
        for name, both in seconds.items()
    }


def interleaved(jobs: dict[str, Callable[[], Any]], rounds: int, *, busy: bool = False) -> dict[str, float]:
    """Return the median seconds of each job: wall time, or this process's processor time if ``busy``."""
    return {name: both[int(busy)] for name, both in timed(jobs, rounds).items()}


def profile(name: str, job: Callable[[], Any]) -> None:
    """Print where a job's processor time goes: the share in matrix products, and the operations that take most."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        job()
    events = [e for e in seen.key_averages() if e.self_cpu_time_total > 0]
    total = sum(e.self_cpu_time_total for e in events)
    products = sum(e.self_cpu_time_total for e in events if e.key in PRODUCTS)
    print(f"{name}: {products / total:.0%} of {total / 1e6:.1f} s within torch in matrix products")
    for event in sorted(events, key=lambda e: -e.self_cpu_time_total)[:8]:
        print(
            f"    {event.key:44} {event.self_cpu_time_total / total:6.1%} {event.count:8,} calls", flush=True
        )


def harness(model: Any, tokenizer: Any, batch: int) -> Any:
    """Return lm-evaluation-harness around a loaded model."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=batch)


def best_harness(model: Any, tokenizer: Any, texts: list[str], sizes: tuple[int, ...]) -> tuple[str, Any]:
    """Return the fastest of the harness's batch sizes and methods on some of the texts, as a name and a job."""
    step = max(1, len(texts) // SEARCHED)
    few = [t for i in range(0, len(texts), 2 * step) for t in texts[i : i + 2]]
    rolling = [SimpleNamespace(args=(t,), task_name=None) for t in few]
    plain = [SimpleNamespace(args=("", t), task_name=None) for t in few]
    found = {}
    for size in sizes:
        lm = harness(model, tokenizer, size)
        for name, requests in (("loglikelihood_rolling", rolling), ("loglikelihood", plain)):
            began = time.process_time()
            getattr(lm, name)(requests, disable_tqdm=True)
            found[name, size] = time.process_time() - began
    method, size = min(found, key=found.__getitem__)
    lm = harness(model, tokenizer, size)

    def job() -> np.ndarray[Any, Any]:
        if method == "loglikelihood":
            answers = lm.loglikelihood([SimpleNamespace(args=("", t), task_name=None) for t in texts], True)
            return np.array([value for value, _ in answers])
        return np.array(
            lm.loglikelihood_rolling([SimpleNamespace(args=(t,), task_name=None) for t in texts], True)
        )

    return f"{method}, batch {size}", job


def prepare(path: str, threads: int) -> None:
    """Silence the harness's progress bars and bind the number of threads."""
    import os

    os.environ["TQDM_DISABLE"] = "1"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if not Path(path).exists():
        raise SystemExit(f"There is no model at {path}.")
    import torch

    torch.set_num_threads(threads)


def pairs_of_models(path: str, dtype: str, arithmetic: str) -> tuple[Any, Any, Any]:
    """Return this package's model, and the harness's model and tokenizer, of one dtype."""
    import torch
    import transformers

    from audit.models.transformers import CausalLM

    ours = CausalLM.open(CausalLM.refer({"path": path, "dtype": dtype, "arithmetic": arithmetic}), "cpu")
    place, more = Path(path), {}
    if place.is_file():
        more = {"gguf_file": place.name}
        place = place.parent
    tokenizer = transformers.AutoTokenizer.from_pretrained(place, **more)
    if not more:
        theirs = transformers.AutoModelForCausalLM.from_pretrained(place, dtype=getattr(torch, dtype))
    else:
        quantization = transformers.GgufConfig(dequantize=True)
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            place, dtype=getattr(torch, dtype), quantization_config=quantization, **more
        )
    return ours, theirs.eval(), tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--pairs", type=int, default=1508)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--texts", choices=("pronouns", "own"), default="pronouns")
    parser.add_argument("--profile", action="store_true", help="where the time of both sides goes")
    parser.add_argument(
        "--settings", nargs="*", default=["bfloat16/auto", "bfloat16/bfloat16", "float32/float32"]
    )
    given = parser.parse_args()
    prepare(given.model, given.threads)
    from audit.core.rows import text_rows

    texts = (own_sentences if given.texts == "own" else sentences)(given.pairs)
    rows = text_rows(texts)
    for setting in given.settings:
        dtype, arithmetic = setting.split("/")
        ours, model, tokenizer = pairs_of_models(given.model, dtype, arithmetic)
        how, theirs = best_harness(model, tokenizer, texts, (16, 32, 64))
        found: dict[str, Any] = {}
        jobs: dict[str, Callable[[], Any]] = {
            "ours": lambda m=ours, kept=found: kept.update(ours=m.log_likelihood(rows)),
            "theirs": lambda job=theirs, kept=found: kept.update(theirs=job()),
        }
        seconds = timed(jobs, given.rounds)
        apart = np.abs(found["ours"] - found["theirs"]).max()
        computed = next(ours.network.model.parameters()).dtype
        print(f"weights {dtype}, ours computed in {computed}: {len(texts)} sentences, harness with {how}")
        for clock, name in enumerate(("wall", "processor")):
            mine, other = seconds["ours"][clock], seconds["theirs"][clock]
            print(
                f"{name:9} ours {len(texts) / mine:.1f}/s, harness {len(texts) / other:.1f}/s, ratio {other / mine:.2f}"
            )
        print(f"largest difference {apart:.4f} nats", flush=True)
        if given.profile:
            for name, job in jobs.items():
                profile(name, job)


if __name__ == "__main__":
    main()
