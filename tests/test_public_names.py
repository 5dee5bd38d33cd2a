"""The library as others see it: every public name is documented, typed, and in the manual."""

import ast
import inspect
import re
import textwrap
import typing
from pathlib import Path

import imageine.runner
import pytest

ROOT = Path(__file__).parents[1]
NAMES = imageine.runner.__all__


def members(name: str) -> list[tuple[str, object]]:
    """``(dotted name, function or property)`` of what an exported name offers: itself, or a class's public members."""
    exported = getattr(imageine.runner, name)
    if not inspect.isclass(exported):
        return [(name, exported)]
    found = [(f"{name}.__init__", exported.__init__)] if "__init__" in vars(exported) else []
    for key, member in vars(exported).items():
        is_ours = inspect.isfunction(member) or isinstance(member, (property, classmethod, staticmethod))
        if is_ours and not key.startswith("_"):
            found.append((f"{name}.{key}", member))
    return found


def plain(member: object) -> typing.Callable:
    """The function behind a method of any kind."""
    if isinstance(member, property):
        return member.fget
    return member.__func__ if isinstance(member, (classmethod, staticmethod)) else member


ALL_MEMBERS = dict(pair for name in NAMES for pair in members(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_docstring(name):
    text = inspect.getdoc(getattr(imageine.runner, name))
    # A dataclass without one of its own gets its signature.
    assert text and not text.startswith(f"{name}(")


@pytest.mark.parametrize("name", [name for name in ALL_MEMBERS if not name.endswith("__init__")])
def test_every_member_has_a_docstring(name):
    """One that does no more than return something may leave it to its name."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(plain(ALL_MEMBERS[name])))).body
    is_plain = len(definition.body) == 1 and isinstance(definition.body[0], ast.Return)
    assert is_plain or inspect.getdoc(ALL_MEMBERS[name])


@pytest.mark.parametrize("name", ALL_MEMBERS)
def test_every_parameter_and_result_is_annotated(name):
    signature = inspect.signature(plain(ALL_MEMBERS[name]))
    bare = {
        key
        for key, entry in signature.parameters.items()
        # What is passed on as it is has the types of the function that it goes to.
        if entry.annotation is inspect.Parameter.empty and entry.kind is not inspect.Parameter.VAR_KEYWORD
    }
    assert bare <= {"self", "cls"}
    assert name.endswith("__init__") or signature.return_annotation is not inspect.Signature.empty


def test_type_checkers_see_what_is_imported_when_used():
    """The names come by ``__getattr__``, which no type checker follows: each is imported for them as well."""
    tree = ast.parse((ROOT / "runner" / "__init__.py").read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    seen = {
        alias.asname: f".{statement.module}"
        for block in blocks
        for statement in block.body
        for alias in statement.names
        if alias.asname == alias.name  # "import X as X" is how a stub exports a name
    }
    assert seen == imageine.runner._EXPORTS


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "py.typed").is_file()
    assert '"py.typed"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_manual_lists_every_name():
    text = (ROOT / "docs" / "runner.md").read_text(encoding="utf-8")
    table = text.split("### Public names")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(NAMES)
