"""Which tool does a message ask for, if any? Two views of a sentence, its meaning (MiniLM) and its wording (tf-idf), each
with a logistic regression that is trained in milliseconds on the tools' own examples; their average decides.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from pilothouse.models.embedded import smalltalk
from pilothouse.models.embedded.sentences import SentenceEncoder
from pilothouse.models.embedded.vocabulary import spelled_out
from pilothouse.models.embedded.wire import Function

Matrix = NDArray[np.float32]
Label = TypeVar("Label", bound=Hashable)

SURE_ENOUGH = 0.40
"""Below this, a message is taken for conversation."""
_WORTH_A_TRY = 0.15
"""If the best tool turns out not to fit, the others down to here are tried."""
_WELL_KNOWN = 10
"""A tool with that many examples is known well enough."""
_BEYOND_DOUBT = 0.7
_WORTH_A_DOUBT = 0.12
_GOES_ON = 0.35

_MEANING_WEIGHT = 12.0
_WORDING_WEIGHT = 12.0
_STEPS = 300


class Route(msgspec.Struct, frozen=True):
    """What a message asks for: a tool's name, or one of the two below."""

    target: str
    confidence: float


CHAT = "(chat)"
IDENTITY = "(identity)"


class Classifier(Generic[Label]):
    """Learns from labelled sentences; `scores` gives each label's probability."""

    def __init__(self, encoder: SentenceEncoder, sentences: Sequence[str], labels: Sequence[Label]) -> None:
        self.labels = list(dict.fromkeys(labels))
        self._encoder = encoder
        self._wording = _Wording(sentences)
        truth = np.array([self.labels.index(label) for label in labels])
        self._meaning_rows = encoder.encode(sentences)
        self._wording_rows = self._wording.rows(sentences)
        self._meaning_fit = _fit(self._meaning_rows, truth, len(self.labels), _MEANING_WEIGHT)
        self._wording_fit = _fit(self._wording_rows, truth, len(self.labels), _WORDING_WEIGHT)

    def scores(self, sentence: str) -> dict[Label, float]:
        meaning = self._encoder.encode([sentence]) @ self._meaning_rows.T
        wording = self._wording.rows([sentence]) @ self._wording_rows.T
        both = (_predict(meaning, self._meaning_fit) + _predict(wording, self._wording_fit)) / 2
        return dict(zip(self.labels, both[0].tolist(), strict=True))


class Router:
    """Routes messages among a set of tools, conversation, and questions about the assistant itself."""

    def __init__(self, encoder: SentenceEncoder, tools: Sequence[Function]) -> None:
        lessons = [(sentence, CHAT) for sentence in smalltalk.CHAT]
        lessons += [(sentence, IDENTITY) for sentence in smalltalk.IDENTITY]
        for tool in tools:
            lessons += [(example.request, tool.name) for example in tool.examples]
            lessons.append((re.sub(r"[\W_]+", " ", tool.name), tool.name))
            if tool.description:
                lessons.append((re.split(r"(?<=[.:])\s", tool.description)[0], tool.name))
        sentences, labels = zip(*lessons, strict=True)
        self._tools = {tool.name for tool in tools}
        self._hardly_known = {tool.name for tool in tools if len(tool.examples) < _WELL_KNOWN}
        self._classifier = Classifier(encoder, sentences, labels)
        whole = [*sentences, *smalltalk.STANDS_ALONE]
        kinds = [False] * len(whole) + [True] * len(smalltalk.CONTINUES)
        self._goes_on = Classifier(encoder, [*whole, *smalltalk.CONTINUES], kinds)

    def goes_on(self, message: str) -> bool:
        """Does the message take up the request before it? It then makes no sense alone."""
        return self._goes_on.scores(spelled_out(message))[True] >= _GOES_ON

    def routes(self, message: str) -> list[Route]:
        """The targets worth trying, the best first; at last, conversation."""
        found = self._ranked(message)
        if found[0].confidence < SURE_ENOUGH:
            found = []
        return [*(route for route in found if route.confidence >= _WORTH_A_TRY), Route(CHAT, 1.0)]

    def doubted(self, message: str) -> Route | None:
        """A tool that the message may ask for, where we know the tool too little to be sure either way."""
        first, *_ = ranked = self._ranked(message)
        best = next((route for route in ranked if route.target in self._tools), None)
        if best is None or best.target not in self._hardly_known:
            return None
        return best if first.confidence <= _BEYOND_DOUBT and best.confidence >= _WORTH_A_DOUBT else None

    def tools_by_likelihood(self, message: str) -> list[str]:
        """The tools alone, the best first, however unlikely."""
        return [route.target for route in self._ranked(message) if route.target in self._tools]

    def _ranked(self, message: str) -> list[Route]:
        scores = self._classifier.scores(spelled_out(message))
        found = [Route(target, score) for target, score in scores.items()]
        return sorted(found, key=lambda route: -route.confidence)


