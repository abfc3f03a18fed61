"""What the parent process tells the child, and what the child answers: one line of JSON each."""

import msgspec


class Orders(msgspec.Struct, frozen=True):
    """What to serve, and where."""

    path: str
    """The GGUF file."""
    prefixes: str
    """A directory for what the model has read."""
    model: str
    label: str
    key: str
    listener: int
    """The file descriptor of a socket that listens on loopback."""
    threads: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded; requests are answered."""
