#!/usr/bin/env python3
"""The OpenAI Agents SDK (pip install openai-agents) with the library as its tools.

    openai_agents.py "Can beta-blockers be stopped after a heart attack?"

The same environment as ../agent.py. The agent runs here: the model sees what its tool calls
return, and nobody else does. Tracing, which would upload that, is switched off.
"""
import asyncio
import os
import sys

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI

ENV = os.environ.get


async def main():
    set_tracing_disabled(True)
    model = OpenAIChatCompletionsModel(ENV("OPENAI_MODEL", "default"), AsyncOpenAI(
        base_url=ENV("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"),
        api_key=ENV("OPENAI_API_KEY", "none")))
    key = ENV("MEDICUS_API_KEY")
    async with MCPServerStreamableHttp(params={
            "url": ENV("MEDICUS_URL", "http://127.0.0.1:8080") + "/mcp",
            "headers": {"Authorization": "Bearer " + key} if key else {}}) as library:
        prompt = await library.get_prompt("answer_with_evidence",
                                          {"question": " ".join(sys.argv[1:])})
        agent = Agent(name="Librarian", model=model, mcp_servers=[library])
        result = await Runner.run(agent, prompt.messages[0].content.text, max_turns=12)
        print(result.final_output)


asyncio.run(main())
