"""The official Python SDK of MCP as a client, where it is installed: both transports, both eras.
"""
import subprocess
import sys
import unittest

from support import BIN, HANG, Server, TOOLS_PYTHON, make_data, python_has, temp_folder

HAS_SDK = python_has("mcp")

CLIENT = """
import json, sys
import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main(mode, kind, *where):
    target = where[0] if kind == "http" else stdio_client(
        StdioServerParameters(command=where[0], args=list(where[1:])))
    async with Client(target, mode=mode) as client:
        tools = await client.list_tools()
        assert [t.name for t in tools.tools] == ["search", "fetch", "similar", "terms"], tools
        found = await client.call_tool("search", {"query": "asthma reliever", "limit": 2})
        assert not found.is_error, found
        results = found.structured_content["results"]
        assert len(results) == 2 and json.loads(found.content[0].text)["results"] == results
        read = await client.call_tool("fetch", {"id": results[0]["id"]})
        assert read.structured_content["title"] == results[0]["title"], read
        wrong = await client.call_tool("fetch", {"id": "pmid:1"})
        assert wrong.is_error and "pmid:1" in wrong.content[0].text, wrong
        templates = await client.list_resource_templates()
        assert templates.resource_templates[0].uri_template == "medicus://document/{id}"
        document = read.structured_content["metadata"]["document_id"]
        text = await client.read_resource("medicus://document/" + document)
        assert text.contents[0].text.startswith("# "), text
        print(client.protocol_version)

anyio.run(main, *sys.argv[1:])
"""


@unittest.skipUnless(HAS_SDK, "the Python SDK of MCP (package mcp, 2.x) is not installed")
class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = temp_folder()
        cls.data = make_data(cls.folder.__enter__())

    @classmethod
    def tearDownClass(cls):
        cls.folder.__exit__(None, None, None)

    def client(self, *args):
        result = subprocess.run([TOOLS_PYTHON, "-c", CLIENT, *map(str, args)], capture_output=True,
                                timeout=HANG, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.strip()

    def test_every_way_to_connect(self):
        with Server(self.data) as server:
            for way in (("http", f"http://127.0.0.1:{server.port}/mcp"),
                        ("stdio", BIN, "mcp", "--data", self.data, "--quiet")):
                for mode, revision in (("auto", "2026-07-28"), ("legacy", "2025-11-25"),
                                       ("2026-07-28", "2026-07-28")):
                    self.assertEqual(self.client(mode, *way), revision, (mode, way))


if __name__ == "__main__":
    if not HAS_SDK:
        print("skipped: the Python SDK of MCP (package mcp, 2.x) is not installed")
        sys.exit(77)
    unittest.main()
