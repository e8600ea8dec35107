/* Merging: the lexicons are walked together in byte order, the postings of each term are read from
 * every input that has it, renumbered, merged by passage and given to the encoder.
 *
 *   input a   apnea  -> 3 7 9    left out: 7           3->0  9->4
 *   input b   apnea  -> 0 2                            0->1  2->3       result: 0 1 3 4
 *
 * Two walks: headers stand in front and promise how many terms and postings there are, so the first
 * walk counts (what is whole needs no decoding for that) and the second one writes.
 *
 * df is the sum of the inputs' without what the documents that are left out had added: for each its
 * passages with the term in their body, at least one. A passage's frequency is body + headings, and
 * the share of the headings, the same in all passages of a document, can only be in doubt where
 * every passage has the term; then it is looked up. */
#include "common/mem.h"
#include "index/lexical/encode.h"
#include "index/lexical/list.h"

#include <assert.h>

#define PROGRESS_TERMS 16384u

/* A document that is left out, while its postings of the current term go by. */
struct lost_doc {
    uint32_t doc; /* UINT32_MAX = none */
    uint32_t first, last, matched;
    uint32_t wtf_min, at_min; /* the smallest frequency, and how many passages have it */
};

struct source {
    const struct med_lex_merge_input *in;
    bool whole; /* nothing is left out */
    struct lex_walk walk;
    bool more;     /* the walk has an entry */
    bool has_term; /* and it is the current term */
    struct lex_list list;
    uint32_t to, wtf; /* the next posting that stays; to = UINT32_MAX at the end */
    struct lost_doc lost_doc;
    uint64_t lost;                                  /* of the current term's df */
    struct lex_list headings[MED_LEX_HEADINGS_MAX]; /* of the current term; count 0 = no postings */
    bool headings_open;
};

struct merge {
    struct source *sources;
    size_t count;
    const struct med_lex_merge_options *options;
    uint16_t *lengths;
    struct lex_shape shape;
    struct lex_encoder *encoder;      /* NULL while counting */
    uint64_t terms_total, terms_done; /* of the inputs, for progress */
};

static enum med_code corrupt(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the lexical index is damaged: %s", what);
}

/* --- what is lost --- */

static enum med_code open_headings(struct merge *m, struct source *s, struct med_err *err)
{
    char bytes[LEX_TERM_BYTES_MAX + 1];
    const struct lex_entry *term = &s->walk.entry;
    memcpy(bytes + 1, term->term, term->term_len);
    struct med_str key = {.ptr = bytes, .len = term->term_len + 1};
    for (size_t i = 0; i < m->options->heading_count; i++) {
        struct lex_entry entry;
        bool found;
        bytes[0] = m->options->headings[i].prefix;
        s->headings[i].count = 0;
        enum med_code code = lex_entry_find(s->in->headings, key, &entry, &found, err);
        if (code == MED_OK && found)
            code = lex_list_open(&s->headings[i], s->in->headings, &entry, err);
        if (code != MED_OK) return code;
    }
    s->headings_open = true;
    return MED_OK;
}

/* What title and headings of the document add to the current term's frequency in each passage. */
static enum med_code heading_wtf(
    struct merge *m, struct source *s, uint32_t doc, uint64_t *ret_wtf, struct med_err *err)
{
    uint64_t sum = 0;
    enum med_code code = s->headings_open ? MED_OK : open_headings(m, s, err);
    for (size_t i = 0; code == MED_OK && i < m->options->heading_count; i++) {
        uint32_t wtf;
        code = lex_list_seek(&s->headings[i], doc, &wtf, err);
        sum += (uint64_t)m->options->headings[i].weight * wtf;
    }
    *ret_wtf = sum;
    return code;
}

static bool has_every_passage(const struct source *s, const struct lost_doc *d)
{
    const uint32_t *docs = s->in->chunk_doc;
    if (d->last - d->first + 1 != d->matched) return false;
    if (d->first > 0 && docs[d->first - 1] == d->doc) return false;
    return d->last + 1 >= s->in->lex->chunk_count || docs[d->last + 1] != d->doc;
}

static enum med_code close_lost_doc(struct merge *m, struct source *s, struct med_err *err)
{
    struct lost_doc d = s->lost_doc;
    s->lost_doc.doc = UINT32_MAX;
    if (d.doc == UINT32_MAX || !m->encoder) return MED_OK;
    uint32_t bodies = d.matched;
    if (d.matched > 1 && has_every_passage(s, &d)) {
        uint64_t headings;
        enum med_code code = heading_wtf(m, s, d.doc, &headings, err);
        if (code != MED_OK) return code;
        if (headings >= d.wtf_min) bodies -= d.at_min;
    }
    s->lost += bodies ? bodies : 1;
    return MED_OK;
}

