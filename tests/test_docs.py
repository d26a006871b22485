"""What the documentation says is so: its tables, its pages, its commands, its files, its links, its spec, its plugins."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from audit.cli.main import COMMANDS
from audit.config.spec import parse_spec
from audit.registry import catalogue

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
NAMED = [str(page.relative_to(ROOT)) for page in PAGES]
MOST_WORDS = 1400


def script(name: str) -> ModuleType:
    """Return a script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    return script("tables")


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    return script("metrics")


def test_tables_are_what_the_code_says(tables: ModuleType) -> None:
    for page in tables.pages():
        text = page.read_text(encoding="utf-8")
        assert tables.rendered(text) == text, f"{page.name}: run python docs/tables.py --write"


def test_every_table_has_a_page(tables: ModuleType) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in tables.pages())
    for name in tables.TABLES:
        assert text.count(f"<!-- {name} -->\n") == text.count(f"<!-- /{name} -->") == 1, name


def test_metric_pages_are_what_the_code_says(metrics: ModuleType) -> None:
    wanted = metrics.rendered()
    assert set(wanted) == set((ROOT / "docs" / "metrics").glob("*.md")), "run python docs/metrics.py --write"
    for path, text in wanted.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python docs/metrics.py --write"


@pytest.mark.parametrize("name", catalogue("evaluators").names())
def test_an_evaluator_says_what_its_page_needs(metrics: ModuleType, name: str) -> None:
    kind = catalogue("evaluators").load(name)
    definition, labelled = metrics.paragraphs(sys.modules[kind.__module__].__doc__ or "")
    assert len(definition) >= 2, "its module says in its first paragraphs what the metric is"
    assert set(labelled) == set(metrics.LABELS), "then its formula, its interval and its gate"
    doc = " ".join((kind.__doc__ or "").split())
    for field in dataclasses.fields(kind):
        assert metrics.about_parameter(doc, field.name), f"the class says what '{field.name}' is"


def test_labelled_paragraphs_are_told_apart(metrics: ModuleType) -> None:
    text = "What.\n\nMore: of it.\n\nFormula: ``a``\nb.\nInterval: i.\n\nGate: none. Formula: as above."
    definition, labelled = metrics.paragraphs(text)
    assert definition == ["What.", "More: of it."]
    assert labelled == {"Formula": "`a` b.", "Interval": "i.", "Gate": "none. Formula: as above."}


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:audit|docs|tests|examples|benchmarks|reports|dashboards)/[\w./-]+)`", text)
    for name in named:
        assert (ROOT / name).exists(), f"{page.name} names {name}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name} links to {target}"


def test_a_page_can_be_reached_from_the_readme() -> None:
    reached, open_ = set(), [ROOT / "README.md"]
    while open_:
        page = open_.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            found = (page.parent / target).resolve()
            open_ += sorted(found.glob("*.md")) if found.is_dir() else [found] if found.exists() else []
    assert set(PAGES) <= reached


def test_the_readme_is_short() -> None:
    assert len(README.split()) < MOST_WORDS


def packages() -> list[str]:
    """Return the packages and single modules below audit/, and the two beside it."""
    inside = sorted(p.stem for p in (ROOT / "audit").iterdir() if (p / "__init__.py").exists())
    return [*(f"audit.{name}" for name in inside), "audit.registry", "reports", "dashboards"]


@pytest.mark.parametrize("package", packages())
def test_the_map_and_the_import_rules_name_every_package(package: str) -> None:
    page = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    picture = page.split("```")[1]
    assert re.search(rf"\b{re.escape(package)}\b", picture), "the picture draws it"
    assert f"`{package.replace('.', '/')}" in page, "the table says what it holds"
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    named = [
        word
        for contract in rules["contracts"]
        for key in ("layers", "source_modules", "forbidden_modules", "modules")
        for entry in contract.get(key, ())
        for word in entry.split(" | ")
    ]
    assert package in named, "import-linter knows it"


