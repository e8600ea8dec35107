"""The official SDKs of MCP as clients, where they are installed: both transports, both eras."""
import contextlib
import os
import subprocess
import sys
import unittest

from support import (BIN, HANG, NODE, NODE_MODULES, ROOT, Server, TOOLS, TOOLS_PYTHON, make_data,
                     node_has, python_has, run, temp_folder)

CLIENTS = ROOT / "tests/http"
LEGACY, MODERN = "2025-11-25", "2026-07-28"
OLDER = TOOLS / "older"  # releases of packages that cannot stand beside the newer ones
HAS_PYTHON = python_has("mcp")
HAS_OLDER = HAS_PYTHON and (OLDER / "mcp").exists()
HAS_SDK, HAS_CLIENT = (node_has("@modelcontextprotocol/" + name) for name in ("sdk", "client"))


def needs(there, what):
    return unittest.skipUnless(there, f"{what} is not installed")


class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.data = make_data(cls.stack.enter_context(temp_folder()))
        cls.server = cls.stack.enter_context(Server(cls.data))
        private = make_data(cls.stack.enter_context(temp_folder()))
        cls.key = run("key", "--data", private, "add", "sdk", "--quiet").stdout.decode().strip()
        cls.asking = cls.stack.enter_context(Server(private))

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def client(self, program, *args, **env):
        return subprocess.run([*map(str, (*program, *args))], capture_output=True, timeout=HANG,
                              text=True, check=False, env={**os.environ, **env})

    def walk(self, program, modes, **env):
        """The client against both transports; each mode with the revision that it must agree on.
        Over HTTP once more with a key, and without one where one is needed."""
        for way in (("http", f"http://127.0.0.1:{self.server.port}/mcp"),
                    ("stdio", BIN, "mcp", "--data", self.data, "--quiet")):
            for mode, revision in modes:
                ran = self.client(program, mode, *way, **env)
                self.assertEqual(ran.returncode, 0, (mode, way, ran.stderr))
                self.assertIn(ran.stdout.strip(), revision, (mode, way))
        asking = ("http", f"http://127.0.0.1:{self.asking.port}/mcp")
        ran = self.client(program, modes[0][0], *asking, **env, MEDICUS_API_KEY=self.key)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        ran = self.client(program, modes[0][0], *asking, **env)
        self.assertNotEqual(ran.returncode, 0)
        self.assertRegex(ran.stderr, r"401|[Uu]nauthorized|A valid API key is needed")

    @needs(HAS_PYTHON, "the Python package mcp (2.x)")
    def test_python_2(self):
        self.walk((TOOLS_PYTHON, CLIENTS / "mcp_client.py"),
                  (("auto", (MODERN,)), ("legacy", (LEGACY,)), (MODERN, (MODERN,))))

    @needs(HAS_OLDER, "the Python package mcp (1.x)")
    def test_python_1(self):
        self.walk((TOOLS_PYTHON, CLIENTS / "mcp_client.py"), (("1.x", (LEGACY,)),),
                  PYTHONPATH=str(OLDER))

    @needs(HAS_CLIENT, "the npm package @modelcontextprotocol/client")
    def test_typescript_2(self):
        self.walk((NODE, CLIENTS / "mcp_client.mjs", NODE_MODULES, "client"),
                  (("auto", (MODERN,)), ("legacy", (LEGACY,)), (MODERN, (MODERN,))))

    @needs(HAS_SDK, "the npm package @modelcontextprotocol/sdk")
    def test_typescript_1(self):
        self.walk((NODE, CLIENTS / "mcp_client.mjs", NODE_MODULES, "sdk"),
                  (("legacy", (LEGACY, "")),))  # over stdio it does not tell


if __name__ == "__main__":
    if not (HAS_PYTHON or HAS_OLDER or HAS_CLIENT or HAS_SDK):
        print("skipped: no SDK of MCP is installed (tests/tools/install.sh)")
        sys.exit(77)
    unittest.main()
