#!/usr/bin/env python3
"""Generated collections keep what measuring relies on: the same seed gives the same bytes, one
record is one passage, nothing much is copied, and kinds, lengths and the vocabulary's growth are
the source's."""

import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

MEDICUS = os.environ["MEDICUS_BIN"]
BENCH = pathlib.Path(os.environ["MEDICUS_BUILD"]) / "tests/bench/bench_collection"
PASSAGES, RESULT = 3000, 12000
NEW_WORD = .04  # of the words drawn


class Vocabulary:
    """Words as Simon's process draws them: a new one now and then, otherwise one that was used,
    the more often the more likely."""

    def __init__(self, draw):
        self.draw, self.used = draw, ["the", "of", "and"] * 30

    def word(self):
        draw = self.draw
        if draw.random() < NEW_WORD:
            self.used.append("".join(draw.choices("bcdfglmnprstv", k=2)) + draw.choice("aeiou") +
                             "".join(draw.choices("bcdfglmnprstv", k=3)) + draw.choice("aeiou"))
        else:
            self.used.append(draw.choice(self.used))
        return self.used[-1]

    def sentence(self):
        words = [self.word() for _ in range(self.draw.randint(8, 20))]
        return " ".join(words).capitalize() + "."


def write_source(path):
    draw = random.Random(11)
    words = Vocabulary(draw)
    with open(path, "w", encoding="utf-8") as out:
        for i in range(PASSAGES):
            record = {"_id": f"doc:{i}~0"}
            if draw.random() < .7:
                year, pmid = draw.randint(1980, 2024), draw.randint(10 ** 7, 10 ** 8)
                record["text"] = (f"{words.word().title()} A, {words.word().title()} B. "
                                  f"{words.sentence()} {words.word().title()}. {year}. "
                                  f"PMID: {pmid}.")
            else:
                record["title"] = words.sentence()
                record["text"] = " ".join(words.sentence() for _ in range(draw.randint(4, 12)))
            print(json.dumps(record), file=out)


def generate(source, seed, passages):
    return subprocess.run([BENCH, "generate", str(seed), str(passages), source], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


class Collections(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.holder.name)
        cls.source, cls.result = cls.folder / "source.jsonl", cls.folder / "result.jsonl"
        write_source(cls.source)
        cls.result.write_bytes(generate(cls.source, 1, RESULT))

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def test_a_seed_decides_every_byte(self):
        first, again, other = (generate(self.source, seed, 500) for seed in (7, 7, 8))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_a_record_is_one_passage(self):
        data = self.folder / "data"
        subprocess.run([MEDICUS, "ingest", "--quiet", "--data", data, self.result], check=True)
        dumped = subprocess.run([BENCH, "passages", data], check=True, stdout=subprocess.PIPE)
        lines = dumped.stdout.decode().splitlines()
        self.assertEqual(len(lines), RESULT)
        made = [json.loads(line) for line in self.result.read_text("utf-8").splitlines()]
        self.assertEqual({r["_id"].removeprefix("doc:").removesuffix("~0"): r["text"]
                          for r in map(json.loads, lines)}, {r["_id"]: r["text"] for r in made})

    def test_little_is_copied(self):
        texts = {json.loads(line)["text"] for line in self.source.read_text("utf-8").splitlines()}
        made = [json.loads(line)["text"] for line in self.result.read_text("utf-8").splitlines()]
        self.assertLess(sum(text in texts for text in made) / RESULT, .02)
        self.assertGreater(len(set(made)) / RESULT, .98)

    def test_distributions_are_those_of_the_source(self):
        questions = self.folder / "questions.jsonl"
        questions.write_text(json.dumps({"_id": "1", "text": "the of and"}) + "\n", "utf-8")
        table = subprocess.run([BENCH, "compare", self.source, self.result, questions], check=True,
                               stdout=subprocess.PIPE).stdout.decode()
        rows = {cells[0]: [float(cell) for cell in cells[1:]] for cells in
                ([cell.strip() for cell in line.strip("|").split("|")]
                 for line in table.splitlines()[2:])}
        for name in ("citations, %", "abstracts, %", "words per passage, mean",
                     "words per passage, quantile 0.50", "words per passage, quantile 0.90",
                     f"distinct terms of {PASSAGES} passages",
                     "passages of 1,000 with the term of rank 10",
                     "passages of 1,000 with the term of rank 100"):
            source, result, _ = rows[name]
            self.assertAlmostEqual(result / source, 1, delta=.15, msg=name)
        source, result, _ = rows["growth exponent, last doubling of each"]
        self.assertAlmostEqual(source, result, delta=.1)
        source, result, _ = rows["distinct terms of all"]
        self.assertGreater(result, 1.8 * source)


if __name__ == "__main__":
    unittest.main()