static enum med_code lose_posting(
    struct merge *m, struct source *s, uint32_t chunk, uint32_t wtf, struct med_err *err)
{
    struct lost_doc *d = &s->lost_doc;
    uint32_t doc = s->in->chunk_doc ? s->in->chunk_doc[chunk] : chunk;
    if (d->doc != doc) {
        enum med_code code = close_lost_doc(m, s, err);
        if (code != MED_OK) return code;
        *d = (struct lost_doc){.doc = doc, .first = chunk, .wtf_min = UINT32_MAX};
    }
    d->last = chunk;
    d->matched++;
    if (wtf < d->wtf_min) {
        d->wtf_min = wtf;
        d->at_min = 0;
    }
    d->at_min += wtf == d->wtf_min;
    return MED_OK;
}

/* --- one term --- */

/* Moves to the next posting that stays. */
static enum med_code advance(struct merge *m, struct source *s, struct med_err *err)
{
    for (;;) {
        if (s->list.pos == s->list.count) {
            enum med_code code = lex_list_next_block(&s->list, err);
            if (code != MED_OK) return code;
            if (s->list.count == 0) {
                s->to = UINT32_MAX;
                return close_lost_doc(m, s, err);
            }
        }
        uint32_t chunk = s->list.ids[s->list.pos], wtf = s->list.wtfs[s->list.pos];
        s->list.pos++;
        s->to = s->in->chunk_to[chunk];
        s->wtf = wtf;
        if (s->to != MED_LEX_LEFT_OUT) return MED_OK;
        enum med_code code = lose_posting(m, s, chunk, wtf, err);
        if (code != MED_OK) return code;
    }
}

static enum med_code begin_term(struct merge *m, struct source *s, struct med_err *err)
{
    s->lost = 0;
    s->lost_doc.doc = UINT32_MAX;
    s->headings_open = false;
    enum med_code code = lex_list_open(&s->list, s->in->lex, &s->walk.entry, err);
    return code == MED_OK ? advance(m, s, err) : code;
}

/* Takes postings in order of passages: from the source that is first, as far as it stays first. */
static enum med_code merge_postings(struct merge *m, uint64_t *ret_count, struct med_err *err)
{
    uint64_t count = 0;
    for (;;) {
        struct source *first = NULL;
        uint32_t limit = UINT32_MAX;
        for (size_t i = 0; i < m->count; i++) {
            struct source *s = &m->sources[i];
            if (!s->has_term || s->to == UINT32_MAX) continue;
            if (!first || s->to < first->to) {
                if (first) limit = first->to;
                first = s;
            } else if (s->to < limit) {
                limit = s->to;
            }
        }
        if (!first) break;
        while (first->to < limit) {
            if (m->encoder) lex_encoder_posting(m->encoder, first->to, first->wtf);
            count++;
            enum med_code code = advance(m, first, err);
            if (code != MED_OK) return code;
        }
        if (first->to == limit && limit != UINT32_MAX)
            return corrupt(err, "two inputs have the same passage");
    }
    *ret_count = count;
    return MED_OK;
}

static enum med_code count_term(struct merge *m, struct med_err *err)
{
    uint64_t count = 0, decoded = 0;
    for (size_t i = 0; i < m->count; i++) {
        struct source *s = &m->sources[i];
        if (!s->has_term) continue;
        s->to = UINT32_MAX;
        enum med_code code = MED_OK;
        if (s->whole)
            count += s->walk.entry.posting_count;
        else
            code = begin_term(m, s, err);
        if (code != MED_OK) return code;
    }
    enum med_code code = merge_postings(m, &decoded, err);
    count += decoded;
    m->shape.posting_count += count;
    m->shape.term_count += count > 0;
    return code;
}

static enum med_code write_term(struct merge *m, struct med_str term, struct med_err *err)
{
    uint64_t count, df = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (!m->sources[i].has_term) continue;
        enum med_code code = begin_term(m, &m->sources[i], err);
        if (code != MED_OK) return code;
    }
    enum med_code code = merge_postings(m, &count, err);
    if (code != MED_OK) return code;
    for (size_t i = 0; i < m->count; i++) {
        const struct source *s = &m->sources[i];
        if (!s->has_term) continue;
        if (s->lost > s->walk.entry.df) return corrupt(err, "a df is too small");
        df += s->walk.entry.df - s->lost;
    }
    if (df > count) return corrupt(err, "a df is too large");
    return count ? lex_encoder_term(m->encoder, term, (uint32_t)df, err) : MED_OK;
}