def imported(package: str) -> set[str]:
    """Return which packages of ours the files of a package import, without audit/."""
    path = ROOT / package.replace(".", "/")
    found: set[str] = set()
    for file in path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if names == ["audit"]:
                names = [f"audit.{alias.name}" for alias in node.names]
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = ".".join(name.split(".")[:2]) if name.startswith("audit.") else name.split(".")[0]
                found |= {top} & set(packages())
    return {name.removeprefix("audit.") for name in found - {package}}


@pytest.mark.parametrize("package", packages())
def test_the_map_says_what_a_package_imports(package: str) -> None:
    page = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    path = re.escape(package.replace(".", "/"))
    (says,) = re.findall(rf"^\| `{path}(?:\.py)?` \| .* \| (.*) \|$", page, flags=re.MULTILINE)
    known = {name.removeprefix("audit.") for name in packages()}
    assert set(re.findall(r"\w+", says)) & known == imported(package)


def test_commands_that_the_readme_names_exist() -> None:
    for name in re.findall(r"^audit ([a-z]+)", README, flags=re.MULTILINE):
        assert name in COMMANDS, name


def test_assets_that_the_readme_names_have_the_size_it_says() -> None:
    from audit import assets

    sizes = {asset.name: asset.bytes for asset in assets.survey()}
    said = re.findall(r"^audit fetch ([\w.-]+) +# (\d+) MB", README, flags=re.MULTILINE)
    assert said
    for name, megabytes in said:
        assert int(megabytes) == round(sizes[name] / 1e6), name


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    for page in PAGES:
        for name in re.findall(r"`?make ([a-z-]+)", page.read_text(encoding="utf-8")):
            if f"`make {name}" in page.read_text(encoding="utf-8") or page.name in (
                "README.md",
                "CONTRIBUTING.md",
            ):
                assert name in targets, f"{page.name}: make {name}"


def test_the_spec_in_the_readme_is_a_spec() -> None:
    (block,) = re.findall(r"```toml\n(name = .*?)```", README, flags=re.DOTALL)
    spec = parse_spec(tomllib.loads(block), ROOT)
    assert spec.adapter in catalogue("models").names()
    assert spec.data in catalogue("datasets").names()


def test_the_exit_codes_in_the_readme_are_those_of_the_command() -> None:
    from audit.cli import main

    rows = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", README, flags=re.MULTILINE))
    assert set(map(int, rows)) == {
        main.PASSED,
        main.FAILED,
        main.BAD_INPUT,
        main.UNDECIDED,
        main.UNFINISHED,
        main.INTERRUPTED,
    }
    assert f"{main.TERMINATED}: terminated" in rows[str(main.INTERRUPTED)]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_an_example_names_plugins_that_exist(path: Path) -> None:
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    values["model"].pop("asset", None)  # an asset need not be here to read the spec
    spec = parse_spec(values, path.parent)
    assert spec.adapter in catalogue("models").names()
    assert spec.data in catalogue("datasets").names()
    assert spec.run.executor in catalogue("executors").names()
    for evaluator in spec.evaluators or ():
        assert evaluator.name in catalogue("evaluators").names()


def test_the_words_that_nobody_may_claim_are_not_claimed() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8").lower()
        for word in ("is compliant", "is anonymous", "guarantees privacy", "is safe"):
            assert word not in text, f"{page.name}: {word}"


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_words_that_need_a_second_reading_are_not_used(page: Path) -> None:
    text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    odd = r"\b([Ww]hoever|by heart|[Tt]akes? up|taken up|lies in|[Mm]end|[Gg]oes on|[Ff]or want of)\b|(?<!there )\bis none\b"
    found = re.search(odd, text)
    assert found is None, f"{page.name}: {found and found[0]}"


