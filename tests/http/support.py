"""What the HTTP tests share: the program, a small data folder, a running server, a contract check.

Environment: MEDICUS_BIN (the program), MEDICUS_SHARED (outside test data, optional), MEDICUS_SEED,
MEDICUS_TOOLS (what tests/tools/install.sh installed, optional).
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import unittest
import urllib.parse

from contract import Contract, validate  # noqa: F401 (validate is for the tests)

# What is installed on this machine has no say.
os.environ.setdefault("MEDICUS_CONFIG", "")

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("MEDICUS_BIN", str(ROOT / "build/service/medicus"))
SAMPLE = ROOT / "deploy/sample"
TOOLS = pathlib.Path(os.environ.get("MEDICUS_TOOLS", ROOT / ".cache/tools"))
TOOLS_PYTHON = TOOLS / "venv/bin/python"
NODE = TOOLS / "venv/bin/node"
NODE_MODULES = TOOLS / "node/node_modules"
HANG = 120  # seconds after which something hangs; nothing here measures time


def run(*args, ok=True, stdin=None, env=None, **kwargs):
    """Runs the program; with ok, anything but exit status 0 is a failure of the test."""
    result = subprocess.run([BIN, *map(str, args)], capture_output=True, timeout=HANG * 5,
                            input=stdin, env={**os.environ, **(env or {})}, check=False, **kwargs)
    if ok and result.returncode != 0:
        raise AssertionError(f"{args}: exit {result.returncode}: {result.stderr.decode()}")
    return result


def run_json(*args):
    return json.loads(run(*args).stdout)


def python_has(module):
    """Whether the tools' Python can import it; for @unittest.skipUnless(..., reason)."""
    return TOOLS_PYTHON.exists() and subprocess.run(
        [TOOLS_PYTHON, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def node_has(package):
    """Whether the tools' Node and the npm package are installed."""
    return NODE.exists() and (NODE_MODULES / package / "package.json").exists()


@contextlib.contextmanager
def temp_folder():
    folder = tempfile.mkdtemp(prefix="medicus-http-")
    try:
        yield pathlib.Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_data(folder):
    """The sample corpus, ingested and built."""
    run("ingest", "--data", folder, "--quiet", SAMPLE / "pubmed", SAMPLE / "guidelines")
    run("build", "--data", folder, "--quiet")
    return folder


def json_test_suite():
    """(name, bytes) of each case of nst/JSONTestSuite; empty where the shared data is not there."""
    shared = pathlib.Path(os.environ.get("MEDICUS_SHARED", ROOT / "../shared"))
    for base in (shared / "data", shared):
        archive = base / "jsontestsuite/test_parsing.tar.gz"
        if archive.exists():
            with tarfile.open(archive) as tar:
                return [(pathlib.Path(m.name).name, tar.extractfile(m).read())
                        for m in tar.getmembers() if m.name.endswith(".json")]
    return []


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A server on a port of its choice; stops when the block ends."""

    def __init__(self, data, *flags):
        self.command = [BIN, "serve", "--data", str(data), "--listen", "127.0.0.1:0", *flags]
        self.log = []

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)\b", line)
            if found:
                self.port = int(found.group(1))
                return self
        raise AssertionError(f"the server did not start: {self.log}")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.process.stderr.close()

    def stop(self, number=signal.SIGTERM):
        """Stops it and returns the exit status; the rest of the log is read."""
        self.process.send_signal(number)
        rest = self.process.communicate(timeout=HANG)[1]
        self.log += rest.splitlines(keepends=True)
        return self.process.returncode

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)

    def request(self, method, target, body=None, headers=None, connection=None):
        c = connection or self.connection()
        try:
            c.request(method, target, body=body, headers=headers or {})
            r = c.getresponse()
            answer = Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        finally:
            if not connection:
                c.close()
        check_contract(self, method, target, answer)
        return answer

    def get(self, target, **headers):
        return self.request("GET", target, headers={k.replace("_", "-"): v for k, v in
                                                    headers.items()})

    def post(self, target, value, **headers):
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        return self.request("POST", target, body=body,
                            headers={"Content-Type": "application/json", **headers})

    def search(self, query, **params):
        params["q"] = query
        return self.get("/v1/search?" + urllib.parse.urlencode(params))


def parse_answer(data):
    """The first answer in raw bytes; None: there is none."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1.1 "):
        return None
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    return Answer(int(lines[0].split(" ")[1]), headers, body)


def raw_exchange(server, data):
    """Sends the bytes on a connection of their own and reads until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=HANG) as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return parse_answer(answer)


# --- the contract: every answer that a test provokes is one that openapi.yaml declares ---

_contracts = {}


def contract_of(server):
    if BIN not in _contracts:
        c = server.connection()
        c.request("GET", "/openapi.json")
        _contracts[BIN] = Contract(json.loads(c.getresponse().read()))
        c.close()
    return _contracts[BIN]


def spec_of(server):
    return contract_of(server).spec


def check_contract(server, method, target, answer):
    contract_of(server).check(method, target, answer)


class WithServer(unittest.TestCase):
    """One data folder and one server for all tests of a class."""
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.data = make_data(cls.stack.enter_context(temp_folder()))
        cls.server = cls.stack.enter_context(Server(cls.data, *cls.flags))

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def problem(self, answer, name, status):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertEqual(answer.json["type"], "/problems/" + name)
        self.assertTrue(answer.json["next"])
        return answer.json
