"""The adapter endpoint against servers that lie, stall, drop the line, redirect or send what nobody asked for."""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.core.capabilities import Capability
from audit.core.errors import InputError
from audit.core.rows import text_rows
from audit.models.endpoint import Endpoint
from audit.models.served import client
from audit.models.transformers import CausalLM
from tests.models.serving import Acts, Answer, Served, around, completion, echoing, serving

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.001)


def options(server: Served, **more: Any) -> dict[str, Any]:
    return {"url": server.url, "prompts": ["a"], "max_new_tokens": 8, "timeout": 5.0, "retries": 2, **more}


def opened(server: Served, **more: Any) -> Endpoint:
    return Endpoint.open(Endpoint.refer(options(server, **more)), "cpu")


def texts(model: Endpoint, *prompts: str) -> list[str]:
    rows = model.sample(len(prompts), np.random.default_rng(0), text_rows(list(prompts)))
    return [str(text) for text in rows.column("text").to_pylist()]


def at(prompt: str, answer: Answer | Callable[[dict[str, Any]], Answer], times: int = 1000) -> Acts:
    """Serve honestly but for one prompt, which gets something else the first ``times`` times."""
    left = [times]

    def acts(path: str, body: dict[str, Any]) -> Answer:
        if body.get("prompt") == prompt and left[0] > 0:
            left[0] -= 1
            return answer(body) if callable(answer) else answer
        return echoing(path, body)

    return acts


def choices(*several: Any) -> Answer:
    return Answer({**completion(""), "choices": list(several)})


