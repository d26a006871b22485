"""Texts rewritten by the user's own function: what an honest one leaves, and what one does wrong is told of that change alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audit.core.capabilities import Capability
from audit.core.cases import CaseKind
from audit.core.errors import InputError
from audit.core.identity import canonical
from audit.core.measurements import Measurement, Undefined
from audit.core.plan import parameters_of
from audit.core.recipes import Recipe
from audit.core.rows import Rows
from audit.evaluators.provenance.survival.evaluator import Survival
from audit.evaluators.provenance.survival.paraphrase import (
    ParaphrasesLeft,
    RefusedError,
    begun_in,
    cut,
    rewritten,
)
from audit.evaluators.provenance.survival.texts import TEXT_CHANGES
from audit.recipes.user_function import FunctionRef
from tests.evaluators.test_survival_texts import Chain, V, _shares, _subject

CODE = """
import random

def same(texts):
    return texts

def other(texts):
    rng = random.Random(0)
    return [" ".join(str(rng.randrange(1, 256)) for _ in text.split()) for text in texts]

def halves(texts):
    return tuple(" ".join(text.split()[: len(text.split()) // 2]) for text in texts)

def breaks(texts):
    raise OSError("the service is away")

def leaves(texts):
    raise SystemExit(3)

def one(texts):
    return "all in one"

def fewer(texts):
    return texts[1:]

def numbers(texts):
    return [1 for _ in texts]

def empty(texts):
    return [" "] * 2 + texts[2:]

def broken(texts):
    return ["\\ud800"] + texts[1:]

constant = 3
"""
WRONG = {
    "breaks": "raised OSError: the service is away. It is asked again",
    "leaves": "raised SystemExit: 3",
    "one": "returned str, not a list of texts",
    "fewer": "returned 62 texts for 63",
    "numbers": "returned int for 63 of 63 texts",
    "empty": "returned empty texts for 2 of 63",
    "broken": "returned texts that are not Unicode for 1 of 63",
}


class Read(Chain):
    """Also says which tokens a text is made of."""

    def token_scores(self, rows: Rows) -> Rows:
        return pa.table(
            {"token": [[int(word) for word in text.split()] for text in rows["text"].to_pylist()]}
        )


@pytest.fixture
def words(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A module with a name of its own, and its folder."""
    name = f"words_{abs(hash(request.node.nodeid)) % 10**9}"
    (tmp_path / f"{name}.py").write_text(CODE)
    before = list(sys.path)
    yield name, str(tmp_path)
    sys.path[:] = before
    sys.modules.pop(name, None)


def reads() -> Any:
    subject = _subject()
    return replace(subject, offers=subject.offers | {Capability.TOKEN_SCORES})


def survival(words: tuple[str, str], function: str, mark: str = "unigram") -> Survival:
    return Survival(text_mark=mark, paraphraser=f"{words[0]}:{function}", python_path=words[1])


def test_a_paraphrase_leaves_what_its_words_leave(ask: Any, words: tuple[str, str]) -> None:
    plain = _shares(ask(Survival(text_mark="unigram"), reads(), Read()).outcomes)
    for function, least, most, kept in (
        ("same", 0.0, 0.0, "100%"),
        ("other", 0.9, 1.0, ""),
        ("halves", 0.0, 0.5, "100%"),
    ):
        answer = ask(survival(words, function), reads(), Read())
        found = _shares(answer.outcomes)
        assert set(found) == {*TEXT_CHANGES, "paraphrase", "unmarked", "foreign"}
        assert least <= found["paraphrase"].value <= most
        assert found["paraphrase"].n == found["copied"].n
        assert f"{kept} of its words stood" in found["paraphrase"].notes[0]
        assert {c: found[c].value for c in plain} == {c: o.value for c, o in plain.items()}
        nulls = [c for c in answer.controls if c.kind is CaseKind.NULL and c.metric.endswith("none_survives")]
        assert len(nulls) == len(TEXT_CHANGES) + 1
        assert all(c.right for c in nulls)
        _, table = found["untouched"].evidence
        assert table.content.to_pylist()[-1]["change"] == "paraphrase"


@pytest.mark.parametrize("function", WRONG)
def test_what_a_paraphraser_does_wrong_is_told_of_its_change_alone(
    ask: Any, words: tuple[str, str], function: str
) -> None:
    found = _shares(ask(survival(words, function), reads(), Read()).outcomes)
    assert isinstance(found["paraphrase"], Undefined)
    assert WRONG[function] in found["paraphrase"].reason
    assert all(isinstance(found[change], Measurement) for change in TEXT_CHANGES)


def test_a_module_that_cannot_be_imported_is_told_too(ask: Any, words: tuple[str, str]) -> None:
    Path(words[1], f"{words[0]}.py").write_text(f"import no_such_library_here\n{CODE}")
    found = _shares(ask(survival(words, "same"), reads(), Read()).outcomes)
    assert "raised ModuleNotFoundError: No module named 'no_such_library_here'" in found["paraphrase"].reason


def test_a_model_that_cannot_read_a_text_says_so_and_pictures_ask_no_paraphraser(
    ask: Any, words: tuple[str, str]
) -> None:
    found = _shares(ask(survival(words, "same"), _subject(), Chain()).outcomes)
    assert "token_scores" in found["paraphrase"].reason
    assert found["copied"].value == 0.0
    subject = reads()
    pictures = replace(subject, card=replace(subject.card, modality="image"))
    assert Survival(paraphraser="nowhere:f").inputs(pictures).subject["rewritten"] is None


def test_its_name_is_checked_and_its_code_is_part_of_the_key_before_anything_runs(
    words: tuple[str, str],
) -> None:
    for function, said in (
        ("same", "provenance.survival: 'paraphraser' is 'same'; write \"module:callable\""),
        (f"{words[0]}:sane", "provenance.survival: .* defines no 'sane'. Did you mean 'same'"),
        ("no_such_module_here:f", "provenance.survival: there is no Python module 'no_such_module_here'"),
    ):
        with pytest.raises(InputError, match=said):
            Survival(paraphraser=function, python_path=words[1]).inputs(reads())
    with pytest.raises(InputError, match=r"'python_path' is .*not a folder"):
        Survival(paraphraser="a:b", python_path=f"{words[1]}/nowhere").inputs(reads())
    assert words[0] not in sys.modules, "nothing was imported"
    asked = survival(words, "same")
    before = _recipe(asked)
    assert words[1] not in str(parameters_of(asked))
    assert words[1].encode() not in canonical(before)
    Path(words[1], f"{words[0]}.py").write_text(CODE + "\n# more")
    assert _recipe(asked).key != before.key
    with pytest.raises(InputError, match="has changed since the audit was planned"):
        before.paraphraser.opened()
    with pytest.raises(InputError, match="cannot be called; it is int"):
        _recipe(survival(words, "constant")).paraphraser.opened()


def _recipe(evaluator: Survival) -> ParaphrasesLeft:
    found = evaluator.inputs(reads()).subject["rewritten"]
    assert isinstance(found, Recipe)
    assert isinstance(found, ParaphrasesLeft)
    return found


def test_passages_are_rewritten_text_by_text_and_cut_to_their_length() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        lengths = rng.integers(0, 40, 30).tolist()
        groups = begun_in(lengths, 50)
        assert [i for group in groups for i in group] == list(range(sum(map(len, groups))))
        assert all(sum(lengths[i] for i in group) >= 50 for group in groups)
        assert all(sum(lengths[i] for i in group[:-1]) < 50 for group in groups)
    assert [len(t) for t in cut([np.arange(5), np.arange(9), np.arange(3)], 7)] == [5, 2, 0]
    assert [len(t) for t in cut([np.arange(2)], 7)] == [2]
    assert V == 256


class Rewriter(BaseHTTPRequestHandler):
    """A server in OpenAI's form that answers with its prompt's last paragraph backwards, word by word."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][0]["content"].split("\n\n", 1)[1]
        said = {"choices": [{"message": {"content": " ".join(reversed(text.split()))}}]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_: Any) -> None:
        pass


def test_the_function_of_the_page_asks_a_served_model(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "endpoint.md").read_text(encoding="utf-8")
    name = "my_words_of_the_page"
    code = page.split("*my_words.py*\n\n```python\n")[1].split("```")[0]
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rewriter)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("REWRITER", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setattr(sys, "path", list(sys.path))
    try:
        found = _shares(ask(survival((name, str(tmp_path)), "rewrite"), reads(), Read()).outcomes)
        assert found["paraphrase"].value == 0.0  # Unigram's list is the same whatever the order
        assert "100% of its words" in found["paraphrase"].notes[0]
        server.shutdown()
        server.server_close()
        with pytest.raises(RefusedError, match="raised URLError"):
            rewritten(FunctionRef.of(f"{name}:rewrite", str(tmp_path)), ["a text"])
    finally:
        server.server_close()
        sys.modules.pop(name, None)
