"""API keys: made and revoked on the command line, asked for by the server, never guessable."""
import base64
import hashlib
import re
import stat
import subprocess
import time
import unittest

from support import (BIN, HANG, Server, WithServer, make_data, run, run_json, spec_of,
                     temp_folder)

OPEN = ("/livez", "/readyz", "/openapi.json", "/problems/gone", "/", "/docs",
        "/assets/style.css")
SEARCHES = ("/v1/search?q=asthma", "/v1/export?q=asthma&format=ids", "/v1/terms?q=asthma",
            "/v1/documents/pmid:990000101", "/v1/documents/pmid:990000101/similar")


def add_key(data, name, *flags):
    return run("key", "--data", data, "add", name, "--quiet", *flags).stdout.decode().strip()


def bearer(secret):
    return {"Authorization": "Bearer " + secret}


def checksum(text):
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()[:8]


def wait_until(condition):
    """Something that happens by itself, within a second or two."""
    end = time.monotonic() + HANG
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def metric(server, line, **headers):
    text = server.get("/metrics", **headers).body.decode()
    return float(re.search("^" + re.escape(line) + r" (\S+)$", text, re.M).group(1))


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.data = self.enterContext(temp_folder())

    def test_a_secret_is_recognisable_and_is_not_in_the_file(self):
        secret = add_key(self.data, "agents")
        self.assertRegex(secret, r"^medicus_[0-9a-f]{72}$")
        self.assertEqual(secret[-8:], checksum(secret[:-8]))
        stored = (self.data / "keys").read_bytes()
        self.assertNotIn(secret.encode(), stored)
        self.assertNotIn(secret[8:-8].encode(), stored)
        self.assertIn(hashlib.blake2b(secret.encode(), digest_size=32).hexdigest().encode(), stored)
        self.assertNotEqual(secret, add_key(self.data, "others"))
        self.assertNotIn(secret.encode(), run("key", "--data", self.data, "list").stdout)

    def test_the_file_is_its_owners_alone_and_strangers_pens_are_refused(self):
        add_key(self.data, "agents")
        path = self.data / "keys"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        path.chmod(0o666)
        result = run("key", "--data", self.data, "list", ok=False)
        self.assertEqual(result.returncode, 8)
        self.assertIn(b"chmod 600", result.stderr)

    def test_list_tells_everything_but_the_secret(self):
        add_key(self.data, "a.b-c_1", "--scope", "search,admin", "--source", "pubmed, guideline",
                "--rate", "10/s", "--expires", "2099-12-31")
        add_key(self.data, "plain")
        one, other = run_json("key", "--data", self.data, "list", "--json")
        self.assertEqual(one | {"id": "", "created": ""}, {
            "id": "", "created": "", "name": "a.b-c_1", "scopes": "search,admin",
            "sources": "pubmed,guideline", "rate": "10/s", "expires": "2100-01-01T00:00:00Z",
            "expired": False})
        self.assertEqual((other["scopes"], other["rate"], other["expires"]),
                         ("search", None, None))
        text = run("key", "--data", self.data, "list").stdout.decode().splitlines()
        self.assertEqual(len(text), 3)
        self.assertEqual(len({len(line.split("\t")) for line in text}), 1)

    def test_what_is_wrong_is_said(self):
        add_key(self.data, "agents")
        for args, status, words in (
                (("add", "agents"), 9, "already"), (("add", "a b"), 2, "letters"),
                (("add", "x" * 65), 2, "64"), (("add",), 2, "Give one name"),
                (("add", "b", "--scope", "serch"), 2, 'did you mean "search"'),
                (("add", "b", "--source", "web"), 2, "no source"),
                (("add", "b", "--rate", "10"), 2, "10/s"),
                (("add", "b", "--rate", "0/s"), 2, "rate"),
                (("add", "b", "--expires", "2027-02-30"), 2, "no date"),
                (("add", "b", "--expires", "2001-01-01"), 2, "passed"),
                (("revoke", "nobody"), 4, "key list"), (("rotate", "nobody"), 4, "key list"),
                (("revoke", "agents", "--rate", "1/s"), 2, "key add"), (("lst",), 2, "what to do")):
            result = run("key", "--data", self.data, *args, ok=False)
            self.assertEqual(result.returncode, status, (args, result.stderr))
            self.assertIn(words, result.stderr.decode(), args)

    def test_revoke_takes_a_name_or_an_id(self):
        for name in ("one", "two"):
            add_key(self.data, name)
        keys = run_json("key", "--data", self.data, "list", "--json")
        run("key", "--data", self.data, "revoke", keys[0]["id"])
        run("key", "--data", self.data, "revoke", "two")
        self.assertEqual(run_json("key", "--data", self.data, "list", "--json"), [])

    def test_twelve_writers_at_once_lose_nothing(self):
        names = [f"key{i}" for i in range(12)]
        processes = [subprocess.Popen([BIN, "key", "--data", str(self.data), "add", name, "-q"],
                                      stdout=subprocess.DEVNULL) for name in names]
        self.assertEqual([p.wait(timeout=HANG) for p in processes], [0] * len(names))
        listed = run_json("key", "--data", self.data, "list", "--json")
        self.assertEqual(sorted(k["name"] for k in listed), sorted(names))
        self.assertEqual(len({k["id"] for k in listed}), len(names))

    def test_a_damaged_file_is_refused_by_command_and_server(self):
        add_key(self.data, "agents")
        path = self.data / "keys"
        good = path.read_bytes()
        for bad in (b"", good[:-1], good[:50], good.replace(b"search", b"Search"),
                    good.replace(b'"agents"', b'"agent5"'), b"{}\n", good + good):
            path.write_bytes(bad)
            for command in (("key", "list"), ("serve", "--wait", "--listen", "127.0.0.1:0")):
                result = run(*command, "--data", self.data, ok=False)
                self.assertEqual(result.returncode, 6, (bad, result.stderr))
                self.assertIn(b"damaged", result.stderr)


