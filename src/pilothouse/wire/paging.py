"""Which part of a list a client asks for."""

from typing import Annotated

from msgspec import Meta

Limit = Annotated[int, Meta(ge=0, le=1000)]
Skip = Annotated[int, Meta(ge=0)]
