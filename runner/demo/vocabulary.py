"""A small WordPiece vocabulary laid out like BERT's.

Grounding DINO's text mask in transformers knows four tokens by number ([CLS] 101, [SEP] 102, "." 1012, "?" 1029),
so the special tokens and the punctuation keep BERT's places; the words follow. Every lower-case ASCII word can be
spelled: whole, with a suffix, or letter by letter.
"""

import json
import string
from pathlib import Path

PAD, UNKNOWN, START, END, MASK = 0, 100, 101, 102, 103
FULL_STOP, QUESTION_MARK = 1012, 1029
FIRST_CHARACTER = 999

_SPECIAL = {PAD: "[PAD]", UNKNOWN: "[UNK]", START: "[CLS]", END: "[SEP]", MASK: "[MASK]"}

_SUFFIXES = """
s es ed ing er ers est ly y al ic ive able ible ful less ness ment ments ion ions tion tions ation ity ies ied
or ist ish en an on in ine le el et age ance ence ant ent ous ship hood ward wards like man men woman room house
board light way side top bottom work ball book paper glass fish berry bird wood stone hole line time day night
re un ar ir ur th st nd rd ch sh ck ng nt ll ss tt oo ee ea ou ai qu ph br tr gr pr st str
"""

_WORDS = """
a an the this that these those some any all both each every no not one two three four five six seven eight nine ten
first second last next other another same i you he she it we they me him her us them my your his its our their who
what which where when why how and or but if then than so because while though as of in on at to from by with without
for about into onto over under above below between behind beside near far inside outside up down left right front
back top bottom middle center corner edge side through across around along against toward off out away here there
is are was were be been being am do does did done have has had having can could will would shall should may might
must let please

red green blue yellow orange purple violet pink brown black white grey gray gold golden silver bronze beige cream
ivory navy teal turquoise cyan magenta maroon olive lime lavender indigo crimson scarlet tan khaki peach coral
light dark bright pale deep vivid pastel neon shiny matte glossy metallic transparent clear colored coloured color
colour striped dotted plain patterned checkered floral

car cars truck bus van bike bicycle motorcycle scooter train tram boat ship plane airplane helicopter rocket taxi
wheel tire door doors window windows roof wall walls floor ceiling room house building tower bridge road street
sidewalk path fence gate garden yard park field farm barn shop store market office school church castle city town
village home kitchen bedroom bathroom bed chair table desk sofa couch bench shelf cabinet drawer closet lamp light
mirror clock picture painting photo frame poster curtain carpet rug pillow blanket towel basket box bag backpack
suitcase purse wallet bottle cup mug glass bowl plate dish fork knife spoon chopstick pan pot kettle oven stove
fridge sink toaster microwave tap toilet shower bath soap brush comb phone computer laptop keyboard mouse screen
monitor television camera radio speaker headphone cable battery printer book books magazine newspaper letter paper
pen pencil marker scissors tape card money coin key lock umbrella toy doll ball balloon kite game puzzle guitar piano
drum violin flute microphone hammer nail screw saw drill ladder rope chain bucket broom shovel tool machine robot
engine sign flag statue fountain bench candle fire smoke flame lantern helmet suit spacesuit patch badge logo

person people man men woman women boy girl child children kid kids baby adult teenager lady gentleman guy crowd group
family mother father brother sister friend student teacher doctor nurse worker farmer driver pilot astronaut soldier
police officer king queen player dancer singer artist chef waiter face head hair eye eyes ear ears nose mouth lip lips
teeth tooth tongue beard neck shoulder shoulders arm arms elbow hand hands finger fingers nail chest back waist hip
leg legs knee foot feet toe skin body smile

shirt tshirt blouse sweater hoodie jacket coat vest dress skirt pants trousers jeans shorts suit tie bow scarf glove
gloves hat cap crown shoe shoes boot boots sandal sock socks belt button pocket zipper collar sleeve uniform costume
swimsuit bikini pajamas glasses sunglasses watch ring necklace bracelet earring jewelry fabric cotton wool silk satin
velvet leather denim lace linen fur

cat cats dog dogs kitten puppy horse cow bull sheep goat pig chicken hen rooster duck goose turkey rabbit mouse rat
hamster squirrel deer elk moose bear wolf fox lion tiger leopard elephant giraffe zebra monkey gorilla panda kangaroo
camel bird eagle owl parrot pigeon crow swan penguin fish shark whale dolphin crab lobster octopus turtle frog snake
lizard crocodile dinosaur dragon unicorn insect bee butterfly spider ant fly animal pet tail paw wing feather fur
whisker whiskers beak horn

apple banana orange lemon lime grape strawberry cherry peach pear plum melon watermelon pineapple mango coconut berry
tomato potato carrot onion garlic pepper cucumber lettuce cabbage corn bean beans pea mushroom pumpkin bread toast cake
cookie pie pastry donut croissant pizza burger sandwich pasta noodles rice soup salad cheese butter egg eggs meat beef
pork bacon ham sausage steak sushi sauce salt sugar honey jam chocolate candy ice cream milk water juice tea coffee
espresso latte foam beer wine soda drink food fruit vegetable meal breakfast lunch dinner dessert saucer spoon

tree trees leaf leaves branch trunk root bush grass flower flowers rose tulip daisy sunflower lily plant plants pot
forest jungle wood woods mountain hill valley rock rocks stone sand desert beach sea ocean lake river stream waterfall
pond island sky cloud clouds sun moon star stars rainbow rain snow storm lightning fog mist wind wave waves sunset
sunrise day night morning evening spring summer autumn winter ground earth soil mud dirt dust shadow reflection
background foreground scene view horizon landscape space planet galaxy world

metal iron steel copper brass aluminum wooden plastic rubber ceramic clay concrete brick marble granite tile crystal
diamond pearl cloth canvas cardboard wax texture pattern material surface shape circle square triangle rectangle
round line dot spot stripe star heart cross arrow curve

big small large little tiny huge giant tall short long wide narrow thick thin heavy high low new old young modern
ancient vintage antique clean dirty wet dry hot cold warm cool soft hard smooth rough sharp broken empty full open
closed happy sad angry scared tired sleepy beautiful pretty ugly cute handsome nice good bad better best great perfect
real fake natural artificial simple complex fancy elegant rich poor fast slow quiet loud strong weak sweet sour fresh
ripe rotten burning frozen melted golden wild calm busy funny strange mysterious magic magical futuristic realistic
detailed blurry distorted deformed low quality high resolution cartoon anime watercolor oil sketch drawing style

make makes made making turn change changed replace replaced remove removed removing add added put place paint painted
color repaint recolor swap convert transform edit fix repair clean erase delete cover fill cut keep hold holding wear
wearing carry sit sitting stand standing walk walking run running jump lie lying sleep sleeping eat eating drink look
looking see smile smiling laugh cry talk speak sing dance play playing work read write draw drive ride riding fly
flying swim fall climb throw catch kick push pull lift drop give take get go come bring show use find want need like
love think know say tell ask help try start stop begin end move stay leave live grow become seem feel hear touch smell
taste build break close wash cook burn freeze melt shine glow sparkle

image picture photograph portrait selfie part piece thing things object item number name word letter text logo label
title color front end part half pair set kind type sort way time year month week hour minute second today tomorrow
yesterday now later soon always never often again still already only just also too very much many more most few less
least lot enough almost really quite instead
"""


