/* JSON: a gate of our own, then cJSON (the only file that includes it), and a writer.
 *
 * cJSON accepts trailing garbage, numbers like 01 and invalid UTF-8, cuts numbers after 63
 * characters and cannot carry a NUL inside a string. The gate therefore reads every byte first,
 * with an explicit stack (one bit per level: object or array), and cJSON only ever sees what
 * passed. A key's hash goes on a stack of keys; when its object ends, its keys are sorted and
 * compared with their neighbours, which costs n log n and not n^2. */
#include "common/json.h"

#include "common/hash.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/unicode.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CJSON_NUMBER_CHARS_MAX 62 /* parse_number of cJSON copies 63 characters */
#define NUMBER_TEXT_MAX 512       /* a longer number is an attack, not a measurement */
#define EXACT_INTEGER_MAX 0x1p53  /* every whole number up to here is a double */

/* --- the gate --- */

struct key {
    uint64_t hash;
    size_t pos;
};

struct level {
    bool object;
    size_t first_key; /* of this object in `keys` */
};

struct gate {
    const char *ptr;
    size_t len;
    size_t pos;
    size_t depth_max;
    struct level *levels;
    size_t depth, levels_cap;
    struct key *keys;
    size_t key_count, keys_cap;
    struct med_buf key_text; /* the decoded key, for its hash */
    struct med_buf
        *long_numbers; /* NULL, or a copy of the text in which long numbers are shortened */
    struct med_err *err;
};

static enum med_code refuse(struct gate *g, size_t pos, const char *what)
{
    return med_fail(g->err, MED_E_INVALID, "not valid JSON: %s at byte %zu", what, pos);
}

static enum med_code no_memory(struct gate *g)
{
    return med_fail(g->err, MED_E_NOMEM, "out of memory checking JSON");
}

static void skip_space(struct gate *g)
{
    while (g->pos < g->len) {
        char c = g->ptr[g->pos];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
        g->pos++;
    }
}

/* The next byte, or NUL at the end; a NUL byte in the text is refused wherever this is used. */
static char peek(const struct gate *g)
{
    return g->pos < g->len ? g->ptr[g->pos] : '\0';
}

static bool hex4(const struct gate *g, size_t pos, uint32_t *ret_unit)
{
    if (g->len < 4 || pos > g->len - 4) return false;
    uint32_t unit = 0;
    for (size_t i = pos; i < pos + 4; i++) {
        char c = g->ptr[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A') + 10;
        else
            return false;
        unit = unit << 4 | digit;
    }
    *ret_unit = unit;
    return true;
}

/* After "\u"; a pair of surrogates is one code point. */
static enum med_code scan_unicode_escape(struct gate *g, uint32_t *ret_cp)
{
    size_t start = g->pos - 2;
    uint32_t unit, low;
    if (!hex4(g, g->pos, &unit)) return refuse(g, start, "a \\u escape without four hex digits");
    g->pos += 4;
    if (unit == 0) return refuse(g, start, "\\u0000, which is not supported in strings,");
    if (unit >= 0xDC00 && unit <= 0xDFFF) return refuse(g, start, "a lone surrogate");
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        bool pair = g->len - g->pos >= 6 && g->ptr[g->pos] == '\\' && g->ptr[g->pos + 1] == 'u' &&
                    hex4(g, g->pos + 2, &low) && low >= 0xDC00 && low <= 0xDFFF;
        if (!pair) return refuse(g, start, "a lone surrogate");
        g->pos += 6;
        unit = 0x10000 + ((unit - 0xD800) << 10 | (low - 0xDC00));
    }
    *ret_cp = unit;
    return MED_OK;
}

static enum med_code scan_escape(struct gate *g, uint32_t *ret_cp)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    char c = g->pos + 1 < g->len ? g->ptr[g->pos + 1] : '\0';
    const char *at = c ? strchr(names, c) : NULL;
    if (at) {
        g->pos += 2;
        *ret_cp = (uint8_t)values[at - names];
        return MED_OK;
    }
    if (c != 'u') return refuse(g, g->pos, "an unknown escape");
    g->pos += 2;
    return scan_unicode_escape(g, ret_cp);
}

