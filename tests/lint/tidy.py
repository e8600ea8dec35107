#!/usr/bin/env python3
"""The project's own style check: what a reviewer would otherwise have to say again and again.

    tests/lint/tidy.py [ROOT]

Prints one line per finding (path:line: rule: sentence) and exits 1 when there is one. It reads the
files that git tracks, or all files below ROOT when this is not a git checkout. The rules are
explained in README.md beside it.
"""

import os
import re
import subprocess
import sys

COLUMNS_MAX = 100
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 80

CODE = (".c", ".h", ".cpp", ".py", ".sh")
C_FAMILY = (".c", ".h", ".cpp")
TEXT = CODE + (
    ".build", ".md", ".yaml", ".yml", ".json", ".conf", ".example", ".js", ".css", ".html")
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "tests/data", "deploy/sample"}

BANNED = re.compile(
    r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|free|aligned_alloc|posix_memalign|strdup"
    r"|strndup|strcpy|stpcpy|strcat|strncpy|strncat|sprintf|vsprintf|asprintf|vasprintf|strtok"
    r"|strtok_r|gets|atoi|atol|atoll|atof|alloca|tmpnam|mktemp|setlocale|rand|srand)\s*\(")

# A library whose halves have an adapter each.
HALVES = {"libxml2": {"index/ingest/xml.c", "index/ingest/html.c"},
          "libarchive": {"index/ingest/tar.c", "index/backup_tar.c"}}

# Headers of a library -> it may be included by one file of the product.
ADAPTED = {
    "LMDB": r"lmdb\.h", "libmicrohttpd": r"microhttpd\.h", "cJSON": r"(cjson/)?cJSON\.h",
    "libxml2": r"libxml/.*", "BLAS": r"(cblas|lapacke|openblas.*)\.h", "FAISS": r"faiss/.*",
    "zstd": r"(zstd|zdict|zstd_errors)\.h", "libdeflate": r"libdeflate\.h", "zlib": r"zlib\.h",
    "utf8proc": r"utf8proc\.h", "libstemmer": r"(libstemmer/)?libstemmer\.h",
    "xxHash": r"xxh(ash|3)\.h",
    "CRoaring": r"roaring/.*", "libsodium": r"sodium(/.*|\.h)", "libcurl": r"curl/.*",
    "nettle": r"nettle/.*", "GnuTLS": r"gnutls/.*",
    "oneDNN": r"(oneapi/dnnl/.*|dnnl.*\.h.*)", "libarchive": r"archive(_entry)?\.h",
    "libsystemd": r"systemd/.*", "ISA-L": r"isa-l(/.*|\.h)",
}

# A folder of the product -> the folders whose headers it may include. Tests may include everything.
DOCUMENT, STORE, INGEST = "index/document", "index/store", "index/ingest"
LEXICAL, DENSE = "index/lexical", "index/dense"
INDEX_PARTS = [DOCUMENT, STORE, INGEST, LEXICAL, DENSE]
ARROWS = {
    "common": ["common"],
    "embed": ["common", "embed"],
    DOCUMENT: ["common", DOCUMENT],
    STORE: ["common", DOCUMENT, STORE],
    INGEST: ["common", DOCUMENT, STORE, INGEST],
    LEXICAL: ["common", "embed", LEXICAL],
    DENSE: ["common", "embed", LEXICAL, DENSE],
    "index": ["common", "embed", "index"] + INDEX_PARTS,
    "service": ["common", "embed", "index", "service"] + INDEX_PARTS,
}

MARKERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
COMMENT_OR_LITERAL = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
UNCHECKED_BY_DESIGN = {"med_fail", "med_fail_errno"}  # they only fill in what is returned anyway


