"""The page on which a run is reviewed, and what it leaves in the log and in reports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from audit.core.review import SIGN_OFFS, UNNAMED, Action, Review
from audit.store import reviews
from audit.store.location import resolve
from dashboards.views.review import form_key
from reports.findings import Finding, findings
from reports.review import open_findings
from tests.dashboards.test_app import HARMFUL, opened, words
from tests.dashboards.test_more_pages import at_risk


def log(store: Path, run: str) -> Review:
    return reviews.review_of(resolve(str(store)), run) or Review()


def named(app: AppTest, name: str = "Ada") -> AppTest:
    return app.text_input(key="reviewer").set_value(name).run()


def shown(store: Path, run: str) -> list[Finding]:
    """The findings that did not pass, in the order of the page."""
    with reviews.open_store(resolve(str(store)), create=False, read_only=True) as ledger:
        return [f for f in findings(ledger.read(run)) if f.verdict.value != "pass"]


def decide(
    app: AppTest, store: Path, run: str, finding: Finding, action: str | None, comment: str = ""
) -> AppTest:
    key = form_key(run, finding, log(store, run).decisions().get(finding.name))
    app.button_group(key=f"decision-{key}").set_value(action)
    app.text_area(key=f"comment-{key}").set_value(comment)
    next(b for b in app.button if b.key == f"record-{key}").click()
    return app.run()


def sign(app: AppTest, store: Path, run: str, action: str, comment: str = "") -> AppTest:
    key = f"{run}-{max((e.number for e in log(store, run).entries if e.action in SIGN_OFFS), default=0)}"
    app.button_group(key=f"sign-{key}").set_value(action)
    app.text_area(key=f"statement-{key}").set_value(comment)
    next(b for b in app.button if b.key == "sign-off").click()
    return app.run()


def test_without_a_store_it_says_what_to_do(store: Path) -> None:
    app = opened("review")
    assert not app.exception
    assert "audit run" in words(app)
    assert not store.exists()


def test_a_run_that_has_not_finished_is_not_reviewed(samples: Any, kept: Any) -> None:
    app = opened("review", run=kept(samples.build(), finished=False))
    assert not app.exception
    assert "has not finished" in words(app)
    assert not app.text_area


def test_findings_are_decided_and_the_run_is_signed_off(samples: Any, kept: Any, store: Path) -> None:
    run = kept(samples.build())
    app = opened("review", run=run)
    assert not app.exception
    assert "Nobody has reviewed this run" in words(app)
    app = named(app)
    with reviews.open_store(resolve(str(store)), create=False, read_only=True) as ledger:
        record = ledger.read(run)
    left = open_findings(record, Review())
    app = sign(app, store, run, "approve")
    assert "cannot be approved yet" in words(app)
    assert log(store, run).entries == ()
    for place, finding in enumerate(left):
        app = decide(app, store, run, finding, "accept", f"seen {place}")
        assert not app.exception
        assert log(store, run).decisions()[finding.name].comment == f"seen {place}"
    app = sign(app, store, run, "approve", "may ship")
    assert not app.exception
    assert "Approved by Ada" in words(app)
    review = log(store, run)
    assert review.faults == ()
    assert [e.who for e in review.entries] == ["Ada"] * (len(left) + 1)
    app = decide(app, store, run, left[0], "reject", "on second thoughts")
    assert "decided anew after the last" in words(app)
    assert log(store, run).sign_off() is None
    assert "on second thoughts" in words(opened("review", run=run))  # another browser


def test_a_decision_needs_a_name_a_choice_and_a_reason(samples: Any, kept: Any, store: Path) -> None:
    run = kept(samples.build())
    app = opened("review", run=run)
    finding = shown(store, run)[0]
    assert "Say your name first" in words(decide(app, store, run, finding, "accept"))
    app = named(app)
    assert "Choose accept, reject or needs work" in words(decide(app, store, run, finding, None))
    assert "Say in the comment why" in words(decide(app, store, run, finding, "reject", "  "))
    assert "Say in the comment why" in words(sign(app, store, run, "refuse"))
    assert log(store, run).entries == ()
    app = sign(app, store, run, "refuse", "the privacy findings stand")
    assert "Refused by Ada" in words(app)


def test_what_was_typed_is_shown_as_text(samples: Any, kept: Any, store: Path) -> None:
    run = kept(samples.build_hostile(), name=HARMFUL)
    app = named(opened("review", run=run), HARMFUL)
    app = decide(app, store, run, shown(store, run)[0], "reject", HARMFUL)
    assert not app.exception
    marked = [
        e.value for kind in ("markdown", "caption", "info", "success", "error") for e in getattr(app, kind)
    ]
    assert marked
    assert not [text for text in marked if "<script>" in text or ":red[" in text or "](http" in text]
    assert log(store, run).entries[-1].comment == HARMFUL


def test_a_changed_log_is_shown_and_takes_no_line(samples: Any, kept: Any, store: Path) -> None:
    run = kept(samples.build())
    for number in range(3):
        reviews.add(
            resolve(str(store)), run, Action.REJECT, who="Ada", about=f"finding {number}", comment="no"
        )
    path = store / "reviews" / f"{run}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"finding 1", b"finding 7"))
    app = named(opened("review", run=run))
    assert not app.exception
    assert "Line 2 was changed" in words(app)
    app = decide(app, store, run, shown(store, run)[0], "accept")
    assert "was changed after it was written" in words(app)
    assert len(log(store, run).entries) == 3


def test_findings_come_in_pages_and_by_what_is_left(samples: Any, kept: Any, store: Path) -> None:
    run = kept(samples.build())
    app = named(opened("review", run=run))
    app.button_group(key=f"show-{run}").set_value("All").run()
    with reviews.open_store(resolve(str(store)), create=False, read_only=True) as ledger:
        every = findings(ledger.read(run))
    assert len(app.text_area) == min(len(every), 8) + 1
    app = decide(app, store, run, every[0], "accept")
    app.button_group(key=f"show-{run}").set_value("Undecided").run()
    assert not app.exception
    assert len(app.text_area) == min(len(every) - 1, 8) + 1


def test_each_reveal_is_recorded(samples: Any, kept: Any, store: Path) -> None:
    run = kept(at_risk(samples, [3, 7]))
    app = opened("run", run=run, part="Evidence")
    assert log(store, run).entries == ()
    for on in (True, False, True):
        app.toggle[0].set_value(on).run()
    assert not app.exception
    assert samples.SECRET in words(app)
    app = opened("risks", run=run)
    assert "secret 7" not in words(app)
    app.toggle[0].set_value(True).run()
    assert "secret 7" in words(app)
    said = [(e.action, e.who, e.about) for e in log(store, run).entries]
    what = ["sensitive evidence"] * 2 + ["training records at risk"]
    assert said == [(Action.REVEAL, UNNAMED, about) for about in what]


def test_a_reveal_has_the_name_that_was_given_and_signs_nothing_off(
    samples: Any, kept: Any, store: Path
) -> None:
    run = kept(samples.build())
    app = named(opened("review", run=run), "Grace")
    app = sign(app, store, run, "refuse", "no")
    app.switch_page("views/run.py")
    app.query_params["run"] = run
    app.run()
    app.toggle[0].set_value(True).run()
    assert not app.exception
    review = log(store, run)
    assert [(e.action, e.who) for e in review.entries] == [(Action.REFUSE, "Grace"), (Action.REVEAL, "Grace")]
    assert review.sign_off() is not None


def test_what_cannot_be_recorded_is_not_revealed(samples: Any, kept: Any, store: Path) -> None:
    run = kept(samples.build())
    (store / "reviews").write_text("a file where the folder of the logs belongs")
    app = opened("run", run=run)
    app.toggle[0].set_value(True).run()
    assert not app.exception
    assert samples.SECRET not in words(app)
    assert "could not be recorded" in words(app)
    assert app.toggle[0].value is False


def test_a_report_of_the_dashboard_holds_the_review(
    samples: Any, kept: Any, store: Path, monkeypatch: Any
) -> None:
    from dashboards.views import run as page
    from reports.html import HtmlReport

    run = kept(samples.build())
    reviews.add(resolve(str(store)), run, Action.REFUSE, who="Ada", comment="not yet")
    with reviews.open_store(resolve(str(store)), create=False, read_only=True) as ledger:
        record = ledger.read(run)
    document = page._report(HtmlReport, resolve(str(store)), record, False).decode()
    assert "Refused by Ada" in document
    assert os.fspath(store) not in document
