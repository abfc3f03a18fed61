"""What the settings say about the model providers."""

import msgspec


class ModelCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """Keys and addresses. Its `repr` shows no key."""

    gemini_api_key: str | None = None
    gemini_base_url: str | None = None
    google_cloud_project: str | None = None
    """Gemini on Vertex AI, by the identity that the environment gives (application-default credentials)."""
    google_cloud_location: str = "global"
    vertex_base_url: str | None = None
    openai_api_key: str | None = None
    """For OpenAI, or the server at `openai_base_url`; it is sent nowhere else."""
    openai_base_url: str | None = None
    model_api_key: str | None = None
    """For the server that a model's name carries (`openai/NAME@URL`)."""
    ollama_host: str = "http://127.0.0.1:11434"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        keys = (self.gemini_api_key, self.openai_api_key, self.model_api_key)
        return tuple(key for key in keys if key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"
