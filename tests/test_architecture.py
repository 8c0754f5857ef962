"""The floor plan of DESIGN.md: imports point down, and the exact wing is pure integers.

`lint-imports` checks the layers; the AST tests check what an import contract cannot see: no true division, no
float, no file, clock, environment or randomness in what every machine must agree on bit for bit.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXACT = ("protocol", "aggregation", "consensus")
BANNED_CALLS = {"float", "open", "print", "input", "eval", "exec", "complex", "hash", "id", "__import__"}
ALLOWED_MODULES = {
    "__future__",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "itertools",
    "json",
    "math",
    "re",
    "struct",
    "typing",
    "coincurve",
    "eth_hash",
    "rfc8785",
    "ledgerfed",
    "numpy",
}
ALLOWED_MATH = {"comb", "gcd", "isqrt"}
ARRAYS = "aggregation/"
"""The one package of the exact wing that may import numpy, for integer arrays."""
FLOAT64 = "aggregation/gram.py"
"""The one file of it that may name float64: integers below 2^53, multiplied by BLAS."""
ALLOWED_NUMPY = {
    *("int32", "int64", "bool_", "generic", "ndarray", "NDArray"),
    *("array", "asarray", "arange", "empty", "zeros", "stack", "concatenate", "pad", "ix_"),
    *("diagonal", "fill_diagonal", "where", "flatnonzero", "unique", "packbits", "array_equal"),
    *("argsort", "partition", "maximum", "divmod", "cumsum", "matmul"),
}
"""What of numpy makes integers of integers; mean, std, sqrt, linalg and random do not."""
ARRAY_NAMES = {"np", "npt"}
UNTYPED_FLOATS = {"empty", "zeros"}
FLOAT_METHODS = {"mean", "std", "var"}


def exact_files() -> list[Path]:
    return sorted(path for name in EXACT for path in (ROOT / "ledgerfed" / name).rglob("*.py"))


def modules_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


def array_offences(source: str, where: str) -> Iterator[str]:
    """Yield the numpy of a file of the exact wing, `package/.../file.py`, that could make a float."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        for module in modules_of(node):
            known = module == "numpy" or (module == "numpy.typing" and isinstance(node, ast.Import))
            if module.split(".")[0] == "numpy" and not (known and where.startswith(ARRAYS)):
                yield f"{line}: imports {module}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numpy":
            yield f"{line}: import numpy whole, so that what is used of it shows"
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ARRAY_NAMES
        ):
            allowed = ALLOWED_NUMPY | ({"float64"} if where == FLOAT64 else set())
            yield from (f"{line}: np.{node.attr}" for _ in range(node.attr not in allowed))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            typed = len(node.args) > 1 or any(keyword.arg == "dtype" for keyword in node.keywords)
            if node.func.attr in UNTYPED_FLOATS and not typed and where != FLOAT64:
                yield f"{line}: np.{node.func.attr} without a dtype makes floats"
            if node.func.attr in FLOAT_METHODS:
                yield f"{line}: .{node.func.attr}() makes a float"


def offences(source: str) -> Iterator[str]:
    """Yield what has no place in the exact wing, with its line."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"{line}: true division"
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield f"{line}: the float {node.value}"
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow):
            negative = isinstance(node, ast.BinOp) and isinstance(node.right, ast.UnaryOp)
            if negative:
                yield f"{line}: a negative power is a float"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            yield f"{line}: {node.func.id}()"
        for module in modules_of(node):
            if module.split(".")[0] not in ALLOWED_MODULES:
                yield f"{line}: imports {module}"
        if isinstance(node, ast.ImportFrom) and node.module == "math":
            yield from (f"{line}: math.{a.name}" for a in node.names if a.name not in ALLOWED_MATH)
        if isinstance(node, ast.Import) and any(alias.name == "math" for alias in node.names):
            yield f"{line}: import the integer functions of math by name"


@pytest.mark.parametrize("path", exact_files(), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_exact_wing_knows_no_float_file_clock_or_chance(path):
    source = path.read_text(encoding="utf-8")
    assert list(offences(source)) == []
    assert list(array_offences(source, path.relative_to(ROOT / "ledgerfed").as_posix())) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = a / b",
        "x /= 2",
        "x = 0.5",
        "x = 1e3",
        "x = 2j",
        "x = 2 ** -3",
        "x = float(a)",
        "open('f')",
        "print(1)",
        "x = hash('a')",
        "import time",
        "import random",
        "import datetime",
        "import os",
        "import os.path",
        "from time import time",
        "from pathlib import Path",
        "import secrets",
        "from math import sqrt",
        "import math",
        "def f():\n    import socket",
    ],
)
def test_the_check_finds_what_it_bans(source):
    assert list(offences(source))


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("protocol/score.py", "import numpy as np"),
        ("consensus/decide.py", "import numpy.typing as npt"),
        ("aggregation/grid.py", "import numpy.random"),
        ("aggregation/grid.py", "from numpy import random"),
        ("aggregation/grid.py", "from numpy.linalg import norm"),
        ("aggregation/grid.py", "x = np.zeros(3)"),
        ("aggregation/grid.py", "x = np.zeros(3, np.float64)"),
        ("aggregation/gram.py", "x = np.zeros(3, np.float32)"),
        ("aggregation/gram.py", "x = np.linalg.norm(a)"),
        ("aggregation/gram.py", "x = np.sqrt(a)"),
        ("aggregation/grid.py", "x = np.mean(a)"),
        ("aggregation/grid.py", "x = a.mean()"),
        ("aggregation/grid.py", "x = np.true_divide(a, b)"),
        ("aggregation/grid.py", "x = np.random.default_rng(1)"),
    ],
)
def test_the_check_finds_numpy_that_makes_floats(where, source):
    assert list(array_offences(source, where))


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("aggregation/grid.py", "import numpy as np\nimport numpy.typing as npt\nx = np.zeros(3, np.int64)"),
        ("aggregation/gram.py", "x = np.empty((3, 4)).astype(np.float64)"),
    ],
)
def test_the_check_lets_integer_arrays_pass(where, source):
    assert not list(array_offences(source, where))


@pytest.mark.parametrize("source", ["x = a // b", "x = 2**3", "x = isqrt(4)", "from math import isqrt"])
def test_the_check_lets_integers_pass(source):
    assert not list(offences(source))


def test_imports_point_down():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_every_package_has_its_layer():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(c for c in contracts["contracts"] if c["type"] == "layers")
    assert layers["exhaustive"] is True
    listed = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    present = {path.parent.name for path in (ROOT / "ledgerfed").glob("*/__init__.py")}
    present |= {path.stem for path in (ROOT / "ledgerfed").glob("*.py")} - {"__init__", "__main__"}
    assert present <= listed