def test_every_change_a_user_can_notice_is_a_sentence() -> None:
    entries = re.findall(r"^- (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert entries
    assert all(entry.endswith(".") for entry in entries)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Write the package of docs/plugins.md, install it as pip would, and return its folder and an environment for it."""
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    files = re.findall(r"^\*([\w./-]+)\*\n\n```\w+\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert page.count("```python") == sum(name.endswith(".py") for name, _ in files), (
        "each block is in a file"
    )
    folder = tmp_path_factory.mktemp("words")
    for name, text in files:
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    source, target = folder / "source", folder / "installed"
    (source / "src" / "audit_words" / "__init__.py").touch()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    found = os.pathsep.join([str(target), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return source, {**os.environ, "PYTHONPATH": found, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def python(words: tuple[Path, dict[str, str]], *arguments: str) -> subprocess.CompletedProcess[str]:
    source, environment = words
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.xdist_group("docs/plugins.md")  # one worker builds the package
def test_the_plugins_of_the_page_pass_their_own_tests(words: tuple[Path, dict[str, str]]) -> None:
    done = python(words, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b8 passed", done.stdout), done.stdout


@pytest.mark.xdist_group("docs/plugins.md")  # one worker builds the package
def test_the_audit_of_the_page_runs(words: tuple[Path, dict[str, str]]) -> None:
    done = python(words, "audit", "run", "audit.toml", "--executor", "inline")
    assert done.returncode == 1, "a word of the south is less likely, which was planted: " + done.stderr
    report = python(words, "audit", "report", "--format", "tsv")
    lines = dict(line.replace("\t", ",").rsplit(",", 4)[0:2] for line in report.stdout.splitlines()[1:])
    assert set(lines) == {
        "quality.energy,",
        "quality.energy.relative,",
        "quality.energy_vowels,",
        "quality.energy_vowels.relative,",
        "quality.vowels,",
        "fairness.word_gap.gap,dialect=north",
        "fairness.word_gap.gap,dialect=south",
    }
    # A word of the north costs 8 times the cross-entropy of English letters, one of the south 8 times that of even ones.
    frequencies = [8, 2, 3, 4, 12, 2, 2, 6, 7, 1, 1, 4, 3, 7, 8, 2, 1, 6, 6, 9, 3, 1, 2, 1, 2, 1]
    from math import log

    shares = [f / sum(frequencies) for f in frequencies]
    truth = 8 * sum((p - 1 / 26) * log(p) for p in shares)
    assert float(lines["fairness.word_gap.gap,dialect=south"]) == pytest.approx(truth, rel=0.1)


@pytest.mark.xdist_group("docs/plugins.md")  # one worker builds the package
def test_the_spec_in_the_readme_runs_with_the_factory_of_the_plugin_page(
    words: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    import numpy as np
    from PIL import Image
    from safetensors.numpy import save_file

    source, environment = words
    rng = np.random.default_rng(0)
    mean = rng.uniform(80, 170, (32, 32, 3))
    (tmp_path / "mymodel.py").write_text((source / "mymodel.py").read_text(encoding="utf-8"))
    save_file({"mean": mean}, tmp_path / "weights.safetensors")
    for split in ("train", "holdout"):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        for i in range(400):
            drawn = np.clip(mean + rng.normal(scale=20, size=mean.shape), 0, 255).astype(np.uint8)
            Image.fromarray(drawn).save(folder / f"{i:03}.png")
    (block,) = re.findall(r"```toml\n(name = .*?)```", README, flags=re.DOTALL)
    quick = '\n[features]\nuse = "portraits-encoder"\n'  # 128 features: 400 pictures say nothing in 1,280
    (tmp_path / "audit.toml").write_text(block + quick)
    arguments = ("audit", "run", "audit.toml", "--samples", "400", "--executor", "inline")
    done = python((tmp_path, environment), *arguments)
    assert done.returncode == 0, "real and made images have one distribution: " + done.stdout + done.stderr
