"""Errors: one table in the program, in openapi.yaml and in errors.md; each can be provoked."""
import json
import re
import unittest

from contract import walk
from support import ROOT, Server, WithServer, spec_of, temp_folder


def problems_of_source():
    """name -> status, from the table in service/problem.c"""
    source = (ROOT / "service/problem.c").read_text()
    return {name: int(status) for name, status in
            re.findall(r'\[PROBLEM_\w+\] =\s*\{\s*"([a-z-]+)", (\d+),', source)}


def problems_of_manual():
    manual = (ROOT / "api-spec/errors.md").read_text()
    return {name: int(status) for name, status in
            re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", manual, re.M)}


class Contract(WithServer):
    def test_the_three_tables_agree(self):
        table = problems_of_source()
        self.assertGreater(len(table), 20)
        self.assertEqual(table, problems_of_manual())
        names = spec_of(self.server)["components"]["schemas"]["ProblemName"]["enum"]
        self.assertEqual(sorted(table), sorted(names))

    def test_every_type_explains_itself(self):
        for name, status in problems_of_source().items():
            answer = self.server.get("/problems/" + name)
            self.assertEqual((answer.status, answer.json["status"]), (200, status))
        self.problem(self.server.get("/problems/nope"), "no-such-route", 404)

    def test_the_examples_of_problems_are_those_of_the_table(self):
        rows = {}
        for node in walk(spec_of(self.server)):
            value = node.get("value", node)
            if isinstance(value, dict) and str(value.get("type")).startswith("/problems/"):
                name = value["type"]
                rows.setdefault(name, self.server.get(name).json)
                told = {key: value[key] for key in ("type", "title", "status", "next")}
                self.assertEqual(told, {key: rows[name][key] for key in told})
        self.assertGreater(len(rows), 15)

    def test_every_route_of_the_specification_exists(self):
        for path, item in spec_of(self.server)["paths"].items():
            for method in item:
                target = path.replace("{id}", "pmid:990000101").replace(
                    "/assets/{name}", "/assets/style.css").replace("{name}", "gone")
                answer = self.server.request(method.upper(), target)
                self.assertNotIn(answer.status, (405, 501), (method, path))
                if answer.status == 404:
                    self.assertNotEqual(answer.json.get("type"), "/problems/no-such-route")

    def test_every_parameter_of_search_is_declared_and_works(self):
        parameters = spec_of(self.server)["components"]["parameters"]
        declared = {p["name"] for p in parameters.values() if p["in"] == "query"}
        source = (ROOT / "service/search_params.c").read_text()
        known = set(re.findall(r'^\s*\{"(\w+)", (?:true|false),', source, re.M))
        self.assertGreater(len(known), 10)
        self.assertLessEqual(known, declared)
        body = spec_of(self.server)["components"]["schemas"]
        in_body = set(body["SearchRequest"]["properties"]) | set(body["Filters"]["properties"])
        self.assertEqual(known, in_body - {"filters"})

    def test_unknown_parameters_are_refused_with_a_suggestion(self):
        detail = self.problem(self.server.get("/v1/search?q=a&limt=3"), "unknown-parameter",
                              400)["detail"]
        self.assertIn('"limit"', detail)
        answer = self.server.post("/v1/search", {"query": "a", "filters": {"yaer": "2019"}})
        self.assertIn('"year"', self.problem(answer, "unknown-parameter", 400)["detail"])
        self.problem(self.server.post("/v1/search?limit=3", {"query": "a"}), "unknown-parameter",
                     400)
        answer = self.server.post("/v1/fetch", {"id": ["a"]})
        self.assertIn('"ids"', self.problem(answer, "unknown-parameter", 400)["detail"])
        self.problem(self.server.get("/v1/documents/pmid:990000101?formt=text"),
                     "unknown-parameter", 400)

    def test_wrong_values_are_refused(self):
        for query in ("", "q=", "q=%20", "q=a&limit=0", "q=a&limit=1001", "q=a&limit=-1",
                      "q=a&limit=1e3", "q=a&limit=99999999999999999999", "q=a&offset=10000",
                      "q=a&offset=9999&limit=1000", "q=a&mode=fuzzy", "q=a&group_by=x",
                      "q=a&response_format=long", "q=a&fusion=sum", "q=a&fusion_weight=2",
                      "q=a&fusion_weight=nan", "q=a&explain=maybe", "q=a&year=19",
                      "q=a&year=2020..2010", "q=a&year=..", "q=a&year=2019..20x", "q=a&source=web",
                      "q=a&source=pubmed,,pmc", "q=a&evidence=strong", "q=a&exclude_retracted=2",
                      "q=a&q=b", "q=a&query=b", "q=a&limit=1&limit=2", "q=%ff%fe", "q=%c3%28"):
            answer = self.server.get("/v1/search?" + query)
            self.problem(answer, "invalid-parameter", 400)

    def test_wrong_types_are_refused(self):
        for body in ({}, {"query": 1}, {"query": None}, {"query": ["a"]}, {"query": ""},
                     {"query": "a", "limit": "10"}, {"query": "a", "limit": 1.5},
                     {"query": "a", "limit": 1e99}, {"query": "a", "limit": None},
                     {"query": "a", "limit": [1]}, {"query": "a", "mode": 1},
                     {"query": "a", "explain": "true"}, {"query": "a", "filters": []},
                     {"query": "a", "filters": {"year": {}}}, {"query": "a", "year": "2019"},
                     {"query": "a", "filters": {"source": [1]}},
                     {"query": "a", "filters": {"source": ["pubmed,pmc"]}},
                     {"query": "a", "filters": {"source": []}},
                     {"query": "a", "filters": {"limit": 1}}, {"query": "a", "q": "b"}, [], "a", 1,
                     None, True):
            self.problem(self.server.post("/v1/search", json.dumps(body)), "invalid-parameter",
                         400)
        for body in ({}, {"ids": "a"}, {"ids": []}, {"ids": [1]}, {"ids": ["a"], "max_tokens": 0},
                     {"ids": ["a"], "max_tokens": "1"}, {"ids": ["a"], "sections": [""]},
                     {"ids": ["a"], "sections": 5}, [], None):
            self.problem(self.server.post("/v1/fetch", json.dumps(body)), "invalid-parameter", 400)

    def test_limits(self):
        self.problem(self.server.post("/v1/search", {"query": "a" * 16385}), "limit-exceeded", 400)
        self.problem(self.server.post("/v1/fetch", {"ids": ["a"] * 65}), "limit-exceeded", 400)
        self.problem(self.server.get("/v1/search?q=" + "a" * 17000), "uri-too-long", 414)
        headers = {f"X-Field-{i}": "x" for i in range(80)}
        self.problem(self.server.get("/livez", **headers), "too-many-headers", 431)

    def test_bodies_that_are_too_large(self):
        body = json.dumps({"query": "a" * (1 << 20)})
        self.problem(self.server.post("/v1/search", body), "payload-too-large", 413)
        pieces = iter([b'{"query": "'] + [b"a" * 65536] * 20 + [b'"}'])
        c = self.server.connection()
        c.request("POST", "/v1/search", body=pieces, encode_chunked=True,
                  headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        r = c.getresponse()
        self.assertEqual((r.status, json.loads(r.read())["type"]),
                         (413, "/problems/payload-too-large"))
        c.close()

    def test_chunked_bodies_work(self):
        pieces = iter([b'{"que', b'ry": "asth', b'ma"}'])
        c = self.server.connection()
        c.request("POST", "/v1/search", body=pieces, encode_chunked=True,
                  headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        r = c.getresponse()
        self.assertEqual((r.status, json.loads(r.read())["query"]), (200, "asthma"))
        c.close()

    def test_methods(self):
        for method in ("PUT", "DELETE", "PATCH"):
            answer = self.server.request(method, "/v1/search")
            self.problem(answer, "method-not-allowed", 405)
            self.assertEqual(answer.headers["allow"], "GET, HEAD, POST, OPTIONS")
        answer = self.server.get("/v1/fetch")
        self.problem(answer, "method-not-allowed", 405)
        self.assertEqual(answer.headers["allow"], "POST, OPTIONS")
        self.problem(self.server.request("BREW", "/v1/search"), "not-implemented", 501)

    def test_negotiation(self):
        for target in ("/v1/search?q=a", "/livez", "/metrics", "/v1/documents/pmid:990000101"):
            self.problem(self.server.get(target, Accept="image/png"), "not-acceptable", 406)
            self.assertEqual(self.server.get(target, Accept="image/png, */*;q=0.1").status, 200)
        self.problem(self.server.get("/v1/search?q=a", Accept="application/json;q=0"),
                     "not-acceptable", 406)
        best = self.server.get("/v1/search?q=a", Accept="application/json;q=0.5, text/plain")
        self.assertTrue(best.headers["content-type"].startswith("text/plain"))

    def test_media_types_of_bodies(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
            answer = self.server.request("POST", "/v1/search", body='{"query":"a"}',
                                         headers={"Content-Type": kind})
            self.problem(answer, "unsupported-media-type", 415)
        answer = self.server.post("/v1/search", {"query": "a"},
                                  **{"Content-Encoding": "gzip"})
        self.problem(answer, "unsupported-media-type", 415)
        fine = self.server.request("POST", "/v1/search", body='{"query":"a"}',
                                   headers={"Content-Type": "Application/JSON; charset=utf-8"})
        self.assertEqual(fine.status, 200)

    def test_ids(self):
        for name in ("nope", "pmid:1", "..%2f..%2f..%2fetc%2fpasswd", "pmid:990000101~999999",
                     "pmid:990000101~", "~0", "%f0%9f%92%8a", "a" * 500):
            answer = self.server.get("/v1/documents/" + name)
            self.assertIn(answer.status, (400, 404), name)
            self.assertNotIn(b"root:", answer.body)
        self.problem(self.server.get("/v1/documents/%ff"), "invalid-parameter", 400)
        self.problem(self.server.get("/v1/documents/a%00b"), "bad-request", 400)
        self.problem(self.server.get("/v1/documents/"), "no-such-route", 404)
        self.problem(self.server.get("/v1/documents/../search?q=a"), "bad-request", 400)
        self.problem(self.server.get("/v2/search?q=a"), "no-such-route", 404)

    def test_expectations(self):
        answer = self.server.post("/v1/search", {"query": "a"}, Expect="200-ok")
        self.problem(answer, "expectation-failed", 417)

    def test_without_an_index(self):
        with temp_folder() as empty, Server(empty / "later", "--wait") as server:
            for target in ("/v1/search?q=a", "/v1/documents/a", "/readyz"):
                answer = server.get(target)
                self.problem(answer, "no-index", 503)
                self.assertIn("retry-after", answer.headers)
            self.assertEqual(server.get("/livez").status, 200)


if __name__ == "__main__":
    unittest.main()
