"""What a human is asked about a tool call, and what the answer means.

The shape is that of LangChain's human-in-the-loop middleware (`langchain.agents.middleware.human_in_the_loop`), so that the
user interfaces that know it can show it.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec

from pilothouse.engines.langgraph.encoding import encode
from pilothouse.errors import InvalidRequest
from pilothouse.events import Json
from pilothouse.ports.tool_calls import Decision, Question

Why = Literal["new", "unfinished", "unkept"]

_ALLOWED = ["approve", "edit", "reject", "respond"]
_DESCRIPTIONS: Mapping[Why, str] = {
    "new": "The agent wants to call {name}.",
    "unfinished": (
        "The call of {name} was cut off: it may or may not have happened. "
        "Approve to make it again, or reject to leave it at that."
    ),
    "unkept": (
        "The call of {name} has happened, but its result is lost. Approve to make it again, or reject to leave it at that."
    ),
}
_REJECTIONS: Mapping[Why, str] = {
    "new": (
        "User rejected the tool call for `{name}`. The tool was not executed. Do not retry this tool call unless the user "
        "explicitly requests it."
    ),
    "unfinished": (
        "The tool call for `{name}` was cut off: it may or may not have happened. The user decided not to make it again. Do "
        "not retry it unless the user explicitly requests it."
    ),
    "unkept": "The tool call for `{name}` has happened, but its result is lost. Do not make it again.",
}
_REJECTED_BECAUSE = "User rejected the tool call for `{name}` with reason: {reason}"
EDITED = "Note: a human replaced the arguments of this tool call before it ran. This was intentional: do not repeat your own call."


def question_about(name: str, arguments: Mapping[str, object], why: Why) -> Json:
    """The interrupt's value."""
    action = {"name": name, "args": arguments, "description": _DESCRIPTIONS[why].format(name=name)}
    return encode(
        {
            "action_requests": [action],
            "review_configs": [{"action_name": name, "allowed_decisions": _ALLOWED}],
        }
    )


def decision_of(answer: object, question: Question) -> Decision:
    """What a resume value means: `{"decisions": [DECISION]}`, or plain true or false. Raises `InvalidRequest`."""
    name: str = msgspec.json.decode(question.value)["action_requests"][0]["name"]
    given = _only_decision(answer)
    match given.get("type"):
        case "approve":
            return Decision("approve")
        case "edit":
            return Decision("edit", arguments=_edited(given, name))
        case "reject":
            reason = given.get("message")
            text = _REJECTED_BECAUSE if reason else _REJECTIONS[question.why]
            return Decision("reject", message=text.format(name=name, reason=reason))
        case "respond" if isinstance(given.get("message"), str):
            return Decision("respond", message=cast("str", given["message"]))
        case "respond":
            raise InvalidRequest(
                "A decision to `respond` needs a `message`, which the agent gets as the result."
            )
        case _:
            raise _unclear()


def _only_decision(answer: object) -> Mapping[str, Any]:
    if isinstance(answer, bool):
        return {"type": "approve" if answer else "reject"}
    decisions = cast("dict[str, Any]", answer).get("decisions") if isinstance(answer, dict) else None
    if not isinstance(decisions, list):
        raise _unclear()
    known = cast("list[Any]", decisions)
    if len(known) != 1 or not isinstance(known[0], dict):
        raise InvalidRequest(f"The agent asks about one tool call: give one decision, not {len(known)}.")
    return cast("dict[str, Any]", known[0])


def _edited(given: Mapping[str, Any], name: str) -> Mapping[str, object]:
    action: object = given.get("edited_action")
    edited = cast("dict[str, Any]", action) if isinstance(action, dict) else {}
    if not isinstance(edited.get("args"), dict):
        raise InvalidRequest('A decision to `edit` needs `edited_action`: {"name": …, "args": {…}}.')
    if edited.get("name", name) != name:
        raise InvalidRequest(f"`edited_action` may change the arguments of {name}, not call another tool.")
    return edited["args"]


def _unclear() -> InvalidRequest:
    return InvalidRequest(
        "The agent asks whether to make a tool call. Resume with true, false, or "
        '{"decisions": [{"type": "approve" | "edit" | "reject" | "respond", …}]}.'
    )
