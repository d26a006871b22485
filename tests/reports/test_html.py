"""The HTML report: what is in it, what must not be, and that it is well formed."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.core.errors import InputError
from audit.core.measurements import Interval, Measurement
from audit.core.policy import Verdict
from reports import numbers
from reports.html import HtmlReport, breakable, security_policy
from reports.sections import owners, sections

VOID = {"meta", "img", "br", "col", "wbr"}
SCRIPT_ATTRIBUTES = re.compile(r"^on|^style$")


class Page(HTMLParser):
    """Elements in order with their attributes, the text, and whether every element is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def render(sample: Any, *, show_sensitive: bool = False) -> str:
    return HtmlReport().render(sample.record, sample.read, show_sensitive=show_sensitive).decode("utf-8")


@pytest.mark.parametrize("which", ["sample", "hostile", "unfinished"])
@pytest.mark.parametrize("show_sensitive", [False, True])
def test_is_well_formed_and_inert(which: str, show_sensitive: bool, request: pytest.FixtureRequest) -> None:
    page = Page(render(request.getfixturevalue(which), show_sensitive=show_sensitive))
    assert page.open == []
    names = {name for name, _ in page.elements}
    assert not names & {"script", "iframe", "object", "embed", "link", "base", "form", "input", "button"}
    for _, attributes in page.elements:
        assert not any(SCRIPT_ATTRIBUTES.match(name) for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")


def test_ids_are_unique_and_every_link_leads_somewhere(sample: Any) -> None:
    page = Page(render(sample))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"] for name, a in page.elements if name == "a"]
    assert links
    assert all(str(link).removeprefix("#") in ids for link in links)


def test_policy_allows_exactly_the_style_that_is_there(sample: Any) -> None:
    text = render(sample)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = Page(text)
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == security_policy(style)
    assert f"'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none'")
    assert "unsafe" not in str(policy)
    assert not re.search(r"url\(|@import|https?:", style)


def test_same_record_same_bytes(sample: Any) -> None:
    assert render(sample) == render(sample)


def test_every_number_is_there(sample: Any) -> None:
    text = Page(render(sample)).text
    for m in sample.record.measurements:
        assert m.metric in text.replace(" ", "")
        assert numbers.value_of(m) in text
        if isinstance(m.uncertainty, Interval):
            assert numbers.interval_of(m) in text
            assert m.uncertainty.method in text
        else:
            assert m.uncertainty.reason in text
        assert all(note in text for note in m.notes)


def test_every_criterion_skip_failure_and_digest_is_there(sample: Any) -> None:
    record = sample.record
    text = Page(render(sample)).text
    for judgement in record.judgements:
        assert judgement.criterion.why in text
        if judgement.n_to_decide is not None:
            assert numbers.count(judgement.n_to_decide) in text
    for gap in (gap for skip in record.skipped for gap in skip.unmet):
        assert gap.need in text
        assert gap.remedy in text
    for failure in record.failures:
        assert failure.error in text
    for undefined in record.undefined:
        assert undefined.reason in text
    for artifact in record.artifacts:
        assert artifact.key in text
        assert artifact.digest in text
    for evaluator in record.evaluators:
        assert evaluator.source in text
    for value in (*record.environment.values(), record.model["weights"], record.data["content"]):
        assert value in text
    assert "1e-06" in text  # a parameter that the record spells in hexadecimal
    assert "Two near-duplicates lie in both splits." in text


def test_a_finding_says_why_and_leads_to_its_evidence(sample: Any) -> None:
    """Notes of the number that fails stand with it on the first screen; its name is a link to the evaluator's part."""
    gone = (
        "Gone: chef, <judge>.",
        "Read off 'pixels'.",
        "Third.",
        "A fourth is left to the evaluator's part.",
    )
    judged = [
        dataclasses.replace(j, because=dataclasses.replace(j.because, notes=gone))
        if isinstance(j.because, Measurement)
        else j
        for j in sample.record.judgements
    ]
    failing = [j for j in judged if j.verdict is Verdict.FAIL and isinstance(j.because, Measurement)]
    assert failing
    record = dataclasses.replace(sample.record, judgements=tuple(judged))
    page = HtmlReport().render(record, sample.read, show_sensitive=False).decode()
    first = page[page.index('id="findings-title"') : page.index('class="facts"')]
    assert "Gone: chef, &lt;judge&gt;." in first
    assert "Third." in first
    assert "A fourth" not in first
    owned, parts = owners(record), sections(record, sample.read, False)
    for judgement in failing:
        place = owned[judgement.criterion.metric].name
        number = next(i for i, part in enumerate(parts, 1) if part.name == place)
        assert f'<a href="#section-{number}"><bdi>{breakable(judgement.criterion.metric)}' in first
        assert f'<h3 id="section-{number}"><bdi>{breakable(place)}</bdi>' in page


