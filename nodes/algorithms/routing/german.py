"""German: verbs at the start or at the end, in two parts as often as not ("zieh ihm einen Anzug an")."""

from .grammar import load_grammar
from .translation import dictionary, plain

_SOFTENING = frozenset(
    {"bitte", "mal", "doch", "halt", "vielleicht", "lieber", "auch", "gerne", "eher", "wohl", "noch"}
    | {"vorne", "vorn", "hinten", "links", "rechts", "oben", "unten", "dort", "drueben"}
)


def words(tokens: list[str]) -> list[str]:
    """Umlauts as two letters; without words that only soften."""
    found = [plain(token, "de") for token in tokens]
    return [word for word in found if word not in _SOFTENING] or found


GRAMMAR = load_grammar(
    "de",
    words=words,
    translate=dictionary("de").translate,
    joins="und dann aber danach",
    enders="weg raus damit entfernen loeschen streichen faerben machen ersetzen beseitigen wegmachen rausnehmen "
    "wegretuschieren retuschieren herausnehmen wegnehmen tauschen austauschen umfaerben anziehen aufsetzen",
    trust=0.95,
)
