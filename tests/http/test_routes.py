"""The routes: what they answer, in which forms, with which headers."""
import json
import unittest
import urllib.parse

from support import SAMPLE, Server, WithServer, run, run_json

QUERY = "beta blockers after myocardial infarction"


class Search(WithServer):
    def test_get_and_post_answer_the_same(self):
        got = self.server.search(QUERY, limit=5)
        posted = self.server.post("/v1/search", {"query": QUERY, "limit": 5})
        self.assertEqual(got.status, 200)
        self.assertEqual(got.body, posted.body)
        self.assertEqual(len(got.json["results"]), 5)
        self.assertEqual(got.json["query"], QUERY)

    def test_the_command_line_prints_the_detailed_answer(self):
        base = f"http://127.0.0.1:{self.server.port}"
        printed = run("search", "--data", self.data, "--public-url", base, "--limit", 7, "--json",
                      QUERY).stdout
        answered = self.server.search(QUERY, limit=7, response_format="detailed").body
        self.assertEqual(printed, answered)

    def test_detailed_offsets_reproduce_the_text(self):
        for r in self.server.search(QUERY, response_format="detailed").json["results"]:
            document = self.server.get("/v1/documents/" + urllib.parse.quote(r["document_id"], ""))
            text = document.json["text"].encode()
            self.assertEqual(text[r["start_byte"]:r["end_byte"]].decode(), r["text"])
            self.assertLessEqual(len(r["text"].split()), 320)

    def test_concise_is_short(self):
        for line in (SAMPLE / "queries.jsonl").read_text().splitlines():
            answer = self.server.search(json.loads(line)["text"])
            for r in answer.json["results"]:
                self.assertLessEqual(len(r["snippet"]), 300)
                self.assertNotIn("text", r)

    def test_scores_fall_and_stay_between_0_and_1(self):
        for mode in ("hybrid", "lexical", "dense"):
            answer = self.server.search(QUERY, mode=mode, limit=50).json
            scores = [r["score"] for r in answer["results"]]
            self.assertEqual(scores, sorted(scores, reverse=True))
            self.assertTrue(all(0 <= s <= 1 for s in scores), scores)
            self.assertEqual(answer["mode"], mode)

    def test_offset_continues_the_list(self):
        every = self.server.search(QUERY, limit=20).json["results"]
        second = self.server.search(QUERY, limit=10, offset=10).json["results"]
        self.assertEqual([r["id"] for r in every[10:]], [r["id"] for r in second])

    def test_one_result_per_document_unless_every_passage_is_wanted(self):
        grouped = self.server.search(QUERY, limit=50).json["results"]
        documents = [r["id"].rsplit("~", 1)[0] for r in grouped]
        self.assertEqual(len(documents), len(set(documents)))
        passages = self.server.search(QUERY, limit=50, group_by="none").json["results"]
        documents = [r["id"].rsplit("~", 1)[0] for r in passages]
        self.assertLess(len(set(documents)), len(documents))

    def test_filters_hold(self):
        results = self.server.search("treatment", year="2020..2022", limit=50).json["results"]
        self.assertTrue(results)
        self.assertTrue(all(2020 <= r["year"] <= 2022 for r in results))
        results = self.server.search("treatment", source="guideline", limit=50).json["results"]
        self.assertEqual({r["source"] for r in results}, {"guideline"})
        both = self.server.post("/v1/search", {"query": "treatment", "limit": 50, "filters": {
            "evidence": ["randomized-trial", "systematic-review"]}}).json["results"]
        self.assertLessEqual({r["evidence"] for r in both}, {"randomized-trial",
                                                             "systematic-review"})

    def test_retracted_articles_are_flagged_and_can_be_left_out(self):
        every = self.server.search("trial", limit=200).json["results"]
        kept = self.server.search("trial", limit=200, exclude_retracted="true").json["results"]
        self.assertTrue(any("retracted" in r["flags"] for r in every))
        self.assertFalse(any("retracted" in r["flags"] for r in kept))

    def test_explain_adds_up(self):
        answer = self.server.search(QUERY, explain="true")
        self.assertNotIn("etag", answer.headers)
        self.assertIn("took_ms", answer.json)
        for r in answer.json["results"]:
            parts = sum(v for name, v in r["explain"].items() if name.endswith("_part"))
            self.assertAlmostEqual(parts, r["explain"]["score"], places=12)
            self.assertAlmostEqual(parts, r["score"], places=5)

    def test_authority_weight_moves_guidelines_up(self):
        def mean_place(weight):
            results = self.server.search(QUERY, authority_weight=weight, limit=50).json["results"]
            places = [i for i, r in enumerate(results) if r["evidence"] == "guideline"]
            return sum(places) / len(places)
        self.assertLess(mean_place(1), mean_place(0))

    def test_a_deployment_chooses_the_weight_of_authority(self):
        with Server(self.data, "--authority-weight", "0.7") as server:
            weights = [server.search(QUERY, explain="true", **given).json["results"][0]["explain"][
                "authority_weight"] for given in ({}, {"authority_weight": 0.1})]
        self.assertEqual(weights, [0.7, 0.1])

    def test_links_stand_on_both_sides(self):
        for one, kind, other in (("990000804", "retraction-in", "990000805"),
                                 ("990000805", "retraction-of", "990000804")):
            links = self.server.get(f"/v1/documents/pmid:{one}").json["links"]
            self.assertIn((kind, f"pmid:{other}"), [(x["kind"], x.get("id")) for x in links])

    def test_fusion_weight_moves_between_the_halves(self):
        zero = self.server.search(QUERY, fusion_weight=0, limit=5).json["results"]
        lexical = self.server.search(QUERY, mode="lexical", limit=5).json["results"]
        self.assertEqual([r["id"] for r in zero], [r["id"] for r in lexical])
        self.assertEqual(self.server.search(QUERY, fusion="rrf").status, 200)

    def test_nothing_found_is_an_answer_with_a_notice(self):
        answer = self.server.search("qqqzzzxxx", mode="lexical")
        self.assertEqual((answer.status, answer.json["results"]), (200, []))
        self.assertTrue(answer.json["notices"])

    def test_text_for_people(self):
        answer = self.server.get("/v1/search?q=asthma&limit=2", Accept="text/plain")
        self.assertTrue(answer.headers["content-type"].startswith("text/plain"))
        self.assertTrue(answer.body.startswith(b"1. "))
        self.assertNotIn(b"\x1b", answer.body)

    def test_pretty_is_the_same_value(self):
        plain, pretty = (self.server.get("/v1/search?q=asthma" + p) for p in ("", "&pretty"))
        self.assertEqual(plain.json, pretty.json)
        self.assertIn(b"\n  ", pretty.body)

    def test_etag_is_strong_and_gives_304(self):
        first, again = self.server.search(QUERY), self.server.search(QUERY)
        tag = first.headers["etag"]
        self.assertEqual((tag, first.body), (again.headers["etag"], again.body))
        self.assertFalse(tag.startswith("W/"))
        target = "/v1/search?" + urllib.parse.urlencode({"q": QUERY})
        unchanged = self.server.get(target, If_None_Match=f'"x", {tag}')
        self.assertEqual((unchanged.status, unchanged.body), (304, b""))
        others = {self.server.get(t).headers["etag"] for t in (
            target + "&limit=9", target + "&pretty", target + "&mode=lexical", target + "x")}
        others.add(self.server.get(target, Accept="text/plain").headers["etag"])
        self.assertEqual(len(others | {tag}), 6)

    def test_head_is_get_without_body(self):
        target = "/v1/search?q=asthma"
        head, get = self.server.request("HEAD", target), self.server.get(target)
        self.assertEqual(head.body, b"")
        for name in ("content-length", "content-type", "etag"):
            self.assertEqual(head.headers[name], get.headers[name])

    def test_request_id_is_echoed_or_made(self):
        mine = self.server.get("/v1/search?q=asthma", X_Request_ID="abc-1.2_3")
        self.assertEqual(mine.headers["x-request-id"], "abc-1.2_3")
        evil = self.server.get("/v1/search?q=asthma", X_Request_ID="a b<c>")
        self.assertRegex(evil.headers["x-request-id"], "^[0-9a-f]{16}$")

    def test_connections_are_kept(self):
        c = self.server.connection()
        for target in ("/v1/search?q=asthma", "/v1/nothing", "/v1/search?bad=1", "/livez"):
            self.server.request("GET", target, connection=c)
            local = c.sock.getsockname()
            self.server.request("DELETE", "/v1/search", connection=c)
            self.assertEqual(c.sock.getsockname(), local)
        c.close()


