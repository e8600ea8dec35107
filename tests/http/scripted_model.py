"""A stand-in for a language model: an OpenAI-compatible server that follows a script.

It understands nothing. It asks for the tool calls below one round after the other, checks that each
result comes back as the protocol wants it, and ends with an answer that cites what the tools said.
What it does not like it answers with 400 and a sentence, so that a program that uses it wrongly
fails.

    1  search with a misspelt argument       the result must say so
    2  search                                the results must be there
    3  fetch and similar, both in one turn   both results, each with its own tool_call_id
    4  the answer, citing what was fetched
"""
import http.server
import json
import threading


class Wrong(Exception):
    pass


def expect(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def tool_call(number, name, arguments):
    return {"id": f"call_{number}", "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)}}


def check_tools(tools):
    names = [t["function"]["name"] for t in tools]
    expect(names == ["search", "fetch", "similar", "terms"], f"tools: {names}")
    for t in tools:
        expect(t["type"] == "function" and len(t["function"]["description"]) > 50, f"tool: {t}")
        expect(t["function"]["parameters"]["type"] == "object", f"parameters: {t}")


def results_of(messages):
    """{tool_call_id: content} of the tool messages after the last assistant message."""
    results = {}
    while messages and messages[-1]["role"] == "tool":
        message = messages.pop()
        content = message["content"]
        if isinstance(content, list):  # parts, as some clients send them
            content = "".join(part["text"] for part in content)
        results[message["tool_call_id"]] = content
    return results


def unwrapped(content):
    """The JSON that a tool gave; some clients put the MCP content item around it."""
    value = json.loads(content)
    return json.loads(value["text"]) if value.get("type") == "text" else value


def next_message(request, query):
    """What the model says to a conversation."""
    check_tools(request["tools"])
    messages = list(request["messages"])
    expect(messages[0]["role"] in ("system", "user"), "the first message")
    results = results_of(messages)
    turn = sum(m["role"] == "assistant" for m in messages)
    if turn == 0:
        asked = json.dumps(messages)
        expect(query in asked and "medical library" in asked, "the question is not in the prompt")
        return {"tool_calls": [tool_call(1, "search", {"query": query, "limt": 3})]}
    if turn == 1:
        expect("limit" in results.get("call_1", ""), f"no hint after a mistake: {results}")
        return {"tool_calls": [tool_call(2, "search", {"query": query, "limit": 3})]}
    if turn == 2:
        found = unwrapped(results["call_2"])["results"]
        expect(len(found) == 3, f"three results expected: {found}")
        return {"tool_calls": [tool_call(3, "fetch", {"id": found[0]["id"]}),
                               tool_call(4, "similar", {"id": found[0]["id"], "limit": 1})]}
    expect(set(results) == {"call_3", "call_4"}, f"two results expected: {list(results)}")
    read, near = unwrapped(results["call_3"]), unwrapped(results["call_4"])["results"][0]
    return {"content": f"{read['text'][:200]} [{read['title']}]({read['url']}); "
                       f"see also [{near['title']}]({near['url']})"}


class ScriptedModel:
    """Serves the script on loopback while the block runs; `errors` has what it did not like."""

    def __init__(self, query):
        self.query, self.errors, self.turns = query, [], 0

    def __enter__(self):
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(*model.answer(self.path, json.loads(body)))

            def answer(self, status, value):
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, path, request):
        try:
            expect(path == "/v1/chat/completions", f"path {path}")
            message = {"role": "assistant", "content": None, **next_message(request, self.query)}
        except (Wrong, KeyError, IndexError, TypeError, ValueError) as error:
            self.errors.append(repr(error))
            return 400, {"error": {"message": repr(error), "type": "invalid_request_error"}}
        self.turns += 1
        reason = "tool_calls" if "tool_calls" in message else "stop"
        return 200, {"id": "scripted", "object": "chat.completion", "created": 0,
                     "model": request["model"],
                     "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                     "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}
