"""The words alone: the stored weights, what they say of wishes, and how sure they may make."""

import json
import os

import pytest
from imageine.nodes.algorithms.routing import CATEGORIES, classifier, route, training, word_model
from imageine.nodes.algorithms.routing.decision import new_edit
from imageine.nodes.algorithms.routing.refine import refine


def test_the_stored_weights_are_learned_from_the_examples():
    """``IMAGEINE_UPDATE=1`` writes them anew: after every change of the examples."""
    learned = training.word_weights(classifier.examples())
    if os.environ.get("IMAGEINE_UPDATE"):
        training.store_weights(learned, word_model.WEIGHTS)
    stored = json.loads(word_model.WEIGHTS.read_text(encoding="utf-8"))
    assert stored["digest"] == learned["digest"], "The examples have changed: run this test with IMAGEINE_UPDATE=1."
    shared = stored["parts"].keys() & learned["parts"].keys()
    assert len(shared) > 0.95 * len(stored["parts"])  # a new word in the lexicon changes a few
    apart = [abs(a - b) for part in shared for a, b in zip(stored["parts"][part], learned["parts"][part], strict=True)]
    assert sum(apart) / len(apart) < 5  # of SCALE


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("paint the gate green", "colour"),
        ("get rid of the tourists", "removal"),
        ("put her in a parka", "clothes"),
        ("swap the sofa for two rattan chairs", "object"),
    ],
)
def test_words_tell_the_category(text, category):
    reading = word_model.read_words(text)
    assert list(reading.probabilities) == list(CATEGORIES) and not reading.strange
    assert sum(reading.probabilities.values()) == pytest.approx(1)
    assert max(reading.probabilities, key=reading.probabilities.get) == category


@pytest.mark.parametrize("text", ["asdf qwer zxcv", "make", "", "0 1 2 3 4 5"])
def test_what_has_hardly_a_known_word_is_strange(text):
    assert word_model.read_words(text).strange


def test_words_alone_make_a_guess_no_surer_than_a_guess():
    guess = new_edit("object", "walls", "walls", confidence=0.3, reasons=("A guess.",))
    found = refine(guess, "paint the walls green", by_words=True)
    assert (found.category, found.target) == ("colour", "walls") and found.confidence <= 0.55
    nothing = new_edit("colour", "x", "x", confidence=0.2, reasons=())
    assert refine(nothing, "paint the walls green", by_words=True).confidence <= 0.3


def test_they_speak_where_no_rule_fits():
    decision = route("platinum highlights and a fringe would be a dream on her")
    assert decision.category == "appearance"
