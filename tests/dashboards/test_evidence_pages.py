"""The pages of samples and of groups, run without a browser against real stores."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from audit.core.errors import InputError
from audit.core.measurements import Direction, Evidence, Interval, Measurement
from audit.core.review import Action
from audit.core.rows import image_rows, text_rows
from audit.store import reviews
from audit.store.location import resolve
from audit.store.runs import open_store
from dashboards import gallery, queries, reveals
from tests.dashboards.test_app import HARMFUL, opened, part, words

PAGES = ("samples", "groups")


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    queries.evidence.cache_clear()
    gallery.index.clear()
    gallery.drawn.clear()


def with_evidence(samples: Any, *shown: tuple[str, str, Any, bool], group: tuple[Any, ...] = ()) -> Any:
    """A run of one measurement with this evidence: kind, caption, rows and whether it is sensitive."""
    sample = samples.build()
    kept, evidence = {}, []
    for kind, caption, rows, sensitive in shown:
        digest = samples.digest_of(caption.encode())
        kept[digest] = rows
        evidence.append(Evidence(kind, caption, digest, sensitive))
    m = Measurement(
        "fairness.share",
        0.5,
        Interval(0.4, 0.6, 0.95, "exact"),
        90,
        Direction.NEITHER,
        group,
        evidence=tuple(evidence),
    )
    record = dataclasses.replace(sample.record, measurements=(m,), judgements=(), undefined=())
    return dataclasses.replace(sample, record=record, kept=kept)


def buttons(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [b for b in app.button if b.label == label]
    return button.click().run()


@pytest.mark.parametrize("page", PAGES)
def test_without_a_store_a_page_says_what_to_do(page: str, store: Path) -> None:
    app = opened(page)
    assert not app.exception
    assert "audit run audit.toml" in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_says_so(page: str, store: Path) -> None:
    open_store(resolve(str(store))).close()
    app = opened(page)
    assert not app.exception
    assert app.title[0].value == "No audits yet"


@pytest.mark.parametrize(
    ("page", "said"),
    [("samples", "kept no pictures"), ("groups", "Nothing in this run was measured for groups")],
)
def test_a_run_without_such_evidence_says_so(page: str, said: str, samples: Any, kept: Any) -> None:
    kept(with_evidence(samples), finished=False)
    app = opened(page)
    assert not app.exception
    assert said in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_hostile_strings_and_obeys_none(page: str, samples: Any, kept: Any) -> None:
    run = kept(samples.build_hostile(), name=HARMFUL)
    odd = text_rows([HARMFUL] * 3, **{HARMFUL: ["a", "b", HARMFUL], "group": [HARMFUL, "<b>", "x\u202ey"]})
    pictures = image_rows(np.zeros((2, 4, 4, 3), np.uint8), **{"group": [HARMFUL, "<i>"]})
    other = with_evidence(
        samples,
        ("texts", HARMFUL, odd, False),
        ("images", "p" + HARMFUL, pictures, False),
        group=((HARMFUL, HARMFUL),),
    )
    second = kept(other, name="odd")
    for app in (opened(page, run=run), opened(page, run=second)):
        assert not app.exception
        for element in (*app.markdown, *app.caption, *app.title, *app.subheader, *app.info, *app.error):
            assert not getattr(element.proto, "allow_html", False)
            for markup in ("<script", "](http", ":smile:", ":red[", "$x$"):
                assert markup not in re.sub(r"\\.", "", str(element.value))
        assert "\u202e" not in words(app)


def test_the_first_pictures_come_without_a_question(samples: Any, kept: Any) -> None:
    run = kept(samples.build())
    app = opened("samples", run=run)
    assert not app.exception
    assert len(app.image) == 12
    assert app.query_params["evidence"]
    assert "12 rows" in words(app)


def test_a_link_leads_to_its_evidence_and_a_wrong_one_is_said(samples: Any, kept: Any, store: Path) -> None:
    kept(with_evidence(samples, ("texts", "First", text_rows(["one"]), False), ("table", "Second", pa.table({"a": ["two"]}), False)))  # fmt: skip
    record = queries.overview(queries.asked_for([]))[0].record
    assert record is not None
    second = gallery.exhibits(record)[1].digest
    assert "two" in words(opened("samples", evidence=second))
    app = opened("samples", evidence="../../x")
    assert not app.exception
    assert "no such evidence" in app.warning[0].value
    assert "one" in words(app)


def test_a_choice_stays_and_stands_in_the_address(samples: Any, kept: Any) -> None:
    first = kept(with_evidence(samples, ("texts", "Words", text_rows(["one"]), False), ("texts", "More", text_rows(["two"]), False), ("table", "Cells", pa.table({"a": ["three"]}), False)))  # fmt: skip
    kept(with_evidence(samples, ("texts", "Newer", text_rows(["four"]), False)), name="newer")
    app = opened("samples")
    assert "four" in words(app)
    app.selectbox(key="chosen-run").set_value(first).run()  # the first choice of all
    assert app.query_params["run"] == first
    assert "one" in words(app)
    assert not app.warning
    app.button_group(key="kind").set_value("table").run()
    assert "three" in words(app)
    app.button_group(key="kind").set_value("texts").run()
    app.selectbox(key="evidence").set_value(_second()).run()
    assert "two" in words(app)
    shown = app.query_params["evidence"]
    assert not app.exception
    app.run()
    assert app.query_params["evidence"] == shown
    assert "two" in words(app)


def _second() -> str:
    """Return the digest of the second evidence of the first run, as the address would name it."""
    record = queries.overview(queries.asked_for([]))[1].record
    assert record is not None
    return str(gallery.exhibits(record)[1].digest)


def test_ten_thousand_rows_come_a_page_at_a_time(samples: Any, kept: Any) -> None:
    n = 10_000
    rows = text_rows(
        [f"text {i} {'x' * 50}" for i in range(n)],
        score=[float(-i) for i in range(n)],
        group=[str(i % 3) for i in range(n)],
    )
    kept(with_evidence(samples, ("texts", "Many", rows, False)))
    app = opened("samples")
    assert not app.exception
    assert [code.value.split(" x")[0] for code in app.code] == [f"text {i}" for i in range(10)]
    app.selectbox(key=_key(app, "sort-")).set_value("score").run()
    assert app.code[0].value.startswith("text 9999 ")
    app.multiselect(key=_key(app, "group-")).set_value(["1"]).run()
    assert app.code[0].value.startswith("text 9997 ")
    app.text_input(key=_key(app, "search-")).set_value("TEXT 42").run()
    assert not app.exception
    expected = [i for i in range(n) if i % 3 == 1 and str(i).startswith("42")]
    assert f"{len(expected)} of 10,000 rows" in words(app)
    assert [code.value.split(" x")[0] for code in app.code] == [f"text {i}" for i in expected[::-1][:10]]
    app.pagination[0].set_value(2).run()
    assert app.code[0].value.startswith(f"text {expected[::-1][10]} ")
    app.text_input(key=_key(app, "search-")).set_value("nowhere").run()
    assert "Nothing fits this search" in words(app)


def _key(app: AppTest, beginning: str) -> str:
    widgets = [*app.selectbox, *app.multiselect, *app.text_input]
    return next(w.key for w in widgets if (w.key or "").startswith(beginning))


def private(samples: Any) -> Any:
    rows = text_rows([f"{samples.SECRET} {i}" for i in range(12)], age=list(range(40, 52)))
    return with_evidence(samples, ("texts", "Recited", rows, True))


def test_hidden_rows_are_shown_one_by_one_and_each_reveal_is_told(
    samples: Any, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, reveals.Item]] = []
    monkeypatch.setattr(reveals, "on_reveal", lambda run, item: told.append((run, item)))
    run = kept(private(samples))
    app = opened("samples")
    assert not app.exception
    assert samples.SECRET not in words(app)
    assert "40" not in words(app)  # nor anything else of a row
    assert not app.text_input  # what is hidden cannot be searched for
    assert told == []
    press(app, "Reveal 3")
    assert not app.exception
    assert [code.value for code in app.code] == [f"{samples.SECRET} 2"]
    assert [(r, item.row, item.caption) for r, item in told] == [(run, 2, "Recited")]
    app.run()
    assert len(told) == 1
    press(app, "Reveal all 12 rows")
    assert len(app.code) == 10
    assert told[-1][1].row is None
    press(app, "Hide again")
    assert samples.SECRET not in words(app)
    assert "Reveal 3" in buttons(app)


def test_a_reveal_is_a_line_of_the_review_log(samples: Any, kept: Any) -> None:
    run = kept(private(samples))
    app = press(opened("samples"), "Reveal 3")
    assert [code.value for code in app.code] == [f"{samples.SECRET} 2"]
    log = reviews.review_of(queries.asked_for(), run)
    assert log is not None
    (entry,) = log.entries
    assert (entry.action, entry.who) == (Action.REVEAL, "unnamed")
    assert entry.about.startswith("row 3 of evidence ")
    assert samples.SECRET not in entry.about


def test_what_cannot_be_recorded_stays_hidden(
    samples: Any, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: str, item: reveals.Item) -> None:
        raise InputError("The log cannot be written.")

    monkeypatch.setattr(reveals, "on_reveal", refuse)
    kept(private(samples))
    app = press(opened("samples"), "Reveal 1")
    assert not app.exception
    assert samples.SECRET not in words(app)
    assert "The log cannot be written" in app.error[0].value.replace("\\", "")


def test_hidden_pictures_are_not_drawn_before_they_are_revealed(samples: Any, kept: Any) -> None:
    rows = image_rows(np.zeros((3, 4, 4, 3), np.uint8), score=[0.5, 0.25, 0.125])
    rows = rows.append_column("training example", rows.column("image"))
    kept(with_evidence(samples, ("images", "Copies", rows, True)))
    app = opened("samples")
    assert not app.image
    press(app, "Reveal 2")
    assert not app.exception
    assert len(app.image) == 2  # the sample and the training example beside it
    assert "score 0.25" in words(app).replace("\\", "")
    assert "0.125" not in words(app)


def test_hidden_tables_have_no_cells(samples: Any, kept: Any) -> None:
    kept(with_evidence(samples, ("table", "Fields", pa.table({"field": ["4711"]}), True)))
    app = opened("samples")
    assert "4711" not in words(app)
    assert "4711" in words(press(app, "Reveal all 1 row"))


@pytest.mark.parametrize("page", PAGES)
def test_evidence_that_the_store_lost_is_said(page: str, samples: Any, kept: Any, store: Path) -> None:
    rows = text_rows(["one", "two"], group=["a", "b"])
    kept(with_evidence(samples, ("texts", "Gone", rows, False), group=(("sex", "F"),)))
    with open_store(resolve(str(store))) as opened_store:
        for digest, _ in list(opened_store.blobs.every()):
            opened_store.blobs.delete(digest)
    app = opened(page)
    assert not app.exception
    assert "no longer holds" in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_damaged_evidence_is_a_message(page: str, samples: Any, kept: Any, store: Path) -> None:
    rows = text_rows(["one", "two"], group=["a", "b"])
    kept(with_evidence(samples, ("texts", "Torn", rows, False), group=(("sex", "F"),)))
    with open_store(resolve(str(store))) as opened_store:
        for digest, _ in list(opened_store.blobs.every()):
            opened_store.blobs.path(digest).write_bytes(b"torn")
    app = opened(page)
    assert not app.exception
    assert "damaged" in words(app)


def test_groups_show_slices_a_table_of_evidence_and_examples(samples: Any, kept: Any) -> None:
    slices = pa.table(
        {"label": ["F", "M"], "value": [0.3, 0.7], "low": [0.2, 0.6], "high": [0.4, 0.8], "rows": [60, 70]}
    )
    pictures = image_rows(np.zeros((20, 4, 4, 3), np.uint8), group=["sex: F"] * 12 + ["sex: M"] * 8)
    kept(
        with_evidence(
            samples,
            ("intervals", "By sex", slices, False),
            ("images", "Samples by group", pictures, False),
            group=(("attribute", "sex"),),
        )
    )
    app = opened("groups")
    assert not app.exception
    said = words(app).replace("\\", "")
    assert "fairness.share by attribute" in said
    assert "By sex" in said
    assert "0.3" in said
    assert len(app.image) == 12  # six of each group
    assert "None" not in said


def test_rows_of_small_groups_are_withheld_in_tables_of_evidence(samples: Any, kept: Any) -> None:
    by_kind = pa.table(
        {
            "sex": ["F", "M", "X"],
            "examples": [60, 70, 4],
            "found": ["0.310 (0.2)", "0.720 (0.6)", "0.990 (0.9)"],
        }
    )
    slices = pa.table(
        {
            "label": ["F", "M", "X"],
            "value": [0.31, 0.72, 0.99],
            "low": [0.2] * 3,
            "high": [1.0] * 3,
            "rows": [70, 60, 4],
        }
    )
    run = kept(with_evidence(samples, ("table", "Share found", by_kind, False), ("intervals", "By sex", slices, False)))  # fmt: skip
    shown = opened("samples", run=run)
    drill = part(opened("run", run=run), "Evidence")
    for app, tables in ((shown, 1), (drill, 2)):
        assert not app.exception
        found = [f.value for f in app.dataframe if "why not shown" in f.value]
        assert len(found) == tables
        for frame in found:
            said = frame.to_csv()
            assert [f"{name}," in said for name in "FMX"] == [True] * 3
            assert (
                frame["why not shown"].astype(bool).sum() == 2
            )  # the smaller of the others as well: a total gives X away
            assert "0.99" not in said
    assert "0.720" in words(shown)
    assert "0.310" not in words(shown)


def test_sensitive_examples_of_groups_are_left_to_the_page_of_samples(samples: Any, kept: Any) -> None:
    rows = text_rows([samples.SECRET] * 2, group=["a", "b"])
    kept(with_evidence(samples, ("texts", "Private", rows, True), group=(("sex", "F"),)))
    app = opened("groups")
    assert not app.exception
    assert samples.SECRET not in words(app)
    assert "the page of samples reveals them" in words(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_record_that_cannot_be_read_is_a_message(
    page: str, samples: Any, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(samples.build(), name="broken")
    monkeypatch.setattr(queries.Store, "read", lambda self, run: {}["measurements"])
    queries._finished.cache_clear()
    app = opened(page)
    assert not app.exception
    assert "The record of this run cannot be read." in words(app)