class Fetch(WithServer):
    def document(self, name, params="", **headers):
        return self.server.get("/v1/documents/" + urllib.parse.quote(name, "") + params, **headers)

    def test_by_id_alias_and_passage(self):
        document = self.document("pmid:990000101").json
        self.assertEqual(document["source_id"], "990000101")
        self.assertEqual(document, self.document("doi:" + document["doi"]).json)
        passage = self.document(document["passages"][0]["id"]).json
        self.assertEqual(passage["document_id"], document["id"])
        text = document["text"].encode()[passage["start_byte"]:passage["end_byte"]].decode()
        self.assertEqual(passage["text"], text)

    def test_every_passage_and_section_is_where_it_says(self):
        document = self.document("guideline:asthma-reliever-therapy").json
        text = document["text"].encode()
        for p in document["passages"] + document["sections"]:
            piece = text[p["start_byte"]:p["end_byte"]].decode()
            self.assertEqual(piece, piece.strip())
            self.assertTrue(piece)

    def test_the_command_line_prints_the_same(self):
        base = f"http://127.0.0.1:{self.server.port}"
        ids = ["pmid:990000101", "guideline:asthma-reliever-therapy~1"]
        one = run("fetch", "--data", self.data, "--public-url", base, "--json", ids[0]).stdout
        self.assertEqual(one, self.document(ids[0]).body)
        two = run("fetch", "--data", self.data, "--public-url", base, "--json", *ids).stdout
        self.assertEqual(two, self.server.post("/v1/fetch", {"ids": ids}).body)

    def test_forms(self):
        text = self.document("guideline:asthma-reliever-therapy", Accept="text/plain").body
        marked = self.document("guideline:asthma-reliever-therapy", "?format=markdown")
        self.assertTrue(marked.headers["content-type"].startswith("text/markdown"))
        self.assertTrue(marked.body.startswith(b"# Choice of reliever"))
        self.assertIn(b"\n### ", marked.body)
        self.assertIn(b"Population", text)

    def test_etag(self):
        answer = self.document("pmid:990000101")
        again = self.document("pmid:990000101", If_None_Match=answer.headers["etag"])
        self.assertEqual((again.status, again.body), (304, b""))

    def test_sections_and_budget(self):
        whole = self.document("guideline:asthma-reliever-therapy").json
        path = whole["sections"][1]["path"]
        part = self.document("guideline:asthma-reliever-therapy",
                             "?sections=" + urllib.parse.quote(path)).json
        self.assertIn(part["text"], whole["text"])
        self.assertLess(len(part["text"]), len(whole["text"]))
        cut = self.document("guideline:asthma-reliever-therapy", "?max_tokens=500").json
        self.assertTrue(cut["truncated"])
        self.assertTrue(whole["text"].startswith(cut["text"]))
        self.assertIn(cut["continue_at"], [p["id"] for p in whole["passages"]])

    def test_unknown_sections_name_the_known_ones(self):
        answer = self.document("guideline:asthma-reliever-therapy", "?sections=nope")
        self.assertIn("Population", self.problem(answer, "not-found", 404)["detail"])

    def test_each_id_has_its_own_error(self):
        answer = self.server.post("/v1/fetch", {"ids": ["pmid:1", "pmid:990000101", "~", "a\nb"]})
        self.assertEqual(answer.status, 200)
        documents = answer.json["documents"]
        self.assertEqual(documents[0]["error"]["type"], "/problems/not-found")
        self.assertEqual(documents[1]["id"], "pmid:990000101")
        self.assertIn("error", documents[2])
        self.assertIn("error", documents[3])

    def test_budget_is_for_all_together(self):
        ids = ["pmid:990000101", "pmid:990000102", "pmid:1", "pmid:990000103", "pmid:990000104"]
        for most in (900, 1500, 3000):
            answer = self.server.post("/v1/fetch", {"ids": ids, "max_tokens": most})
            self.assertEqual(answer.status, 200, answer.body)
            self.assertLessEqual(len(answer.body) / 4, most)
            answered = [d["id"] for d in answer.json["documents"]]
            self.assertEqual(answered + answer.json.get("rest", []), ids)
        short = self.server.post("/v1/fetch", {"ids": ids, "max_tokens": 900}).json
        self.assertTrue(short["truncated"] and short["rest"])

    def test_made_addresses_can_be_read_back(self):
        run("ingest", "--data", self.data, "--quiet", "-",
            stdin=b'{"_id": "a/b c", "title": "Slashes", "text": "An id with odd characters."}\n')
        document = self.document("doc:a/b c")
        if document.status == 200:  # ids with spaces may be refused at ingest
            path = urllib.parse.urlsplit(document.json["url"]).path
            self.assertEqual(self.server.get(path).json["id"], "doc:a/b c")


