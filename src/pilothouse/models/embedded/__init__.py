"""A small model that comes with the package: it answers when no other model is configured.

`weights` fetches the model's file once. `sidecar.EmbeddedModel` runs `python -m pilothouse.models.embedded` as a child
process, which speaks the OpenAI chat completions wire on loopback; `client.embedded_chat` is a LangChain model for it.

Inside the child, one rule: *what can be decided without the model, is*. A half-billion parameters write plausible nonsense when
left alone, yet fill in a form well. So `routing` chooses the tool from its examples, `grammar` admits only
arguments that fit the tool's schema and occur in the request, `filling` lets the model choose among those, and a tool's
result is handed on word for word (`turns`).
"""
