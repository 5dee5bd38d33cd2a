"""What the documents say against what there is."""

import re
from pathlib import Path

import pytest
from imageine.runner import Workflow, errors
from imageine.runner.cli import app
from typer.main import get_command

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_error_code_is_documented_with_its_meaning():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", read("docs/runner.md").split("## Errors")[1], re.MULTILINE))
    assert rows == errors.CODES


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_and_options_exist(page):
    """Every ``imageine COMMAND --option`` in a code block is one the command line has."""
    command = get_command(app)
    for line in re.findall(r"^(?:    )?(imageine [a-z].*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        words = line.split("   ")[0].split(" #")[0].split()[1:]
        node = command
        while words and hasattr(node, "commands"):
            name = words.pop(0).split("|")[0]
            assert name in node.commands, line
            node = node.commands[name]
        options = {option for parameter in node.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= options, line


def test_every_command_is_in_the_runner_page():
    text = read("docs/runner.md")
    for name in get_command(app).commands:
        assert f"imageine {name}" in text, name


def test_every_node_is_in_the_readme():
    for page in (ROOT / "web" / "docs").glob("*.md"):
        title = page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        assert title in read("README.md"), title


def test_inputs_that_the_documents_name_exist():
    names = Workflow.load("Simple Edit").inputs
    for page in PAGES:
        for name in re.findall(r"--set (\w+)=", page.read_text(encoding="utf-8")):
            assert name in names, f"{page.name}: {name}"


def test_tests_that_the_documents_name_exist():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for page in PAGES:
        for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")):
            assert f"def {name}(" in code, f"{page.name}: {name}"