class Operations(WithServer):
    def test_health(self):
        self.assertEqual(self.server.get("/livez").json, {"status": "ok"})
        self.assertEqual(self.server.get("/readyz").json, {"status": "ready"})
        verbose = self.server.get("/readyz?verbose").json
        self.assertEqual(verbose["generation"], 1)
        self.assertIsNone(verbose["failed_generation"])
        self.assertEqual(verbose["documents"], run_json("info", "--data", self.data,
                                                        "--json")["store"]["documents"])
        self.assertEqual(self.server.get("/livez", Accept="text/plain").body, b"ok\n")
        run("health", "--listen", f"127.0.0.1:{self.server.port}")

    def test_metrics_have_a_constant_number_of_series(self):
        first = self.server.get("/metrics", Accept="text/plain;version=0.0.4, */*;q=0.1").body
        for target in ("/v1/search?q=asthma", "/v1/search?q=", "/nowhere", "/v1/documents/x"):
            self.server.get(target)
        second = self.server.get("/metrics").body
        names = [[line.split()[0] for line in m.decode().splitlines() if line[0] != "#"]
                 for m in (first, second)]
        self.assertEqual(names[0], names[1])
        self.assertEqual(len(names[0]), len(set(names[0])))
        self.assertIn(b'medicus_http_requests_total{route="search",status="200"} 1\n', second)
        self.assertIn(b'medicus_http_requests_total{route="search",status="400"} 1\n', second)

    def test_query_text_stays_out_of_metrics_and_logs(self):
        self.server.search("zebrafishsecret")
        self.server.search("zebrafishsecret", limt=1)
        self.server.post("/v1/search", {"query": "zebrafishsecret", "mode": "x"})
        self.assertNotIn(b"zebrafishsecret", self.server.get("/metrics").body)
        self.assertNotIn("zebrafishsecret", "".join(self.server.log))

    def test_access_log_has_no_query_text(self):
        with Server(self.data, "--access-log", "--log-format", "json") as server:
            server.search("zebrafishsecret")
            server.get("/v1/documents/zebrafishsecret")
            server.stop()
            lines = [json.loads(x) for x in server.log if x.startswith("{")]
        self.assertGreaterEqual(sum(x["event"] == "access" for x in lines), 2)
        self.assertNotIn("zebrafishsecret", "".join(server.log))


if __name__ == "__main__":
    unittest.main()
