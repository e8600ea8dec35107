#include "engine.h"

#include "common/clock.h"
#include "common/mem.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

void engine_die(const char *sentence)
{
    fprintf(stderr, "error: %s\n", sentence);
    exit(1);
}

void lines_open(const char *path, struct lines *ret_lines)
{
    struct med_err err = {0};
    struct lines lines = {0};
    size_t cap = 0;
    if (med_map_open(path, &lines.map, &err)) engine_die(err.text);
    const char *pos = (const char *)lines.map.ptr, *end = pos + lines.map.len;
    while (pos < end) {
        const char *stop = memchr(pos, '\n', (size_t)(end - pos));
        if (!stop) stop = end;
        if (!med_grow(&lines.items, &cap, lines.count + 1, sizeof *lines.items))
            engine_die("out of memory");
        lines.items[lines.count++] = (struct med_str){.ptr = pos, .len = (size_t)(stop - pos)};
        pos = stop + 1;
    }
    *ret_lines = lines;
}

void lines_close(struct lines *lines)
{
    med_free(lines->items);
    med_map_close(&lines->map);
}

void lines_split(struct med_str line, struct med_str *ret_title, struct med_str *ret_text)
{
    const char *tab = line.len ? memchr(line.ptr, '\t', line.len) : NULL;
    if (!tab) engine_die("a line without a tab");
    size_t at = (size_t)(tab - line.ptr);
    *ret_title = med_str_sub(line, 0, at);
    *ret_text = med_str_sub(line, at + 1, line.len);
}

bool lines_next_word(struct med_str *text, struct med_str *ret_word)
{
    size_t start = 0;
    while (start < text->len && text->ptr[start] == ' ') start++;
    size_t end = start;
    while (end < text->len && text->ptr[end] != ' ') end++;
    *ret_word = med_str_sub(*text, start, end);
    *text = med_str_sub(*text, end, text->len);
    return ret_word->len > 0;
}

static uint64_t bytes_below(const char *dir)
{
    struct stat st;
    if (stat(dir, &st) != 0) engine_die("the index is not there");
    if (!S_ISDIR(st.st_mode)) return (uint64_t)st.st_size;
    DIR *stream = opendir(dir);
    if (!stream) engine_die("the index cannot be listed");
    uint64_t sum = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        char path[MED_PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) sum += (uint64_t)st.st_size;
    }
    closedir(stream);
    return sum;
}

void engine_report_index(size_t documents, uint64_t ns, const char *dir)
{
    printf("{\"documents\":%zu,\"seconds\":%.6f,\"bytes\":%" PRIu64 "}\n", documents,
        (double)ns / 1e9, bytes_below(dir));
}

static void round_of(const struct engine *engine, size_t count)
{
    uint32_t ids[ENGINE_K_MAX];
    static uint64_t ns[100000];
    for (size_t i = 0; i < count; i++) {
        uint64_t start = med_now_ns();
        engine->search(engine->ctx, i, ids);
        ns[i] = med_now_ns() - start;
    }
    for (size_t i = 0; i < count; i++) printf("%" PRIu64 " ", ns[i]);
    printf("\n");
}

static void answers_of(const struct engine *engine, size_t count)
{
    uint32_t ids[ENGINE_K_MAX];
    for (size_t i = 0; i < count; i++) {
        size_t found = engine->search(engine->ctx, i, ids);
        for (size_t j = 0; j < found; j++) printf("%" PRIu32 " ", ids[j]);
        printf("\n");
    }
}

void engine_serve(const struct engine *engine)
{
    char line[256];
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        size_t count = 0;
        bool is_round = sscanf(line, "round %zu", &count) == 1;
        if (count > engine->query_count || count > 100000)
            engine_die("more queries than there are");
        if (is_round)
            round_of(engine, count);
        else if (sscanf(line, "answers %zu", &count) == 1 && count <= engine->query_count)
            answers_of(engine, count);
        else if (!engine->command || !engine->command(engine->ctx, line))
            engine_die("an unknown command");
        fflush(stdout);
    }
}
