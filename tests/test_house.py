"""The house keeps its order: imports point downward, CuPy has one door, the calculus needs NumPy alone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "minigan"

# Each module may import from lower floors, and from its own floor's family. Data, metrics and viz know arrays only.
FLOORS = {
    "backend": 0,
    "tripwire": 0,
    "files": 0,
    "layers": 1,
    "sound": 1,
    "network": 2,
    "losses": 2,
    "viz": 2,
    "data": 2,
    "metrics": 2,
    "optim": 3,
    "penalty": 3,
    "gradcheck": 3,
    "checkpoint": 3,
    "derivation": 3,
    "provenance": 3,
    "exercises": 8,
    "models": 4,
    "steps": 4,
    "workers": 4,
    "training": 5,
    "answers": 9,
    "marking": 10,
    "torch_twin": 4,
    "bench": 5,
    "classify": 5,
    "dynamics": 5,
    "writing": 6,
    "board": 6,
    "coding": 6,
    "composing": 6,
    "filming": 6,
    "detect": 7,
    "plane": 7,
    "gallery": 8,
    "report": 8,
    "museum": 7,
    "image_measures": 9,
    "run": 9,
    "shipped": 10,
    "evaluation": 11,
    "sampling": 11,
    "studio": 12,
    "cli": 13,
    "__main__": 14,
}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


def family(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_families(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("minigan"):
            inner = node.module.split(".")[1:]
            names = [inner[0]] if inner else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("minigan.")]
        yield from (name for name in names if not name.startswith("__"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path):
    own = family(path)
    assert own in FLOORS, f"{own} has no floor in the house: give it one here"
    for other in imported_families(path):
        if other != own:
            assert FLOORS[other] < FLOORS[own], f"{path.name} (floor {FLOORS[own]}) imports {other} ({FLOORS[other]})"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_backend_imports_cupy(path):
    names = [
        alias.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert path.name == "backend.py" or not any(name.startswith("cupy") for name in names)


def test_the_calculus_needs_numpy_alone():
    """And no command pays at its start for what it does not use."""
    code = (
        "import sys, minigan.steps, minigan.optim, minigan.gradcheck, minigan.models, minigan.data, minigan.viz\n"
        "third = {'matplotlib', 'PIL', 'tqdm', 'safetensors', 'pooch', 'mido', 'cupy', 'torch', 'onnx'}\n"
        "third &= set(sys.modules)\n"
        "assert not third, third"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_top_level_holds_what_the_design_says():
    top = PACKAGE.parent
    tracked = subprocess.run(["git", "ls-files"], cwd=top, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    names = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    allowed = {"README.md", "minigan", "lessons", "tests", "pyproject.toml", "LICENSE"}
    assert {name for name in names if not name.startswith(".")} <= allowed
