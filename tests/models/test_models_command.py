"""The `imageine models` commands, on a manifest of one model that a local hub has."""

import json

import pytest
from imageine.runner import models
from imageine.runner.cli.models import app
from support.hub import FILES
from typer.testing import CliRunner


@pytest.fixture
def command(hub, tmp_path, monkeypatch):
    """Run ``imageine models ...`` on a manifest of one model that the local hub has."""
    model = hub.model("sam", FILES)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setattr("imageine.runner.models.manifest.load_manifest", lambda: (model,))
    folder = tmp_path / "models"
    return lambda *arguments: CliRunner().invoke(app, [*arguments, "--models-dir", str(folder)])


def test_command_list_pull_verify(command, hub, tmp_path):
    listed = command("list", "--pipeline", "simple")
    assert listed.exit_code == 0 and "missing" in listed.stdout and "Apache-2.0" in listed.stdout
    planned = command("pull", "--dry-run")
    assert hub.url in planned.stdout and not (tmp_path / "models").exists() and not hub.requests

    pulled = command("pull")
    assert pulled.exit_code == 0 and pulled.stdout.startswith("present\tsam\t")
    assert "licence Apache-2.0" in pulled.stderr
    assert command("verify").stdout.startswith("present\tsam\t")

    (tmp_path / "models/sams/sam/vocab.txt").write_bytes(b"a\nc\n")
    broken = command("verify")
    assert broken.exit_code == 6 and broken.stdout.startswith("corrupt") and "--overwrite" in broken.stderr


def test_command_json_is_clean(command, hub):
    for arguments in (["list"], ["pull", "sam"], ["verify"]):
        result = command(*arguments, "--json")
        assert [model["id"] for model in json.loads(result.stdout)["models"]] == ["sam"]
    result = command("pull", "nothing", "--json")
    assert result.exit_code == 6 and json.loads(result.stdout)["error"]["code"] == "model_unknown"


def test_command_interrupted(command, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "pull", interrupted)
    result = command("pull")
    assert result.exit_code == 130 and "goes on" in result.stderr


def test_command_asks_before_a_gated_model(hub, tmp_path, monkeypatch):
    model = hub.model("sam", FILES, gated=True)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setattr("imageine.runner.models.manifest.load_manifest", lambda: (model,))
    arguments = ["pull", "sam", "--models-dir", str(tmp_path / "models")]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 6 and "model_gated" in refused.stderr and not hub.requests
    assert CliRunner().invoke(app, [*arguments, "--yes"]).exit_code == 0