ONE = {"index": 0, "text": "x", "finish_reason": "stop"}
BAD = {
    "garbage": Answer(b"\x00\x01garbage"),
    "not UTF-8": Answer(b'{"choices": [{"index": 0, "text": "caf\xe9"}]}'),
    "cut JSON": Answer(b'{"choices": [{"index": 0, "te'),
    "no object": Answer([1, 2, 3]),
    "nested without end": Answer(b"[" * 100_000),
    "a number of a million digits": Answer(b'{"choices": ' + b"9" * 1_000_000 + b"}"),
    "no choice": choices(),
    "two choices": choices(ONE, {**ONE, "index": 1}),
    "another's choice": choices({**ONE, "index": 3}),
    "no text": choices({**ONE, "text": None}),
    "a text that is none": choices({**ONE, "text": ["x"]}),
    "more tokens than asked for": Answer(completion("x", 500)),
    "more text than tokens hold": Answer(completion("x" * 100_000)),
    "compressed": Answer(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("what", BAD)
def test_an_answer_that_is_none_is_asked_for_again_then_refused(what: str) -> None:
    with serving(at("odd", BAD[what], times=2)) as server:
        assert texts(opened(server), "odd")[0].startswith("<odd#")
    with serving(at("odd", BAD[what])) as server:
        model = opened(server)
        before = len(server.asked)
        with pytest.raises(ValueError, match=r"the answer|one text"):
            texts(model, "odd")
        assert len(server.asked) - before == 3, "once, and two retries"


def test_a_huge_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 1 << 20)
    with serving(at("odd", Answer(b"x" * (8 << 20)))) as server:
        model = opened(server, retries=0)
        with pytest.raises(ValueError, match="longer than 1 MiB"):
            texts(model, "odd")


def test_a_line_that_is_dropped_half_way_is_taken_up_again() -> None:
    half = json.dumps(completion("never")).encode()[:40]
    with serving(at("odd", Answer(half, length=400), times=2)) as server:
        assert texts(opened(server), "odd", "even")[0].startswith("<odd#")
    with serving(at("odd", Answer(half, length=400))) as server:
        model = opened(server)
        with pytest.raises(InputError, match=r"dropped the line.*3 times.*What was made is kept"):
            texts(model, "odd")


def test_a_server_that_stalls_is_given_up() -> None:
    ended = threading.Event()

    def stall(body: dict[str, Any]) -> Answer:
        ended.wait(20)
        return Answer(completion("late"))

    try:
        with serving(at("odd", stall)) as server:
            model = opened(server, timeout=0.3, retries=1)
            with pytest.raises(InputError, match=r"0.3 seconds.*2 times.*raise 'timeout'"):
                texts(model, "odd")
            ended.set()
    finally:
        ended.set()


def test_a_server_that_is_gone_in_the_middle_loses_nothing() -> None:
    with serving(echoing) as server:
        model = opened(server, retries=1)
    with pytest.raises(InputError, match=r"Nothing answers.*What was made is kept"):
        texts(model, "a")


def test_a_refused_prompt_is_told_in_the_servers_words() -> None:
    long = Answer({"error": {"message": "the prompt is too long\x1b[31m for\nthis model"}}, 400)
    with serving(at("long", long)) as server:
        model = opened(server)
        with pytest.raises(ValueError, match="answered 400: the prompt is too long") as error:
            texts(model, "long")
        assert str(error.value).isprintable()


def test_characters_of_all_kinds_come_through_and_halves_of_them_do_not() -> None:
    odd = "a\x00b\x1b[2J\u202e 日本 🙂"
    with serving(at("odd", Answer(completion(odd)))) as server:
        assert texts(opened(server), "odd") == [odd]
    with serving(at("odd", Answer(completion("x\ud800y 🙂")))) as server:
        assert texts(opened(server), "odd") == ["x\ufffdy 🙂"]


def test_what_the_server_cut_is_told_apart_from_what_ended() -> None:
    cut = choices({**ONE, "finish_reason": "length"})
    with serving(at("cut", cut)) as server:
        rows = opened(server).sample(2, np.random.default_rng(0), text_rows(["cut", "b"]))
        assert rows.column("ended").to_pylist() == ["length", "stop"]


def test_a_redirect_is_not_followed_and_no_key_goes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVED_KEY", KEY)
    with serving(echoing) as other:

        def away(path: str, body: dict[str, Any]) -> Answer:
            return Answer(b"", 307, {"Location": f"{other.url}{path}?key={KEY}"})

        with serving(away) as server:
            with pytest.raises(
                InputError, match=r"redirects to another address.*Name the right address"
            ) as error:
                Endpoint.refer(options(server, key_env="SERVED_KEY"))
            assert KEY not in str(error.value)
        with serving(at("odd", lambda body: away("", body))) as server:
            model = opened(server, key_env="SERVED_KEY")
            with pytest.raises(InputError, match="redirects"):
                texts(model, "odd")
        assert other.asked == []


def test_wrong_credentials_an_unknown_model_and_no_such_api_are_told_before_work() -> None:
    closed = Answer({"error": {"message": "no key"}}, 401)
    said = r"refuses the credentials \(401: no key\).*key_env"
    with serving(lambda path, body: closed) as server, pytest.raises(InputError, match=said):
        Endpoint.refer(options(server))
    with serving(echoing) as server, pytest.raises(InputError, match=r"does not list it. .*Accepted: m"):
        Endpoint.refer(options(server, name="mm"))
    with serving(lambda path, body: Answer({"error": "no such model"}, 404)) as server:
        with pytest.raises(InputError, match="needs the name"):
            Endpoint.refer(options(server))
        with pytest.raises(InputError, match=r"completions: .*404: no such model.*chat: .*404.*'name'.*/v1"):
            Endpoint.refer(options(server, name="m"))


def test_a_certificate_of_ones_own_needs_its_file(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(echoing, context) as server:
        with pytest.raises(InputError, match=r"cannot be trusted.*ca_file"):
            Endpoint.refer(options(server))
        assert texts(opened(server, ca_file=str(certificate)), "a")[0].startswith("<a#")
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(InputError, match="Name a PEM file"):
        Endpoint.refer({"url": "https://127.0.0.1:1/v1", "ca_file": str(tmp_path / "no.pem")})


def self_signed(folder: Path) -> Path:
    """Write a key and a certificate for this machine that it signed itself."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    place = folder / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    place.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return place


def constant(logprobs: dict[str, Any], text: str) -> None:
    logprobs["token_logprobs"] = [None, *[-2.0] * (len(logprobs["tokens"]) - 1)]


def unread(logprobs: dict[str, Any], text: str) -> None:
    """Score each token by itself, whatever stands before it."""
    logprobs["token_logprobs"] = [None, *[-0.1 - len(token) for token in logprobs["tokens"][1:]]]


def foreseeing(logprobs: dict[str, Any], text: str) -> None:
    shift = len(text.encode()) + sum(text.encode()) % 7
    logprobs["token_logprobs"] = [
        None if logp is None else logp - shift for logp in logprobs["token_logprobs"]
    ]


def moody(logprobs: dict[str, Any], text: str) -> None:
    MOOD.append(1)
    logprobs["token_logprobs"] = [
        None if logp is None else logp - len(MOOD) for logp in logprobs["token_logprobs"]
    ]


MOOD: list[int] = []


def short(logprobs: dict[str, Any], text: str) -> None:
    logprobs["token_logprobs"].pop()


def cut(logprobs: dict[str, Any], text: str) -> None:
    for values in logprobs.values():
        values.pop()


def positive(logprobs: dict[str, Any], text: str) -> None:
    logprobs["token_logprobs"][3] = 0.5


def missing(logprobs: dict[str, Any], text: str) -> None:
    logprobs["token_logprobs"][3] = None


def no_number(logprobs: dict[str, Any], text: str) -> None:
    logprobs["token_logprobs"][3] = float("nan")


LIES = {
    constant: "one log-probability for every token",
    unread: "an earlier word does not change",
    foreseeing: "a later word changes",
    moody: "two calls score the same text differently",
    short: "one log-probability for each token",
    cut: "do not join to the text",
    positive: "above 0",
    missing: "missing",
    no_number: "no number",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_log_probabilities_that_are_none_are_withheld_with_the_reason(lie: Any, tiny_lm: Path) -> None:
    honest = around(CausalLM.open(CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8}), "cpu"))

    def acts(path: str, body: dict[str, Any]) -> Answer:
        answer = honest(path, body)
        if body.get("echo"):
            lie(answer.body["choices"][0]["logprobs"], body["prompt"])
        return answer

    with serving(acts) as server:
        card, offers = Endpoint.describe(Endpoint.refer(options(server)))
    assert offers == {Capability.SAMPLE}
    assert LIES[lie] in dict(card.withheld)[Capability.LOG_LIKELIHOOD]


def test_a_server_that_turns_after_the_probe_is_found_out(tiny_lm: Path) -> None:
    honest = around(CausalLM.open(CausalLM.refer({"path": str(tiny_lm), "max_new_tokens": 8}), "cpu"))

    def acts(path: str, body: dict[str, Any]) -> Answer:
        answer = honest(path, body)
        if body.get("prompt") == "the driver":
            answer.body["choices"][0]["logprobs"]["tokens"][1] = "another"
        return answer

    with serving(acts) as server:
        model = opened(server)
        with pytest.raises(ValueError, match="do not join"):
            model.log_likelihood(text_rows(["the nurse", "the driver"]))
