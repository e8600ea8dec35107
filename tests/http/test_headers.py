"""Headers: what a route answers to OPTIONS, pages of other origins, gzip and its entity tags."""
import gzip
import json
import unittest

from support import Server, WithServer, make_data, temp_folder

QUERY = "/v1/search?q=asthma"
PAGE = "https://page.example"


def raw(server, method, target, body=None, **headers):
    """The bytes as they are sent; support.py unpacks them."""
    c = server.connection()
    c.request(method, target, body=body, headers={k.replace("_", "-"): v for k, v in
                                                  headers.items()})
    r = c.getresponse()
    got = r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    c.close()
    return got


class Options(WithServer):
    def test_every_route_tells_its_methods(self):
        for target, allow in (("/v1/search", "GET, HEAD, POST, OPTIONS"), ("/mcp", "POST, OPTIONS"),
                              ("/v1/fetch", "POST, OPTIONS"), ("/livez", "GET, HEAD, OPTIONS"),
                              ("/v1/documents/pmid:1", "GET, HEAD, OPTIONS"),
                              ("/v1/export", "GET, HEAD, OPTIONS"),
                              ("/openapi.json", "GET, HEAD, OPTIONS"),
                              ("*", "GET, HEAD, POST, OPTIONS")):
            status, headers, body = raw(self.server, "OPTIONS", target)
            self.assertEqual((status, headers["allow"], body), (204, allow, b""), target)
            refused = raw(self.server, "DELETE", target) if target != "*" else None
            if refused:
                self.assertEqual((refused[0], refused[1]["allow"]), (405, allow))
        self.assertEqual(raw(self.server, "OPTIONS", "/nowhere")[0], 404)

    def test_pages_of_other_origins_see_nothing_by_default(self):
        for method, target in (("GET", QUERY), ("OPTIONS", "/v1/search"), ("GET", "/livez")):
            headers = raw(self.server, method, target, Origin=PAGE,
                          Access_Control_Request_Method="GET")[1]
            self.assertFalse([h for h in headers if h.startswith("access-control")], headers)
            self.assertNotIn("Origin", headers.get("vary", ""))


class Origins(WithServer):
    flags = ("--allow-origin", "https://other.example, " + PAGE)

    def test_a_preflight_is_answered(self):
        status, headers, _ = raw(self.server, "OPTIONS", "/v1/search", Origin=PAGE,
                                 Access_Control_Request_Method="POST",
                                 Access_Control_Request_Headers="content-type")
        self.assertEqual(status, 204)
        self.assertEqual(headers["access-control-allow-origin"], PAGE)
        self.assertIn("POST", headers["access-control-allow-methods"])
        self.assertIn("Content-Type", headers["access-control-allow-headers"])
        self.assertIn("Origin", headers["vary"])
        self.assertNotIn("access-control-allow-credentials", headers)

    def test_answers_and_errors_can_be_read(self):
        for target in (QUERY, "/v1/search?q=", "/v1/documents/pmid:990000101", "/openapi.json"):
            headers = raw(self.server, "GET", target, Origin=PAGE)[1]
            self.assertEqual(headers["access-control-allow-origin"], PAGE, target)
            self.assertIn("X-Next-Cursor", headers["access-control-expose-headers"])

    def test_others_cannot(self):
        for origin in ("https://evil.example", PAGE + ".evil.example", "null", "*", ""):
            for method in ("GET", "OPTIONS"):
                headers = raw(self.server, method, QUERY, Origin=origin,
                              Access_Control_Request_Method="GET")[1]
                self.assertFalse([h for h in headers if h.startswith("access-control")], headers)
                self.assertIn("Origin", headers["vary"])

    def test_metrics_are_for_operators(self):
        headers = raw(self.server, "GET", "/metrics", Origin=PAGE)[1]
        self.assertNotIn("access-control-allow-origin", headers)


class Gzip(WithServer):
    def test_answers_are_packed_for_those_who_ask(self):
        _, plain, body = raw(self.server, "GET", QUERY)
        for accepted in ("gzip", "br, gzip;q=0.5", "*", "GZIP", "gzip;q=1, identity;q=0"):
            status, headers, packed = raw(self.server, "GET", QUERY, Accept_Encoding=accepted)
            self.assertEqual((status, headers["content-encoding"]), (200, "gzip"), accepted)
            self.assertEqual(gzip.decompress(packed), body)
            self.assertLess(len(packed), len(body) / 2)
            self.assertIn("Accept-Encoding", headers["vary"])
            self.assertNotEqual(headers["etag"], plain["etag"])
        self.assertIn("Accept-Encoding", plain["vary"])

    def test_and_for_nobody_else(self):
        for accepted in ("", "identity", "br", "gzip;q=0", "gzip;q=0.2, identity;q=0.8", "*;q=0",
                         "gzip;q=0, *"):
            _, headers, body = raw(self.server, "GET", QUERY, Accept_Encoding=accepted)
            self.assertNotIn("content-encoding", headers, accepted)
            json.loads(body)

    def test_small_answers_and_problems_stay_as_they_are(self):
        for target in ("/v1/search?q=asthma&limit=1&mode=lexical&max_tokens=240", "/v1/search?q=",
                       "/livez", "/v1/terms?q=zzz"):
            self.assertNotIn("content-encoding", raw(self.server, "GET", target,
                                                     Accept_Encoding="gzip")[1], target)

    def test_both_entity_tags_are_known(self):
        for target in (QUERY, "/v1/documents/pmid:990000101",
                       "/v1/documents/pmid:990000101/similar"):
            for accepted in ("gzip", "identity"):
                tag = raw(self.server, "GET", target, Accept_Encoding=accepted)[1]["etag"]
                status, headers, body = raw(self.server, "GET", target, Accept_Encoding=accepted,
                                            If_None_Match=tag)
                self.assertEqual((status, headers["etag"], body), (304, tag, b""))
                self.assertNotIn("content-encoding", headers)

    def test_head_tells_the_same(self):
        for accepted in ("gzip", "identity"):
            head = raw(self.server, "HEAD", QUERY, Accept_Encoding=accepted)
            get = raw(self.server, "GET", QUERY, Accept_Encoding=accepted)
            for name in ("content-length", "content-type", "etag", "vary"):
                self.assertEqual(head[1][name], get[1][name])
            self.assertEqual(head[1].get("content-encoding"), get[1].get("content-encoding"))
            self.assertEqual(head[2], b"")

    def test_other_routes_pack_too(self):
        body = json.dumps({"ids": ["guideline:asthma-reliever-therapy"]})
        _, headers, packed = raw(self.server, "POST", "/v1/fetch", body=body,
                                 Content_Type="application/json", Accept_Encoding="gzip")
        self.assertEqual(headers["content-encoding"], "gzip")
        self.assertIn("documents", json.loads(gzip.decompress(packed)))
        export = raw(self.server, "GET", "/v1/export?q=asthma", Accept_Encoding="gzip")
        self.assertIn(b"TY  - ", gzip.decompress(export[2]))


class NotAcceptable(unittest.TestCase):
    def test_what_is_offered_is_named(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            answer = server.get(QUERY, Accept="image/png")
            self.assertEqual(answer.status, 406)
            for kind in ("application/json", "application/x-ndjson", "text/plain", "text/markdown",
                         "application/nbib"):
                self.assertIn(kind, answer.json["detail"])


if __name__ == "__main__":
    unittest.main()
