"""The official Python SDK as a client: search, read, look around, and what goes wrong.

    mcp_client.py 1.x|legacy|auto|REVISION http URL | stdio COMMAND...

For releases 1.x, which have one mode, and 2.x. Prints the revision that was agreed on.
MEDICUS_API_KEY is sent over HTTP.
"""
import contextlib
import json
import os
import sys

import anyio
import mcp
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

OLD = not hasattr(mcp, "Client")
MODE, KIND, *TARGET = sys.argv[1:]
COMMAND = StdioServerParameters(command=TARGET[0], args=TARGET[1:])
KEY = os.environ.get("MEDICUS_API_KEY")

if OLD:
    from httpx import AsyncClient
else:
    from httpx2 import AsyncClient


@contextlib.asynccontextmanager
async def connected():
    """(client, agreed revision)"""
    headers = {"Authorization": "Bearer " + KEY} if KEY else {}
    async with AsyncClient(headers=headers) as http_client:
        streams = (streamable_http_client(TARGET[0], http_client=http_client) if KIND == "http"
                   else stdio_client(COMMAND))
        if not OLD:
            async with mcp.Client(streams, mode=MODE) as client:
                yield client, client.protocol_version
            return
        async with streams as (receive, send, *_), mcp.ClientSession(receive, send) as session:
            yield session, (await session.initialize()).protocolVersion


def plain(result):
    return json.loads(result.model_dump_json(by_alias=True, exclude_none=True))


async def main():
    async with connected() as (client, revision):
        async def call(tool, **arguments):
            return plain(await client.call_tool(tool, arguments))

        tools = plain(await client.list_tools())["tools"]
        assert [t["name"] for t in tools] == ["search", "fetch", "similar", "terms"], tools
        found = await call("search", query="asthma reliever", limit=2)
        results = found["structuredContent"]["results"]
        assert len(results) == 2 and json.loads(found["content"][0]["text"])["results"] == results
        read = (await call("fetch", id=results[0]["id"]))["structuredContent"]
        assert read["title"] == results[0]["title"], read
        near = (await call("similar", id=results[0]["id"], limit=1))["structuredContent"]
        assert len(near["results"]) == 1, near
        terms = (await call("terms", query="SGLT2"))["structuredContent"]["terms"]
        assert "sodium-glucose" in terms[0]["name"], terms
        wrong = await call("fetch", id="pmid:1")
        assert wrong["isError"] and "pmid:1" in wrong["content"][0]["text"], wrong

        resources = plain(await client.list_resources())["resources"]
        assert resources[0]["uri"] == "medicus://library", resources
        templates = plain(await client.list_resource_templates())["resourceTemplates"]
        assert templates[0]["uriTemplate"] == "medicus://document/{id}", templates
        uri = "medicus://document/" + read["metadata"]["document_id"]
        text = plain(await client.read_resource(uri))["contents"][0]["text"]
        assert text.startswith("# "), text
        try:
            await client.read_resource("medicus://document/pmid:1")
            raise AssertionError("a document that does not exist was read")
        except Exception as error:  # pylint: disable=broad-except
            assert "pmid:1" in str(error), error

        prompts = plain(await client.list_prompts())["prompts"]
        prompt = plain(await client.get_prompt(prompts[1]["name"], {"topic": "gout"}))
        assert "gout" in prompt["messages"][0]["content"]["text"], prompt
        print(revision)


anyio.run(main)
