"""Every status that the specification declares for an operation is one that it can give.

What has nothing to do with the meaning of a request is provoked here, for all operations alike;
test_coverage.py tells what is left after all tests.
"""
import contextlib
import json
import re
import time
import unittest

from support import (HANG, Server, WithServer, check_contract, contract_of, make_data,
                     raw_exchange, run, temp_folder)

QUERIES = {"/v1/search": "q=asthma", "/v1/export": "q=asthma", "/v1/terms": "q=asthma",
           "/compat/serper/search": "q=asthma", "/readyz": "verbose"}
JSON = {"Content-Type": "application/json"}
ADMIN = "/v1/admin"  # test_admin.py knows what those routes need


class Prober:
    """Sends a good request of any operation, with something wrong in its headers or its target."""

    def __init__(self, server, key=None):
        self.server, self.key = server, key or {}
        self.operations = [(method.upper(), path, operation)
                           for path, item in contract_of(server).spec["paths"].items()
                           for method, operation in item.items() if "responses" in operation]

    def declaring(self, status):
        found = [one for one in self.operations if str(status) in one[2]["responses"]]
        assert found, f"no operation declares {status}"
        return found

    def target(self, path, extra="", method="GET", place=None):
        own = QUERIES.get(path) if method in ("GET", "HEAD") else None
        query = "&".join(part for part in (own, extra) if part)
        name = place or ("style.css" if path == "/assets/{name}" else "gone")
        target = path.replace("{name}", name)
        for variable in ("{id}", "{url}"):
            target = target.replace(variable, place or "pmid:990000101")
        return target + ("?" + query if query else "")

    @staticmethod
    def bodies(operation):
        """The examples of the specification; [None] for an operation that takes no body."""
        content = operation[2].get("requestBody", {}).get("content", {}).get("application/json", {})
        return [json.dumps(one["value"]) for one in content.get("examples", {}).values()] or [None]

    def send(self, operation, extra="", body=None, place=None, **headers):
        method, path, _ = operation
        given = self.bodies(operation)[0]
        body = given and (body or given)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.request(method, self.target(path, extra, method, place), body=body,
                                   headers={**(JSON if body else {}), **self.key, **headers})

    def send_raw(self, operation, fields, body=b""):
        """Only what a client library would not send; None: closed without an answer."""
        method, target = operation[0], self.target(operation[1], "", operation[0])
        fields += "".join(f"\r\n{name}: {value}" for name, value in self.key.items())
        head = f"{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"
        answer = raw_exchange(self.server,
                              head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        if answer:
            check_contract(self.server, method, target, answer)
        return answer


def make_key(data, name, *flags):
    made = run("key", "--data", data, "add", name, "--quiet", *flags)
    return {"Authorization": "Bearer " + made.stdout.decode().strip()}


class Statuses(WithServer):
    flags = ("--header-deadline-ms", "1500", "--body-deadline-ms", "300", "--idle-ms", "200")

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.data = make_data(cls.stack.enter_context(temp_folder()))
        key = make_key(cls.data, "all", "--scope", "search,admin")
        cls.server = cls.stack.enter_context(Server(cls.data, *cls.flags))
        cls.prober = Prober(cls.server, key)

    def each(self, status, extra="", **headers):
        for operation in self.prober.declaring(status):
            with self.subTest(operation[:2]):
                answer = self.prober.send(operation, extra, **headers)
                self.assertEqual(answer.status, status, answer.body)

    def test_200_for_every_example_of_a_request(self):
        for operation in self.prober.declaring(200):
            if operation[1].startswith(ADMIN) and (operation[0] not in ("GET", "HEAD") or
                                                   "{" in operation[1]):
                continue  # these change something, or need what such a request made
            for body in self.prober.bodies(operation):
                with self.subTest(operation[:2], body=body):
                    self.assertEqual(self.prober.send(operation, body=body).status, 200)

    def test_304(self):
        for operation in self.prober.declaring(304):
            with self.subTest(operation[:2]):
                etag = self.prober.send(operation).headers["etag"]
                self.assertEqual(self.prober.send(operation, If_None_Match=etag).status, 304)

    def test_400(self):
        self.each(400, "x=%zz")

    def test_404_of_jobs(self):
        for operation in self.prober.declaring(404):
            if operation[1].startswith(ADMIN + "/jobs"):
                answer = self.prober.send(operation, place="99999")
                self.assertEqual(answer.status, 404, operation[:2])

    def test_405(self):
        for _, path, _ in self.prober.declaring(405):
            for method in ("PATCH", "TRACE"):
                answer = self.server.request(method, self.prober.target(path),
                                             headers=self.prober.key)
                self.assertEqual(answer.status, 405, (method, path))

    def test_406(self):
        self.each(406, Accept="image/avif;q=0.5, font/woff2")

    def test_408(self):
        for operation in self.prober.declaring(408):
            answer = self.prober.send_raw(operation, "Content-Length: 9", b"{")
            # The connection may end first: a deadline is enforced, not announced.
            self.assertTrue(answer is None or answer.status == 408, operation[:2])

    def test_413_and_501(self):
        for status, field in ((413, "Content-Length: 9999999999"),
                              (501, "Transfer-Encoding: gzip")):
            for operation in self.prober.declaring(status):
                answer = self.prober.send_raw(operation, field)
                self.assertEqual(answer.status, status, operation[1])

    def test_414(self):
        self.each(414, "x=" + "a" * 17000)

    def test_415(self):
        self.each(415, Content_Type="image/png", Content_Encoding="br")

    def test_417(self):
        self.each(417, Expect="a miracle")

    def test_431(self):
        self.each(431, **{f"X-Field-{i}": "x" for i in range(80)})


class Refused(unittest.TestCase):
    def test_who_has_no_key_or_not_that_scope_or_asks_too_often(self):
        self.data = make_data(self.enterContext(temp_folder()))
        admin = make_key(self.data, "ops", "--scope", "admin")
        search = make_key(self.data, "agents", "--scope", "search")
        slow = make_key(self.data, "slow", "--scope", "search,admin", "--rate", "1/h")
        with Server(self.data) as server:
            prober = Prober(server)
            for operation in prober.declaring(401):
                self.assertEqual(prober.send(operation).status, 401, operation[:2])
            for operation in prober.declaring(403):
                wrong = search if operation[1].startswith(ADMIN) else admin
                self.assertEqual(prober.send(operation, **wrong).status, 403, operation[:2])
            server.get("/v1/search?q=asthma", **slow)
            for operation in prober.declaring(429):
                # A limit must not blind those who watch: they are limited by wrong keys alone.
                if operation[1] not in ("/readyz", "/metrics"):
                    self.assertEqual(prober.send(operation, **slow).status, 429, operation[:2])

    def test_before_anything_is_built(self):
        with temp_folder() as empty, Server(empty / "later", "--wait") as server:
            prober = Prober(server)
            for operation in prober.declaring(503):
                if operation[1].startswith(("/v1/", "/compat/", "/readyz")) and \
                        not operation[1].startswith(ADMIN):
                    self.assertEqual(prober.send(operation).status, 503, operation[:2])


DELETION = """<PubmedArticleSet><DeleteCitation><PMID Version="1">990000101</PMID>
</DeleteCitation></PubmedArticleSet>"""


class Changed(unittest.TestCase):
    def setUp(self):
        self.data = make_data(self.enterContext(temp_folder()))

    def test_404_and_410(self):
        """What never was, what was deleted, and a cursor whose generation is not kept."""
        with Server(self.data, "--cursor-seconds", "0") as server:
            prober = Prober(server)
            for operation in prober.declaring(404):
                if operation[1] != "/mcp" and not operation[1].startswith(ADMIN):
                    answer = prober.send(operation, body='{"url": "pmid:1"}', place="pmid:1")
                    self.assertEqual(answer.status, 404, operation[:2])
            cursor = server.search("asthma", limit=1).json["next_cursor"]
            path = self.data / "pubmed26n1501.xml"
            path.write_text(DELETION, encoding="ascii")
            run("ingest", "--data", self.data, "--quiet", path)
            run("build", "--data", self.data, "--quiet")
            for _ in range(HANG * 50):
                if server.get("/readyz?verbose").json["generation"] == 2:
                    break
                time.sleep(0.02)
            for operation in prober.declaring(410):
                is_search = operation[1] == "/v1/search"
                body = json.dumps({"query": "asthma", "cursor": cursor} if is_search else
                                  {"url": "pmid:990000101"})
                answer = prober.send(operation, "cursor=" + cursor if is_search and
                                     operation[0] != "POST" else "", body=body)
                self.assertEqual(answer.status, 410, (operation[:2], answer.body))

    def test_500_when_documents_are_damaged(self):
        """Bytes inside compressed records are flipped under a running server."""
        magic = b"\x28\xb5\x2f\xfd"
        store = self.data / "docs/data.mdb"
        with Server(self.data) as server:
            with open(store, "r+b") as f:
                data = bytearray(f.read())
                for at in (m.start() + 24 for m in re.finditer(re.escape(magic), data)):
                    f.seek(at)
                    f.write(bytes([data[at] ^ 0xFF]))
            prober = Prober(server)
            for operation in prober.declaring(500):
                # A tool's failure is a result of MCP; terms are answered from the index alone.
                if operation[1] in ("/mcp", "/v1/terms") or operation[1].startswith(ADMIN):
                    continue
                # Of several queries each has its own error.
                one = '{"query": "asthma"}' if operation[1] == "/v1/search" else None
                answer = prober.send(operation, body=one)
                self.assertEqual(answer.status, 500, (operation[:2], answer.body[:300]))
                self.assertNotIn(b"/docs", answer.body)
            self.assertEqual(server.get("/livez").status, 200)


if __name__ == "__main__":
    unittest.main()
