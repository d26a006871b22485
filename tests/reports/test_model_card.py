"""The model card: the Hub's own reader understands its front matter, and no string from outside becomes markup."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from audit.core.measurements import Direction, Interval, Measurement, Unquantified
from audit.core.records import AuditRecord
from reports import model_card
from reports.markdown import front_matter, name, text
from reports.model_card import ModelCardReport
from tests.reports.conftest import HOSTILE, SECRET, Sample

NASTY = (
    HOSTILE,
    "---\n---\n# a heading",
    "a: b # {c: [d, *e, &f !!python/object:os.system]}",
    "![x](https://evil.example/x.png) [y](javascript:alert(1)) <https://evil.example>",
    "<img src=x onerror=alert(1)><!-- <b>",
    "| a | b |\n|---|---|\n~~~\n```python",
    "*a* _b_ **c** ~~d~~ `e` ``f` $$g$$ \\(h\\) &lt;i&gt; &#42;j&#42;",
    "www.evil.example mailto:a@b.example @everyone HTTPS://evil.example ftp://evil.example",
    "- a\n- b\n1. c\n> d\n===\n    e",
    "null",
    "1e5",
    "on",
    "'\"\\\"' \\x41 \\",
    "\u2028\u2029\x85\ufeff\ufffe\U0001f600",
    "",
    " ",
    "x" * 100_000,
)
ALLOWED = frozenset(
    ["h1", "h2", "h3", "p", "strong", "code", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "s"]
)


def rendered(card: bytes) -> str:
    """Return the HTML of a card's text, as a renderer makes it that lets HTML through."""
    written = card.decode("utf-8")
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(body(written))


def body(card: str) -> str:
    return card.split("\n---\n", 1)[1]


def matter(card: bytes) -> dict[str, Any]:
    found = yaml.safe_load(card.decode("utf-8").split("\n---\n", 1)[0])
    assert isinstance(found, dict)
    return found


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.said: list[str] = []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.seen.add(tag)
        assert all(key == "style" and value.startswith("text-align") for key, value in attributes)

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def tags(html: str) -> Tags:
    parser = Tags()
    parser.feed(html)
    return parser


def card_of(sample: Sample) -> bytes:
    card = ModelCardReport().render(sample.record, sample.read)
    assert sample.asked == [], "a card needs no evidence"
    return card


def test_the_hub_reads_the_index_with_numbers_and_splits(sample: Sample) -> None:
    evaluators = tuple(
        dataclasses.replace(e, parameters={"reference": "holdout"}) if e.name == "quality.frechet" else e
        for e in sample.record.evaluators
    )
    record = dataclasses.replace(sample.record, evaluators=evaluators)
    card = ModelCardReport().render(record, sample.read)
    data = ModelCard(card.decode("utf-8")).data
    assert data.pipeline_tag == "unconditional-image-generation"
    assert data.model_name == "digits-vae"
    results = {r.metric_type: r for r in data.eval_results if "," not in r.metric_name}
    frechet = results["quality.frechet"]
    assert frechet.metric_value == 9.231
    assert frechet.metric_name == "quality.frechet (95 % interval 8.52 to 9.94)"
    assert (frechet.dataset_type, frechet.dataset_split) == ("digits", "holdout")
    assert frechet.dataset_args["content"] == record.data["content"]
    assert results["quality.density"].metric_name.endswith("(no interval)")
    assert results["quality.kid"].dataset_split is None
    assert matter(card)["model-index"][0]["results"][0]["task"]["type"] == data.pipeline_tag


def test_limits_say_what_failed_what_was_not_assessed_and_why(sample: Sample) -> None:
    card = body(card_of(sample).decode("utf-8"))
    assert "### Criteria that failed" in card
    assert "### Criteria that could not be decided" in card
    skipped = card.split("### Evaluators that were skipped")[1].split("###")[0]
    assert "`privacy.extraction`: needs a model that offers log\\_likelihood" in skipped
    assert "the model returned NaN for 2 of 256 rows" in card.split("### What failed")[1].split("###")[0]
    assert "the holdout has 12 rows" in card.split("### Metrics without a value")[1].split("###")[0]
    assert re.search(
        r"^\| `quality\.frechet` \|  \| 9\.23.* \| 8\.52 to 9\.94 \| 95 %, influence", card, re.M
    )
    assert re.search(r"^\| `quality\.density` \|.*\| none \| no interval is known for a shared", card, re.M)
    assert "dropped mode, dose 0.1" in card.split("## Controls")[1]
    assert SECRET not in card


def test_a_void_number_is_struck_through_and_not_in_the_index(sample: Sample) -> None:
    measured = [
        dataclasses.replace(m, void="its null case came out wrong") if m.metric == "quality.kid" else m
        for m in sample.record.measurements
    ]
    record = dataclasses.replace(sample.record, measurements=tuple(measured))
    card = ModelCardReport().render(record, sample.read)
    assert "quality.kid" not in str(matter(card))
    assert "~~0.0214~~ void" in card.decode("utf-8")
    assert "its null case came out wrong" in card.decode("utf-8")