/* From the opening quote to behind the closing one; decoded is NULL or receives the text. */
static enum med_code scan_string(struct gate *g, struct med_buf *decoded)
{
    size_t start = g->pos++;
    struct med_str text = {.ptr = g->ptr, .len = g->len};
    while (g->pos < g->len) {
        unsigned char c = (unsigned char)g->ptr[g->pos];
        size_t from = g->pos;
        uint32_t cp = c;
        if (c == '"') {
            g->pos++;
            return MED_OK;
        }
        if (c < 0x20) return refuse(g, from, "a control character inside a string");
        if (c == '\\') {
            enum med_code code = scan_escape(g, &cp);
            if (code != MED_OK) return code;
        } else if (c < 0x80) {
            g->pos++;
        } else {
            cp = med_utf8_next(text, &g->pos);
            if (g->pos == from + 1) return refuse(g, from, "a byte that is not UTF-8");
        }
        if (decoded) med_utf8_put(decoded, cp);
    }
    return refuse(g, start, "an unterminated string");
}

static enum med_code scan_digits(struct gate *g)
{
    size_t start = g->pos;
    while (peek(g) >= '0' && peek(g) <= '9') g->pos++;
    return g->pos > start ? MED_OK : refuse(g, start, "a number without a digit");
}

/* cJSON is given an equal number of at most 62 characters, followed by spaces. */
static enum med_code shorten_number(struct gate *g, size_t start, double value)
{
    struct med_buf *copy = g->long_numbers;
    if (!copy->data) med_buf_append(copy, g->ptr, g->len);
    if (med_buf_status(copy, NULL) != MED_OK) return no_memory(g);
    char text[CJSON_NUMBER_CHARS_MAX];
    int len = snprintf(text, sizeof text, "%.17g", value);
    memset(copy->data + start, ' ', g->pos - start);
    memcpy(copy->data + start, text, (size_t)len);
    return MED_OK;
}

static enum med_code scan_number(struct gate *g)
{
    size_t start = g->pos;
    if (peek(g) == '-') g->pos++;
    if (peek(g) == '0') {
        g->pos++;
        if (peek(g) >= '0' && peek(g) <= '9')
            return refuse(g, start, "a number with a leading zero");
    } else {
        enum med_code code = scan_digits(g);
        if (code != MED_OK) return code;
    }
    if (peek(g) == '.') {
        g->pos++;
        enum med_code code = scan_digits(g);
        if (code != MED_OK) return code;
    }
    if (peek(g) == 'e' || peek(g) == 'E') {
        g->pos++;
        if (peek(g) == '+' || peek(g) == '-') g->pos++;
        enum med_code code = scan_digits(g);
        if (code != MED_OK) return code;
    }
    double value;
    if (!med_str_to_double((struct med_str){g->ptr + start, g->pos - start}, &value)) {
        return refuse(g, start, "a number out of range");
    }
    bool is_long = g->pos - start > CJSON_NUMBER_CHARS_MAX;
    return is_long && g->long_numbers ? shorten_number(g, start, value) : MED_OK;
}

static enum med_code scan_word(struct gate *g, struct med_str word)
{
    struct med_str rest = {.ptr = g->ptr + g->pos, .len = g->len - g->pos};
    if (!med_str_starts(rest, word)) return refuse(g, g->pos, "an unknown word");
    g->pos += word.len;
    return MED_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->pos > y->pos) - (x->pos < y->pos);
}

static enum med_code check_duplicates(struct gate *g, size_t first)
{
    size_t count = g->key_count - first;
    struct key *keys = g->keys + first;
    if (count > 1) qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (keys[i].hash == keys[i - 1].hash) return refuse(g, keys[i].pos, "a duplicate key");
    }
    g->key_count = first;
    return MED_OK;
}