def _fit(rows: Matrix, truth: NDArray[np.int64], classes: int, strength: float) -> Matrix:
    """Multinomial logistic regression with L2 and classes weighted alike, in its dual form: sentences are far fewer than
    features, so the weights are kept as a mixture of the sentences. Returns that mixture, one column a class."""
    count = len(truth)
    gram = np.hstack([rows @ rows.T, np.ones((count, 1), np.float32)])
    goal = np.eye(classes, dtype=np.float32)[truth]
    sizes = np.bincount(truth, minlength=classes)
    weight = (count / classes / np.maximum(sizes, 1))[truth][:, None].astype(np.float32)
    mixture = np.zeros((count + 1, classes), np.float32)
    momentum = np.zeros_like(mixture)
    rate = np.float32(1 / (weight.max() * np.linalg.norm(gram, 2) / 2 + 1 / strength))
    for step in range(_STEPS):
        ahead: Matrix = (mixture + step / (step + 3) * momentum).astype(np.float32)
        error = weight * (_softmax(gram @ ahead) - goal)
        slope = np.vstack([error + ahead[:-1] / np.float32(strength), error.sum(axis=0, keepdims=True)])
        updated: Matrix = (ahead - rate * slope).astype(np.float32)
        momentum, mixture = updated - mixture, updated
    return mixture


def _predict(similarities: Matrix, mixture: Matrix) -> Matrix:
    return _softmax(similarities @ mixture[:-1] + mixture[-1])


def _softmax(logits: Matrix) -> Matrix:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


class _Wording:
    """tf-idf over words, pairs of words, and 2 to 4 letters in a row; every number counts as the same."""

    def __init__(self, sentences: Sequence[str]) -> None:
        documents = [_grams(sentence) for sentence in sentences]
        appearances = Counter(gram for document in documents for gram in set(document))
        self._column = {gram: column for column, gram in enumerate(appearances)}
        counts = np.array(list(appearances.values()), dtype=np.float32)
        self._idf = np.log((1 + len(documents)) / (1 + counts)) + 1

    def rows(self, sentences: Sequence[str]) -> Matrix:
        table = np.zeros((len(sentences), len(self._column)), np.float32)
        for row, sentence in enumerate(sentences):
            for gram, count in Counter(_grams(sentence)).items():
                if (column := self._column.get(gram)) is not None:
                    table[row, column] = (1 + np.log(count)) * self._idf[column]
        norms = np.linalg.norm(table, axis=1, keepdims=True)
        return (table / np.maximum(norms, 1e-9)).astype(np.float32)


def _grams(sentence: str) -> list[str]:
    text = re.sub(r"\d+(?:[.,:]\d+)*", "0", sentence.lower())
    words = re.findall(r"\w+|[^\w\s]", text)
    pairs = [f"{first} {second}" for first, second in pairwise(words)]
    letters = [
        padded[start : start + size]
        for word in words
        for padded in [f" {word} "]
        for size in (2, 3, 4)
        for start in range(len(padded) - size + 1)
    ]
    return words + pairs + letters
