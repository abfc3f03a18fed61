"""What the LangGraph library itself costs: `graph.astream` of the same graph, in this process, with no server and nothing
saved. Prints CPU milliseconds a run. Usage: python floor.py RUNS"""

import asyncio
import gc
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "agents" / "lg"))
from graph import graph


async def main(runs: int) -> None:
    message = {"messages": [{"role": "user", "content": "hello"}]}
    for warming_up in (True, False):
        started = time.process_time()
        for _ in range(10 if warming_up else runs):
            async for _ in graph.astream(message, stream_mode=["messages"]):
                pass
        gc.collect()
    print((time.process_time() - started) / runs * 1000)


if __name__ == "__main__":
    try:
        import uvloop as loops
    except ImportError:
        loops = asyncio
    loops.run(main(int(sys.argv[1])))
