/* See patch.h. The file was checksummed; its structure is validated all the same. */
#include "index/patch.h"

uint32_t med_patch_lost(const struct med_patch *p, uint32_t ordinal)
{
    uint32_t low = 0, high = p->term_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (p->terms[mid].ordinal == ordinal) return p->terms[mid].df;
        if (p->terms[mid].ordinal < ordinal)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}

static size_t word_count(uint32_t doc_count)
{
    return (size_t)doc_count / 64 + 1;
}

enum med_code med_patch_write(const struct med_patch *p, struct med_buf *out, struct med_err *err)
{
    struct med_patch_header head = {.doc_count = p->doc_count,
        .dead_doc_count = p->dead_doc_count,
        .dead_chunk_count = p->dead_chunk_count,
        .work_count = p->work_count,
        .term_count = p->term_count,
        .dead_length = p->dead_length};
    memcpy(head.magic, MED_PATCH_MAGIC, sizeof head.magic);
    med_buf_append(out, &head, sizeof head);
    uint64_t none = 0;
    for (size_t i = 0; i < word_count(p->doc_count); i++)
        med_buf_append(out, p->dead ? &p->dead[i] : &none, sizeof none);
    if (p->work_count) med_buf_append(out, p->works, p->work_count * sizeof *p->works);
    if (p->term_count) med_buf_append(out, p->terms, p->term_count * sizeof *p->terms);
    return med_buf_status(out, err);
}

static enum med_code corrupt(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the patch of a segment is damaged: %s", what);
}

static enum med_code validate(const struct med_patch *p, struct med_err *err)
{
    uint64_t dead = 0;
    for (size_t i = 0; i < word_count(p->doc_count); i++)
        dead += (uint64_t)__builtin_popcountll(p->dead[i]);
    if (dead != p->dead_doc_count || p->dead[p->doc_count / 64] >> (p->doc_count % 64))
        return corrupt(err, "the set of dead documents does not add up");
    for (uint32_t i = 0; i < p->work_count; i++) {
        const struct med_patch_work *w = &p->works[i];
        if (w->doc >= p->doc_count || w->shared > 1 || (i && w->doc <= w[-1].doc))
            return corrupt(err, "its works are out of order");
    }
    for (uint32_t i = 0; i < p->term_count; i++) {
        if (p->terms[i].df == 0 || (i && p->terms[i].ordinal <= p->terms[i - 1].ordinal))
            return corrupt(err, "its terms are out of order");
    }
    return MED_OK;
}

enum med_code med_patch_open(const void *ptr, size_t len, uint32_t doc_count,
    struct med_patch *ret_patch, struct med_err *err)
{
    struct med_patch_header h;
    if (len == 0) {
        *ret_patch = (struct med_patch){.doc_count = doc_count};
        return MED_OK;
    }
    if (len < sizeof h) return corrupt(err, "it has no header");
    memcpy(&h, ptr, sizeof h);
    if (memcmp(h.magic, MED_PATCH_MAGIC, sizeof h.magic) != 0)
        return corrupt(err, "it has no header");
    if (h.doc_count != doc_count) return corrupt(err, "it is of another segment");
    uint64_t dead = word_count(h.doc_count) * sizeof(uint64_t);
    uint64_t works = (uint64_t)h.work_count * sizeof(struct med_patch_work);
    uint64_t terms = (uint64_t)h.term_count * sizeof(struct med_patch_term);
    if (len - sizeof h != dead + works + terms) return corrupt(err, "it has the wrong size");
    const uint8_t *p = (const uint8_t *)ptr + sizeof h;
    struct med_patch patch = {.doc_count = h.doc_count,
        .dead_doc_count = h.dead_doc_count,
        .dead_chunk_count = h.dead_chunk_count,
        .work_count = h.work_count,
        .term_count = h.term_count,
        .dead_length = h.dead_length,
        .dead = (const uint64_t *)(const void *)p,
        .works = (const struct med_patch_work *)(const void *)(p + dead),
        .terms = (const struct med_patch_term *)(const void *)(p + dead + works)};
    enum med_code code = validate(&patch, err);
    if (!code) *ret_patch = patch;
    return code;
}
