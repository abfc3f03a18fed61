"""Holds the sizes of the house style: files to 400 lines in src and 600 in tests, functions to 60 lines."""

import ast
import sys
from pathlib import Path

LIMITS = {"src": 400, "tests": 600, "bench": 600}
FUNCTION_LINES = 60


def problems(folder: str, limit: int) -> list[str]:
    found: list[str] = []
    for file in sorted(Path(folder).rglob("*.py")):
        if ".envs" in file.parts:
            continue
        text = file.read_text()
        if (lines := text.count("\n")) > limit:
            found.append(f"{file}: {lines} lines, at most {limit}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    found.append(f"{file}:{node.lineno} {node.name}: {length} lines, at most {FUNCTION_LINES}")
    return found


if __name__ == "__main__":
    found = [line for folder, limit in LIMITS.items() for line in problems(folder, limit)]
    sys.exit("\n".join(found) or 0)
