#include "index/judgements.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"

#include <stdlib.h>

#define JUDGEMENT_FILE_BYTES_MAX MED_GIB

struct qrel {
    struct med_str topic;
    struct med_judgement judgement;
};

struct line_reader {
    struct med_str rest;
    size_t number;
};

static bool next_line(struct line_reader *r, struct med_str *ret_line)
{
    if (r->rest.len == 0) return false;
    const char *end = memchr(r->rest.ptr, '\n', r->rest.len);
    size_t len = end ? (size_t)(end - r->rest.ptr) : r->rest.len;
    *ret_line = med_str_trim(med_str_sub(r->rest, 0, len));
    r->rest = med_str_sub(r->rest, end ? len + 1 : len, r->rest.len);
    r->number++;
    return true;
}

/* Cuts the next column off; tabs separate when `tabs`, any white space else. */
static struct med_str next_column(struct med_str *line, bool tabs)
{
    size_t i = 0;
    while (i < line->len && !(line->ptr[i] == '\t' || (!tabs && line->ptr[i] == ' '))) i++;
    struct med_str column = med_str_sub(*line, 0, i);
    while (i < line->len && (line->ptr[i] == '\t' || (!tabs && line->ptr[i] == ' '))) i++;
    *line = med_str_sub(*line, i, line->len);
    return med_str_trim(column);
}

static enum med_code read_whole(
    const char *path, struct med_arena *arena, struct med_str *ret_text, struct med_err *err)
{
    struct med_buf buf;
    med_buf_init(&buf, JUDGEMENT_FILE_BYTES_MAX);
    enum med_code code = med_read_file(path, &buf, err);
    if (!code && !med_arena_str(arena, med_buf_str(&buf), ret_text))
        code = med_fail(err, MED_E_NOMEM, "%s does not fit into memory", path);
    med_buf_free(&buf);
    return code;
}

static enum med_code add_topic(
    struct med_topics *topics, size_t *cap, struct med_topic topic, struct med_err *err)
{
    if (!med_grow(&topics->items, cap, topics->count + 1, sizeof *topics->items))
        return med_fail(err, MED_E_NOMEM, "out of memory for queries");
    topics->items[topics->count++] = topic;
    return MED_OK;
}

static enum med_code read_json_topic(
    struct med_str line, struct med_arena *arena, struct med_topic *ret_topic, struct med_err *err)
{
    struct med_json *root;
    enum med_code code = med_json_parse(line.ptr, line.len, &root, err);
    if (code) return code;
    const struct med_json *id = med_json_get(root, "_id");
    *ret_topic = (struct med_topic){0};
    long long number;
    if (id && med_json_int(id, 0, INT64_MAX, &number)) {
        char *text = med_arena_printf(arena, "%lld", number);
        ret_topic->id = med_str_of(text);
    } else if (!med_arena_str(arena, med_json_string(id), &ret_topic->id)) {
        code = med_fail(err, MED_E_NOMEM, "out of memory for queries");
    }
    if (!code && !med_arena_str(arena, med_json_get_str(root, "text"), &ret_topic->text))
        code = med_fail(err, MED_E_NOMEM, "out of memory for queries");
    if (!code && (ret_topic->id.len == 0 || ret_topic->text.len == 0))
        code = med_fail(err, MED_E_INVALID, "a query needs \"_id\" and \"text\"");
    med_json_free(&root);
    return code;
}

/* <top> <num> Number: 12 <title> words ... </top>; only the number and the title are used. */
static enum med_code read_trec_topics(
    struct med_str text, struct med_topics *topics, size_t *cap, struct med_err *err)
{
    struct line_reader r = {.rest = text};
    struct med_str line;
    struct med_topic topic = {0};
    bool in_title = false;
    while (next_line(&r, &line)) {
        if (med_str_starts(line, MED_STR("<num>"))) {
            topic = (struct med_topic){.id = med_str_trim(med_str_sub(line, 5, line.len))};
            if (med_str_starts(topic.id, MED_STR("Number:")))
                topic.id = med_str_trim(med_str_sub(topic.id, 7, topic.id.len));
            if (med_str_ends(topic.id, MED_STR("</num>")))
                topic.id = med_str_trim(med_str_sub(topic.id, 0, topic.id.len - 6));
        } else if (med_str_starts(line, MED_STR("<title>"))) {
            topic.text = med_str_trim(med_str_sub(line, 7, line.len));
            if (med_str_ends(topic.text, MED_STR("</title>")))
                topic.text = med_str_trim(med_str_sub(topic.text, 0, topic.text.len - 8));
            in_title = topic.text.len == 0;
        } else if (in_title && line.len && line.ptr[0] != '<') {
            topic.text = line;
            in_title = false;
        } else if (med_str_starts(line, MED_STR("</top>"))) {
            if (topic.id.len == 0 || topic.text.len == 0)
                return med_fail(
                    err, MED_E_INVALID, "line %zu: a topic without <num> or <title>", r.number);
            enum med_code code = add_topic(topics, cap, topic, err);
            if (code) return code;
            topic = (struct med_topic){0};
        }
    }
    return MED_OK;
}

