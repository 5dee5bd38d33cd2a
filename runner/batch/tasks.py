"""What a batch does with each row, read from the row's cells and checked before anything is sent."""

import copy
import difflib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImageineError, InputError
from ..jobs import Prepared
from ..workflow import Input, Workflow
from ..workflow.pictures import Pictures

if TYPE_CHECKING:
    from ..jobs import OnEvent, Place

MASK = "mask"
NAME = "name"
COMMENT = "#"
RANDOM = "random"
_MOST_GUESSES = 20  # looking for alike names takes long; nobody reads more of them


@dataclass(frozen=True)
class Cell:
    """A value as it was given, and the folder that a relative path in it starts from."""

    value: Any
    folder: Path = Path()


@dataclass
class Reading:
    """Cells as inputs: ``settings`` by input name, and ``pictures`` with their paths, as ``written`` and in full.

    A seed to be drawn is the text ``random``. ``problems`` are (column, what is wrong).
    """

    settings: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Made:
    """What a job gave: its files, the main one first, each as (what to add to the job's name, ending, content)."""

    files: list[tuple[str, str, bytes]]
    facts: dict[str, Any]
    notes: list[str]
    seconds: float


class Task(ABC):
    """One kind of job. ``fingerprint`` changes with whatever makes the same cells give another result."""

    name: str
    fingerprint: str

    def __init__(self) -> None:
        self._variants: dict[tuple, tuple[Workflow, dict[str, Any], list[str]]] = {}
        self._guesses = 0
        self._files: dict[Path, bool] = {}
        self._siblings: dict[Path, list[str]] = {}

    @abstractmethod
    def unknown(self, column: str) -> str:
        """Why there can be no such column, closest matches included; empty when there can."""

    @abstractmethod
    def read(self, cells: Mapping[str, Cell]) -> Reading:
        """The inputs that ``cells`` give, all of known columns."""

    @abstractmethod
    def default_seed(self) -> Any:
        """The seed where the cells have none."""

    @abstractmethod
    def resolve(self, object_info: dict) -> None:
        """Take the server's node definitions: ``read`` holds values to them."""

    @abstractmethod
    def perform(
        self,
        settings: Mapping[str, Any],
        pictures: Mapping[str, Path],
        place: "Place",
        tell: "OnEvent",
        timeout: float | None,
    ) -> Made:
        """Do the job. Raises ``ImageineError``."""

    def require_fit(self, place: Any) -> None:
        """Raise ``WorkflowError`` ``workflow_unfit`` when something read since ``resolve`` can be run nowhere."""
        for workflow, settings, images in self._variants.values():
            variant = copy.deepcopy(workflow)
            for name, value in settings.items():
                variant.set(name, value)
            Prepared(variant, Pictures(dict.fromkeys(images)), []).require_fit(place)

    def _remember(self, workflow: Workflow, values: list[tuple[Input, Any]], images: Iterable[str]) -> None:
        """Have ``require_fit`` look at this, unless it has the same choices (models among them) as one before."""
        chosen = sorted((entry.name, str(value)) for entry, value in values if entry.type == "COMBO")
        images = sorted(images)
        key = (workflow.name, *chosen, *images)
        if key not in self._variants:
            settings = {entry.name: value for entry, value in values if value != RANDOM}
            self._variants[key] = (workflow, settings, images)

    def _read_picture(self, reading: Reading, name: str, column: str, cell: Cell) -> None:
        """Take a picture's path, which is looked up but not opened."""
        if not isinstance(cell.value, str | os.PathLike):
            reading.problems.append((column, f"'{column}' takes the path of a picture, not {cell.value!r}."))
            return
        written = str(cell.value).strip()
        path = cell.folder / written
        if not self._is_file(path):
            reading.problems.append((column, f"The picture '{path}' of '{column}' {self._why_missing(path)}"))
        elif name in reading.pictures:
            reading.problems.append((column, f"'{name}' is given twice."))
        else:
            reading.pictures[name] = path
            reading.written[name] = written

    def _read_value(self, reading: Reading, name: str, column: str, read: Callable[[], Any]) -> None:
        if name in reading.settings:
            reading.problems.append((column, f"'{name}' is given twice."))
            return
        try:
            reading.settings[name] = read()
        except ImageineError as error:
            reading.problems.append((column, f"{error.message} {error.hint}".strip()))

    def _is_file(self, path: Path) -> bool:
        if path not in self._files:
            try:
                self._files[path] = path.is_file()
            except (OSError, ValueError):  # a name too long, a zero byte
                self._files[path] = False
        return self._files[path]

    def _why_missing(self, path: Path) -> str:
        self._guesses += 1
        if self._guesses > _MOST_GUESSES:
            return "does not exist."
        try:
            if path.is_dir():
                return "is a folder."
            if path.parent not in self._siblings:
                self._siblings[path.parent] = sorted(entry.name for entry in path.parent.iterdir())
        except (OSError, ValueError):
            return "does not exist, nor does its folder."
        close = guess(path.name, self._siblings[path.parent])
        return f"does not exist.{close}"


def guess(name: str, known: list[str]) -> str:
    """`` Did you mean ...?`` with what is like ``name``, or an empty text."""
    folded = {entry.casefold(): entry for entry in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(folded[match]) for match in close)}?" if close else ""


def is_random(value: Any) -> bool:
    return str(value).strip().casefold() in ("-1", RANDOM)


def require_text(name: str, value: Any) -> str:
    """``value``, if it is a text or a number. Raises ``InputError``."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError("option_invalid", f"'{name}' cannot be {value!r}.", "It is a text.")
    return str(value)
