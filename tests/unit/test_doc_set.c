/* Sets of documents and of their passages, against the obvious way, over random segments. */
#include "common/mem.h"
#include "common/rng.h"
#include "index/doc_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DOCS_MAX 700u
#define CHUNKS_MAX (DOCS_MAX * 70)
#define WORDS_MAX (CHUNKS_MAX / 64 + 1)

struct fixture {
    struct med_segment segment;
    struct med_doc_row rows[DOCS_MAX];
    uint32_t chunk_doc[CHUNKS_MAX];
    uint64_t set[DOCS_MAX / 64 + 1], kept[DOCS_MAX / 64 + 1], passages[WORDS_MAX];
};

static uint64_t test_seed(void)
{
    const char *env = getenv("MEDICUS_SEED");
    uint64_t seed = env ? strtoull(env, NULL, 10) : 20261122;
    print_message("MEDICUS_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* Documents of one passage, of many (some longer than a word of bits), and of none. */
static void make_segment(struct fixture *f, struct med_rng *rng, uint32_t doc_count)
{
    static const struct med_segment_ref ref = {0};
    uint64_t kind = med_rng_below(rng, 3);
    f->segment = (struct med_segment){.ref = &ref, .docs = f->rows, .chunk_doc = f->chunk_doc};
    f->segment.doc_count = doc_count;
    for (uint32_t d = 0; d < doc_count; d++) {
        uint32_t chunks = kind == 0                    ? 1
                          : med_rng_below(rng, 8) == 0 ? (uint32_t)med_rng_below(rng, 70)
                                                       : (uint32_t)med_rng_below(rng, 3);
        if (kind == 1 && chunks == 0) chunks = 1;
        f->rows[d] = (struct med_doc_row){.first_chunk = f->segment.chunk_count,
            .chunk_count = chunks,
            .date = (uint32_t)med_rng_below(rng, 30) * 10000 + 101,
            .source = (uint8_t)med_rng_below(rng, 4),
            .evidence = (uint8_t)med_rng_below(rng, 8),
            .flags = (uint32_t)med_rng_below(rng, 16)};
        if (med_rng_below(rng, 5)) f->rows[d].date += 2000 * 10000;
        for (uint32_t c = 0; c < chunks; c++) f->chunk_doc[f->segment.chunk_count++] = d;
    }
    assert_int_equal(doc_columns_make(&f->segment, NULL), MED_OK);
    for (size_t w = 0; w < doc_set_words(&f->segment); w++) {
        uint64_t bits = med_rng_u64(rng);
        f->set[w] = kind == 2 ? bits & med_rng_u64(rng) & med_rng_u64(rng) : bits;
        if (med_rng_below(rng, 4) == 0) f->set[w] = UINT64_MAX;
    }
    f->set[doc_count / 64] &= (1ull << (doc_count % 64)) - 1;
}

static void free_segment(struct fixture *f)
{
    doc_columns_free(&f->segment.columns);
    med_free(f->segment.flags);
    med_free(f->segment.evidence);
}

static void passages_are_those_of_the_documents_in_the_set(void **state)
{
    struct fixture *f = *state;
    struct med_rng rng;
    med_rng_seed(&rng, test_seed());
    for (int round = 0; round < 400; round++) {
        make_segment(f, &rng, (uint32_t)med_rng_below(&rng, DOCS_MAX));
        uint32_t count = doc_set_passages(&f->segment, f->set, f->passages), expected = 0;
        for (uint32_t c = 0; c < f->segment.chunk_count; c++) {
            bool in = doc_set_has(f->set, f->chunk_doc[c]);
            assert_int_equal(f->passages[c >> 6] >> (c & 63) & 1, in);
            expected += in;
        }
        assert_int_equal(count, expected);
        assert_int_equal(doc_set_count(f->passages, f->segment.chunk_count / 64 + 1), expected);
        free_segment(f);
    }
}

/* What a filter keeps, told document by document. */
static bool passes(const struct med_doc_row *row, unsigned which, uint32_t a, uint32_t b)
{
    uint32_t year = row->date / 10000;
    switch (which) {
    case 0: return (!a || year >= a) && (!b || year <= b) && (year || !(a | b));
    case 1: return a >> row->source & 1;
    case 2: return a >> row->evidence & 1;
    default: return (row->flags & a) == a && !(row->flags & b);
    }
}

static void filters_keep_what_passes_document_by_document(void **state)
{
    struct fixture *f = *state;
    struct med_rng rng;
    med_rng_seed(&rng, test_seed() + 1);
    for (int round = 0; round < 2000; round++) {
        unsigned which = (unsigned)med_rng_below(&rng, 4);
        uint32_t a = (uint32_t)med_rng_below(&rng, 16), b = (uint32_t)med_rng_below(&rng, 16);
        if (round % 100 == 0 && round) free_segment(f);
        if (round % 100 == 0) make_segment(f, &rng, (uint32_t)med_rng_below(&rng, DOCS_MAX));
        if (which == 0 && a) a = med_rng_below(&rng, 9) ? a + 1998 : a + 70000;
        if (which == 0 && b) b = med_rng_below(&rng, 9) ? b + 1998 : b + 70000;
        if (which == 0 && !(a | b)) a = 1;
        memcpy(f->kept, f->set, sizeof f->set);
        switch (which) {
        case 0: doc_set_years(&f->segment, f->kept, a, b); break;
        case 1: doc_set_sources(&f->segment, f->kept, a); break;
        case 2: doc_set_evidence(&f->segment, f->kept, a); break;
        default: doc_set_flags(&f->segment, f->kept, a, b); break;
        }
        for (uint32_t d = 0; d < f->segment.doc_count; d++)
            assert_int_equal(doc_set_has(f->kept, d),
                doc_set_has(f->set, d) && passes(&f->rows[d], which, a, b));
    }
    free_segment(f);
}

static int make_fixture(void **state)
{
    *state = med_calloc(1, sizeof(struct fixture));
    return *state ? 0 : -1;
}

static int free_fixture(void **state)
{
    med_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passages_are_those_of_the_documents_in_the_set),
        cmocka_unit_test(filters_keep_what_passes_document_by_document),
    };
    return cmocka_run_group_tests(tests, make_fixture, free_fixture);
}
