"""A spec is checked before anything runs; what is wrong is named, with what would be right."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from audit.config.policies import named_policy, policy_names
from audit.config.spec import parse_spec, read_spec
from audit.core.errors import InputError

GOOD = """
name = "x"
[model]
use = "digits-vae"
[data]
use = "digits"
"""


def parse(text: str, tmp_path: Path):
    path = tmp_path / "audit.toml"
    path.write_text(text)
    return read_spec(path)


def test_what_a_spec_leaves_out_has_sensible_values(tmp_path: Path) -> None:
    spec = parse(GOOD, tmp_path)
    assert (spec.adapter, dict(spec.model)) == ("included", {"use": "digits-vae"})
    assert spec.evaluators is None
    assert spec.policy.name == "default"
    assert spec.run.executor == "pool"


def test_paths_are_relative_to_the_spec(tmp_path: Path) -> None:
    text = GOOD.replace('use = "digits"', 'use = "images"\nholdout = "pictures"')
    assert parse(text, tmp_path).data_options["holdout"] == str(tmp_path.resolve() / "pictures")


def test_an_option_that_is_several_names_is_an_array(tmp_path: Path) -> None:
    """As a refusal of ``torch_module`` says: files = ["train/a.png"]."""
    text = GOOD.replace(
        'use = "digits-vae"',
        'adapter = "torch_module"\nfactory = "m:M"\nweights = "w.safetensors"\nfiles = ["a.json", "train"]',
    )
    assert parse(text, tmp_path).model["files"] == ["a.json", "train"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("[data]", f'[[evaluators]]\nname = "quality.mmd"\nas = "{"n" * 200_000}"\n[data]'),
            ["as has 200,000 characters", "at most 200"],
        ),
        (("name =", "nmae ="), ["'nmae'", "Did you mean 'name'"]),
        (('name = "x"', 'name = "x"\nsamples = "many"'), ["samples", "'many'", "a string", "whole number"]),
        (('name = "x"', 'name = "x"\nsamples = 0'), ["samples", "0", "at least 1"]),
        (('name = "x"', 'name = "x"\nseed = true'), ["seed is true (a boolean)"]),
        (('name = "x"', 'name = "x"\nsample = 5'), ["'sample'", "Did you mean 'samples'"]),
        (("[model]", "[modle]"), ["model", "missing", "Did you mean 'model'"]),
        (('use = "digits-vae"', 'use = "digits-vae"\nadapter = "included"'), ["'use' and 'adapter'"]),
        (('use = "digits-vae"', "parameters = 4"), ["names no model", "adapter"]),
        (('use = "digits"', "use = 3"), ["data.use", "3", "a string"]),
        (('use = "digits"', 'use = "digits"\nother = [1]'), ["data.other", "an array"]),
        (("[data]", '[policy]\nuse = "defualt"\n[data]'), ["defualt", "Did you mean 'default'"]),
        (("[data]", '[policy]\nfile = "none.toml"\n[data]'), ["none.toml", "cannot be read"]),
        (("[data]", '[policy]\nname = "p"\n[data]'), ["no criteria"]),
        (("[data]", '[[policy.criteria]]\nmetric = "m"\n[data]'), ["at_most, at_least, within_floor"]),
        (("[data]", '[[policy.criteria]]\nmetric = "m"\nat_mots = 1\n[data]'), ["Did you mean 'at_most'"]),
        (("[data]", '[run]\nexecuter = "pool"\n[data]'), ["Did you mean 'executor'"]),
        (("[data]", "[run]\ntime_limit = 0\n[data]"), ["run.time_limit", "above 0"]),
        (("[data]", "[run]\ntime_limit = inf\n[data]"), ["run.time_limit", "finite"]),
        (("[data]", f"[run]\ntime_limit = 1{'0' * 400}\n[data]"), ["run.time_limit", "finite"]),
        (('name = "x"', f'name = "x"\nsamples = 1{"0" * 5000}'), ["not valid TOML"]),
        (('name = "x"', f'name = "x"\nother = {"[" * 5000}'), ["not valid TOML"]),
        (("[data]", '[[policy.criteria]]\nmetric = "m"\nat_most = inf\n[data]'), ["at_most", "finite"]),
        (
            ("[data]", '[[policy.criteria]]\nmetric = "m"\nat_most = 1\nmodalities = ["imgae"]\n[data]'),
            ["imgae", "Did you mean 'image'"],
        ),
        (('use = "digits"', 'use = "text"\npath = "a\\u0000b"'), ["is not a path"]),
        (('use = "digits"', 'use = "text"\npath = "~nosuchuser/b"'), ["is not a path"]),
        (('use = "digits"', 'use = "text"\npath = ""'), ["A path is empty"]),
        (('use = "digits"', 'use = "text"\npath = "https://example.org/a.jsonl"'), ["is an address"]),
        (("[data]", "[run]\ntime_limit = -1\n[data]"), ["run.time_limit"]),
        (("[model]", "[model"), ["not valid TOML"]),
    ],
)
def test_an_error_names_the_key_the_value_and_what_is_accepted(
    change: tuple[str, str], words: list[str], tmp_path: Path
) -> None:
    text = GOOD.replace(*change, 1)
    assert text != GOOD
    with pytest.raises(InputError) as refusal:
        parse(text, tmp_path)
    for word in words:
        assert word in str(refusal.value)


def test_evaluators_are_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[\[evaluators\]\]"):
        parse('evaluators = "all"\n' + GOOD, tmp_path)


@pytest.mark.parametrize("bad", [b"\xff\xfe name", None])
def test_a_file_that_is_no_text_or_not_there(bad: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "audit.toml"
    if bad is not None:
        path.write_bytes(bad)
    with pytest.raises(InputError, match="UTF-8" if bad else "no spec at"):
        read_spec(path)


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_spec(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[data]", '[features]\nuse = "pixels"\ngroups = "g"\n[data]'), "'groups' belongs in [data]"),
        (("[data]", '[run]\nmetadata = "m.csv"\n[data]'), "'metadata' belongs in [data]"),
        (("[data]", "[run]\nseed = 3\n[data]"), "'seed' belongs to the top of the spec"),
        (('name = "x"', 'name = "x"\nworkers = 3'), "'workers' belongs in [run]"),
        (('name = "x"', 'name = "x"\nadapter = "y"'), "'adapter' belongs in [model]"),
    ],
)
def test_a_key_in_another_table_is_sent_where_it_belongs(
    change: tuple[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        parse(GOOD.replace(*change, 1), tmp_path)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_spec_and_a_policy_are_read_with_a_byte_order_mark(tmp_path: Path, ends: str) -> None:
    bar = 'name = "bar"\n[[criteria]]\nmetric = "quality.frechet"\nat_most = 1.0\nwhy = "w"\n'
    spec = GOOD + '[policy]\nfile = "bar.toml"\n'
    for name, text in (("bar.toml", bar), ("audit.toml", spec)):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", ends).encode())
    assert read_spec(tmp_path / "audit.toml").policy.name == "bar"


@pytest.mark.parametrize("name", ["audit.toml", "bar.toml"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("name = 'x'\n".encode("utf-16"), "UTF-16 text (its byte-order mark says so): save it as UTF-8"),
        ("name = 'x'\n".encode("utf-16-le"), "UTF-16 text without a byte-order mark"),
        (b"name = 'caf\xe9'\n", "not UTF-8 at byte 11"),
        (b"name = 'x'\rseed = 1\r", "its lines end in CR alone"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a Git LFS pointer in place of the file",
        ),
        (b"PK\x03\x04\0\0", "a zip archive: unpack it, not text"),
        (b"name = 'a\0b'\n", "not valid TOML"),
        ("pipe", "it is a named pipe"),
        ("/dev/zero", "it is a device"),
        ("nowhere", "a broken link|There is no policy at"),
        ("loop", "too many levels of symbolic links|is not a path: Symlink loop"),
    ],
)
def test_the_true_reason_why_a_spec_or_policy_cannot_be_read(
    tmp_path: Path, name: str, data: bytes | str, said: str
) -> None:
    (tmp_path / "audit.toml").write_text(GOOD + '[policy]\nfile = "bar.toml"\n')
    path = tmp_path / name
    path.unlink(missing_ok=True)
    if data == "pipe":
        os.mkfifo(path)
    elif isinstance(data, str):
        path.symlink_to(name if data == "loop" else data)
    else:
        path.write_bytes(data)
    with pytest.raises(InputError) as refusal:
        read_spec(tmp_path / "audit.toml")
    assert any(words in str(refusal.value) for words in said.split("|"))


def test_every_shipped_policy_says_where_its_thresholds_come_from() -> None:
    for name in policy_names():
        for criterion in named_policy(name).criteria:
            assert len(criterion.why) > 40, f"{name}: {criterion.metric}"


def test_every_shipped_criterion_is_about_a_metric_that_exists() -> None:
    from audit.registry import catalogue

    known = {metric for kind in catalogue("evaluators").survey().values() for metric in kind.about.declared}
    for name in policy_names():
        assert {criterion.metric for criterion in named_policy(name).criteria} <= known


def test_inline_criteria(tmp_path: Path) -> None:
    values = {
        "name": "x",
        "model": {"use": "digits-vae"},
        "data": {"use": "digits"},
        "policy": {"name": "mine", "criteria": [{"metric": "quality.kid", "at_most": 1, "why": "because"}]},
    }
    (criterion,) = parse_spec(values, tmp_path).policy.criteria
    assert (criterion.metric, criterion.at_most, criterion.why) == ("quality.kid", 1.0, "because")


def test_waivers_stand_beside_a_policy_that_is_named_or_in_it(tmp_path: Path) -> None:
    waiver = (
        '[[{}waivers]]\nmetric = "quality.frechet.relative"\nowner = "The board"\nreason = "known"\nexpires = {}\n'
        'group = {{ sex = "F" }}\n'
    )
    (tmp_path / "audit.toml").write_text(
        GOOD + '[policy]\nuse = "default"\n' + waiver.format("policy.", "2027-03-31")
    )
    (found,) = read_spec(tmp_path / "audit.toml").policy.waivers
    assert (found.owner, found.expires, found.group) == ("The board", "2027-03-31", (("sex", "F"),))
    criterion = (
        '[[criteria]]\nmetric = "quality.frechet.relative"\nat_most = 1\nwhy = "x"\nblocking = false\n'
    )
    (tmp_path / "bar.toml").write_text(criterion + waiver.format("", '"2027-03-31"'))
    (tmp_path / "audit.toml").write_text(GOOD + '[policy]\nfile = "bar.toml"\n')
    policy = read_spec(tmp_path / "audit.toml").policy
    assert policy.waivers == (found,)
    assert not policy.criteria[0].blocking
    for wrong, named in (
        ("2027-03-31T10:00:00", "without a time"),
        ('"soon"', "no date such as"),
        ("3", "a date such as"),
    ):
        (tmp_path / "bar.toml").write_text(criterion + waiver.format("", wrong))
        with pytest.raises(InputError, match=named):
            read_spec(tmp_path / "audit.toml")


def test_a_list_of_prompts_is_no_list_of_paths(tmp_path: Path) -> None:
    spec = '[model]\nadapter = "endpoint"\nprompts = {}\n[data]\nuse = "digits"\n'
    (tmp_path / "spec.toml").write_text("name = 'x'\n" + spec.format('["The city of Paris is"]'))
    assert read_spec(tmp_path / "spec.toml").model["prompts"] == ["The city of Paris is"]
    (tmp_path / "spec.toml").write_text("name = 'x'\n" + spec.format('"prompts.txt"'))
    assert read_spec(tmp_path / "spec.toml").model["prompts"] == str(tmp_path / "prompts.txt")