def test_a_run_that_measured_nothing_has_a_card_without_an_index(unfinished: Sample) -> None:
    card = card_of(unfinished)
    assert "model-index" not in matter(card)
    assert "Nothing was measured." in card.decode("utf-8")
    assert ModelCard(card.decode("utf-8")).data.tags == ["generative-audit"]


def test_an_enhancement_model_and_a_text_model_have_their_task(sample: Sample) -> None:
    for model, task in (
        ({"modality": "image", "offers": ["reconstruct"]}, "image-to-image"),
        ({"modality": "text", "offers": ["sample"], "adapter": "transformers"}, "text-generation"),
        ({"modality": "sound"}, None),
    ):
        record = dataclasses.replace(sample.record, model=model)
        found = matter(ModelCardReport().render(record, sample.read))
        assert found.get("pipeline_tag") == task
        assert found.get("library_name") == ("transformers" if "adapter" in model else None)


def test_a_hostile_record_stays_text(hostile: Sample) -> None:
    card = card_of(hostile)
    html = tags(rendered(card))
    assert html.seen <= ALLOWED
    assert "<script>alert('x')</script>" in "".join(html.said)
    assert "hunter2" not in card.decode("utf-8")
    index = matter(card)["model-index"]
    assert ModelCard(card.decode("utf-8")).data.eval_results[0].metric_value == 0.5
    assert "⟦U+202E⟧" in index[0]["name"]


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_no_name_becomes_markup_or_another_value(sample: Sample, nasty: str) -> None:
    card = ModelCardReport().render(named(sample.record, nasty), sample.read)
    html = tags(rendered(card))
    assert html.seen <= ALLOWED
    assert "http" not in re.sub(r"https?<!-- -->://", "", body(card.decode("utf-8")).lower())
    found, calm = matter(card), matter(ModelCardReport().render(named(sample.record, "calm"), sample.read))
    assert shape(found) == shape(calm)
    result = ModelCard(card.decode("utf-8")).data.eval_results[0]
    assert result.metric_value == 9.231
    if nasty.strip():
        assert all(
            isinstance(s, str) for s in (result.metric_type, result.dataset_type, result.dataset_args["o"])
        )
        assert found["model-index"][0]["name"][:3] == nasty.replace("\u2028", "⟦U+2028⟧")[:3]
    assert len(rendered(card).split("<h1>")) == 2


def named(record: AuditRecord, nasty: str) -> AuditRecord:
    first, *rest = record.measurements
    return dataclasses.replace(
        record,
        model={**record.model, "options": {"use": nasty}, "notes": [nasty], "family": nasty},
        data={**record.data, "loader": nasty, "options": {"o": nasty}},
        measurements=(
            dataclasses.replace(
                first,
                metric=nasty or "m",
                unit=nasty,
                notes=(nasty,),
                uncertainty=Interval(8.52, 9.94, 0.95, nasty),
            ),
            *rest,
        ),
    )


def shape(value: Any) -> Any:
    """Return the keys and lengths of nested values."""
    match value:
        case dict():
            return {key: shape(inner) for key, inner in value.items()}
        case list():
            return [shape(inner) for inner in value]
        case _:
            return type(value).__name__


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_front_matter_gives_back_what_it_was_given(nasty: str) -> None:
    values = {
        "a": nasty,
        "list": [nasty, {"b": nasty, "c": [nasty]}],
        "yes": nasty,
        nasty[:50]: 1e-05,
        "n": 3,
    }
    block = front_matter(values)
    found = yaml.safe_load(block.removesuffix("---"))
    assert block.splitlines().count("---") == 2
    assert isinstance(found["a"], str)
    assert found["list"] == [found["a"], {"b": found["a"], "c": [found["a"]]}]
    assert (found["yes"], found["n"], 1e-05 in found.values()) == (found["a"], 3, True)
    if len(nasty) < 100 and nasty.isprintable():
        assert found["a"] == nasty


def test_text_shows_what_it_was_given() -> None:
    for nasty in NASTY:
        if nasty.isascii() and len(nasty) < 500 and "\x00" not in nasty:
            html = tags(MarkdownIt("commonmark", {"html": True}).render(f"x {text(nasty)}"))
            assert "".join(html.said).strip() == " ".join(f"x {nasty}".split())
            assert html.seen == {"p"}
    assert name("a b") == "a b"


def test_of_many_groups_the_void_and_the_worst_are_told_and_the_rest_is_counted(sample: Any) -> None:
    def of(place: int) -> Measurement:
        group, void = (("skin_tone", f"{place:02}"),), "its control failed" if place == 39 else ""
        better = Direction.HIGHER_IS_BETTER
        return Measurement(
            "quality.precision", place / 100, Unquantified("none"), 50, better, group=group, void=void
        )

    whole = [m for m in sample.record.measurements if m.metric == "quality.recall"]
    record = dataclasses.replace(sample.record, measurements=(*whole, *map(of, range(40))), judgements=())
    told = [dict(m.group)["skin_tone"] for m in model_card.told(record) if m.group]
    assert told == ["39", "00", "01", "02", "03", "04"]
    card = ModelCardReport().render(record, sample.read).decode()
    assert "34 more numbers of groups are in the record." in card
    assert "0.04" in card
    assert "0.05" not in card[card.index("## Measurements") : card.index("34 more")]