def test_plots_have_words(sample: Any) -> None:
    page = Page(render(sample))
    pictures = [a for name, a in page.elements if name == "svg" and a.get("role") == "img"]
    assert len(pictures) >= len(sample.record.measurements)
    assert all(a.get("aria-label") for a in pictures)
    assert all(
        "aria-label" in a or a.get("aria-hidden") == "true" for name, a in page.elements if name == "svg"
    )
    assert all(a.get("alt") for name, a in page.elements if name == "img")


def test_claims_nothing_that_an_audit_cannot_show(sample: Any) -> None:
    text = Page(render(sample, show_sensitive=True)).text
    assert not re.search(
        r"\b(compliant|compliance|private|safe|safely|anonymous|anonymised|guaranteed)\b", text, re.IGNORECASE
    )


def test_hostile_strings_come_out_as_text(hostile: Any) -> None:
    text = render(hostile, show_sensitive=True)
    for harmful in ("<script", "\u202e", "\x00", "\x1b", "\ud800"):
        assert harmful not in text
    assert "&lt;script&gt;" in text
    words = Page(text).text
    assert "<script>alert('x')</script>⟦U+202E⟧txt.exe⟦U+0000⟧⟦U+001B⟧[31m⟦U+D800⟧" in words.replace(" ", "")
    assert "x" * 5_000 not in text
    assert "more characters" in words


def test_secrets_in_settings_are_not_printed(hostile: Any) -> None:
    text = render(hostile)
    assert "hunter2" not in text
    assert "(hidden)" in text


def test_sensitive_evidence_is_neither_read_nor_written(sample: Any) -> None:
    from_sensitive = {e.content for m in sample.record.measurements for e in m.evidence if e.sensitive}
    assert from_sensitive
    text = render(sample)
    assert "Ada Q. Sample" not in text
    assert "0.9123" not in text
    assert not from_sensitive & set(sample.asked)
    assert "1 sensitive exhibit is not in this file" in Page(text).text
    shown = render(sample, show_sensitive=True)
    assert "Ada Q. Sample" in shown
    assert from_sensitive <= set(sample.asked)
    assert "not in this file" not in Page(shown).text


def test_evidence_is_sensitive_unless_it_says_otherwise(sample: Any) -> None:
    covered = dataclasses.replace(
        sample.record,
        measurements=tuple(
            dataclasses.replace(m, evidence=tuple(dataclasses.replace(e, sensitive=True) for e in m.evidence))
            for m in sample.record.measurements
        ),
    )
    text = render(dataclasses.replace(sample, record=covered))
    assert sample.asked == []
    assert "data:image/png" not in text
    assert "curve-figure" not in Page(text).text
    assert not [1 for name, _ in Page(text).elements if name in ("img", "pre", "polyline")][
        1:
    ]  # the failure's detail


def test_missing_and_damaged_evidence_is_said(sample: Any) -> None:
    assert "The store no longer holds the content of this evidence." in Page(render(sample)).text

    def damaged(digest: Any) -> Any:
        raise InputError(f"the blob {digest} at /somewhere is damaged")

    text = HtmlReport().render(sample.record, damaged).decode()
    assert "copy of this evidence is damaged" in Page(text).text
    assert "/somewhere" not in text


def test_images_keep_every_pixel(sample: Any) -> None:
    from audit.core.rows import images_of

    page = Page(render(sample))
    shown = [a for name, a in page.elements if name == "img"]
    rows = next(r for r in sample.kept.values() if "image" in r.column_names)
    originals = images_of(rows)
    assert len(shown) == len(originals)
    for attributes, pixels in zip(shown, originals, strict=True):
        data = base64.b64decode(str(attributes["src"]).partition(",")[2])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels[:, :, 0])
        assert attributes["width"] == attributes["height"] == "96"  # 8 pixels, each 12 wide


def test_unfinished_run_says_so(unfinished: Any) -> None:
    text = Page(render(unfinished)).text
    assert "The run has not finished" in text
    assert "This run recorded no measurement." in text
    assert "Every criterion passed" not in text


def test_a_void_number_is_struck_through_with_its_reason_and_questions_come_first(sample: Any) -> None:
    first = sample.record.measurements[0]
    void = dataclasses.replace(first, void="the null case gave 5")
    record = dataclasses.replace(sample.record, measurements=(void, *sample.record.measurements[1:]))
    text = HtmlReport().render(record, sample.read).decode()
    assert '<s><span class="value">' in text
    assert "Void: the null case gave 5." in Page(text).text
    question = "What about frechet?"
    assert question in Page(text).text
    part = text.index("<bdi>quality.<wbr>frechet</bdi></h3>")
    assert text.index(question) < text.index("quality.<wbr>frechet", text.index("measures stack", part))