def code_only(text):
    """The lines of text, comments and literals blanked; include lines keep their file names."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    lines = COMMENT_OR_LITERAL.sub(blank, text).split("\n")
    for i, line in enumerate(text.split("\n")):
        if INCLUDE.match(line):
            lines[i] = line
    return lines


def folder_of(path, table):
    """The longest folder of the table that contains path, or None."""
    inside = [folder for folder in table if path.startswith(folder + "/")]
    return max(inside, key=len, default=None)


def is_product(path):
    return folder_of(path, ARROWS) is not None


def functions(lines):
    """(name, line of {, line of }) of each function; both stand alone in the first column."""
    start = 0
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start:
            head = start - 1
            while head > 0 and not re.match(r"[;}#]|\s*$|.*;\s*$|\}", lines[head - 1]):
                head -= 1
            name = re.search(r"(\w+)\s*\(", " ".join(lines[head:start]))
            if name:
                yield name.group(1), start, i
            start = 0


class Tidy:
    def __init__(self, files):
        self.files = files  # path -> text
        self.findings = []
        self.adapters = {}  # library -> {path: line}

    def say(self, path, line, rule, sentence):
        self.findings.append(f"{path}:{line}: {rule}: {sentence}")

    def run(self):
        for path, text in sorted(self.files.items()):
            if path.endswith(TEXT):
                self.check_text(path, text.split("\n"), text)
            if path.endswith(C_FAMILY):
                lines = code_only(text)
                self.check_functions(path, lines)
                self.check_includes(path, lines)
                self.check_banned(path, lines)
                if path.endswith(".h"):
                    self.check_header(path, text, lines)
        self.check_adapters()
        self.check_readmes()
        return self.findings

    def check_text(self, path, lines, text):
        for i, line in enumerate(lines, 1):
            if line != line.rstrip():
                self.say(path, i, "space", "white space at the end of the line")
            if "\t" in line and path.endswith(CODE):
                self.say(path, i, "tab", "a tab; indent with spaces")
            if path.endswith(CODE):
                if len(line) > COLUMNS_MAX and "://" not in line:
                    self.say(path, i, "columns", f"{len(line)} columns, at most {COLUMNS_MAX}")
                if MARKERS.search(line):
                    self.say(path, i, "marker", "a left-over marker; finish it or file it")
        if text and not text.endswith("\n"):
            self.say(path, len(lines), "space", "no newline at the end of the file")
        if path.endswith((".c", ".cpp")) and len(lines) - 1 > FILE_LINES_MAX:
            self.say(path, len(lines) - 1, "length",
                     f"more than {FILE_LINES_MAX} lines; split the file")

    def check_functions(self, path, lines):
        for name, start, end in functions(lines):
            if end - start + 1 > FUNCTION_LINES_MAX:
                self.say(path, start + 1, "length",
                         f"{name} has {end - start + 1} lines, at most {FUNCTION_LINES_MAX}")
            for i in range(start + 1, end):
                if re.search(r"(?<![\w.>])" + re.escape(name) + r"\s*\(", lines[i]):
                    self.say(path, i + 1, "recursion",
                             f"{name} calls itself; use a loop and a stack")

    def check_includes(self, path, lines):
        if not is_product(path):
            return
        own = folder_of(path, ARROWS)
        for i, line in enumerate(lines, 1):
            include = INCLUDE.match(line)
            if not include:
                continue
            header = include.group(2)
            target = folder_of(header, ARROWS)
            if include.group(1) == '"' and "/" not in header:
                self.say(path, i, "include", f'write the path from the root: "{own}/{header}"')
            if header.startswith("tests/") or (target and target not in ARROWS[own]):
                self.say(path, i, "arrow", f"{own} may not include {header}")
            elif target and target != own and "internal" in os.path.basename(header):
                self.say(path, i, "arrow", f"{header} is for {target} alone")
            for library, pattern in ADAPTED.items():
                if re.fullmatch(pattern, header):
                    self.adapters.setdefault(library, {}).setdefault(path, i)

    def check_adapters(self):
        for library, where in sorted(self.adapters.items()):
            if len(where) < 2 or set(where) == HALVES.get(library):
                continue
            all_of_them = ", ".join(sorted(where))
            for path, line in sorted(where.items()):
                self.say(path, line, "adapter",
                         f"{library} is adapted by one file, and not by {all_of_them}")

    def check_banned(self, path, lines):
        if path.startswith("common/"):
            return
        for i, line in enumerate(lines, 1):
            for call in BANNED.finditer(line):
                self.say(path, i, "banned", f"{call.group(1)} is not used outside common/")

    def check_header(self, path, text, lines):
        if "#pragma once" not in lines:
            self.say(path, 1, "header", "no #pragma once")
        if is_product(path) and not text.startswith("/*"):
            self.say(path, 1, "header", "does not open with a comment that says what it is for")
        code = "\n".join(lines)
        for match in re.finditer(r"^enum med_code (med_\w+)\([^;{]*", code, re.M):
            name = match.group(1)
            if "MED_CHECK" not in match.group() and name not in UNCHECKED_BY_DESIGN:
                line = code.count("\n", 0, match.start()) + 1
                self.say(path, line, "check", f"{name} can fail: declare it MED_CHECK")

    def check_readmes(self):
        folders = {os.path.dirname(path) for path in self.files if path.endswith(CODE)}
        folders |= {path.split("/")[0] for path in self.files if "/" in path}
        for folder in sorted(folders):
            hidden = any(part.startswith(".") for part in folder.split("/"))
            if folder and not hidden and f"{folder}/README.md" not in self.files:
                self.say(folder, 1, "readme", "the folder has no README.md")


def tracked(root):
    """The paths that git tracks; without git, all regular files of folders that are not hidden."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=False)
    if git.returncode == 0 and git.stdout:
        return git.stdout.decode().rstrip("\0").split("\0")
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith((".", "build"))]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return found


def load(root):
    files = {}
    for path in tracked(root):
        skipped = any(path.startswith(f + "/") or f"/{f}/" in f"/{path}" for f in SKIPPED_FOLDERS)
        full = os.path.join(root, path)
        if skipped or not os.path.isfile(full) or not path.endswith(TEXT):
            continue
        with open(full, encoding="utf-8", errors="replace", newline="") as stream:
            files[path] = stream.read()
    return files


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "..")
    files = load(root)
    findings = Tidy(files).run()
    for finding in findings:
        print(finding)
    print(f"tidy: {len(files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
