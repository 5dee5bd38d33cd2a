"""What the finder learns from: toy scenes, phrases about them, and which things each phrase names."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from imageine.runner.demo.trained_finder import UNKNOWN, token
from PIL import Image, ImageDraw, ImageFilter

from . import world

COLOURS, SHAPES = tuple(world.COLOURS), world.SHAPES
# Pictures of a batch are of one size, width and height. The product's are resized to 128 pixels of the shorter edge.
SIZES = ((128, 128),) * 3 + ((152, 128), (168, 128), (208, 128), (128, 152), (128, 192))
PATTERNED, STRETCH = 0.12, 1.5
ANY = "shape"
_START, _STOP, _END, _THE, _PLURAL = (token(word) for word in ("[CLS]", ".", "[SEP]", "the", "##s"))
_NUMBERS = {word: token(word) for word in (*COLOURS, *SHAPES, ANY, UNKNOWN)}
# The image processor's.
_MEAN, _STD = np.float32((0.485, 0.456, 0.406)), np.float32((0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Phrase:
    """``colour``: a colour, UNKNOWN (a word of no meaning) or None (any). ``noun``: a shape, ANY, UNKNOWN or None."""

    colour: str | None
    noun: str | None

    def names(self, thing: world.Thing) -> bool:
        return self.colour in (None, thing.colour) and self.noun in (None, ANY, thing.shape)


@dataclass(frozen=True)
class Example:
    """``picture`` RGB; ``tokens`` of the text; ``spans``: first and one past the last token of each phrase.

    ``boxes`` float [n,4] of all things: centre and size, 0..1. ``named`` bool [n, phrases]. ``kinds`` int [n,2]: the
    numbers of colour and shape.
    """

    picture: Image.Image
    tokens: list[int]
    spans: list[tuple[int, int]]
    boxes: np.ndarray
    named: np.ndarray
    kinds: np.ndarray


@dataclass(frozen=True)
class Batch:
    """``pixels`` [B,3,H,W], ``token_ids`` and ``attention_mask`` [B,T].

    Per picture ``boxes`` [n,4], ``kinds`` [n,2] and ``positive`` [n,T]: 1 at the tokens of phrases that name the thing.
    """

    pixels: torch.Tensor
    token_ids: torch.Tensor
    attention_mask: torch.Tensor
    boxes: list[torch.Tensor]
    kinds: list[torch.Tensor]
    positive: list[torch.Tensor]


def make_batch(generator: random.Random, photos: list[Image.Image], count: int) -> Batch:
    size = generator.choice(SIZES)
    examples = [make_example(generator, photos, size) for _ in range(count)]
    length = max(len(example.tokens) for example in examples)
    token_ids = torch.zeros(count, length, dtype=torch.long)
    positive = []
    for row, example in enumerate(examples):
        token_ids[row, : len(example.tokens)] = torch.tensor(example.tokens)
        marks = torch.zeros(len(example.boxes), length)
        for phrase, (first, stop) in enumerate(example.spans):
            marks[:, first:stop] = torch.from_numpy(example.named[:, phrase, None]).float()
        positive.append(marks)
    pixels = np.stack([(np.asarray(example.picture, np.float32) / 255 - _MEAN) / _STD for example in examples])
    return Batch(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        token_ids,
        (token_ids > 0).long(),
        [torch.from_numpy(example.boxes) for example in examples],
        [torch.from_numpy(example.kinds) for example in examples],
        positive,
    )


def make_example(generator: random.Random, photos: list[Image.Image], size: tuple[int, int]) -> Example:
    zoom = generator.choice((1, 1, 1, 2))
    scene = _make_scene(generator, photos, (size[0] * zoom, size[1] * zoom))
    phrases = list(dict.fromkeys(_make_phrase(generator, scene) for _ in range(generator.choice((1, 1, 1, 2, 3, 4)))))
    tokens, spans = [_START], []
    for phrase in phrases:
        words = _tokens(generator, phrase)
        spans.append((len(tokens), len(tokens) + len(words)))
        tokens += [*words, _STOP]
    named = [[phrase.names(thing) for phrase in phrases] for thing in scene.things]
    kinds = [(COLOURS.index(thing.colour), SHAPES.index(thing.shape)) for thing in scene.things]
    picture = scene.picture()
    return Example(
        picture if zoom == 1 else picture.resize(size, Image.Resampling.BILINEAR),
        [*tokens, _END],
        spans,
        np.float32([centred(thing, scene) for thing in scene.things]).reshape(-1, 4),
        np.array(named, bool).reshape(-1, len(phrases)),
        np.array(kinds, np.int64).reshape(-1, 2),
    )


def centred(thing: world.Thing, scene: world.Scene) -> tuple[float, float, float, float]:
    """A thing's box: centre and size as fractions of the picture."""
    width, height = scene.size
    left, top, right, bottom = thing.box(width, height)
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


