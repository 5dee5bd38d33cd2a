"""The model manifest: what models.json names, and how a user picks from it."""

import difflib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..errors import ModelError

MANIFEST = Path(__file__).with_name("models.json")
_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Licence:
    """A model's licence: its name, the SPDX identifier where there is one, and the text's address."""

    name: str
    url: str
    spdx: str | None = None


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    ``source`` is its path in the repository, ``target`` its path below ComfyUI's models folder, both with forward
    slashes. ``size`` (bytes) and ``sha256`` (lower-case hex) are None when no source names them; the hub's own
    metadata then stands in for them when the file is pulled.
    """

    source: str
    target: str
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The path inside the model folder (``checkpoints``, ``sams``): ``target`` without its first part."""
        return self.target.split("/", 1)[1]


@dataclass(frozen=True)
class Model:
    """One entry of the manifest. ``default`` models make up their pipelines; the others are alternatives."""

    id: str
    role: str
    title: str
    pipelines: tuple[str, ...]
    default: bool
    repo: str
    revision: str
    folder: str
    licence: Licence
    gated: bool
    files: tuple[ModelFile, ...]
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files whose size the manifest knows."""
        return sum(file.size or 0 for file in self.files)

    @property
    def page(self) -> str:
        """The model's page on the hub, where its terms are read and accepted."""
        return f"{hub_endpoint()}/{self.repo}"

    def url(self, file: ModelFile, endpoint: str | None = None) -> str:
        """The address a browser, or curl, can fetch ``file`` from."""
        return f"{endpoint or hub_endpoint()}/{self.repo}/resolve/{self.revision}/{file.source}"


def hub_endpoint() -> str:
    """The hub's address: ``HF_ENDPOINT`` (a mirror) when set, else huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


@lru_cache(maxsize=4)
def load_manifest(path: Path = MANIFEST) -> tuple[Model, ...]:
    """Every model of the manifest, in its order."""
    entries = json.loads(path.read_text(encoding="utf-8"))["models"]
    return tuple(_model(entry) for entry in entries)


def _model(entry: dict) -> Model:
    fields = dict(entry)
    fields["pipelines"] = tuple(fields["pipelines"])
    fields["licence"] = Licence(**fields["licence"])
    fields["files"] = tuple(ModelFile(**file) for file in fields["files"])
    return Model(**fields)


def select(names: Iterable[str], manifest: Iterable[Model] | None = None) -> list[Model]:
    """The models that ``names`` mean, each once, in manifest order.

    A name is a model's id, a pipeline (``simple``: its default models) or ``all``. Raises ``ModelError``
    (``model_unknown``) for anything else.
    """
    manifest = tuple(load_manifest() if manifest is None else manifest)
    chosen = set()
    for name in names:
        matches = [model.id for model in manifest if _means(name, model)]
        if not matches:
            raise _unknown(name, manifest)
        chosen.update(matches)
    return [model for model in manifest if model.id in chosen]


def _means(name: str, model: Model) -> bool:
    return name in ("all", model.id) or (name in model.pipelines and model.default)


def _unknown(name: str, manifest: tuple[Model, ...]) -> ModelError:
    pipelines = sorted({pipeline for model in manifest for pipeline in model.pipelines if model.default})
    known = [*pipelines, "all", *(model.id for model in manifest)]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(known)}."
    message = f"No model or pipeline is called '{name}'."
    return ModelError("model_unknown", message, hint, {"name": name, "known": known})
