"""Answers that were asked for before: the same bytes, never those of another question or index."""
import json
import re
import unittest

from support import Server, WithServer, make_data, run, temp_folder
from test_lifecycle import add_generation, wait_for


def counters(server):
    text = server.get("/metrics").body.decode()
    return {name: float(value) for name, value in
            re.findall(r"^medicus_cache_(\w+) (\S+)$", text, re.M)}


class Cache(WithServer):
    def test_a_second_answer_has_the_bytes_of_the_first(self):
        for how in (lambda: self.server.search("asthma reliever", limit=3),
                    lambda: self.server.search("gout", response_format="detailed"),
                    lambda: self.server.search("gout", year="2000..", facets="year,source"),
                    lambda: self.server.post("/v1/search", {"query": "migraine", "limit": 2}),
                    lambda: self.server.get("/v1/search?q=gout", Accept="text/plain")):
            first, again = how(), how()
            self.assertEqual((again.status, again.body), (first.status, first.body))
            self.assertEqual(again.headers.get("x-total-count"), first.headers["x-total-count"])
            self.assertEqual(again.headers.get("x-next-cursor"),
                             first.headers.get("x-next-cursor"))
            self.assertNotIn("cache", first.headers["server-timing"])
            self.assertIn("cache;desc=hit", again.headers["server-timing"])

    def test_every_parameter_counts(self):
        targets = ("q=statins", "q=statins&limit=2", "q=statins&mode=lexical", "q=statins&pretty",
                   "q=statins&year=2015..", "q=statins&max_tokens=200", "q=Statins+",
                   "q=statins&authority_weight=1", "q=statins&response_format=detailed")
        answers = [self.server.get("/v1/search?" + t) for t in targets]
        for target, before in zip(targets, answers):
            self.assertEqual(self.server.get("/v1/search?" + target).body, before.body, target)
        self.assertEqual(len({a.body for a in answers}), len(targets))

    def test_an_explanation_is_never_kept(self):
        before = counters(self.server)["entries"]
        for _ in range(2):
            self.assertEqual(self.server.search("sepsis", explain="true").status, 200)
        self.assertEqual(counters(self.server)["entries"], before)

    def test_hits_are_counted(self):
        before = counters(self.server)
        for _ in range(3):
            self.server.search("a question of its own")
        now = counters(self.server)
        self.assertEqual((now["hits_total"] - before["hits_total"],
                          now["misses_total"] - before["misses_total"]), (2, 1))
        self.assertGreater(now["bytes"], before["bytes"])


class Bounds(unittest.TestCase):
    def test_it_stays_within_its_bytes_and_keeps_what_is_used(self):
        with temp_folder() as data, Server(make_data(data), "--cache-bytes", "65536") as server:
            for i in range(60):
                server.search(f"asthma {i}")
                server.search("what is asked all the time")
            now = counters(server)
            self.assertLessEqual(now["bytes"], 65536)
            self.assertGreater(now["entries"], 1)
            self.assertEqual(now["hits_total"], 59)

    def test_it_can_be_switched_off(self):
        with temp_folder() as data, Server(make_data(data), "--cache-bytes", "0") as server:
            for _ in range(2):
                self.assertNotIn("cache", server.search("gout").headers["server-timing"])
            self.assertEqual(counters(server)["entries"], 0)

    def test_a_new_generation_is_asked_anew(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            old = server.search("quokkapentin lumbago").json
            generation = add_generation(data)
            wait_for(lambda: server.search("gout").json["generation"] == generation,
                     "the new generation")
            new = server.search("quokkapentin lumbago").json
            self.assertEqual(new["results"][0]["id"], "doc:extra~0")
            self.assertNotEqual(old["results"], new["results"])

    def test_keys_see_their_own_sources_and_audit_lines_stay_whole(self):
        with temp_folder() as data:
            make_data(data)
            every = run("key", "--data", data, "add", "every").stdout.decode().strip()
            some = run("key", "--data", data, "add", "some", "--source",
                       "guideline").stdout.decode().strip()
            log = data / "audit.log"
            with Server(data, "--audit-log", log) as server:
                def sources(key):
                    answer = server.get("/v1/search?q=asthma", Authorization="Bearer " + key)
                    return {r["source"] for r in answer.json["results"]}
                for _ in range(2):
                    self.assertIn("pubmed", sources(every))
                    self.assertEqual(sources(some), {"guideline"})
                lines = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertEqual(lines[0]["ids"], lines[2]["ids"])
        self.assertEqual(lines[1]["ids"], lines[3]["ids"])
        self.assertTrue(lines[0]["ids"] and lines[1]["ids"])


if __name__ == "__main__":
    unittest.main()
