#!/usr/bin/env python3
"""The query language, filters, facets and order over HTTP and on the command line."""
import csv
import io
import re
import unittest
import urllib.parse

from support import WithServer, run


class Query(WithServer):
    def ask(self, q, **params):
        return self.server.search(q, **params)

    def total(self, query, **params):
        answer = self.ask(query, **params).json
        self.assertEqual(answer["total_relation"], "eq")
        return answer["total"]

    def test_boolean_totals_add_up(self):
        a, b = self.total("asthma[tw]"), self.total("trial[tw]")
        both, either = self.total("asthma AND trial"), self.total("asthma OR trial")
        self.assertEqual(a + b, both + either)
        self.assertEqual(a - both, self.total("asthma NOT trial"))
        self.assertGreater(either, 0)

    def test_errors_are_400_with_the_position(self):
        for query, at in (("asthma AND", 7), ('"asthma', 0), ("asthma AND ()", 11), ("titel:x", 0),
                          ("x year:2020..2015", 7), ("*", 0), ("a AND (b", 6)):
            answer = self.ask(q=query)
            self.assertEqual(answer.status, 400, query)
            self.assertEqual(answer.json["type"], "/problems/invalid-parameter")
            self.assertIn(f"byte {at}: ", answer.json["detail"])

    def test_ten_thousand_terms_are_too_many(self):
        body = {"query": " OR ".join(f"t{i}" for i in range(1500))}
        answer = self.server.post("/v1/search", body)
        self.assertEqual((answer.status, answer.json["type"]), (400, "/problems/limit-exceeded"))
        answer = self.server.post("/v1/search", {"query": "word " * 10000})
        self.assertEqual(answer.status, 400)

    def test_questions_with_odd_characters_are_plain(self):
        for query in ("what's new in asthma?", "1) asthma 2) trial", "IL-6 (interleukin)", "a - b"):
            self.assertEqual(self.ask(q=query).status, 200, query)

    def test_unknown_values_are_named(self):
        answer = self.ask(q="asthma", journal="No Such Journal").json
        self.assertEqual(answer["results"], [])
        self.assertTrue(any("No Such Journal" in n for n in answer["notices"]), answer["notices"])

    def test_bad_values_name_the_allowed_ones(self):
        for name, value, says in (
                ("sort", "size", "relevance or date"), ("retracted", "no", "only"),
                ("facets", "color", "journal"), ("type", ";", "semicolons"),
                ("facet_limit", "0", "from 1 to 100")):
            answer = self.ask(q="asthma", **{name: value})
            self.assertEqual(answer.status, 400, name)
            self.assertIn(says, answer.json["detail"])

    def test_sort_by_date_pages_fit_together(self):
        whole = self.ask(q="asthma OR trial", sort="date", limit=50).json
        years = [r["year"] or 0 for r in whole["results"]]
        self.assertEqual(years, sorted(years, reverse=True))
        paged = []
        for offset in range(0, len(years), 7):
            page = self.ask(q="asthma OR trial", sort="date", limit=7, offset=offset).json
            paged += [r["id"] for r in page["results"]]
        self.assertEqual(paged[:len(years)], [r["id"] for r in whole["results"]])
        self.assertEqual(min(50, whole["total"]), len(years))

    def test_facets_and_filters_agree(self):
        answer = self.ask(q="asthma OR trial", facets="type,source", group_by="document").json
        for row in answer["facets"]["type"]:
            hits = self.ask(q="asthma OR trial", type=row["value"], facets="source").json
            self.assertEqual(sum(s["count"] for s in hits["facets"]["source"]), row["count"])
        by_list = {"query": "asthma", "filters": {"type": ["Review", "No, Such; Type"[:8]]}}
        self.assertEqual(self.server.post("/v1/search", by_list).status, 200)

    def test_spelling_is_offered_and_applied_only_when_nothing_is_found(self):
        answer = self.ask("asthma trail of inhalrs").json
        self.assertNotIn("searched", answer)
        nothing = self.ask("myocradial", mode="lexical").json
        self.assertEqual(nothing["searched"], "myocardial")
        self.assertTrue(nothing["results"])
        self.assertTrue(any("nothing was found" in n for n in nothing["notices"]))

    def export(self, **params):
        return self.server.get("/v1/export?" + urllib.parse.urlencode(params))

    def test_export_has_all_hits_of_the_query(self):
        query = "asthma OR trial"
        total = self.total(query)
        ids = self.export(q=query, format="ids")
        self.assertEqual((ids.status, ids.headers["x-total-count"]), (200, str(total)))
        lines = ids.body.decode().split()
        self.assertEqual((len(lines), len(set(lines))), (total, total))
        table = list(csv.DictReader(io.StringIO(self.export(q=query, format="csv").body.decode())))
        self.assertEqual([row["id"] for row in table], lines)
        ris = self.export(q=query)
        self.assertIn("research-info-systems", ris.headers["content-type"])
        self.assertIn("attachment", ris.headers["content-disposition"])
        records = [r for r in ris.body.decode().split("ER  - \r\n") if r.strip()]
        self.assertEqual([re.search(r"ID  - (.*)\r", r).group(1) for r in records], lines)
        self.assertTrue(all(r.lstrip().startswith("TY  - ") for r in records))
        newest = self.ask(query, sort="date", limit=5, response_format="detailed").json["results"]
        self.assertEqual([r["document_id"] for r in newest], lines[:5])
        printed = run("search", "--data", self.data, "--export", "ids", query).stdout
        self.assertEqual(printed, ids.body)

    def test_export_refuses_what_it_cannot_honour(self):
        for params in ({"q": "x", "limit": 3}, {"q": "x", "format": "xls"}, {"format": "ris"},
                       {"q": '"x'}):
            self.assertEqual(self.export(**params).status, 400, params)

    def test_etag_depends_on_every_parameter(self):
        tags = [self.ask(q="asthma", **p).headers["etag"] for p in (
            {}, {"sort": "date"}, {"facets": "year"}, {"type": "Review"}, {"mesh": "Asthma"})]
        self.assertEqual(len(set(tags)), len(tags))


if __name__ == "__main__":
    unittest.main()