def tokens() -> list[str]:
    """The vocabulary: the token of number n at index n."""
    listed = [_SPECIAL.get(number, f"[unused{number}]") for number in range(FIRST_CHARACTER)]
    listed += [chr(code) for code in range(33, 127) if chr(code) not in string.ascii_uppercase]
    listed += [f"##{character}" for character in string.ascii_lowercase + string.digits]
    listed += _WORDS.split()
    listed += [f"##{suffix}" for suffix in _SUFFIXES.split()]
    return list(dict.fromkeys(listed))


def save(folder: Path) -> None:
    """Write the tokenizer's files of a BERT model folder: vocab.txt, tokenizer.json and the two configurations."""
    words = tokens()
    special = {
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
    }
    configuration = {
        **special,
        "do_lower_case": True,
        "model_max_length": 512,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
    }
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    for name, content in (
        ("special_tokens_map.json", special),
        ("tokenizer_config.json", configuration),
        ("tokenizer.json", _fast_tokenizer(words)),
    ):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _fast_tokenizer(words: list[str]) -> dict:
    """The content of tokenizer.json, the format of the tokenizers library."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **flags, "special": True} for number, token in _SPECIAL.items()
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", END], "cls": ["[CLS]", START]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: number for number, token in enumerate(words)},
        },
    }
