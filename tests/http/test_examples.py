"""Everything in api-spec/examples runs against the real server.

A scripted model (scripted_model.py) stands in for the language model.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

from scripted_model import ScriptedModel
from support import (BIN, HANG, NODE, ROOT, Server, TOOLS_PYTHON, WithServer, make_data,
                     python_has, run, temp_folder)

EXAMPLES = ROOT / "api-spec/examples"
CLIENTS = EXAMPLES / "mcp-clients"
QUESTION = "Can beta-blockers be stopped after a heart attack?"
NODE_PROGRAM = str(NODE) if NODE.exists() else shutil.which("node")
URL = "http://127.0.0.1:8080"
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"}}}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
TOOLS = ["search", "fetch", "similar", "terms"]


class Examples(WithServer):
    """The server asks for keys."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        private = make_data(cls.stack.enter_context(temp_folder()))
        cls.key = run("key", "--data", private, "add", "agent", "--quiet").stdout.decode().strip()
        cls.asking = cls.stack.enter_context(Server(private))

    def run_program(self, *command, **env):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.data), "MEDICUS_API_KEY": self.key,
               "MEDICUS_URL": f"http://127.0.0.1:{self.asking.port}", **env}
        return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=HANG,
                              env=env, check=False)

    def agent(self, *command):
        """The program asks the scripted model; the answer cites what the library really says."""
        with ScriptedModel(QUESTION) as model:
            ran = self.run_program(*command, QUESTION, OPENAI_BASE_URL=model.url,
                                   OPENAI_API_KEY="none", OPENAI_MODEL="scripted")
        self.assertEqual((ran.returncode, model.errors), (0, []), ran.stderr + ran.stdout)
        self.assertEqual(model.turns, 4)
        first = self.server.search(QUESTION, limit=3).json["results"][0]
        self.assertIn(f"[{first['title']}]({first['url']})", ran.stdout)
        self.assertEqual(len(re.findall(r"\]\(https?://", ran.stdout)), 2)

    def test_agent_in_python(self):
        self.agent(sys.executable, EXAMPLES / "agent.py")

    @unittest.skipUnless(NODE_PROGRAM, "Node is not installed")
    def test_agent_in_javascript(self):
        self.agent(NODE_PROGRAM, EXAMPLES / "agent.mjs")

    @unittest.skipUnless(python_has("agents"), "the Python package openai-agents is not installed")
    def test_openai_agents_sdk(self):
        self.agent(TOOLS_PYTHON, CLIENTS / "openai_agents.py")

    def test_agents_stop_when_the_library_or_the_model_is_wrong(self):
        for name, program in (("agent.py", sys.executable), ("agent.mjs", NODE_PROGRAM)):
            if not program:
                continue
            ran = self.run_program(program, EXAMPLES / name, "")
            self.assertNotEqual(ran.returncode, 0)
            self.assertIn("prompts/get", ran.stderr)
            ran = self.run_program(program, EXAMPLES / name, QUESTION, MEDICUS_API_KEY="")
            self.assertNotEqual(ran.returncode, 0)
            self.assertIn("401", ran.stderr)
            with ScriptedModel("another question") as model:
                ran = self.run_program(program, EXAMPLES / name, QUESTION,
                                       OPENAI_BASE_URL=model.url)
            self.assertNotEqual(ran.returncode, 0)
            self.assertIn("400", ran.stderr)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        ran = self.run_program("bash", EXAMPLES / "curl.sh")
        self.assertEqual(ran.returncode, 0, ran.stderr + ran.stdout)
        parts = re.split(r"^# (?:GET|POST) .*\n", ran.stdout, flags=re.M)
        self.assertEqual(len(parts), 11)
        self.assertIn("1 to 3 of", parts[2])
        for result in json.loads(parts[3])["results"]:
            self.assertIn(result["evidence"], ("guideline", "systematic-review"))
        self.assertIn('"text"', parts[5])
        self.assertTrue(parts[6].startswith("# "), parts[6])
        self.assertEqual(len(json.loads(parts[7])["results"]), 2)
        self.assertEqual(len(json.loads(parts[8])["terms"]), 1)
        self.assertIn('"structuredContent"', parts[9])
        self.assertIn('did you mean', parts[-1])

    def test_curl_without_a_server_or_a_key(self):
        ran = self.run_program("bash", EXAMPLES / "curl.sh", MEDICUS_URL="http://127.0.0.1:1")
        self.assertNotEqual(ran.returncode, 0)
        ran = self.run_program("bash", EXAMPLES / "curl.sh", MEDICUS_API_KEY="")
        self.assertIn("Authorization: Bearer KEY", ran.stdout)
        self.assertNotEqual(ran.returncode, 0)
        url = f"http://127.0.0.1:{self.server.port}"
        ran = self.run_program("bash", EXAMPLES / "curl.sh", MEDICUS_API_KEY="", MEDICUS_URL=url)
        self.assertEqual(ran.returncode, 0, ran.stderr)


class Clients(WithServer):
    """Every snippet parses, and what it names answers as MCP."""

    def speak(self, server):
        """The handshake with a server as a client's settings name it."""
        if "command" in server:
            self.assertEqual(server["command"], "medicus")
            self.assertIn("/var/lib/medicus", server["args"])
            args = [str(self.data) if a == "/var/lib/medicus" else a for a in server["args"]]
            lines = f"{json.dumps(INITIALIZE)}\n{json.dumps(LIST)}\n"
            ran = subprocess.run([BIN, *args], input=lines, capture_output=True, text=True,
                                 timeout=HANG, check=True)
            answers = [json.loads(line) for line in ran.stdout.splitlines()]
        else:
            self.assertTrue(server["url"].startswith(URL), server)
            headers = {k: re.sub(r"\$\{.*\}", "none", v)
                       for k, v in server.get("headers", {}).items()}
            answers = [self.server.post(server["url"].removeprefix(URL), value, **headers).json
                       for value in (INITIALIZE, LIST)]
        self.assertEqual(answers[0]["result"]["serverInfo"]["name"], "medicus")
        self.assertEqual([t["name"] for t in answers[1]["result"]["tools"]], TOOLS)

    def test_settings_of_clients(self):
        spoken = 0
        for file in sorted(CLIENTS.glob("*.json")):
            value = json.loads(file.read_text())
            servers = value.get("mcpServers") or value.get("servers") or {}
            for server in servers.values():
                with self.subTest(file=file.name):
                    self.speak(server)
                    spoken += 1
            if not servers:
                tool, = value["tools"]
                self.assertEqual((tool["type"], tool["allowed_tools"]), ("mcp", TOOLS))
                self.speak({"url": URL + re.sub(r"https://[^/]+", "", tool["server_url"])})
                spoken += 1
        self.assertGreaterEqual(spoken, 8)

    def test_the_readme_names_every_file(self):
        for folder in (EXAMPLES, CLIENTS):
            readme = (folder / "README.md").read_text()
            for file in folder.iterdir():
                if file.name != "README.md":
                    self.assertIn(f"`{file.name}", readme)


if __name__ == "__main__":
    unittest.main()
