"""What the checks look at: the ComfyUI on this machine, its Python, the server. Each is found out once."""

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..client import Client, ServerInfo
from ..client.transport import Address, Refused, Transport
from ..engines import comfyui as places
from ..engines import embedded
from ..engines.connection import EMBEDDED
from ..engines.managed import is_imageine
from ..errors import ImageineError
from ..models import ModelFolders, models_dirs
from ..supported import COMFYUI_PACKAGES, NODE_PACKAGES
from .probe import Answers, ask

# A server that is up answers at once; the doctor must not hang on one that is not.
SERVER_SECONDS = 5.0

ROOT = Path(__file__).absolute().parents[2]


class Server:
    """A server as the doctor meets it: ``info``, or the ``error`` that says why there is none."""

    def __init__(self, url: str, named: bool):
        self.url = url
        self.named = named
        self.info: ServerInfo | None = None
        self.error: ImageineError | None = None
        self._transport: Transport | None = None
        try:
            address = Address.parse(url)
            with Client(url, SERVER_SECONDS) as client:
                self.info = client.check()
                self.url = client.url  # it may have been found elsewhere: a redirect, or /api alone
            self._transport = Transport(Address(self.url, address.auth), SERVER_SECONDS, None)
        except ImageineError as error:
            self.error = error

    @property
    def answers(self) -> bool:
        return self.info is not None

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def get(self, path: str, **options):
        """The response to a GET. Raises ``ServerError``."""
        return self._transport.get(path, **options)

    def get_json(self, path: str, default: Any = None) -> Any:
        """A route's JSON; ``default`` where the server has no such route, or answers otherwise."""
        try:
            return self._transport.get_json(path)
        except Refused:
            return default

    @cached_property
    def stats(self) -> dict:
        return self.get_json("/system_stats", {})

    @cached_property
    def object_info(self) -> dict:
        return self.get_json("/object_info", {})

    @cached_property
    def folders(self) -> dict[str, list[Path]]:
        """Its model and custom_nodes folders where it runs on this machine, else empty.

        An address of this machine may lead to another one (a tunnel, a container): folders that are not here say so.
        """
        if not self._transport.address.is_loopback:
            return {}
        told = self.get_json("/internal/folder_paths", {})
        if not isinstance(told, dict) or not all(isinstance(paths, list) for paths in told.values()):
            return {}
        folders = {name: [Path(path) for path in paths] for name, paths in told.items()}
        return folders if any(path.is_dir() for path in folders.get("custom_nodes", [])) else {}

    @property
    def argv(self) -> list[str]:
        return [str(word) for word in self.stats.get("system", {}).get("argv") or ()]

    @property
    def output_folder(self) -> Path | None:
        """Where it saves pictures, where that is on this machine."""
        if "--output-directory" in self.argv[:-1]:
            return Path(self.argv[self.argv.index("--output-directory") + 1])
        custom_nodes = self.folders.get("custom_nodes")
        return custom_nodes[0].parent / "output" if custom_nodes else None


@dataclass(frozen=True)
class ListedFolders(ModelFolders):
    """The folders that a running server searches, as it tells them."""

    listed: dict[str, list[Path]] = field(default_factory=dict)

    def paths(self, folder: str) -> list[Path]:
        return self.listed.get(folder) or [self.root / folder]


class Site:
    """Which ComfyUI the runner would use with these options (see ``engines.connection``), and what belongs to it."""

    def __init__(self, server: str | None, comfyui: str | Path | None):
        self._server = server
        self.given = Path(comfyui) if comfyui else None
        self.comfyui_error: ImageineError | None = None

    def close(self) -> None:
        server = self.__dict__.get("server")  # not to be looked for now, if nobody has
        if server:
            server.close()

    @cached_property
    def server(self) -> Server | None:
        """None when a folder was named and no server, for the commands then start that one and look at no server, and
        when none is wanted at all."""
        if self.chose_embedded or (self.given and not self._server):
            return None
        return Server(self._named or places.DEFAULT_SERVER, bool(self._named))

    @property
    def _named(self) -> str:
        """The server that was named, of a pool the first; empty when none was, or a folder instead."""
        told = "" if self.given else os.environ.get("IMAGEINE_SERVER", "")
        return self._server or told.split(",")[0].strip()

    @property
    def chose_embedded(self) -> bool:
        """Whether the engine without ComfyUI was asked for by name."""
        return self._named == EMBEDDED

    @property
    def uses_embedded(self) -> bool:
        """Whether edits run without ComfyUI: asked for, or because there is none and the packages for it are here."""
        if self.chose_embedded:
            return True
        found = self.has_server or self.comfyui or self.comfyui_error
        return not (self._named or self.given or found or self.embedded_lacks)

    @cached_property
    def embedded_lacks(self) -> list[str]:
        """The packages that the engine without ComfyUI needs and this Python lacks."""
        return embedded.missing_packages()

    @property
    def has_server(self) -> bool:
        """Whether a server would be used, so that what this machine lacks is no obstacle."""
        return self.server is not None and self.server.answers

    @cached_property
    def comfyui(self) -> Path | None:
        """The ComfyUI folder of this machine; None, with ``comfyui_error``, when what was named is not one."""
        if self.chose_embedded:
            return None
        try:
            return places.find_comfyui(self.given)
        except ImageineError as error:
            self.comfyui_error = error
            return None

    @cached_property
    def python(self) -> Path:
        """The Python that runs that ComfyUI; without one, this program's."""
        return places.choose_python(self.comfyui)

    @cached_property
    def answers(self) -> Answers:
        return ask(self.python, [*NODE_PACKAGES, *COMFYUI_PACKAGES])

    @cached_property
    def folders(self) -> ModelFolders | None:
        """Where the models are searched: by the server if it runs here, by the ComfyUI of this machine, or without one.

        None for a server elsewhere, and where there is nothing to search. Raises ``ModelError`` (option_invalid) for an
        extra_model_paths.yaml that cannot be read.
        """
        if self.has_server:
            listed = self.server.folders
            # The models folder itself is not told: it is where most folders have their name.
            paths = [path for name in listed if name != "custom_nodes" for path in listed[name] if path.name == name]
            roots = Counter(path.parent for path in paths)
            return ListedFolders(roots.most_common(1)[0][0], listed=listed) if roots else None
        return models_dirs(comfyui=self.comfyui) if self.comfyui or self.uses_embedded else None

    @cached_property
    def custom_nodes(self) -> list[Path]:
        """The folders whose extensions ComfyUI loads, of this machine."""
        if self.has_server and self.server.folders:
            return self.server.folders["custom_nodes"]
        if not self.comfyui:
            return []
        extra = models_dirs(comfyui=self.comfyui)
        return [
            *extra.preferred.get("custom_nodes", []),
            self.comfyui / "custom_nodes",
            *extra.extra.get("custom_nodes", []),
        ]

    @cached_property
    def extensions(self) -> list[Path]:
        """Where this extension lies in those folders, links and copies alike; switched-off ones too."""
        found = []
        for folder in self.custom_nodes:
            entries = sorted(folder.iterdir()) if folder.is_dir() else []
            found += [entry for entry in entries if entry.is_dir() and is_imageine(entry)]
        return found
