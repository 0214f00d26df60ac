"""Bare pydantic-ai: `python -m bench.peers.agents_run URL COUNT`, all runs at once on asyncio; with
`alone` behind it one after another.

The same model call as the hub's, streamed and read to its end. Nothing is stored, nothing resumes.
"""

import asyncio
import json
import statistics
import sys
import time

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


async def measure(url, count, alone):
    """Wall seconds of all runs, CPU milliseconds of each; alone, a run's median milliseconds."""
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))
    agent = Agent(model, system_prompt="You are brief.")

    async def run(number):
        async with agent.run_stream(f"Task {number}") as answer:
            # Its pause between pieces would be most of a run that has the process to itself.
            async for _ in answer.stream_text(delta=True, debounce_by=None if alone else 0.1):
                pass

    await run(0)  # what is loaded and built once is not a run's
    if alone:
        took = []
        for number in range(count):
            began = time.perf_counter()
            await run(number)
            took.append((time.perf_counter() - began) * 1000)
        return {"median": statistics.median(took)}
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(run(number) for number in range(count)))
    return {
        "wall": time.perf_counter() - wall,
        "cpu": (time.process_time() - cpu) * 1000 / count,
    }


if __name__ == "__main__":
    print(
        json.dumps(asyncio.run(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["alone"])))
    )