/* "key" : and the white space around them. */
static enum med_code scan_key(struct gate *g)
{
    size_t start = g->pos;
    if (peek(g) != '"') return refuse(g, start, "a missing key");
    med_buf_reset(&g->key_text);
    enum med_code code = scan_string(g, &g->key_text);
    if (code != MED_OK) return code;
    if (med_buf_status(&g->key_text, NULL) != MED_OK ||
        !med_grow(&g->keys, &g->keys_cap, g->key_count + 1, sizeof *g->keys)) {
        return no_memory(g);
    }
    uint64_t hash = med_hash64(g->key_text.data, g->key_text.len);
    g->keys[g->key_count++] = (struct key){.hash = hash, .pos = start};
    skip_space(g);
    if (peek(g) != ':') return refuse(g, g->pos, "a missing colon");
    g->pos++;
    skip_space(g);
    return MED_OK;
}

/* An opening bracket: the next token is the first key, the first element or the closing bracket. */
static enum med_code enter(struct gate *g, bool *ret_closed)
{
    bool object = g->ptr[g->pos] == '{';
    if (g->depth == g->depth_max) {
        return med_fail(g->err, MED_E_LIMIT, "JSON nested deeper than %zu levels at byte %zu",
            g->depth_max, g->pos);
    }
    if (!med_grow(&g->levels, &g->levels_cap, g->depth + 1, sizeof *g->levels)) return no_memory(g);
    g->levels[g->depth++] = (struct level){.object = object, .first_key = g->key_count};
    g->pos++;
    skip_space(g);
    *ret_closed = peek(g) == (object ? '}' : ']');
    if (*ret_closed) {
        g->pos++;
        g->depth--;
        return MED_OK;
    }
    return object ? scan_key(g) : MED_OK;
}

/* After a value: a comma (and the next key), or closing brackets as long as there are some.
 * *ret_done is true when the outermost value is complete. */
static enum med_code leave(struct gate *g, bool *ret_done)
{
    for (;;) {
        skip_space(g);
        *ret_done = g->depth == 0;
        if (*ret_done) return MED_OK;
        struct level *level = &g->levels[g->depth - 1];
        char c = peek(g);
        if (c == ',') {
            g->pos++;
            skip_space(g);
            return level->object ? scan_key(g) : MED_OK;
        }
        if (c != (level->object ? '}' : ']')) {
            return refuse(g, g->pos, "a missing comma or closing bracket");
        }
        enum med_code code = level->object ? check_duplicates(g, level->first_key) : MED_OK;
        if (code != MED_OK) return code;
        g->pos++;
        g->depth--;
    }
}

/* One value; of a container only its beginning, then *ret_complete is false. */
static enum med_code scan_value(struct gate *g, bool *ret_complete)
{
    *ret_complete = true;
    char c = peek(g);
    if (c == '-' || (c >= '0' && c <= '9')) return scan_number(g);
    switch (c) {
    case '{':
    case '[': return enter(g, ret_complete);
    case '"': return scan_string(g, NULL);
    case 't': return scan_word(g, MED_STR("true"));
    case 'f': return scan_word(g, MED_STR("false"));
    case 'n': return scan_word(g, MED_STR("null"));
    default: return refuse(g, g->pos, "a missing value");
    }
}

static enum med_code scan_text(struct gate *g)
{
    skip_space(g);
    for (bool done = false; !done;) {
        bool complete;
        enum med_code code = scan_value(g, &complete);
        if (code == MED_OK && complete) code = leave(g, &done);
        if (code != MED_OK) return code;
    }
    return g->pos == g->len ? MED_OK : refuse(g, g->pos, "more text after the value");
}

static enum med_code run_gate(const char *ptr, size_t len, size_t depth_max,
    struct med_buf *long_numbers, struct med_err *err)
{
    struct gate g = {
        .ptr = ptr, .len = len, .depth_max = depth_max, .long_numbers = long_numbers, .err = err};
    med_buf_init(&g.key_text, len);
    enum med_code code = scan_text(&g);
    med_buf_free(&g.key_text);
    med_free(g.levels);
    med_free(g.keys);
    return code;
}

enum med_code med_json_check(const char *ptr, size_t len, size_t depth_max, struct med_err *err)
{
    return run_gate(ptr, len, depth_max, NULL, err);
}

