"""The promises of the architecture that a program can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for folder in ("audit", "reports", "dashboards") for p in (ROOT / folder).rglob("*.py"))
HEAVY = ("torch", "transformers", "sklearn", "streamlit", "c2pa", "cryptography", "alembic")


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_core_imports_nothing_heavy() -> None:
    loaded = modules_after("import audit.core.records, audit.core.plan, audit.core.facts")
    assert loaded.isdisjoint({*HEAVY, "pyarrow", "scipy", "sqlalchemy", "PIL"})


def test_help_imports_nothing_but_click() -> None:
    loaded = modules_after("import audit.cli.main")
    assert loaded.isdisjoint({*HEAVY, "numpy", "pyarrow", "scipy", "sqlalchemy", "rich"})


@pytest.mark.parametrize(
    "group", ["models", "included", "datasets", "extractors", "evaluators", "executors", "reports"]
)
def test_importing_a_plugin_loads_no_heavy_library(group: str) -> None:
    loaded = modules_after(f"from audit.registry import catalogue\ncatalogue({group!r}).survey()")
    assert loaded.isdisjoint(HEAVY)


def test_planning_loads_no_heavy_library() -> None:
    spec = ROOT / "examples" / "digits.toml"
    loaded = modules_after(
        f"import sys\nsys.argv = ['audit', 'plan', {str(spec)!r}, '--format', 'json']\n"
        "import contextlib, io\nfrom audit.cli.main import _main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n    assert _main() == 0"
    )
    assert loaded.isdisjoint(HEAVY)


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def circles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the sets of modules that import one another, directly or through others (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        path.append(module)
        for other in imports[module]:
            if other not in number:
                visit(other)
            if other in path:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            start = path.index(module)
            circle = path[start:]
            del path[start:]
            if len(circle) > 1 or module in imports[module]:
                found.append(sorted(circle))

    for module in imports:
        if module not in number:
            visit(module)
    return found


def test_circles_are_found() -> None:
    chain = {"a": ["b"], "b": ["c"], "c": []}
    assert circles(chain) == []
    assert circles({**chain, "c": ["b"], "d": ["d", "a"]}) == [["b", "c"], ["d"]]


def test_no_module_imports_itself_through_others() -> None:
    """Imports inside functions count."""
    graph = grimp.build_graph("audit", "reports", "dashboards", cache_dir=None)
    assert graph.find_modules_directly_imported_by("audit.cli.apart") >= {"audit.cli.jobs"}, "lazy ones too"
    assert circles({m: sorted(graph.find_modules_directly_imported_by(m)) for m in graph.modules}) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_says_what_it_is_for_and_can_be_read_in_a_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "its first line says what it is for"
    assert text.count("\n") <= 400
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno + 1 <= 60, f"{node.name} fits on a screen"
    assert path.stem not in {"utils", "helpers", "common", "manager", "base", "misc"}


def test_nothing_unsafe_is_loaded_or_shown() -> None:
    for path in SOURCES:
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        ]
        for call in calls:
            given = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
            name = ast.unparse(call.func)
            assert given.get("unsafe_allow_html") is not True, path
            assert given.get("trust_remote_code") is not True, path
            assert given.get("allow_pickle") is not True, path
            if name == "torch.load":
                assert given.get("weights_only") is True, path
            if name in {"pickle.load", "pickle.loads", "eval", "exec", "os.system"}:
                # The conformance suite pickles a recipe of its own to see that it travels.
                assert path.is_relative_to(ROOT / "audit" / "testing"), path


def test_one_except_importerror_in_the_code_base() -> None:
    found = [
        path
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and node.type is not None
        and "ImportError" in ast.unparse(node.type)
    ]
    assert [p.name for p in found] == ["registry.py"]


@pytest.mark.parametrize(
    "script", [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/*.py")], ids=lambda p: p.stem
)
def test_a_script_imports_what_is_there_and_has_help(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in {"audit", "reports"}:
            place = ROOT / Path(*str(node.module).split("."))
            for name in (alias.name for alias in node.names):
                source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
                inside = (place / name).is_dir() or (place / f"{name}.py").exists()
                assert inside or re.search(rf"\b{name}\b", source.read_text(encoding="utf-8")), (
                    f"{node.module}.{name}"
                )
    assert script.parent.name == "docs" or "ArgumentParser(" in text


def test_every_entry_point_leads_somewhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group, entries in project["entry-points"].items():
        for name, target in entries.items():
            module, _, attribute = target.partition(":")
            path = ROOT / Path(*module.split("."))
            source = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
            assert source.exists(), f"{group} {name}"
            assert attribute in source.read_text(encoding="utf-8"), f"{group} {name}"


def test_the_repository_names_no_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    words = ["/ro" + "ot/", "/wo" + "rk/", "file:///" + "opt"]
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".yml", ".json", ".html", ""} and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [word for word in words if word in text], name
