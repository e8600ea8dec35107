/* What the engines of the lexical comparison share: lines of a file in memory, and the loop that
 * does what the runner (peers.py) asks for on standard input, so that rounds of several engines
 * alternate within one run. README.md has the files and the protocol. */
#pragma once

#include "common/fs.h"
#include "common/str.h"

#include <stddef.h>
#include <stdint.h>

#define ENGINE_K_MAX 1000
/* What all score with; medicus.c checks that they are medicus's own. */
#define ENGINE_K1 1.2
#define ENGINE_B 0.6
#define ENGINE_TITLE_WEIGHT 2

/* A text file, mapped and read once, so that what is measured afterwards touches memory only. */
struct lines {
    struct med_map map;
    struct med_str *items; /* without the newline */
    size_t count;
};
void lines_open(const char *path, struct lines *ret_lines);
void lines_close(struct lines *lines);
/* "title TAB text" -> its halves. */
void lines_split(struct med_str line, struct med_str *ret_title, struct med_str *ret_text);
/* Takes the next word off the front of *text; false when there is none. */
bool lines_next_word(struct med_str *text, struct med_str *ret_word);

/* Ends the process with a sentence. */
void engine_die(const char *sentence) __attribute__((noreturn));
/* Prints what building an index took, as one JSON object. */
void engine_report_index(size_t documents, uint64_t ns, const char *dir);

struct engine {
    void *ctx;
    size_t query_count;
    size_t k;
    /* Documents of query i, best first, into ret_ids[k]; returns how many. */
    size_t (*search)(void *ctx, size_t query, uint32_t *ret_ids);
    /* Further commands; false when it does not know `line`. Or NULL. */
    bool (*command)(void *ctx, const char *line);
};
/* Until the end of standard input:
 *   round N      -> the nanoseconds of each of the first N queries, on one line
 *   answers N    -> N lines of document numbers */
void engine_serve(const struct engine *engine);
