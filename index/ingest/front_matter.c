/* The only file that includes libyaml. Aliases are read as null, so that nothing can be amplified.
 */
#include "index/ingest/front_matter.h"

#include "common/limits.h"

#include <yaml.h>

#define ENTRIES_MAX 200
#define VALUES_MAX 1000
#define DEPTH_MAX 16
#define FRONT_BYTES_MAX MED_MIB

static size_t line_end(struct med_str s, size_t pos)
{
    const char *end = memchr(s.ptr + pos, '\n', s.len - pos);
    return end ? (size_t)(end - s.ptr) + 1 : s.len;
}

bool med_front_split(struct med_str text, struct med_str *ret_yaml, struct med_str *ret_rest)
{
    if (text.len < 4 || memcmp(text.ptr, "---", 3) != 0) return false;
    size_t start = line_end(text, 0);
    if (!med_str_eq(med_str_trim(med_str_sub(text, 0, start)), MED_STR("---"))) return false;
    for (size_t pos = start; pos < text.len && pos < FRONT_BYTES_MAX;) {
        size_t next = line_end(text, pos);
        struct med_str line = med_str_trim(med_str_sub(text, pos, next));
        if (text.ptr[pos] != ' ' &&
            (med_str_eq(line, MED_STR("---")) || med_str_eq(line, MED_STR("...")))) {
            *ret_yaml = med_str_sub(text, start, pos);
            *ret_rest = med_str_sub(text, next, text.len);
            return true;
        }
        pos = next;
    }
    return false;
}

/* What the event loop knows. The top mapping is at depth 1; its values are at depth 2 and deeper.
 */
struct reader {
    struct med_arena *arena;
    struct med_front *front;
    struct med_front_entry *entry; /* whose value is read */
    struct med_buf json;
    struct med_jw writer;
    bool map[DEPTH_MAX + 2]; /* is the container at that depth a mapping? */
    bool key_next[DEPTH_MAX + 2];
    unsigned depth;
    bool done;
};

static bool add_value(struct reader *r, struct med_str text)
{
    struct med_front_entry *e = r->entry;
    if (e->value_count == VALUES_MAX) return true;
    if (!e->values) e->values = med_arena_calloc(r->arena, VALUES_MAX, sizeof *e->values);
    return e->values && med_arena_str(r->arena, text, &e->values[e->value_count++]);
}

static bool open_entry(struct reader *r, struct med_str key)
{
    if (r->front->count == ENTRIES_MAX) return false;
    r->entry = &r->front->entries[r->front->count++];
    med_buf_reset(&r->json);
    r->writer = med_jw_of(&r->json, false);
    char *lower = med_arena_strndup(r->arena, key.ptr, key.len);
    for (size_t i = 0; lower && i < key.len; i++) {
        if (lower[i] >= 'A' && lower[i] <= 'Z') lower[i] = (char)(lower[i] + 32);
    }
    r->entry->key = (struct med_str){.ptr = lower, .len = key.len};
    return lower != NULL;
}

static bool close_entry(struct reader *r)
{
    return r->json.code == MED_OK &&
           med_arena_str(r->arena, med_buf_str(&r->json), &r->entry->json);
}

static void write_scalar(struct reader *r, struct med_str text, bool plain)
{
    long long whole;
    double number;
    if (plain &&
        (text.len == 0 || med_str_eq(text, MED_STR("null")) || med_str_eq(text, MED_STR("~"))))
        med_jw_null(&r->writer);
    else if (plain && (med_str_eq(text, MED_STR("true")) || med_str_eq(text, MED_STR("false"))))
        med_jw_bool(&r->writer, text.ptr[0] == 't');
    else if (plain && med_str_to_i64(text, &whole))
        med_jw_int(&r->writer, whole);
    else if (plain && med_str_to_double(text, &number))
        med_jw_double(&r->writer, number);
    else
        med_jw_str(&r->writer, text);
}

static bool take_scalar(struct reader *r, struct med_str text, bool plain)
{
    unsigned d = r->depth;
    if (d == 0) return false;
    bool key = r->map[d] && r->key_next[d];
    if (r->map[d]) r->key_next[d] = !key;
    if (key && d == 1) return open_entry(r, text);
    if (key) {
        char *name = med_arena_strndup(r->arena, text.ptr, text.len);
        if (name) med_jw_key(&r->writer, name);
        return name != NULL;
    }
    write_scalar(r, text, plain);
    bool listed = d == 1 || (d == 2 && !r->map[2]);
    if (listed && text.len > 0 && !add_value(r, text)) return false;
    return d > 1 || close_entry(r);
}

static bool open_container(struct reader *r, bool map)
{
    unsigned d = r->depth;
    if (d == 0 && !map) return false;
    if (d > DEPTH_MAX || (d > 0 && r->map[d] && r->key_next[d]))
        return false; /* no container is a key */
    if (d > 0 && map) med_jw_object(&r->writer);
    if (d > 0 && !map) med_jw_array(&r->writer);
    r->depth++;
    r->map[r->depth] = map;
    r->key_next[r->depth] = map;
    return true;
}

