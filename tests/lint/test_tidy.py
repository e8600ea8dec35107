#!/usr/bin/env python3
"""Each rule of tidy.py finds what it is for, and nothing in what looks similar."""

import unittest

import tidy

HEADER = "/* What it is for. */\n#pragma once\n"


def rules(files, with_readmes=True):
    """The findings of the given files as 'path:line rule'."""
    if with_readmes:
        folders = {path.rsplit("/", i)[0] for path in files for i in range(1, path.count("/") + 1)}
        files = dict(files, **{f"{folder}/README.md": "text\n" for folder in folders})
    found = []
    for finding in tidy.Tidy(files).run():
        path, line, rule, _ = finding.split(":", 3)
        found.append(f"{path}:{line}{rule}")
    return found


class TidyTest(unittest.TestCase):
    def test_white_space_and_columns(self):
        text = "int a; \nint\tb;\n" + "x" * 101 + "\n/* see https://example.org/" + "y" * 100 + " */\nint c;"
        self.assertEqual(rules({"common/a.c": text}), [
            "common/a.c:1 space", "common/a.c:2 tab", "common/a.c:3 columns", "common/a.c:5 space"])

    def test_columns_are_characters_not_bytes(self):
        self.assertEqual(rules({"tests/a.py": "é" * 100 + "\n"}), [])

    def test_left_over_markers(self):
        marker = "TO" + "DO"
        self.assertEqual(rules({"common/a.c": f"/* {marker}: later */\nmkdtemp(\"XXXXXX\");\n"}),
                         ["common/a.c:1 marker"])

    def test_banned_functions_are_calls_not_words(self):
        text = ('/* malloc(1) */\nconst char *s = "free(1)";\nx = med_malloc(1);\n'
                "y.free(1);\nz = malloc (1);\nint free_count;\n")
        self.assertEqual(rules({"embed/a.c": text}), ["embed/a.c:5 banned"])
        self.assertEqual(rules({"common/a.c": text}), [])

    def test_long_functions_and_files(self):
        body = "    x++;\n" * tidy.FUNCTION_LINES_MAX
        function = f"int f(void)\n{{\n{body}}}\n"
        self.assertEqual(rules({"common/a.c": function}), ["common/a.c:2 length"])
        lines = "int a;\n" * tidy.FILE_LINES_MAX
        self.assertEqual(rules({"common/a.c": lines}), [])
        self.assertEqual(rules({"common/a.c": lines + "int b;\n"}), ["common/a.c:801 length"])

    def test_recursion(self):
        text = ("static int walk(int a,\n    int b)\n{\n"
                "    return walk(a, b) + other.walk(1) + walk_on(2);\n}\n")
        self.assertEqual(rules({"index/a.c": text}), ["index/a.c:4 recursion"])

    def test_arrows(self):
        good = '#include "common/err.h"\n#include "index/document/document.h"\n'
        for path in ("index/store/a.c", "index/a.c", "service/a.c"):
            self.assertEqual(rules({path: good}), [])
        bad = {
            "common/a.c": '#include "embed/vocab.h"\n',
            "embed/a.c": '#include "index/segment.h"\n',
            "index/document/a.c": '#include "index/store/store.h"\n',
            "index/dense/a.c": '#include "index/segment.h"\n',
            "service/a.c": '#include "index/store/internal.h"\n'
                           '#include "tests/support/support.h"\n',
        }
        self.assertEqual(rules(bad), [
            "common/a.c:1 arrow", "embed/a.c:1 arrow", "index/dense/a.c:1 arrow",
            "index/document/a.c:1 arrow", "service/a.c:1 arrow", "service/a.c:2 arrow"])
        self.assertEqual(rules({"embed/a.c": '#include "vocab.h"\n'}), ["embed/a.c:1 include"])

    def test_one_adapter_per_library(self):
        zstd = "#include <zstd.h>\n#include <zdict.h>\n"
        self.assertEqual(rules({"index/store/compress.c": zstd, "tests/unit/test_x.c": zstd}), [])
        self.assertEqual(rules({"index/store/compress.c": zstd, "service/a.c": zstd}),
                         ["index/store/compress.c:1 adapter", "service/a.c:1 adapter"])

    def test_headers(self):
        good = HEADER + "enum med_code med_x(\n    int a) MED_CHECK;\nenum med_code (*fn)(int);\n"
        self.assertEqual(rules({"common/a.h": good}), [])
        self.assertEqual(rules({"common/a.h": HEADER + "enum med_code med_x(\n    int a);\n"}),
                         ["common/a.h:3 check"])
        self.assertEqual(rules({"common/a.h": "int x;\n"}), 2 * ["common/a.h:1 header"])

    def test_every_folder_has_a_readme(self):
        self.assertEqual(rules({"embed/a.c": "int a;\n"}, with_readmes=False), ["embed:1 readme"])
        self.assertEqual(rules({".ci/run.sh": "true\n"}, with_readmes=False), [])


if __name__ == "__main__":
    unittest.main()