/* --- all terms --- */

/* Finds the smallest term among the walks and marks who has it; an empty slice at the end. */
static struct med_str smallest_term(struct merge *m)
{
    struct med_str least = {0};
    for (size_t i = 0; i < m->count; i++) {
        struct source *s = &m->sources[i];
        s->has_term = false;
        if (!s->more) continue;
        struct med_str term = {.ptr = s->walk.entry.term, .len = s->walk.entry.term_len};
        int order = least.ptr ? med_str_cmp(term, least) : -1;
        if (order > 0) continue;
        if (order < 0)
            for (size_t k = 0; k < i; k++) m->sources[k].has_term = false;
        s->has_term = true;
        least = term;
    }
    return least;
}

static enum med_code walk_terms(struct merge *m, struct med_err *err)
{
    for (size_t i = 0; i < m->count; i++) {
        struct source *s = &m->sources[i];
        s->walk = lex_walk_of(s->in->lex);
        enum med_code code = lex_walk_next(&s->walk, &s->more, err);
        if (code != MED_OK) return code;
    }
    for (uint32_t n = 0;; n++) {
        struct med_str term = smallest_term(m);
        if (!term.ptr) return MED_OK;
        enum med_code code = m->encoder ? write_term(m, term, err) : count_term(m, err);
        for (size_t i = 0; code == MED_OK && i < m->count; i++) {
            struct source *s = &m->sources[i];
            if (!s->has_term) continue;
            m->terms_done++;
            code = lex_walk_next(&s->walk, &s->more, err);
        }
        if (code != MED_OK) return code;
        if (n % PROGRESS_TERMS == 0 && !med_progress(m->options->progress, "merge", m->terms_done,
                                           2 * m->terms_total, "terms"))
            return med_fail(err, MED_E_CANCELLED, "merging was stopped");
    }
}

static void renumber_lengths(struct merge *m)
{
    for (size_t i = 0; i < m->count; i++) {
        struct source *s = &m->sources[i];
        const struct med_lex *lex = s->in->lex;
        s->whole = true;
        for (uint32_t c = 0; c < lex->chunk_count; c++) {
            uint32_t to = s->in->chunk_to[c], len = lex->lengths[c];
            if (to == MED_LEX_LEFT_OUT) {
                s->whole = false;
                continue;
            }
            assert(to < m->shape.chunk_count);
            m->lengths[to] = lex->lengths[c];
            m->shape.length_sum += len;
            if (len > m->shape.length_max) m->shape.length_max = len;
        }
        m->terms_total += lex->term_count;
    }
}

enum med_code med_lex_merge(const struct med_lex_merge_input *inputs, size_t count,
    uint32_t chunk_count, const struct med_lex_merge_options *options, const struct med_fs *fs,
    const char *dir, struct med_file_ref ret_files[MED_LEX_FILE_COUNT], struct med_err *err)
{
    if (chunk_count > LEX_CHUNKS_MAX)
        return med_fail(err, MED_E_LIMIT, "a segment holds at most %u passages", LEX_CHUNKS_MAX);
    struct merge m = {.count = count, .options = options};
    m.sources = med_calloc(count ? count : 1, sizeof(*m.sources));
    m.lengths = med_calloc(chunk_count ? chunk_count : 1, sizeof(*m.lengths));
    m.shape = (struct lex_shape){.lengths = m.lengths, .chunk_count = chunk_count};
    enum med_code code = MED_OK;
    if (!m.sources || !m.lengths)
        code = med_fail(err, MED_E_NOMEM, "no memory to merge %u passages", chunk_count);
    for (size_t i = 0; code == MED_OK && i < count; i++) m.sources[i].in = &inputs[i];
    if (code == MED_OK) renumber_lengths(&m);
    if (code == MED_OK) code = walk_terms(&m, err);
    if (code == MED_OK) code = lex_encoder_new(fs, dir, options->prefix, &m.shape, &m.encoder, err);
    if (code == MED_OK) code = walk_terms(&m, err);
    if (code == MED_OK) code = lex_encoder_finish(m.encoder, ret_files, err);
    lex_encoder_free(&m.encoder);
    med_free(m.sources);
    med_free(m.lengths);
    return code;
}
