#include "tests/fuzz/mutate.h"

#include "common/mem.h"

#define CHANGES_MAX 8

/* Where parsers take turns. */
#define WORD(lit)                                                                                  \
    {                                                                                              \
        .ptr = (lit), .len = sizeof(lit) - 1                                                       \
    }
static const struct med_str words[] = {WORD("<![CDATA["), WORD("]]>"), WORD("<!--"), WORD("-->"),
    WORD("<?xml version=\"1.0\" encoding=\"UTF-16\"?>"), WORD("<!DOCTYPE a ["),
    WORD("<!ENTITY e \"&e;&e;\">"), WORD("&e;"), WORD("&#x10FFFF;"), WORD("&#0;"), WORD("&nbsp;"),
    WORD("&lt;"), WORD("<PubmedArticle>"), WORD("</PubmedArticle>"), WORD("<MedlineCitation>"),
    WORD("<AbstractText Label=\"X\" NlmCategory=\"\">"), WORD("<ArticleTitle>"),
    WORD("<DeleteCitation><PMID Version=\"2\">1</PMID>"), WORD("<PMID Version=\"99999999999\">"),
    WORD("<article>"), WORD("</article>"), WORD("<sec><title>"), WORD("</sec>"),
    WORD("<table-wrap><caption>"), WORD("<fig>"), WORD("<p>"), WORD("</p>"), WORD("<body>"),
    WORD("<h1>"), WORD("<table>"), WORD("<script>"), WORD("---\n"), WORD("\n# "), WORD("\n## "),
    WORD("\n```\n"), WORD("\n- "), WORD("\n|a|b|\n|-|-|\n"), WORD("]("), WORD("{"), WORD("}"),
    WORD("["), WORD("]"), WORD("\""), WORD("\\u0000"), WORD("\\ud800"), WORD("\\ud83d\\ude00"),
    WORD("1e999"), WORD("-0"), WORD("null"), WORD("\"_id\":\"a\","), WORD("\"text\":"),
    WORD("\"sections\":[{\"heading\":"), WORD("\n"), WORD("\r\n"), WORD("\xEF\xBB\xBF"),
    WORD("\xFF\xFE"), WORD("\xC3"), WORD("\xF0\x9F"), WORD("\xCC\x81\xCC\x81\xCC\x81"),
    WORD("\xED\xA0\x80"), WORD("\xE2\x80\xA8"), WORD("\xC2\xAD"), WORD("\xCE\xB2-"), WORD("IL-6"),
    WORD("e.g. "), WORD(". "), WORD("(P < .05)."), WORD("\0"), WORD("\xFF\xFF\xFF\xFF"),
    WORD("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")};

void fuzz_pool_add(struct fuzz_pool *pool, const void *ptr, size_t len)
{
    fuzz_require(med_grow(&pool->items, &pool->cap, pool->count + 1, sizeof *pool->items));
    char *copy = med_strndup(ptr, len);
    fuzz_require(copy);
    pool->items[pool->count++] = (struct med_str){copy, len};
}

void fuzz_pool_free(struct fuzz_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) med_free((void *)(uintptr_t)pool->items[i].ptr);
    med_free(pool->items);
    *pool = (struct fuzz_pool){0};
}

static size_t below(struct med_rng *rng, size_t bound)
{
    return bound ? (size_t)med_rng_below(rng, bound) : 0;
}

/* Replaces [pos, pos + cut) by s. */
static void splice(struct med_buf *buf, size_t pos, size_t cut, struct med_str s)
{
    struct med_buf tail;
    med_buf_init(&tail, buf->max);
    med_buf_append(&tail, buf->data + pos + cut, buf->len - pos - cut);
    buf->len = pos;
    med_buf_append_str(buf, s);
    med_buf_append_str(buf, med_buf_str(&tail));
    med_buf_free(&tail);
}

static void change(const struct fuzz_pool *pool, struct med_rng *rng, struct med_buf *buf)
{
    char copy[256];
    size_t pos = below(rng, buf->len), rest = buf->len - pos;
    size_t some = 1 + below(rng, rest < 64 ? rest : 64);
    if (some > rest) some = rest;
    struct med_str word = words[below(rng, sizeof words / sizeof *words)];
    struct med_str other = pool->count ? pool->items[below(rng, pool->count)] : word;
    switch (below(rng, 9)) {
    case 0: /* a bit */
        if (rest) buf->data[pos] = (char)(buf->data[pos] ^ (1 << below(rng, 8)));
        break;
    case 1: /* a byte */
        if (rest) buf->data[pos] = (char)below(rng, 256);
        break;
    case 2: splice(buf, pos, some, (struct med_str){0}); break;
    case 3: splice(buf, pos, 0, word); break;
    case 4: splice(buf, pos, some, word); break;
    case 5: /* the same again */
        for (size_t n = 1 + below(rng, 4); n > 0 && some > 0; n--) {
            memcpy(copy, buf->data + pos, some);
            splice(buf, pos, 0, (struct med_str){copy, some});
        }
        break;
    case 6: buf->len = pos; break; /* the end is missing */
    case 7: {                      /* a piece of another input */
        size_t start = below(rng, other.len), len = 1 + below(rng, 200);
        if (len > other.len - start) len = other.len - start;
        if (other.len) splice(buf, pos, 0, med_str_sub(other, start, start + len));
        break;
    }
    case 8: /* many times the same, for limits of depth and size */
        for (size_t n = 1 + below(rng, 400); n > 0 && buf->len < buf->max / 2; n--)
            med_buf_append_str(buf, word);
        break;
    }
}

void fuzz_mutate(
    const struct fuzz_pool *pool, struct med_rng *rng, size_t bytes_max, struct med_buf *out)
{
    med_buf_reset(out);
    med_buf_puts(out, ""); /* so that there is memory */
    struct med_str seed = {0};
    if (pool->count) seed = pool->items[below(rng, pool->count)];
    if (seed.len > bytes_max) {
        size_t start = below(rng, 2) ? below(rng, seed.len - bytes_max) : 0;
        seed = med_str_sub(seed, start, start + bytes_max);
    }
    med_buf_append_str(out, seed);
    while (out->len < 8) med_buf_putc(out, (char)below(rng, 256));
    for (size_t n = 1 + below(rng, CHANGES_MAX); n > 0; n--) change(pool, rng, out);
    if (out->len > bytes_max) out->len = bytes_max;
    fuzz_require(out->code == MED_OK);
}
