/* The files of service/page/, put into the binary by the build. */
#pragma once

#include "service/server.h"

struct page_file {
    const char *path; /* of the address: "/", "/assets/style.css" */
    enum media media;
    const unsigned char *bytes;
    size_t len;
};

extern const struct page_file page_files[];
extern const size_t page_file_count;
