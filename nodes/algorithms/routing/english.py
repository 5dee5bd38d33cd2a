"""English: the constructions of wishes."""

import re

from . import lexicon
from .grammar import load_grammar
from .patterns import line_of

_REWRITES = (
    (
        r"\b(?:um|uh|erm|uhm|hmm|maybe|perhaps|ngl|possibly|preferably|probably|actually|honestly|basically|ideally) ",
        "",
    ),
    (r"\b(?:you know|i think|i guess|if possible|if you can|kind of|sort of|like totally) (?!a |an |the )", ""),
    (r"(?<=\S )(?:just|still|please|simply|rather) (?=(?:need|needs|has|have|make|be|is|are|was|a|an|the|to)\b)", ""),
    (
        r"'s (?=(?:fine|ok|okay|good|great|nice|ugly|not|a|in|on|all|too|so|way|really|very|looking|been|gone) )",
        " is ",
    ),
    (r"\bit's (the (?:\S+ ){1,3})that (?=should|must|needs|has)", r"\1"),
    (r"\b(?:should of|should've|should have|ought to have) been ", "should be "),
    (
        r"\b(it|they|he|she|that|this)(?:'s| is| are| was| were)? (?:supposed|meant|used|intended) to (?=be|have|look)",
        r"\1 should ",
    ),
    (r"\bhow \S+ would (?=an? )", ""),
    (r"'s just ", " is just "),
    (r"'s (?=\w+ing (?:for|out) )", " is "),
    (r"\bround (?=(?:the|a|an|my|his|her|our|their|your|its|this|that|every) )", "around "),
    (r"\b(?:lol|lmao|haha|hehe) (?!$)", ", "),
    (r"^(?:\S+ ){0,8}(?:asking|asks|asked|wondering|wonders|wonder|know) (?:whether|if) ", ""),
    (r"\b(she|he|they|it|i|we)'d (?=look|be |suit)", r"\1 would "),
    (r"\binfront ", "in front "),
    (r"\bshould not ", "shouldn't "),
    (r"\bmust not ", "mustn't "),
    (r"\b(?:like it was before|like before|as before) ", ""),
    (r"\b(?:do not|dont|don't ever|do n't) ", "don't "),
    (r"\b(?:im|i am) ", "i'm "),
    (r"\bgimme ", "give me "),
    (r"\b(?:wanna) ", "want to "),
    (r"\b(?:gotta) ", "has to "),
    (r"\bu ", "you "),
    (r"\bw ", "with "),
    (r"\b(?:plz|pls|plese|plaese|pleas|pleaze) ", "please "),
    (r"\b(?:id|i would) (?=like|love|prefer|really|rather|be )", "i'd "),
    (r"\bwe would (?=like|love|prefer)", "we'd "),
    (r"\b(?:cant) ", "can't "),
    (r"\b(?:the )?colou?rs? of ", "the colour of "),
    (r"\bmake up (?!for)", "make-up "),
    (
        r"\b(?:af|tho|omg|btw|literally|super duper|fr fr|kinda|sorta|any more|anymore|whatsoever|photorealistically) ",
        "",
    ),
    (r"\b(?:ones) ", "one "),
    (r"\bwith it ", ""),
    (r"\bmake that ", "make "),
    (r"\bwhat (?:he|she|they|i|we|\S+ \S+) (?:is|are|am|was) wearing ", "the clothes "),
    (r"\b(?:from top to bottom|from head to toe|from scratch|all the way|every bit of it) ", ""),
    (r"\bhole (?=(?:photo|picture|pic|image|thing|scene|room|house))", "whole "),
    (r"\bform (?=(?:the|my|his|her|this|our) )", "from "),
    (r"\b(?:giv|gve) ", "give "),
    (
        r"(?:^|(?<=, ))(?:so )?for (?:my|the|our|a|an) (?:\S+ ){1,4}?"
        r"(?=(?:i|we|make|put|change|turn|swap|replace|remove|give|paint|erase|delete|could|please) )",
        "",
    ),
)
_REWRITES = tuple((re.compile(pattern), new) for pattern, new in _REWRITES)


def words(tokens: list[str]) -> list[str]:
    """Spelling corrected, contractions unified, compounds joined (``living_room``), gerunds of verbs undone."""
    known = lexicon.english()
    line = line_of(tokens)
    for pattern, new in _REWRITES:
        line = pattern.sub(new, line)
    corrected = [known.corrected(word) for word in line.split()]
    return joined(corrected, known)


def joined(tokens: list[str], known: lexicon.Lexicon) -> list[str]:
    """Neighbours that are one word of the lexicon as one: ``living_room``."""
    found, index = [], 0
    while index < len(tokens):
        for parts in known.compounds.get(tokens[index], ()):
            size = len(parts)
            last = tokens[index + size - 1] if index + size <= len(tokens) else ""
            ends = last.removesuffix("'s") == parts[-1] or lexicon.singular(last) == parts[-1]
            if ends and tuple(tokens[index : index + size - 1]) == parts[:-1]:
                found.append("_".join((*parts[:-1], last)))
                index += size
                break
        else:
            found.append(tokens[index])
            index += 1
    return found


def clause_words(found: tuple[str, ...]) -> tuple[str, ...]:
    """A verb's gerund at the start of a clause as the verb: "any chance of removing ..."."""
    if not found or not found[0].endswith("ing"):
        return found
    stem = found[0].removesuffix("ing")
    bases = (stem, stem + "e", stem[:-1])
    return (next((base for base in bases if base in GRAMMAR.starters), found[0]), *found[1:])


GRAMMAR = load_grammar(
    "en", words=words, translate=lambda phrase, ordered=True: phrase, joins="and then but plus also finally while &"
)
