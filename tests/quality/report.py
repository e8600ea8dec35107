#!/usr/bin/env python3
"""The reports of `medicus eval` on the sample corpus: text, JSON and page say the same, passages
hold their evidence, and a bad file is refused with its place.

Usage: report.py MEDICUS SOURCE_ROOT
"""
import html.parser
import json
import os
import re
import subprocess
import sys
import tempfile

MEASURES = ["ndcg@10", "recall@100", "mrr@10", "map", "ndcg@100", "p@10", "recall@1000"]
VOID = {"meta", "br"}


class Page(html.parser.HTMLParser):
    """Counts elements, and holds open and close tags against each other."""

    def __init__(self):
        super().__init__()
        self.open, self.count, self.attributes = [], {}, []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in ("tr", "table"):  # nothing in the page leaves them open
            assert self.open[-1] == tag, (tag, self.open)
        assert self.open.pop() == tag, tag


def run(*command, status=0):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == status, (command, done.returncode, done.stderr)
    return done.stdout if status == 0 else done.stderr


def check_json(report):
    assert list(report["modes"]) == ["lexical", "dense", "hybrid"]
    for scores in report["modes"].values():
        assert list(scores) == MEASURES
    dense, hybrid = report["comparisons"]
    assert (dense["baseline"], dense["mode"], hybrid["mode"]) == ("lexical", "dense", "hybrid")
    for c in report["comparisons"]:
        assert c["better"] + c["worse"] + c["equal"] == report["queries"]
        for m, test in c["measures"].items():
            difference = report["modes"][c["mode"]][m] - report["modes"]["lexical"][m]
            assert abs(difference - test["difference"]) < 1e-8 and 0 < test["p"] <= 1
        losers = [x["difference"] for x in c["losers"]]
        winners = [x["difference"] for x in c["winners"]]
        assert losers == sorted(losers) and all(x < 0 for x in losers)
        assert winners == sorted(winners, reverse=True) and all(x > 0 for x in winners)
    fusion, authority = report["sweeps"]
    assert [x["value"] for x in fusion["values"]] == [0, 0.25, 0.5, 0.75, 1]
    assert [x["value"] for x in authority["values"]] == [0, 0.2]
    # The ends of the fusion sweep and the authority weight in use are rankings seen before.
    pairs = [(fusion["values"][0], "lexical"), (authority["values"][1], "hybrid")]
    for point, mode in pairs:
        assert abs(point["ndcg@10"] - report["modes"][mode]["ndcg@10"]) < 1e-8, mode


def check_passages(passages):
    assert passages["evidence"] >= 40 and passages["evidence_not_in_document"] == 0
    assert passages["evidence_documents_missing"] == passages["evidence_of_other_queries"] == 0
    for groups in passages["modes"].values():
        for hit in groups.values():
            for key, value in hit["passage"].items():
                assert value <= hit["article"][key] + 1e-9, key
    best = passages["modes"]["hybrid"]["document"]["passage"]
    assert best["success@5"] >= 0.9 and best["success@10"] >= 0.95 and best["mrr@10"] >= 0.7, best


def main():
    medicus, root = sys.argv[1:]
    sample = os.path.join(root, "deploy", "sample")
    with tempfile.TemporaryDirectory(prefix="medicus-report-") as folder:
        data, page = os.path.join(folder, "data"), os.path.join(folder, "report.html")
        run(medicus, "ingest", "--data", data,
            os.path.join(sample, "pubmed"), os.path.join(sample, "guidelines"))
        run(medicus, "build", "--data", data)
        command = [medicus, "eval", "--data", data,
                   "--queries", os.path.join(sample, "queries.jsonl"),
                   "--qrels", os.path.join(sample, "qrels.tsv")]
        full = command + ["--losers", "4", "--sweep", "fusion=0:1:0.25",
                          "--sweep=authority=0:0.2:0.2",
                          "--evidence", os.path.join(sample, "evidence.jsonl")]
        report = json.loads(run(*full, "--json", "--html", page))
        assert report == json.loads(run(*full, "--json", "--threads", "1"))
        check_json(report)
        check_passages(report["passages"])
        text = run(*full)
        for scores in report["modes"].values():
            assert f"{scores['ndcg@10']:.4f}" in text
        with open(page, encoding="utf-8") as file:
            content = file.read()
        parser = Page()
        parser.feed(content)
        assert parser.open == [], parser.open
        assert parser.count["svg"] == 4 + 2 + 2 * 4 + 6 and "script" not in parser.count
        assert not [a for a in parser.attributes if a[0] in ("src", "href")]
        assert not re.search(r"url\(|\bnan\b|\binf\b", content)

        bad = os.path.join(folder, "bad.jsonl")
        with open(bad, "w", encoding="utf-8") as file:
            file.write('{"query_id":"s01","doc_id":"990000101"}\n')
        assert "line 1" in run(*command, "--evidence", bad, status=3)
        assert "--sweep" in run(*command, "--sweep", "fusion=1:0:1", status=2)


if __name__ == "__main__":
    main()
