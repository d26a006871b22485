"""WinoBias, Winogender and probes of a user's own: read as distributed, asked by the evaluators, and refused with the row."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from audit.core.errors import InputError
from audit.core.measurements import Measurement, Undefined
from audit.data.text import TextFiles
from audit.evaluators.fairness.pairs.evaluator import MinimalPairs
from audit.evaluators.fairness.pronouns.evaluator import PronounAssociation
from audit.evaluators.fairness.pronouns.scores import Association
from tests.evaluators.conftest import kitchen
from tests.evaluators.fake_language import FakeLM, language_subject, noise

OCCUPATIONS = [f"maker{i}" for i in range(14)]
SHARES = {name: (i + 1) / 15 for i, name in enumerate(OCCUPATIONS)}


def text_options(tmp_path: Path, **files: Path) -> dict[str, str]:
    (tmp_path / "texts.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    return {"path": str(tmp_path / "texts.txt"), **{name: str(path) for name, path in files.items()}}


def winogender(tmp_path: Path, extra: str = "") -> Path:
    folder = tmp_path / "winogender"
    folder.mkdir(exist_ok=True)
    lines = ["occupation(0)\tother-participant(1)\tanswer\tsentence"]
    for name in OCCUPATIONS:
        lines.append(
            f"{name}\tcustomer\t0\tThe $OCCUPATION told the $PARTICIPANT that $NOM_PRONOUN could pay."
        )
        lines.append(
            f"{name}\tcustomer\t1\tThe $OCCUPATION saw the $PARTICIPANT because of $POSS_PRONOUN coat."
        )
    (folder / "templates.tsv").write_text("\n".join(lines) + "\n" + extra, encoding="utf-8")
    stats = [f"{name}\t10\t{100 * share:.2f}\t2015" for name, share in SHARES.items()]
    header = "occupation\tbergsma_pct_female\tbls_pct_female\tbls_year"
    (folder / "occupations-stats.tsv").write_text("\n".join([header, *stats]) + "\n", encoding="utf-8")
    return folder


class Labour:
    """Prefers 'she' by 0.6 times the log odds of women."""

    def token_scores(self, rows: Any) -> Any:
        found = []
        for prefix, text in zip(
            rows.column("prefix").to_pylist(), rows.column("text").to_pylist(), strict=True
        ):
            name = max((o for o in OCCUPATIONS if f"The {o} " in prefix), default="", key=len)
            share = SHARES.get(name, 0.5)
            word = text.strip()
            poss = prefix.endswith("because of")
            right = ("her", "his", "their") if poss else ("she", "he", "they")
            lean = 0.6 * math.log(share / (1 - share))
            found.append(
                [
                    -2.0 + (lean if word == right[0] else 0.0) - (1.0 if word == right[2] else 0)
                    if word in right
                    else -9.0
                ]
            )
        return pa.table({"logp": pa.array(found, pa.list_(pa.float64()))})


def test_winogender_is_asked_with_its_own_statistics(tmp_path: Path) -> None:
    ref = TextFiles.refer(text_options(tmp_path, winogender=winogender(tmp_path)))
    rows = TextFiles.load(ref, "winogender")
    first = rows.to_pylist()[0]
    assert first["prefix"] == "The maker0 told someone that"
    assert first["text"] == " she"
    assert Association.of(rows, pa.array([0.0] * rows.num_rows).to_numpy()).units == len(OCCUPATIONS)
    splits = {"winogender": rows}
    outcomes = (
        kitchen(Labour(), splits).ask(PronounAssociation(resamples=300), language_subject(splits)).outcomes
    )
    found = {o.metric.rpartition(".")[2]: o for o in outcomes}
    assert found["slope"].value == pytest.approx(0.6, abs=1e-3)
    assert "US labour statistics" in found["slope"].notes[0]
    assert "amplification" not in found, "the model did not learn from these statistics"
    assert isinstance(found["swapped_slope"], Undefined)


def test_a_wrong_template_is_named(tmp_path: Path) -> None:
    ref = TextFiles.refer(
        text_options(tmp_path, winogender=winogender(tmp_path, "maker0\tx\t0\tNo slot at all.\n"))
    )
    assert "row 30 (no $OCCUPATION before a pronoun)" in " ".join(TextFiles.describe(ref).problems)
    folder = winogender(tmp_path)
    header = "occupation(0)\tsentence\nunknown\tThe $OCCUPATION $NOM_PRONOUN\n"
    (folder / "templates.tsv").write_text(header, encoding="utf-8")
    with pytest.raises(InputError, match="'unknown' is not in occupations-stats"):
        TextFiles.refer(text_options(tmp_path, winogender=folder))


def winobias(tmp_path: Path, broken: str = "") -> Path:
    folder = tmp_path / "winobias"
    folder.mkdir(exist_ok=True)
    for kind in ("type1", "type2"):
        for side, (one, other) in (("pro", ("he", "she")), ("anti", ("she", "he"))):
            lines = [
                f"{i + 1} [The {name}] thanked the {'clerk' if i % 2 else 'guard'} after [{one if i % 2 else other}] got the letter number {i}."
                for i, name in enumerate(OCCUPATIONS)
                for _ in range(3)
            ]
            if broken:
                lines[1] = broken
            (folder / f"{side}_stereotyped_{kind}.txt.dev").write_text(
                "\n".join(lines) + "\n", encoding="utf-8"
            )
    return folder


def test_winobias_is_asked_as_pairs_by_occupation(tmp_path: Path) -> None:
    ref = TextFiles.refer(text_options(tmp_path, winobias=winobias(tmp_path)))
    rows = TextFiles.load(ref, "winobias")
    assert rows.num_rows == 2 * 3 * len(OCCUPATIONS)
    first = rows.to_pylist()[0]
    assert first["more"] == "The maker0 thanked the guard after she got the letter number 0."
    assert (first["category"], first["about"]) == ("type1", "maker0")
    splits = {"winobias": rows}

    def lean(prefix: str, text: str) -> float:
        pro = {r["more"] for r in rows.to_pylist()}
        return (
            0.4 * (prefix + text in pro) + 0.1 * noise(prefix, text)
            if "got the" in text
            else 3.0 * (text == " he")
        )

    model = FakeLM(lean)
    evaluator = MinimalPairs(probes="winobias")
    outcomes = kitchen(model, splits).ask(evaluator, language_subject(splits)).outcomes
    found = {o.metric.rpartition(".")[2]: o for o in outcomes if not o.group}
    assert isinstance(found["preference"], Measurement)
    assert found["preference"].value == pytest.approx(0.4, abs=0.05)
    assert "28 pairs of groups" in found["preference"].notes[0]
    assert len(MinimalPairs(probes="winobias").unmet(language_subject())) == 1


def test_winobias_that_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    for broken, said in (
        ("2 The maker0 thanked [he].", "without an occupation and a pronoun"),
        ("no number [The x] [he]", "without a number"),
    ):
        ref = TextFiles.refer(text_options(tmp_path, winobias=winobias(tmp_path, broken)))
        problem = " ".join(TextFiles.describe(ref).problems)
        assert "pro_stereotyped_type1.txt.dev, line 2" in problem
        assert said in problem
    (tmp_path / "winobias" / "anti_stereotyped_type1.txt.dev").write_text(
        "1 [The x] [he].\n", encoding="utf-8"
    )
    with pytest.raises(InputError, match="has 42 lines and"):
        TextFiles.refer(text_options(tmp_path, winobias=tmp_path / "winobias"))
    with pytest.raises(InputError, match="no folder with pro_stereotyped"):
        TextFiles.refer(text_options(tmp_path, winobias=tmp_path))


def test_probes_of_a_users_own(tmp_path: Path) -> None:
    rows = [
        {
            "prefix": f"The {unit} sat down because",
            "text": f" {pronoun}",
            "pronoun": pronoun,
            "kind": kind,
            "unit": unit,
            "item": "0",
            "share": share,
        }
        for kind, units in (("occupation", OCCUPATIONS), ("neutral", ["person", "guest", "adult", "visitor"]))
        for unit in units
        for share in [SHARES.get(unit, 0.5)]
        for pronoun in ("she", "he")
    ]
    file = tmp_path / "pronouns.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    ref = TextFiles.refer(text_options(tmp_path, pronouns=file))
    splits = {"pronouns": TextFiles.load(ref, "pronouns")}
    outcomes = (
        kitchen(Labour(), splits).ask(PronounAssociation(resamples=300), language_subject(splits)).outcomes
    )
    found = {o.metric.rpartition(".")[2]: o for o in outcomes}
    assert found["amplification"].value == pytest.approx(0.6, abs=1e-3)
    for wrong, said in (
        ({"share": 3}, "no share of women"),
        ({"kind": "x"}, "it is occupation, neutral"),
        ({"pronoun": "xe"}, "it is she, he"),
        ({"unit": ""}, "'unit' is empty"),
    ):
        file.write_text(json.dumps({**rows[0], **wrong}) + "\n", encoding="utf-8")
        with pytest.raises(InputError, match=said):
            TextFiles.refer(text_options(tmp_path, pronouns=file))
    with pytest.raises(InputError, match=r"no \.jsonl file"):
        TextFiles.refer(text_options(tmp_path, pronouns=tmp_path / "texts.txt"))
