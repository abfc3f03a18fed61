"""Tools made of functions: `@tool`."""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_origin, get_type_hints

from pilothouse.errors import ToolError
from pilothouse.ports.tools import Replay, Tool, ToolExample

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Function = Callable[..., Any]


class Span:
    """Marks a parameter whose value is copied from the user's message: `Annotated[str, "A city", Span]`.

    A small model is then made to copy it, and can't invent it. In the JSON Schema this is `"x-span": true`.
    """


class FunctionTool(Tool, frozen=True, kw_only=True):
    """A tool made of a function, which can still be called as one."""

    function: Function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def tool(
    *,
    examples: Iterable[tuple[str, Mapping[str, object]]] = (),
    replay: Replay = "once",
    name: str | None = None,
    description: str | None = None,
) -> Callable[[Function], FunctionTool]:
    """Make a tool of a function, sync or async, by its type hints and its docstring.

    The name is the function's; the description is the docstring up to its `Args:`. A parameter is described by a string in
    its `Annotated` hint or by its line under `Args:`, and optional if it has a default. Arguments are checked against the
    hints: the model is told which are wrong. A result that is not a string is given to the model as JSON. A sync function
    runs in a thread.

    `examples` are requests in people's words, each with the arguments that answer it: with three or more, small models
    learn when and how to call the tool. `replay` says whether a call may run again after a crash; see `Tool`.

    Raises `TypeError` where the function can't be a tool, with the reason.
    """

    def decorate(function: Function) -> FunctionTool:
        summary, described = _docstring(function)
        arguments = _arguments_model(function, described)
        text = description or summary
        if not text:
            raise TypeError(
                f"{function.__name__} needs a docstring: it tells the model when to call the tool."
            )
        return FunctionTool(
            name=name or function.__name__,
            description=text,
            parameters=_schema(arguments),
            call=partial(_call, function, arguments),
            replay=replay,
            examples=[ToolExample(request, dict(values)) for request, values in examples],
            function=function,
        )

    return decorate


async def _call(function: Function, arguments_model: "type[BaseModel]", **given: object) -> str:
    from pydantic import ValidationError
    from pydantic_core import to_json

    try:
        arguments = arguments_model.model_validate(given)
    except ValidationError as error:
        raise ToolError(_what_is_wrong(error)) from error
    values = {
        field.alias or name: getattr(arguments, name) for name, field in arguments_model.model_fields.items()
    }
    if inspect.iscoroutinefunction(function):
        result = await cast("Awaitable[object]", function(**values))
    else:
        result = await asyncio.to_thread(function, **values)
    return result if isinstance(result, str) else to_json(result, fallback=str).decode()


def _what_is_wrong(error: "ValidationError") -> str:
    problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    return f"The arguments are not valid. {'; '.join(problems)}."


def _arguments_model(function: Function, described: Mapping[str, str]) -> "type[BaseModel]":
    """The model of the function's arguments. Its fields are aliases, since a parameter may have any name."""
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise TypeError(f"{function.__name__} can't take {parameter}: a tool's arguments have names.")
        if parameter.name not in hints:
            raise TypeError(
                f"{function.__name__} needs a type hint for {parameter.name!r}: the model is told what to give."
            )
        fields[f"argument_{parameter.name}"] = _field(
            parameter, hints[parameter.name], described.get(parameter.name)
        )
    return create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def _field(parameter: inspect.Parameter, hint: object, described: str | None) -> tuple[object, Any]:
    from pydantic import Field

    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    options: dict[str, Any] = {"alias": parameter.name}
    # Options that are not given leave those of a pydantic `Field` among the notes as they are.
    if description := next((note for note in notes if isinstance(note, str)), described):
        options["description"] = description
    if Span in notes:
        options["json_schema_extra"] = {"x-span": True}
    if parameter.default is not parameter.empty:
        options["default"] = parameter.default
    return hint, Field(**options)


def _schema(arguments: "type[BaseModel]") -> Mapping[str, Any]:
    """The JSON Schema without the titles, which tell a model nothing that the names do not."""
    from pydantic.json_schema import GenerateJsonSchema

    class WithoutTitles(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: object) -> bool:
            return False

    schema = arguments.model_json_schema(schema_generator=WithoutTitles)
    schema.pop("title", None)
    return schema


_ARGUMENT = re.compile(r"(\w+)\s*(?:\([^)]*\))?:\s*(.+)")


def _docstring(function: Function) -> tuple[str, Mapping[str, str]]:
    """The description, and what `Args:` says of each parameter."""
    text = inspect.getdoc(function) or ""
    summary, _, rest = text.partition("\nArgs:\n")
    block = re.split(r"\n(?=\S)", rest, maxsplit=1)[0]
    lines = [
        (match[1], match[2]) for line in block.splitlines() if (match := _ARGUMENT.fullmatch(line.strip()))
    ]
    summary = re.split(r"\n(?:Returns|Raises):\n", summary)[0].strip()
    return re.sub(r"(?<!\n)\n(?!\n)", " ", summary), dict(lines)
