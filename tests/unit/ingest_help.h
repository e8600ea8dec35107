/* For tests of parsers: bytes in memory as an input, documents kept as a list. */
#pragma once

#include "common/limits.h"
#include "common/mem.h"
#include "index/ingest/ingest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEPT_MAX 20000

struct kept {
    struct med_arena *arena;
    struct med_doc *docs[KEPT_MAX];
    size_t doc_count;
    struct {
        struct med_str id;
        struct med_precedence precedence;
    } deletions[100];
    size_t deletion_count;
    struct {
        uint64_t offset, line;
        char reason[256];
    } skips[100];
    size_t skip_count;
};

static inline enum med_code keep_document(void *ctx, const struct med_doc *doc, struct med_err *err)
{
    struct kept *kept = ctx;
    struct med_buf buf;
    med_buf_init(&buf, MED_DOC_ARENA_BYTES_MAX);
    med_doc_encode(doc, &buf);
    assert_int_equal(med_buf_status(&buf, err), MED_OK);
    char *copy = med_arena_strndup(kept->arena, buf.data, buf.len);
    assert_non_null(copy);
    assert_in_range(kept->doc_count, 0, KEPT_MAX - 1);
    struct med_doc **ret = &kept->docs[kept->doc_count++];
    struct med_err why = {0};
    enum med_code code = med_doc_decode(copy, buf.len, kept->arena, ret, &why);
    if (code != MED_OK) print_error("%s\n", why.text);
    assert_int_equal(code, MED_OK);
    (*ret)->precedence = doc->precedence;
    med_buf_free(&buf);
    return MED_OK;
}

static inline enum med_code keep_deletion(
    void *ctx, struct med_str id, struct med_precedence precedence, struct med_err *err)
{
    (void)err;
    struct kept *kept = ctx;
    assert_in_range(kept->deletion_count, 0, 99);
    assert_true(med_arena_str(kept->arena, id, &kept->deletions[kept->deletion_count].id));
    kept->deletions[kept->deletion_count++].precedence = precedence;
    return MED_OK;
}

static inline enum med_code keep_skip(
    void *ctx, uint64_t offset, uint64_t line, const char *reason, struct med_err *err)
{
    (void)err;
    struct kept *kept = ctx;
    if (kept->skip_count == 100) return MED_OK;
    kept->skips[kept->skip_count].offset = offset;
    kept->skips[kept->skip_count].line = line;
    snprintf(kept->skips[kept->skip_count++].reason, 256, "%s", reason);
    return MED_OK;
}

static inline struct kept *kept_new(void)
{
    struct kept *kept = med_calloc(1, sizeof *kept);
    assert_non_null(kept);
    assert_int_equal(med_arena_new(1024 * MED_MIB, &kept->arena, NULL), MED_OK);
    return kept;
}

static inline void kept_free(struct kept *kept)
{
    med_arena_free(&kept->arena);
    med_free(kept);
}

static inline struct med_doc_sink kept_sink(struct kept *kept)
{
    return (struct med_doc_sink){keep_document, keep_deletion, keep_skip, kept};
}

/* Hands out at most `step` bytes at a time, so that every boundary is met. */
struct bytes_input {
    struct med_str bytes;
    size_t pos;
    size_t step;
};

static inline enum med_code bytes_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err)
{
    (void)err;
    struct bytes_input *b = ctx;
    size_t len = b->bytes.len - b->pos;
    if (len > cap) len = cap;
    if (b->step > 0 && len > b->step) len = b->step;
    if (len > 0) memcpy(ptr, b->bytes.ptr + b->pos, len);
    b->pos += len;
    *ret_len = len;
    return MED_OK;
}

static inline struct kept *parse_bytes(enum med_format format, struct med_str bytes, size_t step)
{
    struct kept *kept = kept_new();
    struct med_doc_sink sink = kept_sink(kept);
    struct bytes_input b = {.bytes = bytes, .step = step};
    struct med_input in = {
        .read = bytes_read, .ctx = &b, .name = MED_STR("test"), .sequence = 202401220};
    struct med_err err = {0};
    enum med_code code = med_parse(&in, format, &sink, &err);
    if (code != MED_OK) print_error("%s\n", err.text);
    assert_int_equal(code, MED_OK);
    return kept;
}

#define assert_str(s, text)                                                                        \
    do {                                                                                           \
        struct med_str s_ = (s);                                                                   \
        char got_[2048];                                                                           \
        snprintf(got_, sizeof got_, MED_STR_FMT, MED_STR_ARG(s_));                                 \
        assert_string_equal(got_, text);                                                           \
    } while (0)