static enum med_code read_topics(struct med_str text, struct med_arena *arena,
    struct med_topics *topics, size_t *cap, struct med_err *err)
{
    struct med_str head = med_str_trim(text);
    if (med_str_starts(head, MED_STR("<top"))) return read_trec_topics(text, topics, cap, err);
    struct line_reader r = {.rest = text};
    struct med_str line;
    while (next_line(&r, &line)) {
        struct med_topic topic = {0};
        if (line.len == 0) continue;
        enum med_code code = MED_OK;
        if (line.ptr[0] == '{') {
            code = read_json_topic(line, arena, &topic, err);
        } else {
            topic.id = next_column(&line, true);
            topic.text = med_str_trim(line);
            if (topic.text.len == 0)
                code = med_fail(err, MED_E_INVALID, "expected \"id<TAB>text\"");
        }
        if (!code) code = add_topic(topics, cap, topic, err);
        if (code) {
            med_err_prefix(err, "line %zu", r.number);
            return code;
        }
    }
    return MED_OK;
}

static enum med_code read_qrels(
    struct med_str text, struct qrel **ret_qrels, size_t *ret_count, struct med_err *err)
{
    struct line_reader r = {.rest = text};
    struct med_str line;
    struct qrel *qrels = NULL;
    size_t count = 0, cap = 0;
    while (next_line(&r, &line)) {
        if (line.len == 0) continue;
        bool tabs = memchr(line.ptr, '\t', line.len) != NULL;
        struct med_str columns[4] = {{0}};
        size_t n = 0;
        while (line.len && n < 4) columns[n++] = next_column(&line, tabs);
        long long gain = 0;
        bool number = n >= 3 && med_str_to_i64(columns[n - 1], &gain);
        if (!number && r.number == 1) continue; /* the header */
        if (!number || line.len || gain < INT32_MIN || gain > INT32_MAX) {
            med_free(qrels);
            return med_fail(err, MED_E_INVALID,
                "line %zu: expected query, document and judgement (or TREC's four columns)",
                r.number);
        }
        if (!med_grow(&qrels, &cap, count + 1, sizeof *qrels)) {
            med_free(qrels);
            return med_fail(err, MED_E_NOMEM, "out of memory for judgements");
        }
        qrels[count++] = (struct qrel){columns[0], {columns[n - 2], (int)gain}};
    }
    *ret_qrels = qrels;
    *ret_count = count;
    return MED_OK;
}

static int by_topic_and_doc(const void *a, const void *b)
{
    const struct qrel *x = a, *y = b;
    int order = med_str_cmp(x->topic, y->topic);
    return order ? order : med_str_cmp(x->judgement.doc, y->judgement.doc);
}

static enum med_code attach(struct med_topics *topics, struct qrel *qrels, size_t count,
    struct med_arena *arena, struct med_err *err)
{
    if (count) qsort(qrels, count, sizeof *qrels, by_topic_and_doc);
    struct med_judgement *all = med_arena_calloc(arena, count + 1, sizeof *all);
    if (!all) return med_fail(err, MED_E_NOMEM, "out of memory for judgements");
    for (size_t i = 0; i < count; i++) all[i] = qrels[i].judgement;
    for (size_t t = 0; t < topics->count; t++) {
        struct med_topic *topic = &topics->items[t];
        size_t low = 0, high = count;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (med_str_cmp(qrels[mid].topic, topic->id) < 0)
                low = mid + 1;
            else
                high = mid;
        }
        topic->judged = all + low;
        for (; low < count && med_str_eq(qrels[low].topic, topic->id); low++) {
            topic->judged_count++;
            topic->relevant_count += qrels[low].judgement.gain > 0;
        }
    }
    return MED_OK;
}

enum med_code med_topics_read(const char *queries_path, const char *qrels_path,
    struct med_arena *arena, struct med_topics *ret_topics, struct med_err *err)
{
    struct med_topics topics = {0}, *ret = &topics;
    size_t cap = 0, qrel_count = 0;
    struct qrel *qrels = NULL;
    struct med_str text;
    const char *path = queries_path;
    enum med_code code = read_whole(queries_path, arena, &text, err);
    if (!code) code = read_topics(text, arena, ret, &cap, err);
    if (!code) {
        path = qrels_path;
        code = read_whole(qrels_path, arena, &text, err);
    }
    if (!code) code = read_qrels(text, &qrels, &qrel_count, err);
    if (!code) code = attach(ret, qrels, qrel_count, arena, err);
    if (code) med_err_prefix(err, "%s", path);
    struct med_topic *items = NULL;
    if (!code) {
        items = med_arena_calloc(arena, topics.count + 1, sizeof *items);
        if (!items)
            code = med_fail(err, MED_E_NOMEM, "out of memory for queries");
        else if (topics.count)
            memcpy(items, topics.items, topics.count * sizeof *items);
    }
    med_free(topics.items);
    med_free(qrels);
    if (code) return code;
    *ret_topics = (struct med_topics){.items = items, .count = topics.count};
    return MED_OK;
}

int med_topic_gain(const struct med_topic *topic, struct med_str doc)
{
    size_t low = 0, high = topic->judged_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = med_str_cmp(topic->judged[mid].doc, doc);
        if (order == 0) return topic->judged[mid].gain;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}
