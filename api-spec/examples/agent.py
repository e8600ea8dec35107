#!/usr/bin/env python3
"""An agent that answers a question from the library: a model, tools and a loop. No packages needed.

    agent.py "Can beta-blockers be stopped after a heart attack?"

The model is any OpenAI-compatible server: OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL.
The library is MEDICUS_URL, with MEDICUS_API_KEY where it asks for keys. What its tools are called
and take, and the instructions for the model, come from the library itself.
"""
import json
import os
import sys
import urllib.error
import urllib.request

ENV = os.environ.get
MODEL_URL = ENV("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1") + "/chat/completions"
LIBRARY_URL = ENV("MEDICUS_URL", "http://127.0.0.1:8080") + "/mcp"
ROUNDS_MAX = 12


def post(url, key, body):
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Bearer " + key
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return sys.exit(f"{url}: {error.code} {error.read().decode()}")


def library(method, **params):
    """One request to the library's MCP endpoint, which needs neither session nor handshake."""
    answer = post(LIBRARY_URL, ENV("MEDICUS_API_KEY"),
                  {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    if "error" in answer:
        sys.exit(f"{method}: {answer['error']['message']}")
    return answer["result"]


def use(call):
    """What a tool answers; a mistake of the model is a sentence that tells it how to do better."""
    try:
        arguments = json.loads(call["function"]["arguments"] or "{}")
        result = library("tools/call", name=call["function"]["name"], arguments=arguments)
        return result["content"][0]["text"]
    except json.JSONDecodeError as error:
        return f"the arguments are no JSON: {error}"


def main():
    tools = [{"type": "function", "function": {
        "name": t["name"], "description": t["description"], "parameters": t["inputSchema"]}}
        for t in library("tools/list")["tools"]]
    prompt = library("prompts/get", name="answer_with_evidence",
                     arguments={"question": " ".join(sys.argv[1:])})
    messages = [{"role": "user", "content": prompt["messages"][0]["content"]["text"]}]
    for _ in range(ROUNDS_MAX):
        answer = post(MODEL_URL, ENV("OPENAI_API_KEY"), {
            "model": ENV("OPENAI_MODEL", "default"), "messages": messages, "tools": tools})
        message = answer["choices"][0]["message"]
        messages.append(message)
        if not message.get("tool_calls"):
            return print(message["content"])
        for call in message["tool_calls"]:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": use(call)})
    return sys.exit(f"no answer after {ROUNDS_MAX} rounds")


main()
