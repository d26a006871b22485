"""Content credentials: real signing and validating, planted verifiers that trust too much, hostile outputs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import Digest
from audit.core.measurements import Undefined
from audit.core.references import DataRef, ModelRef
from audit.core.rows import image_rows, text_rows
from audit.core.subjects import DataCard, ModelCard, Subject
from audit.evaluators.provenance.credentials import bench
from audit.evaluators.provenance.credentials.evaluator import ContentCredentials
from audit.evaluators.provenance.credentials.tampering import TAMPERS
from audit.marks.manifests import reading
from audit.marks.manifests.carriers import IMAGE_FORMATS
from audit.marks.manifests.reading import Answer, Reading
from audit.marks.manifests.signers import UNTRUSTED, ephemeral_signers
from audit.marks.manifests.signing import Bench
from audit.marks.manifests.text_wrapper import wrapper

NAME = "provenance.credentials"
UNTRUSTED_CODES = {
    "unknown_authority": ("valid", "signingCredential.untrusted"),
    "impostor_authority": ("valid", "signingCredential.untrusted"),
    "expired": ("invalid", "signingCredential.untrusted, signingCredential.expired"),
    "not_yet_valid": ("invalid", "signingCredential.untrusted, signingCredential.expired"),
    "wrong_purpose": ("invalid", "signingCredential.untrusted, signingCredential.invalid"),
}


def _subject(modality: str, shard_size: int = 64) -> Subject:
    return Subject(
        model=ModelRef("fake", Digest("0" * 40)),
        card=ModelCard("fake", modality, 1),
        offers=frozenset({Capability.SAMPLE}),
        data=DataRef("fake", Digest("1" * 40)),
        data_card=DataCard(modality, (("train", 10),)),
        extractors=(),
        sample_size=10,
        seed=0,
        shard_size=shard_size,
    )


class Painter:
    def __init__(self, side: int = 8, channels: int = 3) -> None:
        self.shape = (side, side, channels)

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return image_rows(rng.integers(0, 256, (n, *self.shape), dtype=np.uint8))


class Writer:
    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return text_rows([f"Entry {rng.integers(10**9)}\nand a second line" for _ in range(n)])


def _ran(rows: Any, seed: int = 0) -> list[bench.Trial]:
    return list(bench.run_trials(rows, np.random.default_rng(seed)))


def _images(n: int, side: int = 8, channels: int = 3) -> Any:
    return Painter(side, channels).sample(n, np.random.default_rng(1))


def _cells(found: list[bench.Trial], kind: str) -> Counter[tuple[str, str, str, str]]:
    return Counter((t.format, t.case, str(t.outcome), t.code) for t in found if t.kind == kind)


@pytest.fixture(scope="module")
def painted() -> list[bench.Trial]:
    return _ran(_images(3))


@pytest.fixture(scope="module")
def written() -> list[bench.Trial]:
    return _ran(text_rows(["The first text.\nIts end.", "Another one\r\n", "x"]))


def test_every_image_format_the_two_libraries_share_is_signed_and_trusted(
    painted: list[bench.Trial],
) -> None:
    intact = [t for t in painted if t.kind == "intact"]
    assert {t.format for t in intact} >= {"png", "jpeg", "webp", "tiff", "gif"}
    assert all(t.outcome == "trusted" and t.code == "" and t.declared and t.added > 1000 for t in intact)
    assert all(t.outcome == "absent" for t in painted if t.kind == "unsigned")


def test_tampered_images_fail_with_the_codes_of_the_specification(painted: list[bench.Trial]) -> None:
    for carrier, case, outcome, code in _cells(painted, "tamper"):
        asset = "assertion.bmffHash.mismatch" if carrier == "avif" else "assertion.dataHash.mismatch"
        match case:
            case "asset_altered" | "transplanted":
                assert (outcome, code) == ("invalid", asset), carrier
            case "assertion_altered":
                assert (outcome, code) == ("invalid", "assertion.hashedURI.mismatch"), carrier
            case "truncated":
                assert outcome in ("invalid", "unreadable", "absent"), carrier
            case "random_bytes":
                assert outcome in ("rejected", "inert"), carrier
    assert {t.case for t in painted if t.kind == "tamper"} == set(TAMPERS)


@pytest.mark.parametrize("modality", ["painted", "written"])
def test_no_false_signer_is_trusted_and_each_fails_for_its_own_reason(
    modality: str, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(modality)
    for _, case, outcome, code in _cells(found, "signer"):
        assert (outcome, code) == UNTRUSTED_CODES[case]
    refusals = {(t.case, t.outcome) for t in found if t.kind == "refusal"}
    assert refusals == {("expired", "refused"), ("not_yet_valid", "refused"), ("wrong_purpose", "refused")}


def test_embedded_credentials_do_not_survive_being_saved_again(painted: list[bench.Trial]) -> None:
    strips = [t for t in painted if t.kind == "strip"]
    assert {t.case for t in strips} == {
        "re_encoded",
        "to_other_format",
        "resized",
        "screenshot",
        "metadata_stripped",
    }
    assert {t.outcome for t in strips} == {"absent"}


def test_a_sidecar_binds_every_byte_of_the_text(written: list[bench.Trial]) -> None:
    assert [t.outcome for t in written if t.kind == "intact"] == ["trusted"] * 3
    bound = {
        c[1]: (c[2], c[3]) for c in _cells(written, "tamper") if c[1] not in ("random_bytes", "truncated")
    }
    assert bound == {
        "asset_altered": ("invalid", "assertion.dataHash.mismatch"),
        "assertion_altered": ("invalid", "assertion.hashedURI.mismatch"),
        "transplanted": ("invalid", "assertion.dataHash.mismatch"),
    }
    strips = Counter((t.case, t.outcome) for t in written if t.kind == "strip")
    assert strips[("copied_alone", "absent")] == 3
    assert strips[("newline_added", "invalid")] == 3
    assert strips[("carriage_returns", "invalid")] == 1  # only one of the three has a line feed alone


def test_shards_are_the_same_each_time_although_keys_and_signatures_are_not(make_shards: Any) -> None:
    for model, modality in ((Painter(), "image"), (Writer(), "text")):
        cases = ContentCredentials(n=3, signed=3).inputs(_subject(modality, shard_size=2))
        for recipe in (cases.subject["trials"], cases.null.inputs["readings"]):
            first, second = make_shards(recipe, model), make_shards(recipe, model)
            assert len(first) == 2
            assert all(a.equals(b) for a, b in zip(first, second, strict=True))


def _asked(
    ask: Any, modality: str, model: Any, n: int = 4, doses: tuple[float, ...] = (), **given: Any
) -> Any:
    subject = replace(_subject(modality, shard_size=3), doses=doses)
    return ask(ContentCredentials(n=n, signed=min(n, 4), **given), subject, model)


def _scored(ask: Any, modality: str, model: Any, **given: Any) -> dict[str, Any]:
    return {o.metric.removeprefix(f"{NAME}."): o for o in _asked(ask, modality, model, **given).outcomes}


@pytest.mark.parametrize(("modality", "model"), [("image", Painter()), ("text", Writer())])
def test_the_bench_is_one_block_and_says_nothing_of_the_outputs(ask: Any, modality: str, model: Any) -> None:
    found = _scored(ask, modality, model)
    assert set(ContentCredentials.about.declared) - {f"{NAME}.{metric}" for metric in found} == {
        f"{NAME}.broken"
    }
    signable = found["signable"]
    assert (signable.value, signable.n) == (1.0, 4)
    assert signable.uncertainty.low == pytest.approx(0.025 ** (1 / 4))  # closed form where all of four agree
    (table,) = signable.evidence
    rows = {row["case"]: row for row in table.content.to_pylist()}
    assert rows["signed and read back"]["is"].split()[0] == rows["signed and read back"]["is"].split()[2]
    assert all(row["is"].split()[0] == row["is"].split()[2] for row in rows.values() if row["is"])
    assert len(rows) <= 22
    for metric in ("trusted", "declared", "time_stamped"):
        assert isinstance(found[metric], Undefined)
    if modality == "image":
        assert "pixels" in found["carried"].reason
        assert "samples_on_disk" in found["carried"].reason
    else:
        assert (found["carried"].value, found["carried"].n) == (0.0, 4)
    assert "broken" not in found, "nothing is carried that could be broken"


def test_a_verifier_that_takes_valid_for_trusted_is_caught(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = reading.answer_of
    gullible = {Answer.VALID: Answer.TRUSTED}
    monkeypatch.setattr(reading, "answer_of", lambda state: gullible.get(honest(state), honest(state)))
    signable = _scored(ask, "text", Writer())["signable"]
    assert signable.value == 0.0
    rows = {row["case"]: row["is"] for row in signable.evidence[0].content.to_pylist()}
    assert rows[f"signed by {UNTRUSTED['impostor_authority']}"] == "0 of 4"
    assert rows[f"signed by {UNTRUSTED['expired']}"] == "4 of 4"


def _lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Bench.read

    def read(self: Bench, held: Any) -> Reading:
        found = honest(self, held)
        mismatch = any("dataHash" in code for code in found.codes)
        return Reading(Answer.TRUSTED, (), found.manifest) if mismatch else found

    monkeypatch.setattr(Bench, "read", read)


def test_a_verifier_that_ignores_hashes_is_caught(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _lenient(monkeypatch)
    signable = _scored(ask, "text", Writer())["signable"]
    assert signable.value == 0.0
    rows = {row["case"]: row["is"] for row in signable.evidence[0].content.to_pylist()}
    assert rows[f"tampered: {TAMPERS['transplanted']}"] == "0 of 3"  # the first output has no donor
    assert rows[f"tampered: {TAMPERS['assertion_altered']}"] == "4 of 4"


def test_a_verifier_that_accepts_everything_voids_the_bench(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "read", lambda self, held: Reading(Answer.TRUSTED))
    found = _scored(ask, "text", Writer())
    assert isinstance(found["signable"], Undefined)
    assert "carry no credential" in found["signable"].reason


def test_a_verifier_that_finds_nothing_voids_what_it_says_of_the_outputs(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "read", lambda self, held: Reading(Answer.ABSENT))
    found = _scored(ask, "text", Writer(), n=20)
    assert "the null case" in found["carried"].void
    assert found["signable"].value == 0.0


def test_planted_defects_are_found_and_null_outputs_are_right(ask: Any) -> None:
    class Signing(Writer):
        """Hands out texts that carry a credential of its own."""

        def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
            return text_rows([f"Entry {i}." + wrapper(b"no store") for i in range(n)])

    found = _asked(ask, "text", Signing(), n=24, doses=(0.2, 0.6), anchors=ephemeral_signers().anchors)
    nulls = {c.metric.rpartition(".")[2]: c for c in found.controls if c.kind is CaseKind.NULL}
    assert nulls["broken"].value == 0.0
    assert nulls["carried"].value == nulls["trusted"].value == nulls["declared"].value == 1.0
    assert all(nulls[m].right for m in ("carried", "broken", "trusted", "declared"))
    planted = {(c.metric.rpartition(".")[2], c.dose): c for c in found.controls if c.kind is CaseKind.PLANTED}
    assert {m for m, _ in planted} == {"carried", "broken", "trusted", "declared"}
    assert all(c.right for (_, dose), c in planted.items() if dose == 0.6)
    broken = next(o for o in found.outcomes if o.metric.endswith("broken"))
    assert (broken.value, broken.void) == (1.0, "")


class Repeater:
    """A collapsed model: one output, again and again, and some that cannot be signed."""

    def __init__(self, texts: list[str | None]) -> None:
        self.texts = texts

    def sample(self, n: int, rng: np.random.Generator, condition: Any = None) -> Any:
        return text_rows([self.texts[i % len(self.texts)] for i in range(n)])


def test_empty_outputs_are_counted_apart_and_lower_no_rate(ask: Any) -> None:
    found = _scored(ask, "text", Repeater(["", "fine", None]), n=3)
    assert (found["signable"].value, found["signable"].n, found["carried"].n) == (1.0, 1, 1)
    assert any("Not applicable to 2 of 3 outputs" in n and "empty" in n for n in found["carried"].notes)
    assert any("Not applicable to 2 of 3 outputs as text" in n for n in found["signable"].notes)


def test_a_collapsed_model_has_nothing_to_transplant(ask: Any) -> None:
    signable = _scored(ask, "text", Repeater(["always this"]))["signable"]
    rows = {row["case"]: row["is"] for row in signable.evidence[0].content.to_pylist()}
    assert rows[f"tampered: {TAMPERS['transplanted']}"] == "0 of 0"
    assert signable.value == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "a\0b",
        "‮right to left",
        "🙂",
        "GIF89a is how this text begins",
        "%PDF-1.4\n",
        "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "PK\x03\x04",
        "\r\n",
        "x" * 300_000,
    ],
    ids=["nul", "nul inside", "rtl", "emoji", "like gif", "like pdf", "like svg", "like zip", "crlf", "long"],
)
def test_odd_texts_are_signed_and_guarded_like_any_other(text: str) -> None:
    found = _ran(text_rows([text, "another text"]))
    assert [t.outcome for t in found if t.kind == "intact"] == ["trusted"] * 2
    accepted = [t for t in found if t.kind == "tamper" and t.outcome in ("trusted", "valid")]
    assert accepted == []
    assert not any(t.outcome == "trusted" for t in found if t.kind == "signer")


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 300, 3), (9, 7, 4), (5, 5, 2)])
def test_odd_images_are_signed_and_guarded_or_refused_with_a_reason(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (2, *shape), dtype=np.uint8)
    found = _ran(image_rows(pixels))
    intact = [t for t in found if t.kind == "intact"]
    assert all(t.outcome == "trusted" or (t.outcome == "failed" and t.code) for t in intact)
    assert sum(t.outcome == "trusted" for t in intact) >= 6
    assert not [t for t in found if t.kind == "tamper" and t.outcome in ("trusted", "valid")]
    failed = [t for t in found if t.outcome == "failed" and t.kind in ("tamper", "signer", "strip")]
    assert [t for t in failed if t.case != "transplanted"] == []


def test_images_no_format_takes_are_not_applicable_and_no_failure_to_sign(ask: Any) -> None:
    signable = _scored(ask, "image", Painter(channels=5), n=2)["signable"]
    assert isinstance(signable, Undefined)
    assert "Not applicable to 2 of 2 outputs as png, and left out" in signable.reason
    assert "no image format takes pixels" in signable.reason


def test_a_format_that_cannot_be_written_here_is_named(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "writable", lambda: IMAGE_FORMATS[:2])
    notes = " ".join(_scored(ask, "image", Painter(), n=2)["signable"].notes)
    assert "Formats: png, jpeg." in notes
    assert "cannot write them: webp, tiff, gif, avif" in notes


def test_other_modalities_and_models_that_cannot_sample_are_skipped_with_the_reason() -> None:
    needs = ContentCredentials.about.needs
    assert needs.unmet(_subject("image")) == ()
    (unmet,) = needs.unmet(_subject("table"))
    assert unmet.need == "a model of image or text"


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        ContentCredentials(n=0)
    with pytest.raises(InputError, match="holds no certificate"):
        ContentCredentials(anchors="trust.pem")


def test_the_default_size_bounds_a_perfect_rate_above_95_percent() -> None:
    assert 0.025 ** (1 / ContentCredentials().n) > 0.95


def test_the_versions_of_the_libraries_are_part_of_the_key() -> None:
    recipe = ContentCredentials().inputs(_subject("image")).subject["trials"]
    assert isinstance(recipe, bench.CredentialTrials)
    other = bench.CredentialTrials(recipe.source, recipe.seed, ("c2pa-python 99",), recipe.first)
    assert recipe.libraries[0].startswith("c2pa-python ")
    assert recipe.key != other.key


def test_importing_the_evaluator_loads_no_signing_or_imaging_library() -> None:
    heavy = ("c2pa", "cryptography", "PIL", "torch", "pyarrow", "scipy", "sklearn")
    code = (
        "import sys, audit.evaluators.provenance.credentials.evaluator;"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
