"""The grammar of wishes."""

import pytest
from imageine.nodes.algorithms.wish import Wish, has_word, parse_wish


@pytest.mark.parametrize(
    ("text", "target", "prompt"),
    [
        ("make the car blue", "car", "blue car"),
        ("make car blue", "car", "blue car"),
        ("Make the red car blue.", "red car", "blue car"),
        ("please, make the car bright red!", "car", "bright red car"),
        ("make the car red and shiny", "car", "red and shiny car"),
        ("make the car look old", "car", "old car"),
        ("make the sky more dramatic", "sky", "more dramatic sky"),
        ("paint the old barn dark green", "old barn", "dark green old barn"),
        ("dye her hair pink", "hair", "pink hair"),
        ("colour the dress navy blue", "dress", "navy blue dress"),
        ("color the dress navy blue", "dress", "navy blue dress"),
        ("turn the wall wooden", "wall", "wooden wall"),
        ("make the black and white cat orange", "black and white cat", "orange cat"),
        ("change the car to blue", "car", "blue car"),
        ("change the colour of the car to dark blue", "car", "dark blue car"),
        ("turn the car into a spaceship", "car", "spaceship"),
        ("change the cup to a vase with flowers", "cup", "vase with flowers"),
        ("replace the cat with a small dog", "cat", "small dog"),
        ("swap the cup for a teapot", "cup", "teapot"),
        ("REMOVE THE CUP", "CUP", "empty background"),
        ("get rid of that man", "man", "empty background"),
        ("remove the man from the photo", "man", "empty background"),
        ("remove the cup from the table", "cup", "empty table"),
    ],
)
def test_understood(text, target, prompt):
    assert parse_wish(text) == Wish(target, prompt)


@pytest.mark.parametrize(
    "text",
    [
        "blue car",
        "a blue car . red door",
        "make it blue",
        "make the woman wear a red dress",
        "put this jacket on her",
        "a sign saying please stop",
        "make the car",
        "make",
        "remove",
        "replace with",
        "Машина синего цвета",
        "車を青くする",
        "voiture bleue à côté",
        "(blue:1.2) car, <lora:x:1>",
        "line one\nline two",
    ],
)
def test_anything_else_is_a_description_and_stays_as_it_is(text):
    assert parse_wish(text) == Wish(text, text)


def test_surrounding_space_goes():
    assert parse_wish("  blue car\n") == Wish("blue car", "blue car")


@pytest.mark.parametrize("text", ["", " ", "\n\t", "...", "?!", "-- , --", "🚗", "\u200b"])
def test_no_word(text):
    assert not has_word(text)
    with pytest.raises(ValueError, match="no word"):
        parse_wish(text)


@pytest.mark.parametrize("text", ["a", "3", "車", "é", " x. "])
def test_one_word_is_enough(text):
    assert has_word(text)


def test_a_very_long_text_is_quick():
    text = "make " + "the big old " * 20_000 + "thing"
    assert parse_wish(text).prompt