static bool close_container(struct reader *r)
{
    unsigned d = r->depth--;
    if (d == 1) return true;
    if (r->map[d])
        med_jw_object_end(&r->writer);
    else
        med_jw_array_end(&r->writer);
    if (r->map[d - 1]) r->key_next[d - 1] = true;
    return d > 2 || close_entry(r);
}

static bool take_event(struct reader *r, const yaml_event_t *event)
{
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(r,
            (struct med_str){
                .ptr = (const char *)event->data.scalar.value, .len = event->data.scalar.length},
            event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
    case YAML_ALIAS_EVENT: return take_scalar(r, (struct med_str){0}, true);
    case YAML_SEQUENCE_START_EVENT: return open_container(r, false);
    case YAML_MAPPING_START_EVENT: return open_container(r, true);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_container(r);
    case YAML_DOCUMENT_END_EVENT:
    case YAML_STREAM_END_EVENT: r->done = true; return true;
    default: return true;
    }
}

static enum med_code parse(
    struct med_str yaml, struct med_arena *arena, struct med_front *front, struct med_err *err)
{
    yaml_parser_t parser;
    struct reader r = {.arena = arena, .front = front};
    enum med_code code = MED_OK;
    front->count = 0;
    front->entries = med_arena_calloc(arena, ENTRIES_MAX, sizeof *front->entries);
    if (!front->entries || !yaml_parser_initialize(&parser))
        return med_fail(err, MED_E_NOMEM, "out of memory for front matter");
    med_buf_init(&r.json, FRONT_BYTES_MAX);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.ptr, yaml.len);
    while (code == MED_OK && !r.done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            code = med_fail(err, MED_E_INVALID, "front matter, line %zu: %s",
                parser.problem_mark.line + 2, parser.problem ? parser.problem : "no YAML");
            break;
        }
        if (!take_event(&r, &event))
            code = med_fail(err, MED_E_INVALID,
                "front matter, line %zu: no mapping of keys to values or lists",
                event.start_mark.line + 2);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    med_buf_free(&r.json);
    return code;
}

/* `title: Screening: adults` -> `title: "Screening: adults"` */
static void quote_values(struct med_str yaml, struct med_buf *out)
{
    for (size_t pos = 0, next; pos < yaml.len; pos = next) {
        next = line_end(yaml, pos);
        struct med_str line = med_str_sub(yaml, pos, next);
        size_t colon = 0;
        while (colon + 1 < line.len && !(line.ptr[colon] == ':' && line.ptr[colon + 1] == ' '))
            colon++;
        struct med_str value = colon + 1 < line.len
                                   ? med_str_trim(med_str_sub(line, colon + 2, line.len))
                                   : (struct med_str){0};
        bool top =
            line.ptr[0] != ' ' && line.ptr[0] != '\t' && line.ptr[0] != '-' && line.ptr[0] != '#';
        bool fault = value.len > 0 &&
                     (memmem(value.ptr, value.len, ": ", 2) || value.ptr[value.len - 1] == ':');
        if (!top || !fault || strchr("\"'[{|>&*!", value.ptr[0])) {
            med_buf_append_str(out, line);
            continue;
        }
        med_buf_append(out, line.ptr, colon + 2);
        med_buf_putc(out, '"');
        for (size_t i = 0; i < value.len; i++) {
            if (value.ptr[i] == '"' || value.ptr[i] == '\\') med_buf_putc(out, '\\');
            med_buf_putc(out, value.ptr[i]);
        }
        med_buf_puts(out, "\"\n");
    }
}

enum med_code med_front_parse(
    struct med_str yaml, struct med_arena *arena, struct med_front *ret_front, struct med_err *err)
{
    struct med_front front = {0};
    struct med_err why;
    struct med_str given = med_str_trim(yaml);
    enum med_code code = given.len == 0 ? MED_OK : parse(yaml, arena, &front, &why);
    if (code == MED_E_INVALID) {
        struct med_buf quoted;
        med_buf_init(&quoted, 2 * FRONT_BYTES_MAX + 16);
        quote_values(yaml, &quoted);
        if (quoted.code == MED_OK) code = parse(med_buf_str(&quoted), arena, &front, NULL);
        med_buf_free(&quoted);
    }
    if (code == MED_OK)
        *ret_front = front;
    else if (err)
        *err = why; /* of the first try: its lines are as written */
    return code;
}

const struct med_front_entry *med_front_get(const struct med_front *front, const char *const *keys)
{
    for (; *keys; keys++) {
        for (size_t i = 0; i < front->count; i++) {
            if (med_str_eq(front->entries[i].key, med_str_of(*keys))) return &front->entries[i];
        }
    }
    return NULL;
}
