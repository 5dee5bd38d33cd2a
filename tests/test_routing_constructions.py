"""How the router reads what surrounds a wish: statements, complaints, hedges, unknown words, what follows what."""

import pytest
from imageine.nodes.algorithms.routing import route
from imageine.nodes.algorithms.routing.guessing import NO_RULE, guess
from imageine.nodes.algorithms.routing.languages import grammar_of
from imageine.nodes.algorithms.routing.lexicon import english
from imageine.nodes.algorithms.routing.noun_phrases import Phrase, classes, finite_verb
from imageine.nodes.algorithms.routing.patterns import needed, rules
from imageine.nodes.algorithms.routing.text import normalised


def edits(wish: str) -> list[tuple[str, str]]:
    return [(edit.category, edit.target) for edit in route(wish).edits]


@pytest.mark.parametrize(
    ("wish", "category", "target"),
    [
        ("The saree is a horrible mustard in this light, it should be bottle green.", "colour", "saree"),
        ("I painted the fence last week. Could it be blue?", "colour", "fence"),
        ("My brother keeps asking whether the door would look good in green.", "colour", "door"),
        ("The car's fine but I wish it were black.", "colour", "car"),
        ("the lamp stands in the corner, I don't want to pay for another: make it brass", "material", "lamp"),
        ("Those curtains are hideous. Something in white linen please.", "material", "curtains"),
        ("That glass coffee table is awful, I'd put a round wooden one there.", "object", "glass coffee table"),
        ("I can't stand that lamp, a candle would be much nicer.", "object", "lamp"),
        ("The shorts ruin the whole business look, he needs suit trousers.", "clothes", "shorts"),
    ],
)
def test_a_statement_is_no_edit_and_tells_what_the_wish_is_about(wish, category, target):
    assert edits(wish) == [(category, target)]


@pytest.mark.parametrize(
    ("wish", "target"),
    [
        ("The trash can ruins it.", "trash can"),
        ("There is a pushchair behind the bench that spoils my picture", "pushchair"),
        ("there's a dustbin behind her, get it out of the frame", "dustbin"),
        ("the cyclist shouldn't be there", "cyclist"),
        ("take the poster down", "poster"),
        ("The lamp on the left has to vanish before this goes live", "lamp"),
    ],
)
def test_what_spoils_the_photo_is_to_go(wish, target):
    assert edits(wish) == [("removal", target)]


@pytest.mark.parametrize(
    ("wish", "category", "target"),
    [
        ("hey um could the bicycle maybe be mint green", "colour", "bicycle"),
        ("Make our van white (it's the rental, ours is in the garage this week)", "colour", "van"),
        ("the jumpsuit just needs to go from black to emerald", "colour", "jumpsuit"),
        ("it's the ottoman that should be a piano", "object", "ottoman"),
        ("the bike should have been a scooter", "object", "bike"),
        ("what if it snowed", "light", ""),
        ("how about a sunset?", "light", ""),
        ("she'd look great with bangs", "appearance", "hair"),
        ("the walls deserve a coat of sage green", "colour", "walls"),
        ("clean up the spots on the wall", "removal", "spots"),
        ("for the album cover make the horse white", "colour", "horse"),
        ("replace the chair with a throne carved from a block of obsidian", "object", "chair"),
    ],
)
def test_hedges_asides_and_questions(wish, category, target):
    assert edits(wish) == [(category, target)]


@pytest.mark.parametrize(
    ("wish", "category", "target"),
    [
        ("zorble the walls down to a warm white", "colour", "walls"),
        ("zorble the door from coral to burgundy", "colour", "door"),
        ("zorble the bathroom over like a spa in Bali", "restyle", ""),
        ("zorble the creases out of the shirt", "removal", "creases"),
        ("zorble a mirror to the door", "object", "door"),
        ("zorble some boots on her legs", "clothes", "legs"),
        ("zorble the whole frame", "restyle", ""),
        ("zorble the dog off to the Alps", "background", "background"),
    ],
)
def test_an_unknown_verb_is_read_by_its_construction(wish, category, target):
    assert edits(wish) == [(category, target)]