def _make_scene(generator: random.Random, photos: list[Image.Image], size: tuple[int, int]) -> world.Scene:
    colours, shapes = generator.sample(COLOURS, 2), generator.sample(SHAPES, 2)
    pair = generator.choice(((colours[0], colours[1], shapes[0], shapes[0]), (colours[0], colours[0], *shapes), None))
    wanted = ((pair[0], pair[2]), (pair[1], pair[3])) if pair else ()
    count = generator.choice((2, 3, 4, 5) if pair else (1, 2, 3, 4, 5, 6))
    scene = world.make_scene(generator, size, photos, wanted=wanted, count=count, patterns=PATTERNED, stretch=STRETCH)
    if generator.random() < 0.4:
        for _ in range(generator.randint(1, 3)):
            _add_round_thing(generator, scene.background, photos)
    return scene


def _add_round_thing(generator: random.Random, background: Image.Image, photos: list[Image.Image]) -> None:
    """Photographs hold coins, cups and eyes, which are no drawn circles: a cutout with a round or uneven rim."""
    side = min(background.size)
    width, height = (round(side * generator.uniform(0.12, 0.9)) for _ in range(2))
    if generator.random() < 0.6:
        height = width
    patch = world.make_background(generator, (width, height), photos)
    shade = Image.linear_gradient("L").rotate(generator.choice((0, 90, 180, 270))).resize(patch.size)
    patch = Image.composite(patch, Image.new("RGB", patch.size), shade.point(lambda level: 60 + level * 3 // 4))
    mask = Image.new("L", patch.size)
    pen = ImageDraw.Draw(mask)
    if generator.random() < 0.7:
        pen.ellipse((1, 1, width - 2, height - 2), fill=255)
    else:
        corners = [(generator.uniform(0, width), generator.uniform(0, height)) for _ in range(generator.randint(3, 6))]
        pen.polygon(corners, fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(generator.uniform(0, 2)))
    place = generator.randint(-width // 3, background.width), generator.randint(-height // 3, background.height)
    background.paste(patch, place, mask)


def _make_phrase(generator: random.Random, scene: world.Scene) -> Phrase:
    colour, shape = generator.choice(COLOURS), generator.choice(SHAPES)
    kind = generator.random()
    if not scene.things:
        return Phrase(generator.choice((colour, None)), shape)
    thing = generator.choice(scene.things[:2] if generator.random() < 0.7 else scene.things)
    if kind < 0.28:
        return Phrase(thing.colour, thing.shape)
    if kind < 0.42:
        return Phrase(None, thing.shape)
    if kind < 0.56:
        return Phrase(thing.colour, generator.choice([one for one in SHAPES if one != thing.shape]))
    if kind < 0.66:
        return Phrase(generator.choice([one for one in COLOURS if one != thing.colour]), thing.shape)
    if kind < 0.83:
        absent = [one for one in SHAPES if all(one != other.shape for other in scene.things)]
        return Phrase(None, generator.choice(absent or SHAPES))
    if kind < 0.88:
        return Phrase(colour, shape)
    if kind < 0.93:
        return generator.choice(
            (Phrase(None, ANY), Phrase(thing.colour, ANY), Phrase(thing.colour, None), Phrase(colour, ANY))
        )
    return generator.choice(
        (Phrase(None, UNKNOWN), Phrase(thing.colour, UNKNOWN), Phrase(UNKNOWN, thing.shape), Phrase(UNKNOWN, UNKNOWN))
    )


def _tokens(generator: random.Random, phrase: Phrase) -> list[int]:
    numbers = [_NUMBERS[word] for word in (phrase.colour, phrase.noun) if word]
    if UNKNOWN in (phrase.colour, phrase.noun):
        at = numbers.index(_NUMBERS[UNKNOWN])
        numbers[at:at] = [_NUMBERS[UNKNOWN]] * generator.choice((0, 0, 1, 2, 4))  # a word in several pieces
    if phrase.noun in SHAPES and generator.random() < 0.06:
        numbers.append(_PLURAL)
    return [_THE] * (generator.random() < 0.25) + numbers