class Serving(unittest.TestCase):
    """Each test has its own keys; the index is made once."""

    @classmethod
    def setUpClass(cls):
        cls.data = make_data(cls.enterClassContext(temp_folder()))

    def setUp(self):
        (self.data / "keys").unlink(missing_ok=True)

    def problem(self, answer, name, status):
        WithServer.problem(self, answer, name, status)
        return answer

    def test_without_keys_this_machine_may_search_but_not_administer(self):
        with Server(self.data) as server:
            for target in OPEN + SEARCHES + ("/metrics", "/readyz?verbose"):
                self.assertEqual(server.get(target).status, 200, target)

    def test_with_keys_everything_but_the_open_routes_needs_one(self):
        secret = add_key(self.data, "agents")
        with Server(self.data) as server:
            for target in OPEN:
                self.assertEqual(server.get(target).status, 200, target)
            for target in SEARCHES + ("/metrics", "/readyz?verbose"):
                answer = self.problem(server.get(target), "unauthorized", 401)
                self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="medicus"')
                for headers in (bearer(secret), {"X-API-Key": secret},
                                {"Authorization": "bearer  " + secret},
                                {**bearer(secret), "X-API-Key": secret},
                                {"Authorization": "Basic eDp5", "X-API-Key": secret}):
                    self.assertEqual(server.get(target, **headers).status, 200, (target, headers))
            for target, body in (("/v1/search", {"query": "asthma"}),
                                 ("/v1/fetch", {"ids": ["x"]})):
                self.problem(server.post(target, body), "unauthorized", 401)
                self.assertEqual(server.post(target, body, **bearer(secret)).status, 200)
            refused = server.post("/mcp", {})
            self.assertEqual((refused.status, refused.json["error"]["data"]["type"]),
                             (401, "/problems/unauthorized"))
            head = server.request("HEAD", "/v1/search?q=asthma")
            self.assertEqual((head.status, head.body), (401, b""))

    def test_a_key_is_checked_before_the_body_is_read(self):
        add_key(self.data, "agents")
        with Server(self.data) as server:
            c = server.connection()
            c.putrequest("POST", "/v1/search")
            c.putheader("Content-Type", "application/json")
            c.putheader("Content-Length", "1000000")
            c.putheader("Expect", "100-continue")
            c.endheaders()
            self.assertEqual(c.getresponse().status, 401)
            c.close()

    def test_wrong_keys_are_all_answered_alike(self):
        secret = add_key(self.data, "agents")
        expired = add_key(self.data, "late")
        run("key", "--data", self.data, "revoke", "late")
        other = "medicus_" + "5" * 64
        wrong = [expired, other + checksum(other), secret[:-1] + "x", "x", "medicus_",
                 base64.b64encode(secret.encode()).decode(), secret.upper(), "a" * 4000]
        with Server(self.data) as server:
            answers = [server.get("/v1/search?q=a", **bearer(w)) for w in wrong]
            for answer in answers:
                self.problem(answer, "unauthorized", 401)
                self.assertIn('error="invalid_token"', answer.headers["www-authenticate"])
            self.assertEqual(len({a.json["detail"] for a in answers}), 1)
            self.problem(server.get("/v1/search?q=a", Authorization="Bearer " + secret,
                                    X_API_Key=other), "bad-request", 400)
            self.assertEqual(metric(server, 'medicus_auth_failures_total{reason="invalid"}',
                                    **bearer(secret)), len(wrong))

    def test_many_wrong_keys_of_an_address_are_refused_and_the_right_one_is_not(self):
        secret = add_key(self.data, "agents")
        wrong = {"X-API-Key": "guess"}
        with Server(self.data) as server:
            statuses = [server.get("/v1/search?q=a", **wrong).status for _ in range(40)]
            self.assertEqual(statuses[:30], [401] * 30)
            self.assertIn(429, statuses)
            for target in ("/v1/search?q=a", "/metrics", "/readyz?verbose"):
                answer = self.problem(server.get(target, **wrong), "rate-limited", 429)
                self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
                self.assertEqual(server.get(target, **bearer(secret)).status, 200)
            self.assertEqual(server.get("/v1/search?q=a").status, 401)
            self.assertGreater(metric(server, "medicus_rate_limited_total", **bearer(secret)), 0)

    def test_scopes(self):
        search, admin = add_key(self.data, "s"), add_key(self.data, "a", "--scope", "admin")
        with Server(self.data) as server:
            answer = server.get("/v1/search?q=asthma", **bearer(admin))
            self.problem(answer, "insufficient-scope", 403)
            self.assertIn('error="insufficient_scope", scope="search"',
                          answer.headers["www-authenticate"])
            self.assertEqual(server.get("/v1/search?q=asthma", **bearer(search)).status, 200)
            for secret in (search, admin):
                self.assertEqual(server.get("/metrics", **bearer(secret)).status, 200)

    def test_every_route_that_declares_it_answers_401_403_and_429(self):
        keys = {scope: add_key(self.data, scope, "--scope", scope, "--rate", "1/h")
                for scope in ("search", "admin")}
        with Server(self.data) as server:
            paths = spec_of(server)["paths"]
            secrets = [bearer(s) for s in keys.values()]
            for secret in secrets:  # one request an hour, and this was it
                for target in ("/v1/search?q=a", "/v1/admin/jobs"):
                    server.get(target, **secret)
            for path, item in paths.items():
                target = path.replace("{id}", "x").replace("{name}", "gone")
                for method, operation in item.items():
                    declared = set(operation["responses"]) & {"401", "403", "429"}
                    if declared >= {"401", "429"} and path not in ("/readyz", "/metrics"):
                        got = {server.request(method.upper(), target, body=b"{}",
                                              headers={"Content-Type": "application/json", **h}
                                              ).status for h in [{}, *secrets]}
                        self.assertEqual(got, {401, 403, 429}, (method, path))

    def test_a_key_that_is_limited_to_sources_sees_no_others(self):
        everything = bearer(add_key(self.data, "all"))
        some = bearer(add_key(self.data, "some", "--source", "guideline"))
        with Server(self.data) as server:
            query = "/v1/search?q=asthma&limit=50&facets=source"
            seen = server.get(query, **everything).json
            sources = {r["source"] for r in seen["results"]}
            self.assertGreater(len(sources), 1)
            limited = server.get(query, **some).json
            self.assertEqual({r["source"] for r in limited["results"]}, {"guideline"})
            self.assertEqual([f["value"] for f in limited["facets"]["source"]], ["guideline"])
            self.assertLess(limited["total"], seen["total"])
            # What the caller filters by can only take away.
            for source in ("pubmed", "pubmed,pmc"):
                none = server.get(f"{query}&source={source}", **some).json
                self.assertEqual((none["results"], none["total"]), ([], 0))
            same = server.get(f"{query}&source=guideline,pubmed", **some).json
            self.assertEqual([r["id"] for r in same["results"]],
                             [r["id"] for r in limited["results"]])
            for mode in ("lexical", "dense"):
                found = server.get(f"{query}&mode={mode}", **some).json["results"]
                self.assertEqual({r["source"] for r in found}, {"guideline"})
            etag = server.get(query, **everything).headers["etag"]
            self.assertEqual(server.get(query, If_None_Match=etag, **some).status, 200)

            hidden = next(r for r in seen["results"] if r["source"] == "pubmed")["id"]
            hidden = hidden.split("~")[0]
            shown = limited["results"][0]["id"].split("~")[0]
            for suffix in ("", "/similar"):
                there = server.get(f"/v1/documents/{hidden}{suffix}", **some)
                nowhere = server.get(f"/v1/documents/pmid:77{suffix}", **some)
                self.problem(there, "not-found", 404)
                self.assertEqual(there.json["detail"].replace(hidden, "x"),
                                 nowhere.json["detail"].replace("pmid:77", "x"))
                self.assertEqual(server.get(f"/v1/documents/{shown}{suffix}", **some).status, 200)
            similar = server.get(f"/v1/documents/{shown}/similar?limit=50", **some).json["results"]
            self.assertLessEqual({r["source"] for r in similar}, {"guideline"})
            documents = server.post("/v1/fetch", {"ids": [hidden, shown]}, **some).json["documents"]
            self.assertEqual(documents[0]["error"]["type"], "/problems/not-found")
            self.assertEqual(documents[1]["document_id"], shown)
            exported = server.get("/v1/export?q=asthma&format=ids", **some).body.decode().split()
            self.assertTrue(exported)
            self.assertTrue(all(i.startswith("guideline:") for i in exported), exported)
            terms = server.get("/v1/terms?q=copd", **some).json["terms"]
            self.assertNotIn("abbreviation", {t["kind"] for t in terms})
            secret = some["Authorization"].split()[1]
            for headers, body in ((some, {}), ({}, {"api_key": secret})):
                found = server.post("/compat/tavily/search", {"query": "asthma", **body},
                                    **headers).json["results"]
                self.assertTrue(found)
                self.assertTrue(all("guideline" in r["url"] for r in found), found)
            self.assertEqual(server.get(f"/compat/jina/{hidden}", **some).status, 404)
            self.assertEqual(server.get(f"/compat/jina/{hidden}", **everything).status, 200)
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
                "name": "fetch", "arguments": {"id": hidden}}}
            self.assertTrue(server.post("/mcp", call, **some).json["result"]["isError"])
            self.assertFalse(server.post("/mcp", call, **everything).json["result"].get("isError"))
            call["params"] = {"name": "search", "arguments": {"query": "asthma"}}
            found = server.post("/mcp", call, **some).json["result"]["structuredContent"]["results"]
            self.assertTrue(found)
            self.assertTrue(all(r["id"].startswith("guideline:") for r in found))
            call = {**call, "method": "resources/read", "params": {"uri": "medicus://library"}}
            for key, tells in ((some, False), (everything, True)):
                library = server.post("/mcp", call, **key).json["result"]["contents"][0]["text"]
                self.assertEqual('"documents"' in library, tells)
            for tool, arguments in (("similar", {"id": hidden}), ("similar", {"id": shown})):
                call = {**call, "method": "tools/call",
                        "params": {"name": tool, "arguments": arguments}}
                result = server.post("/mcp", call, **some).json["result"]
                self.assertEqual(result["isError"], arguments["id"] == hidden)
                if not result["isError"]:
                    self.assertEqual({r["source"] for r in result["structuredContent"]["results"]},
                                     {"guideline"})

    def test_a_key_that_is_limited_to_sources_learns_no_name_of_a_file(self):
        name = run_json("info", "--data", self.data, "--json")["index"]["last_input"].encode()
        everything = bearer(add_key(self.data, "everything"))
        some = bearer(add_key(self.data, "some", "--source", "pubmed"))
        tool = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "search", "arguments": {"query": "asthma"}}}
        library = {"jsonrpc": "2.0", "id": 1, "method": "resources/read",
                   "params": {"uri": "medicus://library"}}
        with Server(self.data) as server:
            for ask in (lambda key: server.get("/v1/search?q=asthma", **key),
                        lambda key: server.get("/v1/search?q=asthma&format=text", **key),
                        lambda key: server.get("/v1/documents/pmid:990000101", **key),
                        lambda key: server.get("/v1/documents/pmid:990000101/similar", **key),
                        lambda key: server.post("/v1/fetch", {"ids": ["pmid:990000101"]}, **key),
                        lambda key: server.post("/v1/search", {"queries": [{"query": "a"}]}, **key),
                        lambda key: server.post("/mcp", tool, **key),
                        lambda key: server.post("/mcp", library, **key)):
                self.assertIn(name, ask(everything).body)
                self.assertNotIn(name, ask(some).body)

    def test_rates_of_keys(self):
        slow, free = add_key(self.data, "slow", "--rate", "3/h"), add_key(self.data, "free")
        with Server(self.data) as server:
            for left in (2, 1, 0):
                answer = server.get("/v1/search?q=asthma", **bearer(slow))
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["ratelimit-policy"], '"key";q=3;w=3600')
                self.assertRegex(answer.headers["ratelimit"], rf'^"key";r={left};t=\d+$')
            answer = self.problem(server.get("/v1/search?q=asthma", **bearer(slow)),
                                  "rate-limited", 429)
            self.assertIn(int(answer.headers["retry-after"]), range(1100, 1201))
            self.assertIn("r=0", answer.headers["ratelimit"])
            self.assertEqual(server.get("/metrics", **bearer(slow)).status, 200)
            self.assertNotIn("ratelimit", server.get("/v1/search?q=a", **bearer(free)).headers)
            # A batch counts every query, of which the last ones may be owed.
            batch = add_key(self.data, "batch", "--rate", "20/h")
            wait_until(lambda: metric(server, "medicus_keys", **bearer(free)) == 3)
            answer = server.post("/v1/search", {"queries": [{"query": "asthma"}] * 8},
                                 **bearer(batch))
            self.assertEqual(len(answer.json["answers"]), 8)
            self.assertIn(";r=12;", answer.headers["ratelimit"])
            ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            answer = server.post("/mcp", [ping] * 10, **bearer(batch))
            self.assertIn(";r=2;", answer.headers["ratelimit"])
            server.post("/v1/search", {"queries": [{"query": "asthma"}] * 8}, **bearer(batch))
            answer = self.problem(server.get("/v1/search?q=a", **bearer(batch)), "rate-limited",
                                  429)
            self.assertGreater(int(answer.headers["retry-after"]), 6 * 180)
            add_key(self.data, "another")  # the keys are read again: the bucket stays empty
            wait_until(lambda: metric(server, "medicus_keys", **bearer(free)) == 4)
            self.assertEqual(server.get("/v1/search?q=a", **bearer(slow)).status, 429)

    def test_rates_of_the_server(self):
        with Server(self.data, "--rate-limit", "2/h") as server:
            answers = [server.get("/v1/search?q=asthma") for _ in range(3)]
            self.assertEqual([a.status for a in answers], [200, 200, 429])
            self.assertEqual(answers[0].headers["ratelimit-policy"], '"server";q=2;w=3600')
            self.assertEqual(server.get("/livez").status, 200)
        one, two = add_key(self.data, "one"), add_key(self.data, "two", "--rate", "1/h")
        with Server(self.data, "--rate-limit", "2/h") as server:
            for secret, count in ((one, 2), (two, 1)):
                statuses = [server.get("/v1/search?q=a", **bearer(secret)).status for _ in range(3)]
                self.assertEqual(statuses, [200] * count + [429] * (3 - count))
        result = run("serve", "--data", self.data, "--rate-limit", "fast", ok=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"--rate-limit", result.stderr)

    def test_metrics_can_be_opened(self):
        add_key(self.data, "agents")
        with Server(self.data, "--open-metrics") as server:
            self.assertEqual(server.get("/metrics").status, 200)
            self.problem(server.get("/readyz?verbose"), "unauthorized", 401)

    def test_changes_are_noticed_by_a_running_server(self):
        with Server(self.data) as server:
            secret = add_key(self.data, "agents")
            wait_until(lambda: server.get("/v1/search?q=a").status == 401)
            self.assertEqual(server.get("/v1/search?q=a", **bearer(secret)).status, 200)
            new = run("key", "--data", self.data, "rotate", "agents", "-q").stdout.decode().strip()
            wait_until(lambda: server.get("/v1/search?q=a", **bearer(secret)).status == 401)
            self.assertEqual(server.get("/v1/search?q=a", **bearer(new)).status, 200)
            run("key", "--data", self.data, "revoke", "agents")
            wait_until(lambda: server.get("/v1/search?q=a", **bearer(new)).status == 401)
            self.problem(server.get("/v1/search?q=a"), "unauthorized", 401)
            (self.data / "keys").unlink()
            wait_until(lambda: server.get("/v1/search?q=a").status == 200)

    def test_a_broken_file_keeps_the_keys_from_before(self):
        secret = add_key(self.data, "agents")
        with Server(self.data) as server:
            (self.data / "keys").write_bytes(b"nonsense")
            time.sleep(2.5)
            self.problem(server.get("/v1/search?q=a"), "unauthorized", 401)
            self.assertEqual(server.get("/v1/search?q=a", **bearer(secret)).status, 200)
            server.stop()
        self.assertEqual(sum("what was in force before stays" in line for line in server.log), 1)
        self.assertNotIn(secret, "".join(server.log))

    def test_addresses_that_others_can_reach_need_keys_or_a_flag(self):
        result = run("serve", "--data", self.data, "--listen", "0.0.0.0:0", ok=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"medicus key add", result.stderr)
        self.assertIn(b"--allow-public", result.stderr)
        add_key(self.data, "agents")
        process = subprocess.Popen([BIN, "serve", "--data", str(self.data), "--listen",
                                    "0.0.0.0:0"], stderr=subprocess.PIPE, text=True)
        server = Server(self.data)
        try:
            line = next(x for x in process.stderr if "listening on" in x)
            server.port = int(line.rsplit(":", 1)[1])
            self.problem(server.get("/v1/search?q=a"), "unauthorized", 401)
            # Without the file such a server must not open by itself.
            (self.data / "keys").unlink()
            wait_until(lambda: "has no keys" in server.get("/v1/search?q=a").json["detail"])
        finally:
            process.terminate()
            process.communicate(timeout=HANG)


if __name__ == "__main__":
    unittest.main()
