"""Options are checked for name, type and value before anything is done with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.core.errors import InputError
from audit.core.options import OptionTable


def table(**options: object) -> OptionTable:
    return OptionTable.of("the dataset 'x'", options, ("seed", "path", "mode", "groups", "flag"))


def test_an_unknown_option_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"no option 'sede'. Did you mean 'seed'"):
        table(sede=1)


@pytest.mark.parametrize("value", [True, -1, 11, 1.0, "1"])
def test_a_whole_number_is_one_and_in_range(value: object) -> None:
    with pytest.raises(InputError, match=r"of the dataset 'x' .* give a whole number from 0 to 10"):
        table(seed=value).whole("seed", 0, 0, 10)


def test_a_boolean_is_quoted_as_a_spec_writes_it() -> None:
    with pytest.raises(InputError, match=r"is true; give a whole number"):
        table(seed=True).whole("seed", 0, 0, 10)
    with pytest.raises(InputError, match=r"is \['a', false\]; give names"):
        table(groups=["a", False]).names("groups")


def test_defaults_hold_when_nothing_is_given() -> None:
    assert table().whole("seed", 7, 0, 10) == 7
    assert table().text("mode", "RGB") == "RGB"
    assert table().names("groups") == ()
    assert table().path("path") is None
    assert table().flag("flag", default=True)


def test_names_come_as_a_list_or_with_commas() -> None:
    assert table(groups="a, b").names("groups") == table(groups=["a", "b"]).names("groups") == ("a", "b")
    for bad in ("a,,b", ["a", "a"], ["a", 1], 5):
        with pytest.raises(InputError):
            table(groups=bad).names("groups")


def test_wrong_words_types_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'RGB'"):
        table(mode="RBG").choice("mode", "RGB", ("RGB", "L"))
    with pytest.raises(InputError, match="give true or false"):
        table(flag="yes").flag("flag", default=False)
    with pytest.raises(InputError, match="does not exist"):
        table(path=str(tmp_path / "nowhere")).path("path")
    with pytest.raises(InputError, match="needs the option 'path'"):
        table().text("path")


@pytest.mark.parametrize("value", [True, "0.5", float("nan"), -0.1, 1.1, None])
def test_a_number_is_one_and_in_range(value: object) -> None:
    with pytest.raises(InputError, match="give a number from 0 to 1"):
        table(seed=value).number("seed", 0.5, 0.0, 1.0)


def test_a_whole_number_given_for_a_number_is_the_same_number() -> None:
    found = table(seed=1).number("seed", 0.5, 0.0, 1.0)
    assert (found, type(found)) == (1.0, float)


def test_an_option_of_another_table_is_sent_there() -> None:
    with pytest.raises(InputError, match=r"no option 'groups'\. 'groups' belongs in \[data\]\. "):
        OptionTable.of("The adapter 'x'", {"groups": "g"}, ["path"])
    with pytest.raises(InputError, match=r"no option 'groups'\. Accepted"):
        OptionTable.of("The dataset 'digits'", {"groups": "g"}, ["seed"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("x" * 5000, "which is no path: File name too long"),
        ("a\0b", "which is no path"),
        ("~nobody-of-that-name/x", "which is no path"),
        ("none", "which does not exist"),
        ("file/below", "which does not exist"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=said) as refusal:
        OptionTable.of("the dataset 'x'", {"path": given}, ["path"]).path("path")
    assert len(str(refusal.value)) < 400
