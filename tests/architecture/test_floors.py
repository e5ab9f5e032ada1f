"""The house: who may import whom, and how large a piece may grow."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "corsproxy"
MODULES = sorted(PACKAGE.rglob("*.py"))

# docs/architecture.md draws these. A module belongs to the longest prefix of its name.
FLOORS = {
    "corsproxy": 0,
    "corsproxy.problems": 0,
    "corsproxy.memo": 0,
    "corsproxy.semantics": 0,
    "corsproxy.cors": 0,
    "corsproxy.config": 1,
    "corsproxy.plan": 2,
    "corsproxy.recall": 2,
    "corsproxy.known": 2,
    "corsproxy.meanings": 2,
    "corsproxy.gaps": 2,
    "corsproxy.prepared": 2,
    "corsproxy.request_layouts": 2,
    "corsproxy.response_layouts": 2,
    "corsproxy.variations": 2,
    "corsproxy.routes": 2,
    "corsproxy.answers": 2,
    "corsproxy.changes": 2,
    "corsproxy.edits": 2,
    "corsproxy.editor": 2,
    "corsproxy.forward": 2,
    "corsproxy.rewrite": 2,
    "corsproxy.record": 2,
    "corsproxy.rehearse": 2,
    "corsproxy.reasons": 2,
    "corsproxy.explanation": 2,
    "corsproxy.comparison": 2,
    "corsproxy.learning": 2,
    "corsproxy.policy_tests": 2,
    "corsproxy.resilience": 2,
    "corsproxy.doctor": 2,
    "corsproxy.gateway": 3,
    "corsproxy.observe": 3,
    "corsproxy.admin": 4,
    "corsproxy.app": 5,
    "corsproxy.vitals": 5,
    "corsproxy.startup": 5,
    "corsproxy.reload": 5,
    "corsproxy.certificates": 5,
    "corsproxy.systemd": 5,
    "corsproxy.pid_one": 5,
    "corsproxy.processes": 5,
    "corsproxy.cli": 6,
    "corsproxy.__main__": 6,
}
PURE_FLOORS = (0, 2)
IMPURE = {"asyncio", "logging", "os", "random", "secrets", "socket", "time", "uuid"}
MAX_LINES = 400
MAX_FUNCTION_LINES = 60


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def floor_of(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (floor := FLOORS.get(".".join(parts[:length]))) is not None and (length > 1 or parts == ["corsproxy"]):
            return floor
    raise AssertionError(f"{module} stands on no floor: add it to FLOORS and to docs/architecture.md")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            if node.module == "corsproxy":
                yield from (f"corsproxy.{alias.name}" for alias in node.names if not alias.name.startswith("__"))
            else:
                yield node.module


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@each_module
def test_a_module_imports_its_own_floor_and_lower_ones_only(path: Path) -> None:
    floor = floor_of(name_of(path))
    above = [other for other in imports_of(path) if other.startswith("corsproxy") and floor_of(other) > floor]
    assert above == []


def test_gateway_and_witness_do_not_know_each_other() -> None:
    for path in MODULES:
        name = name_of(path)
        for here, there in (("corsproxy.gateway", "corsproxy.observe"), ("corsproxy.observe", "corsproxy.gateway")):
            if name.startswith(here):
                assert not [other for other in imports_of(path) if other.startswith(there)], name


def test_the_admin_knows_of_the_gateway_only_how_to_listen() -> None:
    for path in MODULES:
        if name_of(path).startswith("corsproxy.admin"):
            found = {other for other in imports_of(path) if other.startswith("corsproxy.gateway")}
            assert found <= {"corsproxy.gateway.listener"}, name_of(path)
        elif floor_of(name_of(path)) < 5:
            assert not [other for other in imports_of(path) if other.startswith("corsproxy.admin")], name_of(path)


@each_module
def test_pure_floors_touch_no_clock_no_socket_and_no_environment(path: Path) -> None:
    if floor_of(name_of(path)) in PURE_FLOORS:
        assert IMPURE.isdisjoint(imports_of(path))


@each_module
def test_floor_0_needs_the_standard_library_only(path: Path) -> None:
    if floor_of(name_of(path)) == 0:
        third_party = {"aiohttp", "yaml", "httptools", "uvloop", "aiohappyeyeballs", "yarl", "multidict", "publicsuffixlist"}
        assert third_party.isdisjoint(other.partition(".")[0] for other in imports_of(path))


@each_module
def test_asyncio_begins_on_floor_3(path: Path) -> None:
    if floor_of(name_of(path)) < 3:
        assert "asyncio" not in set(imports_of(path))


@each_module
def test_yaml_is_read_in_one_place(path: Path) -> None:
    if name_of(path) != "corsproxy.config.nodes":
        assert "yaml" not in {other.partition(".")[0] for other in imports_of(path)}


@each_module
def test_aiohttp_stays_in_the_gateway_the_admin_and_the_demo(path: Path) -> None:
    name = name_of(path)
    if not name.startswith(("corsproxy.gateway", "corsproxy.admin", "corsproxy.cli.demo", "corsproxy.cli.doctor")):
        assert "aiohttp" not in {other.partition(".")[0] for other in imports_of(path)}


@each_module
def test_a_module_fits_into_one_head(path: Path) -> None:
    # The catalogue of problems is one table; cutting it in two would only hide half of it.
    assert len(path.read_text().splitlines()) <= MAX_LINES or name_of(path) == "corsproxy.problems"


@each_module
def test_a_function_fits_on_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, f"{path}:{node.lineno} {node.name}"


@each_module
def test_public_functions_of_the_rules_name_their_source(path: Path) -> None:
    if floor_of(name_of(path)) != 0 or path.name in ("problems.py", "regex.py", "__init__.py"):
        return
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            doc = ast.get_docstring(node) or ""
            assert "Spec:" in doc or doc.count("\n") == 0, f"{path}:{node.lineno} {node.name} says no source"


@pytest.mark.parametrize("path", [p for p in MODULES if floor_of(name_of(p)) in (0, 2) and p.name != "__init__.py"], ids=name_of)
def test_each_module_of_the_rules_has_a_test_module_of_its_own(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    assert (ROOT / "tests" / "unit" / relative.parent / f"test_{relative.stem}.py").exists() or relative.stem == "record"


def patterns_of(path: Path) -> Iterator[str | bytes]:
    for node in ast.walk(ast.parse(path.read_text())):
        is_compile = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "compile"
        if is_compile and isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            assert isinstance(node.args[0].value, str | bytes)
            yield node.args[0].value


@each_module
def test_no_pattern_is_possessive_or_atomic(path: Path) -> None:
    """Pythons before 3.11.5 match some of these wrongly: what a rule reads would depend on the machine."""
    for pattern in patterns_of(path):
        parsed = str(re._parser.parse(pattern))  # type: ignore[attr-defined]

        assert "POSSESSIVE_REPEAT" not in parsed, pattern
        assert "ATOMIC_GROUP" not in parsed, pattern


def test_the_graph_of_imports_is_drawn_as_it_is() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "import-graph", "--check"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
