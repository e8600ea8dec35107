"""Bodies that are wrong in every way that the specification lets one derive, at every POST route.

For every member of every request schema: values of every JSON type, extremes, and names that are
almost right. What the schema refuses is a 4xx; nothing is a 5xx; the log stays silent.
"""
import copy
import json
import unittest

from contract import validator_of
from support import Server, WithServer, contract_of, json_test_suite, make_data, temp_folder

CANARY = "xyzzycanary"  # stands in everything that is sent, and must stand in no log
VALUES = [None, True, False, 0, -1, 1, 1.5, 1e308, -1e308, 10 ** 30, 2 ** 53, 2 ** 63, "", " ",
          CANARY, CANARY + "\x01\x7f", CANARY * 2000, "../../" + CANARY, "%00" + CANARY, "1", "-0",
          [], [[]], [CANARY], [None], [1], [CANARY] * 1000, [{}], {}, {CANARY: 1}, {"": {"": []}}]
# Extra members mean nothing to these services' clients, and a message to /mcp is JSON-RPC's.
OPEN = ("/compat/", "/mcp")


def resolve(spec, node):
    while "$ref" in node:
        target = spec
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def members(spec, schema, path=()):
    """The path of every member of a body, filters included."""
    schema = resolve(spec, schema)
    for name, child in schema.get("properties", {}).items():
        yield (*path, name)
        yield from members(spec, child, (*path, name))
    for branch in schema.get("oneOf", []) + schema.get("anyOf", []):
        yield from members(spec, branch, path)


def with_value(body, path, value):
    body = copy.deepcopy(body)
    node = body
    for name in path[:-1]:
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            return None
    node[path[-1]] = value
    return body


class Bodies(WithServer):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        spec = contract_of(cls.server).spec
        cls.routes = {}
        for path, item in spec["paths"].items():
            if "{" in path or path.startswith("/v1/admin"):
                continue
            content = item.get("post", {}).get("requestBody", {}).get("content", {})
            kind = content.get("application/json")
            if kind:
                body = next(iter(kind["examples"].values()))
                schema = {**kind["schema"], "components": spec["components"]}
                cls.routes[path] = (resolve(spec, body)["value"], schema, kind["schema"])
        cls.spec = spec

    def post(self, path, body, connection):
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self.server.request("POST", path, body=data, connection=connection,
                                   headers={"Content-Type": "application/json"})

    def test_there_are_routes(self):
        self.assertGreaterEqual(len(self.routes), 6, list(self.routes))

    def test_every_type_at_every_member(self):
        sent = 0
        c = self.server.connection()
        for path, (example, schema, inner) in self.routes.items():
            validator = validator_of(schema)
            for place in [(), *members(self.spec, inner)]:
                for value in VALUES:
                    body = with_value(example, place, value) if place else value
                    if body is None and place:
                        continue
                    answer = self.post(path, body, c)
                    sent += 1
                    self.assertLess(answer.status, 500, (path, place, str(value)[:80]))
                    if not path.startswith("/mcp") and not validator.is_valid(body):
                        self.assertGreaterEqual(answer.status, 400, (path, place, str(value)[:80]))
        c.close()
        self.assertGreater(sent, 1000)

    def test_unknown_members_are_refused_with_a_suggestion(self):
        c = self.server.connection()
        for path, (example, _, inner) in self.routes.items():
            if path.startswith(OPEN):
                continue
            for place in members(self.spec, inner):
                name = place[-1]
                if len(name) < 4:
                    continue
                wrong = name[:2] + name[3:]
                body = with_value(example, (*place[:-1], wrong), 1)
                if body is None:
                    continue
                answer = self.post(path, body, c)
                detail = self.problem(answer, "unknown-parameter", 400)["detail"]
                self.assertIn(f'"{wrong}"', detail, (path, place))
                self.assertIn(f'did you mean "{name}"', detail, (path, place))
        c.close()

    def test_ids_of_every_shape(self):
        c = self.server.connection()
        for name in ("", " ", "..", "../../etc/passwd", "/etc/passwd", "pmid:../1", "pmid:1\x01",
                     "pmid:1\n", "a\\b", "~", "~0", "pmid:~0", "pmid:1~", "pmid:1~-1",
                     "pmid:1~99999999999999999999", "pmid:" + "9" * 5000, "pmid:1%00", "\u20ac",
                     "doi:10.1/" + "x" * 390, "url:" + "0" * 32, "\u202epmid:1", "https://", "10."):
            answer = self.post("/v1/fetch", {"ids": [name]}, c)
            self.assertEqual(answer.status, 200)
            self.assertIn(answer.json["documents"][0]["error"]["status"], (400, 404), name[:40])
            self.assertNotIn(b"root:", answer.body)
        self.problem(self.post("/v1/fetch", b'{"ids":["pmid:1\\u0000"]}', c), "invalid-json", 400)
        c.close()

    def test_json_test_suite_at_every_route(self):
        cases = json_test_suite()
        if not cases:
            self.skipTest("JSONTestSuite is not here; set MEDICUS_SHARED")
        c = self.server.connection()
        for path in self.routes:
            for name, data in cases:
                answer = self.post(path, data, c)
                self.assertLess(answer.status, 500, (path, name))
                if path != "/mcp" and name.startswith("n_"):
                    self.assertEqual(answer.status, 400, (path, name))
        c.close()


class Logs(unittest.TestCase):
    def test_nothing_that_was_sent_is_logged(self):
        """With the access log on, for good and bad requests alike."""
        with temp_folder() as data, Server(make_data(data), "--access-log") as server:
            for target in ("/v1/search?q={}", "/v1/search?{}=1", "/v1/documents/{}", "/{}",
                           "/v1/documents/doc:{}/similar", "/v1/terms?q={}", "/compat/jina/{}",
                           "/v1/export?q={}", "/v1/search?q=%zz{}", "/v1/search?q=a&mode={}",
                           "/compat/serper/search?q={}", "/problems/{}", "/v1/search?q=%00{}"):
                server.get(target.format(CANARY))
            for path, body in (("/v1/search", {"query": CANARY}), ("/v1/search", {CANARY: 1}),
                               ("/v1/search", {"query": '"' + CANARY}),
                               ("/v1/fetch", {"ids": [CANARY, "doc:" + CANARY]}),
                               ("/v1/fetch", CANARY), ("/compat/jina", {"url": CANARY}),
                               ("/compat/tavily/search", {"query": CANARY, "api_key": CANARY}),
                               ("/mcp", {"jsonrpc": "2.0", "id": CANARY, "method": CANARY})):
                server.post(path, body)
            server.get("/livez", Authorization="Bearer " + CANARY, Cookie=CANARY,
                       User_Agent=CANARY, X_Request_ID=CANARY + "\x7f")
            metrics = server.get("/metrics").body.decode()
            self.assertEqual(server.stop(), 0)
        log = "".join(server.log)
        self.assertGreater(log.count("access"), 20, log)
        self.assertNotIn(CANARY, log)
        self.assertNotIn(CANARY, metrics)


if __name__ == "__main__":
    unittest.main()
