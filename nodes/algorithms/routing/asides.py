"""English asides in a clause: mentions of the reference image, purposes, and what something takes the place of."""

import re

_PICTURE = r"(?:image|photo|picture|pic|shot)"
_REFERENCES = (
    r"(?:references?|ref|reference_image|reference_photo|reference_picture|second_image|second_photo|second_picture|"
    r"second_pic|other_image|other_photo|other_picture|attached_photo|attached_image|attachment|swatch|moodboard|"
    r"mood_board|ref_image|ref_pic|ref_photo|inspo|(?:catalogue|catalog|shop|product|inspiration|example|sample|"
    rf"uploaded|attached|other|second|2nd) (?:{_PICTURE}|upload|file|frame|one)|{_PICTURE} (?:one|two|a|b|\d))(?:'s)?"
)
_MENTION = re.compile(
    r"(?:\b(?:from|in|of|on|like|as in|shown in|that is in|as shown in|like in|to|with|as|using|based on|by) )?"
    r"(?:the one |one )?(?:from |in |of |on )?(?:the |this |that |my |our |an |a )?(?:\S+ )?" + _REFERENCES + " "
)
_ONE_THERE = re.compile(
    r"(?:\b(?:the|that) )?(?:one|object) (?:\S+ )?(?:from|in|of|on) (?:the |this |that |my |our |an |a )?(?:\S+ )?"
    + _REFERENCES
    + " "
)
_STANDS_FOR_OLD = re.compile(r"\b(?:one in|one from|one on|one of|the object in)\b")
# In the text as it was typed, not yet cut into words.
_OTHER = rf"(?:(?:reference|ref|second|other|attached|example)(?: {_PICTURE})?)"
_IGNORED = re.compile(
    r"\b(?:ignor(?:e|ing)|forget(?: about)?|disregard|don't use|do not use|dont use|without(?: using)?|not using|"
    rf"no need for|skip) (?:\w+ ){{0,2}}?{_OTHER}\b"
    rf"|\b{_OTHER} (?:has nothing to do|is irrelevant|doesn't matter|does not matter)"
)
_PURPOSES = (
    re.compile(
        r" (?:so (?:that|the|we|i|it|my|people|they|he|she|as)|because|since|before (?:i|we|it|this|the|my|our)|"
        r"in order to|which is|as for|to (?:match|fit|suit|see (?:if|how|what)|go with|make it)) .*$"
    ),
    re.compile(
        r" for (?:my|the|our|a|an|his|her|its) (?:\S+ ){0,4}?(?:listing|shop|store|website|site|cv|card|party|shower|"
        r"prank|client|campaign|album|catalogue|catalog|brochure|poster|invitation|profile|wedding|birthday|magazine|"
        r"page|ad|advert|flyer|instagram|linkedin|passport|portfolio|book|cover|project|job|presentation|mum|mom|dad)"
        r"(?: \S+){0,4} ?$"
    ),
)
INSTEAD = re.compile(r"(?:,? )?(?:instead of|in place of|rather than|in lieu of|as a replacement for|to replace) ")
OPENING_INSTEAD = re.compile(
    r"(?:instead of|in place of|rather than) ((?:\S+ )+?)"
    r"(?:, |(?=(?:i|i'd|we|we'd|she|he|they|it|put|use|have|make|give|show|let|there|place|add) ))"
)
#: Before what is new: "there should be", "she should wear".
LEADING_VERBS = re.compile(
    r"(?:(?:put|place|use|have|make|show|give|take|add|with|want|need|see|get|set|there|should|would|be|is|she|he|"
    r"they|it|me|us|him|her|wear|i|we|like|insert|try|to) )+"
)


def ignores_reference(text: str) -> bool:
    """Whether a normalised text asks not to use the reference image."""
    return bool(_IGNORED.search(text))


def without_reference(line: str) -> str:
    """The line without mentions of the reference; "the one in the reference" leaves "one"."""
    if _STANDS_FOR_OLD.search(line):
        plain = _ONE_THERE.sub("one ", " " + line).lstrip()
    else:
        plain = _MENTION.sub("", " " + line).lstrip()
    return re.sub(r"\s+", " ", plain) or line


def without_purpose(line: str) -> str:
    """The line without what it is for at its end: "for the listing", "to match my dress"."""
    for purpose in _PURPOSES:
        line = purpose.sub(" ", line)
    return line
