"""Numbers in words."""

import re

_SMALL = {
    word: number
    for number, word in enumerate(
        str.split(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
            "eighteen nineteen"
        )
    )
}
_TENS = {
    word: 10 * number
    for number, word in enumerate(str.split("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)
}
_DIGITS = "|".join(list(_SMALL)[1:10])
_NUMBER_WORD = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<digit>{_DIGITS}))?|(?P<small>{'|'.join(_SMALL)}))\b",
    re.IGNORECASE,
)


def in_digits(text: str) -> str:
    """The text with its number words up to ninety-nine in digits; larger ones stay (`2 hundred`)."""
    return _NUMBER_WORD.sub(_digits, text)


def _digits(match: re.Match[str]) -> str:
    if match["small"]:
        return str(_SMALL[match["small"].lower()])
    return str(_TENS[match["tens"].lower()] + _SMALL[(match["digit"] or "zero").lower()])
