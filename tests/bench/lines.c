#include "tests/bench/lines.h"

#include "common/fs.h"

#include <string.h>

enum med_code bench_each_line(const char *path, void (*fn)(void *ctx, const struct med_json *line),
    void *ctx, struct med_err *err)
{
    struct med_map map;
    enum med_code code = med_map_open(path, &map, err);
    if (code != MED_OK) return code;
    const char *text = (const char *)map.ptr;
    for (size_t pos = 0; code == MED_OK && pos < map.len;) {
        const char *end = memchr(text + pos, '\n', map.len - pos);
        size_t len = (end ? (size_t)(end - text) : map.len) - pos;
        struct med_json *line = NULL;
        if (len) code = med_json_parse(text + pos, len, &line, err);
        if (line) {
            fn(ctx, line);
            med_json_free(&line);
        }
        pos += len + 1;
    }
    med_map_close(&map);
    return code;
}
