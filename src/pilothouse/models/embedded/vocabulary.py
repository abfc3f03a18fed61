"""What a message is made of, as building blocks for arguments: words, numbers, and the stretches between them."""

import re
from collections.abc import Iterable

_TOKEN = re.compile(
    r"""
    (?:[A-Za-z]\.){2,}                      # p.m., U.S.
  | [$€£]?\d+(?:[.,:]\d+)*[\w%°]*           # 3, 2,340, 10:30, 3pm, 17%, $5
  | \.\d+                                   # .5
  | [^\W\d_]\w*(?:['\u2019&.](?!s\b)\w+)*        # words, O'Neil, example.com
  | \w+
  | [^\w\s]
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_NUMBER_WORDS = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15",
    "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19", "twenty": "20", "thirty": "30",
    "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90", "hundred": "100",
    "thousand": "1000", "million": "1000000", "dozen": "12", "half": "2", "halve": "2", "double": "2", "twice": "2",
    "triple": "3", "third": "3", "quarter": "4", "squared": "2", "cubed": "3", "couple": "2", "pair": "2", "a": "1",
    "an": "1", "once": "1",
}  # fmt: skip
_TENS = re.compile(
    r"\b(twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)[ -](one|two|three|four|five|six|seven|eight|nine)\b"
)
_SCALED = re.compile(r"(\d+(?:\.\d+)?)\s*(k|thousand|m|mn|million|bn|billion)\b", re.IGNORECASE)
_SCALES = {"k": 1e3, "t": 1e3, "m": 1e6, "b": 1e9}

FUNCTION_WORDS = frozenset(
    re.findall(
        r"\S+",
        "a an the and or but if so then than of in on at to from for by with about into as is are was were be been do does did "
        "i me my you your he him his she her it its we our they them their this that these those there what whats what's "
        "wat wats wut u ur r im rn thx ty which who whom whose when where why how please pls plz hey hi hello ok okay now just also too not no yes up down out over again back",
    )
)
"""Words that hold a sentence together: they never begin or end a name."""
SEPARATORS = (FUNCTION_WORDS - {"a", "an", "and", "by", "of", "the"}) | {"?", "!", ";", "=", "→"}
"""Words that part one thing from another: "3pm in Rome", "Rome to Oslo"; not those of "Isle of Man"."""
REFERENCES = frozenset({"that", "it", "this", "those", "them", "these", "result", "there"})
"""Words that stand for something said before."""


_SHORTHAND = {
    "u": "you", "ur": "your", "r": "are", "wat": "what", "wats": "what's", "wut": "what", "whats": "what's", "hows": "how's",
    "pls": "please", "plz": "please", "rn": "right now", "thx": "thanks", "ty": "thank you", "tmrw": "tomorrow",
    "2day": "today", "2morrow": "tomorrow", "im": "I'm", "dont": "don't", "cant": "can't", "teh": "the", "gimme": "give me",
    "wanna": "want to", "gonna": "going to", "yo": "hey",
}  # fmt: skip


class Token:
    """A word, number or sign, and what stands between it and the next one."""

    __slots__ = ("after", "is_word", "text")

    def __init__(self, text: str, after: str) -> None:
        self.text = text
        self.after = after
        self.is_word = any(character.isalnum() for character in text) or text in "%°"


def tokens(text: str) -> list[Token]:
    """The text in pieces; joined with what stands between them they give it back."""
    found = list(_TOKEN.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [Token(match.group(), text[match.end() : end]) for match, end in zip(found, ends, strict=False)]


def words(text: str) -> list[str]:
    """Its words and numbers."""
    return [token.text for token in tokens(text) if token.is_word and token.text not in "%°"]


def numbers(text: str) -> list[str]:
    """Every number in a text, as JSON writes it: digits, spelled out, and with a scale ("5k", "2 million")."""
    found = digits(text)
    for match in _SCALED.finditer(text):
        value = float(match.group(1)) * _SCALES[match.group(2)[0].lower()]
        found.append(f"{value:.0f}")
    lowered = text.lower()
    for match in _TENS.finditer(lowered):
        found.append(str(int(_NUMBER_WORDS[match.group(1)]) + int(_NUMBER_WORDS[match.group(2)])))
    found += [_NUMBER_WORDS[word] for word in re.findall(r"[a-z]+", lowered) if word in _NUMBER_WORDS]
    return unique(_plain(number) for number in found)


def digits(text: str) -> list[str]:
    """The numbers that are written in digits, without separators."""
    found = [match.group().replace(",", "") for match in _NUMBER.finditer(text)]
    return [f"0{number}" if number.startswith(".") else number for number in found]


def spelled_out(text: str) -> str:
    """The text without the shorthand of chats."""
    return re.sub(r"[\w']+", lambda match: _SHORTHAND.get(match.group().lower(), match.group()), text)


def counts(text: str) -> bool:
    """Does the text name an amount, in digits or in words?"""
    said = {word.lower() for word in words(text)}
    return has_digits(text) or not said.isdisjoint(_NUMBER_WORDS.keys())


def has_digits(text: str) -> bool:
    return any(character.isdigit() for character in text)


def contains(text: str, value: str) -> bool:
    """Does the value stand in the text, as whole words, whatever the case?"""
    inner = re.escape(value.strip().lower())
    return bool(inner) and re.search(rf"(?<!\w){inner}(?!\w)", text.lower()) is not None


def unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _plain(number: str) -> str:
    whole, dot, fraction = number.partition(".")
    return (whole.lstrip("0") or "0") + dot + fraction