@pytest.mark.parametrize(
    ("wish", "category", "target"),
    [
        ("grandpa in a zorble", "clothes", "clothes"),
        ("me in Zorblia", "background", "background"),
        ("replace his zorble with a fedora", "clothes", "zorble"),
        ("swap the zorbler for a knight", "person", "zorbler"),
        ("turn the entire zorble into a watercolour", "restyle", ""),
        ("the zorble should be matte black", "colour", "zorble"),
        ("zorble, eggshell blue", "colour", "zorble"),
    ],
)
def test_an_unknown_noun_is_read_by_its_construction(wish, category, target):
    assert edits(wish) == [(category, target)]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("lose the hoodie and put him in a blazer", [("clothes", "hoodie")]),
        ("get me out of that muddy anorak, into a camel overcoat", [("clothes", "muddy anorak")]),
        ("ditch the jeans for some shorts", [("clothes", "jeans")]),
        ("remove the bench and put a swing there", [("object", "bench")]),
        ("make it a snowy evening & take out the parked vans", [("light", ""), ("removal", "parked vans")]),
        ("The wheelie bins are bright green. Make them dark grey.", [("colour", "wheelie bins")]),
        ("Put him in a kilt and a tweed jacket", [("clothes", "clothes")]),
    ],
)
def test_what_takes_the_place_of_what(wish, expected):
    assert edits(wish) == expected


@pytest.mark.parametrize(
    ("language", "wish", "category", "target"),
    [
        ("de", "das Auto bitte in Blau", "colour", "car"),
        ("de", "aus dem Mann wird ein Ritter", "person", "man"),
        ("fr", "derrière la femme, plutôt une plage", "background", "background"),
        ("es", "donde está la silla que haya un sofá", "object", "chair"),
    ],
)
def test_constructions_of_other_languages(language, wish, category, target):
    assert edits(wish) == [(category, target)]


@pytest.mark.parametrize(
    ("text", "category", "target"),
    [
        ("tripod eyesore", "removal", "tripod"),
        ("curls for the bride", "appearance", "hair"),
        ("sofa velvet", "material", "sofa"),
    ],
)
def test_a_guess_by_the_words_alone(text, category, target):
    meaning = guess(normalised(text), grammar_of("en"))
    assert (meaning.category, meaning.target) == (category, target)
    assert meaning.confidence <= NO_RULE


def test_nothing_known_is_no_guess():
    assert guess("xyzzy qwrtz", grammar_of("en")) is None


@pytest.mark.parametrize(
    ("words", "head"),
    [
        ("the bloke photobombing on the left", "bloke"),
        ("the cones round the van", "cones"),
        ("a ninja mid-trick", "ninja"),
        ("uncle jerry", "uncle"),
        ("that bench should be", "bench"),
        ("the hijab zorbles into the wall", "hijab"),
    ],
)
def test_where_a_noun_phrase_ends(words, head):
    assert Phrase(tuple(words.split())).head == head


def test_a_verb_in_the_third_person_is_told_from_a_plural():
    assert finite_verb(("the", "wall", "zorbles", "into"))
    assert not finite_verb(("the", "wall", "tiles", "into"))
    assert not finite_verb(("the", "wall", "zorbles"))


@pytest.mark.parametrize(
    ("word", "kind"), [("greatercoat", "upper"), ("flowershoes", "feet"), ("zorblewoman", "person")]
)
def test_an_unknown_compound_is_of_the_class_of_its_last_part(word, kind):
    assert kind in classes(word)


@pytest.mark.parametrize("word", ["blends", "brofh", "pivor"])
def test_short_words_are_not_turned_into_others(word):
    assert english().corrected(word) == word


def test_a_construction_names_the_words_it_needs():
    assert needed("{swap} [out] <old> (for|in exchange for) *", {"swap": ["swap", "do away with"]}) == (
        frozenset({"swap", "do"}),
        frozenset({"for", "in"}),
    )


def test_a_wildcard_is_a_verb_and_no_article():
    (rule,) = rules("become: * <old:the> to <new>", {"the": ["the", "his"]})
    assert rule.match("push the door to ochre ").old == ("the", "door")
    assert rule.match("push a door to ochre ") is None
    assert rule.match("behind the door to ochre ") is None
    assert not rule.may_fit(frozenset({"push", "the", "door"}))


@pytest.mark.parametrize(
    ("wish", "category", "target"),
    [
        ("put everyone in matching jumpers", "clothes", "clothes"),
        ("put a bow tie on grandpa", "clothes", "neck"),
        ("change the velvet of the chair to linen", "material", "chair"),
        ("HOA wants a mock-up, paint the shutters charcoal", "colour", "shutters"),
        ("tausch die Kuckucksuhr gegen eine Vase", "object", "clock"),
    ],
)
def test_what_is_masked_is_a_thing_in_the_photo(wish, category, target):
    assert (category, target) in edits(wish)
