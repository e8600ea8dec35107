"""Several searches in one request: each is what it would be alone, errors stay in their place."""
import unittest

from support import WithServer

ONE = {"query": "beta blockers after myocardial infarction", "limit": 3}
TWO = {"query": "asthma", "response_format": "detailed", "filters": {"year": "2015.."}}
THREE = {"q": "helicobacter AND eradication", "mode": "lexical", "facets": ["year"]}


class Batch(WithServer):
    def batch(self, *queries, **more):
        return self.server.post("/v1/search", {"queries": list(queries), **more})

    def test_each_answer_is_what_it_would_be_alone(self):
        alone = [self.server.post("/v1/search", q).json for q in (ONE, TWO, THREE)]
        answer = self.batch(ONE, TWO, THREE)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json["answers"], alone)
        self.assertEqual({a["generation"] for a in answer.json["answers"]},
                         {answer.json["generation"]})

    def test_pretty_is_the_same_value(self):
        pretty = self.server.post("/v1/search?pretty", {"queries": [ONE, {"query": ""}]})
        self.assertEqual(pretty.json["answers"][0], self.batch(ONE).json["answers"][0])
        self.assertIn(b'\n          "id": ', pretty.body)

    def test_what_stands_beside_the_queries_is_for_all_that_do_not_say_it(self):
        shared = {"limit": 2, "response_format": "detailed",
                  "filters": {"source": "guideline", "year": "2020.."}}
        answer = self.batch({"query": "asthma"}, {"query": "asthma", "limit": 5,
                                                  "filters": {"source": "pubmed"}}, **shared)
        first, second = answer.json["answers"]
        self.assertEqual(first, self.server.post("/v1/search",
                                                 {"query": "asthma", **shared}).json)
        self.assertEqual(second, self.server.post("/v1/search", {
            "query": "asthma", "limit": 5, "response_format": "detailed",
            "filters": {"source": "pubmed", "year": "2020.."}}).json)

    def test_errors_stay_in_their_place(self):
        wrong = [{"query": ""}, {"query": "a", "limit": 0}, {"query": "a", "limt": 1},
                 {"query": "asthma AND ("}, {"query": "a", "cursor": "x"}, 5,
                 {"query": "a", "filters": {"year": "x"}}, {"query": "a", "format": "text"}]
        for query in wrong:
            answers = self.batch(ONE, query, THREE).json["answers"]
            self.assertIn("results", answers[0])
            self.assertIn(answers[1]["error"]["status"], (400,), query)
            self.assertTrue(answers[1]["error"]["detail"])
            self.assertIn("results", answers[2])

    def test_the_whole_is_refused_when_nothing_can_be_made_of_it(self):
        for body in ({"queries": []}, {"queries": [ONE] * 17}, {"queries": {}}, {"queries": None},
                     {"queries": [ONE], "query": "a"}, {"queries": [ONE], "cursor": "x"},
                     {"queries": [ONE], "limit": 0}, {"queries": [ONE], "format": "text"},
                     {"queries": [ONE], "max_tokens": 10},
                     {"queries": [ONE], "filters": {"year": 1}}):
            answer = self.server.post("/v1/search", body)
            self.assertEqual(answer.status, 400, body)
        self.problem(self.batch(ONE, limt=3), "unknown-parameter", 400)
        self.problem(self.server.post("/v1/search", {"queries": [ONE]}, Accept="text/plain"),
                     "not-acceptable", 406)

    def test_a_budget_is_for_all_answers_together(self):
        queries = [{"query": q, "response_format": "detailed"} for q in
                   ("asthma", "stroke", "heart failure", "infection", "", "cancer AND (")]
        for most in (1500, 4000, 8000):
            answer = self.batch(*queries, max_tokens=most)
            self.assertEqual(answer.status, 200, answer.body)
            self.assertLessEqual(len(answer.body) / 4, most)
        self.assertTrue(answer.json["answers"][0].get("truncated"))

    def test_sixteen_at_once(self):
        answers = self.batch(*[{"query": f"treatment {i}", "limit": 1} for i in range(16)])
        self.assertEqual(len(answers.json["answers"]), 16)

    def test_cursors_work_inside(self):
        cursor = self.server.post("/v1/search", ONE).json["next_cursor"]
        page = {**ONE, "cursor": cursor}
        self.assertEqual(self.batch(page).json["answers"],
                         [self.server.post("/v1/search", page).json])


if __name__ == "__main__":
    unittest.main()
