"""The error tree: every code that is raised is registered, and every registered code is raised."""

import ast
import json
import pickle
import subprocess
import sys
from pathlib import Path

import imageine.runner
import pytest
from imageine.runner import errors

RUNNER = Path(errors.__file__).parent
TREE = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.ImageineError)]
NAMES = {cls.__name__ for cls in TREE}


def raised_codes() -> dict[str, set[str]]:
    """Code -> files that make an error with it, subclasses that name theirs to ``super().__init__`` included."""
    found: dict[str, set[str]] = {}
    for path in sorted(set(RUNNER.rglob("*.py")) - {Path(errors.__file__)}):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in NAMES | {"__init__"} and node.args:
                for code in _strings(node.args[0]):
                    found.setdefault(code, set()).add(path.relative_to(RUNNER).as_posix())
    return found


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _strings(node: ast.expr) -> list[str]:
    return [child.value for child in ast.walk(node) if isinstance(child, ast.Constant) and isinstance(child.value, str)]


def test_every_code_raised_is_registered():
    unknown = {code: files for code, files in raised_codes().items() if code not in errors.CODES}
    assert not unknown


def test_every_registered_code_is_raised():
    assert not errors.CODES.keys() - raised_codes().keys()


@pytest.mark.parametrize("code", errors.CODES)
def test_a_meaning_is_a_sentence(code):
    assert errors.CODES[code].endswith(".")
    assert code == code.lower()


def test_exit_codes_are_those_of_the_docstring():
    for cls in TREE:
        if cls is not errors.ImageineError:
            line = next(line for line in errors.__doc__.splitlines() if f" {cls.__name__} " in line)
            assert line.rstrip().endswith(f"exit {cls.exit_code}")
    assert len({cls.exit_code for cls in TREE}) == len(TREE)


def test_an_error_tells_what_and_what_next():
    error = errors.InputError("image_missing", "No photo.", "Check the path.", {"path": "x"})
    assert str(error) == "No photo. Check the path."
    assert json.loads(json.dumps(error.as_dict())) == {
        "code": "image_missing",
        "message": "No photo.",
        "hint": "Check the path.",
        "details": {"path": "x"},
    }


def test_errors_cross_process_boundaries():
    error = pickle.loads(pickle.dumps(errors.JobError("job_failed", "It broke.", "Try again.", {"a": 1})))
    assert (error.code, error.hint, error.details) == ("job_failed", "Try again.", {"a": 1})


@pytest.mark.parametrize("name", imageine.runner.__all__)
def test_every_exported_name_is_there(name):
    assert getattr(imageine.runner, name).__name__ == name
    assert name in dir(imageine.runner)


def test_there_is_nothing_else():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        imageine.runner.nothing  # noqa: B018


def test_the_public_names_need_no_torch():
    code = "import sys; from imageine.runner import Client, Workflow, edit, run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "transformers", "diffusers", "typer", "rich"} & set(loaded)


def test_importing_the_package_needs_almost_nothing():
    code = "import sys; import imageine.runner; print(*(n for n in sys.modules if n.startswith('imageine')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["imageine", "imageine.runner"]
