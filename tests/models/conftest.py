"""A hub of our own, a models folder, and nothing of the user's settings."""

import pytest
from imageine.runner import models
from support.hub import Hub, isolate


@pytest.fixture(autouse=True)
def private_settings(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def hub():
    with Hub() as server:
        yield server


@pytest.fixture
def folders(tmp_path):
    return models.models_dirs(tmp_path / "models")