/* --- the tree --- */

static void set_hooks(void)
{
    cJSON_Hooks hooks = {.malloc_fn = med_malloc, .free_fn = med_free};
    cJSON_InitHooks(&hooks);
}

enum med_code med_json_parse(
    const char *ptr, size_t len, struct med_json **ret_root, struct med_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_hooks);
    struct med_buf copy;
    med_buf_init(&copy, len);
    enum med_code code = run_gate(ptr, len, MED_JSON_DEPTH_MAX, &copy, err);
    if (code == MED_OK) {
        const char *text = copy.data ? copy.data : ptr;
        cJSON *root = cJSON_ParseWithLengthOpts(text, len, NULL, false);
        /* What passed the gate is JSON, so that memory is the only thing left to be missing. */
        if (root)
            *ret_root = (struct med_json *)root;
        else
            code = med_fail(err, MED_E_NOMEM, "out of memory reading %zu bytes of JSON", len);
    }
    med_buf_free(&copy);
    return code;
}

void med_json_free(struct med_json **root)
{
    cJSON_Delete((cJSON *)*root);
    *root = NULL;
}

static const cJSON *node(const struct med_json *v)
{
    return (const cJSON *)v;
}

enum med_json_type med_json_type(const struct med_json *v)
{
    const cJSON *item = node(v);
    if (cJSON_IsObject(item)) return MED_JSON_OBJECT;
    if (cJSON_IsArray(item)) return MED_JSON_ARRAY;
    if (cJSON_IsString(item)) return MED_JSON_STRING;
    if (cJSON_IsNumber(item)) return MED_JSON_NUMBER;
    if (cJSON_IsBool(item)) return MED_JSON_BOOL;
    return MED_JSON_NULL;
}

const char *med_json_type_name(enum med_json_type type)
{
    switch (type) {
    case MED_JSON_NULL: return "null";
    case MED_JSON_BOOL: return "a boolean";
    case MED_JSON_NUMBER: return "a number";
    case MED_JSON_STRING: return "a string";
    case MED_JSON_ARRAY: return "an array";
    case MED_JSON_OBJECT: return "an object";
    }
    return "unknown";
}

const struct med_json *med_json_get(const struct med_json *object, const char *key)
{
    if (!cJSON_IsObject(node(object))) return NULL;
    return (const struct med_json *)cJSON_GetObjectItemCaseSensitive(node(object), key);
}

static bool is_container(const struct med_json *v)
{
    return cJSON_IsObject(node(v)) || cJSON_IsArray(node(v));
}

const struct med_json *med_json_first(const struct med_json *container)
{
    return is_container(container) ? (const struct med_json *)node(container)->child : NULL;
}

const struct med_json *med_json_next(const struct med_json *child)
{
    return (const struct med_json *)node(child)->next;
}

const char *med_json_key(const struct med_json *child)
{
    return node(child)->string;
}

size_t med_json_count(const struct med_json *container)
{
    size_t count = 0;
    for (const struct med_json *c = med_json_first(container); c; c = med_json_next(c)) count++;
    return count;
}

struct med_str med_json_string(const struct med_json *v)
{
    if (!cJSON_IsString(node(v))) return (struct med_str){0};
    return med_str_of(node(v)->valuestring);
}

double med_json_number(const struct med_json *v)
{
    return cJSON_IsNumber(node(v)) ? node(v)->valuedouble : 0;
}

bool med_json_bool(const struct med_json *v)
{
    return cJSON_IsTrue(node(v));
}

bool med_json_int(const struct med_json *v, long long min, long long max, long long *ret_x)
{
    if (!cJSON_IsNumber(node(v))) return false;
    double x = node(v)->valuedouble;
    /* The first comparison makes the conversion defined and exact. */
    if (!(fabs(x) <= EXACT_INTEGER_MAX) || x != floor(x)) return false;
    long long whole = (long long)x;
    if (whole < min || whole > max) return false;
    *ret_x = whole;
    return true;
}

struct med_str med_json_get_str(const struct med_json *object, const char *key)
{
    return med_json_string(med_json_get(object, key));
}
