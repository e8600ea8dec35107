#!/usr/bin/env python3
"""The files of the page -> a C file with their bytes: embed.py OUT.c FILE..."""
import os
import sys

# Suffix -> enum media of service/server.h.
MEDIA = {".html": "MEDIA_HTML", ".css": "MEDIA_CSS", ".js": "MEDIA_JS", ".svg": "MEDIA_SVG"}
# A page has an address of its own, what it loads stands below /assets/.
PAGES = {"index.html": "/", "docs.html": "/docs"}


def main():
    target, sources = sys.argv[1], sys.argv[2:]
    rows = []
    with open(target, "w", encoding="ascii") as f:
        f.write('#include "service/page.h"\n\n')
        for number, source in enumerate(sources):
            with open(source, "rb") as stream:
                data = stream.read()
            f.write(f"static const unsigned char file_{number}[] = {{\n")
            for i in range(0, len(data), 24):
                f.write("    " + ",".join(map(str, data[i:i + 24])) + ",\n")
            f.write("};\n")
            name = os.path.basename(source)
            path = PAGES.get(name, "/assets/" + name)
            media = MEDIA[os.path.splitext(name)[1]]
            rows.append(f'    {{"{path}", {media}, file_{number}, sizeof file_{number}}},\n')
        f.write("\nconst struct page_file page_files[] = {\n" + "".join(rows) + "};\n")
        f.write(f"const size_t page_file_count = {len(rows)};\n")


main()
