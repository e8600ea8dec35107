/* Random documents that hold what an index distinguishes: several passages, headings, journals,
 * names shared with others (works), links to others, families of guidelines. A document is a
 * function of its number and its revision. */
#pragma once

#include "common/arena.h"
#include "common/rng.h"
#include "index/document/document.h"

#define RANDOM_WORDS 400u

static inline struct med_str random_word(struct med_arena *arena, struct med_rng *rng)
{
    static const char *const heads[] = {"card", "neur", "hepat", "derm", "oste", "gastr", "neph",
        "path", "onc", "hem", "immun", "bronch", "arthr", "my", "vas", "thyr", "ret", "cyst", "gli",
        "lymph"};
    static const char *const tails[] = {"itis", "oma", "osis", "emia", "ectomy", "pathy", "algia",
        "ology", "plasty", "uria", "ization", "ine", "ol", "ane", "ate", "amide", "azole", "mab",
        "statin", "pril"};
    uint64_t n = med_rng_below(rng, RANDOM_WORDS);
    if (med_rng_below(rng, 3)) n /= 1 + med_rng_below(rng, 20); /* some words are frequent */
    return med_str_of(med_arena_printf(arena, "%s%s", heads[n % 20], tails[n / 20 % 20]));
}

static inline struct med_str random_text(
    struct med_arena *arena, struct med_rng *rng, uint64_t words, bool sentences)
{
    static const char *const odd[] = {"IL-6", "the", "of", "HbA1c", "COVID-19", "with", "p53"};
    struct med_buf buf;
    struct med_str text;
    med_buf_init(&buf, 1 << 20);
    for (uint64_t i = 0; i < words; i++) {
        if (i) med_buf_puts(&buf, sentences && i % 14 == 0 ? ". The " : " ");
        if (med_rng_below(rng, 12) == 0)
            med_buf_puts(&buf, odd[med_rng_below(rng, 7)]);
        else
            med_buf_append_str(&buf, random_word(arena, rng));
    }
    if (sentences) med_buf_putc(&buf, '.');
    if (!med_arena_str(arena, med_buf_str(&buf), &text)) text = (struct med_str){0};
    med_buf_free(&buf);
    return text;
}

/* The id of document `n`: a quarter each are full texts, guidelines and others. */
static inline struct med_str random_id(struct med_arena *arena, unsigned n)
{
    switch (n % 8) {
    case 1:
    case 5: return med_str_of(med_arena_printf(arena, "pmcid:PMC%u", 5000 + n));
    case 3:
        return med_str_of(med_arena_printf(arena, "guideline:topic%u-%u", n / 24, 2000 + n % 24));
    case 7: return med_str_of(med_arena_printf(arena, "doc:%u", n));
    default: return med_str_of(med_arena_printf(arena, "pmid:%u", 1000 + n));
    }
}

static inline void random_links(
    struct med_doc *doc, struct med_arena *arena, struct med_rng *rng, unsigned n, unsigned count)
{
    doc->links = med_arena_calloc(arena, 4, sizeof *doc->links);
    while (doc->link_count < 4 && med_rng_below(rng, 3) == 0) {
        struct med_link *link = &doc->links[doc->link_count++];
        unsigned other = (unsigned)med_rng_below(rng, count);
        link->kind = (enum med_link_kind)med_rng_below(rng, MED_LINK_COUNT);
        if (other == n || med_rng_below(rng, 8) == 0) continue; /* a link without a target */
        link->target = med_rng_below(rng, 3)
                           ? random_id(arena, other)
                           : med_str_of(med_arena_printf(arena, "doi:10.1/%u", other / 3));
        if (med_rng_below(rng, 4) == 0) link->note = MED_STR("a note");
    }
}

static inline void random_labels(struct med_doc *doc, struct med_arena *arena, struct med_rng *rng)
{
    static const char *const headings[] = {"Heart Failure", "Sepsis", "Anemia", "Neoplasms",
        "Hypertension", "Asthma", "Kidney Diseases", "Humans", "Female", "Diabetes Mellitus"};
    static const char *const types[] = {"Randomized Controlled Trial", "Review", "Case Reports",
        "Practice Guideline", "Meta-Analysis", "Editorial", "Retracted Publication",
        "Retraction of Publication", "Journal Article", "Systematic Review"};
    static const char *const journals[] = {"Lancet", "The New England Journal", "Heart (BMJ)"};
    doc->mesh = med_arena_calloc(arena, 3, sizeof *doc->mesh);
    doc->mesh_count = med_rng_below(rng, 4);
    for (size_t i = 0; i < doc->mesh_count; i++)
        doc->mesh[i] = (struct med_mesh){.descriptor = med_str_of(headings[med_rng_below(rng, 10)]),
            .major = med_rng_below(rng, 2)};
    doc->publication_types = med_arena_calloc(arena, 2, sizeof *doc->publication_types);
    doc->publication_type_count = med_rng_below(rng, 3);
    for (size_t i = 0; i < doc->publication_type_count; i++)
        doc->publication_types[i] = med_str_of(types[med_rng_below(rng, 10)]);
    doc->keywords = med_arena_calloc(arena, 2, sizeof *doc->keywords);
    doc->keyword_count = med_rng_below(rng, 3);
    for (size_t i = 0; i < doc->keyword_count; i++) doc->keywords[i] = random_word(arena, rng);
    doc->authors = med_arena_calloc(arena, 1, sizeof *doc->authors);
    doc->author_count = 1;
    doc->authors[0].family = random_word(arena, rng);
    doc->authors[0].initials = MED_STR("AB");
    if (med_rng_below(rng, 4)) doc->journal.title = med_str_of(journals[med_rng_below(rng, 3)]);
    doc->language = med_rng_below(rng, 5) ? MED_STR("eng") : MED_STR("ger");
}

/* Document `n` of about `count`, in its given revision. */
static inline struct med_doc random_doc(
    struct med_arena *arena, uint64_t seed, unsigned n, unsigned revision, unsigned count)
{
    struct med_rng rng;
    med_rng_seed(&rng, seed * 1000003 + n * 4099ull + revision);
    struct med_doc doc = {.id = random_id(arena, n)};
    bool full_text = n % 4 == 1, guideline = n % 8 == 3;
    doc.source_id = med_str_of(med_arena_printf(arena, "%u", n));
    doc.source = full_text    ? MED_SOURCE_PMC
                 : guideline  ? MED_SOURCE_GUIDELINE
                 : n % 8 == 7 ? MED_SOURCE_OTHER
                              : MED_SOURCE_PUBMED;
    doc.title = random_text(arena, &rng, 3 + med_rng_below(&rng, 6), false);
    doc.section_count = full_text ? 4 : 1;
    doc.sections = med_arena_calloc(arena, doc.section_count, sizeof *doc.sections);
    for (size_t i = 0; i < doc.section_count; i++) {
        doc.sections[i].kind = full_text ? MED_SECTION_BODY : MED_SECTION_ABSTRACT;
        if (full_text) doc.sections[i].heading = random_text(arena, &rng, 2, false);
        doc.sections[i].body = random_text(
            arena, &rng, (full_text ? 150 : 20) + med_rng_below(&rng, full_text ? 300 : 80), true);
    }
    random_labels(&doc, arena, &rng);
    random_links(&doc, arena, &rng, n, count);
    doc.date = (struct med_date){.year = (uint16_t)(1990 + med_rng_below(&rng, 36)),
        .month = (uint8_t)med_rng_below(&rng, 13)};
    if (doc.date.month) doc.date.day = (uint8_t)med_rng_below(&rng, 29);
    if (guideline) {
        doc.organization = med_rng_below(&rng, 3) ? MED_STR("USPSTF") : MED_STR("NICE");
        doc.grade = MED_STR("B");
    }
    /* Names: an article's own, or those of a neighbour, which makes them one work. */
    unsigned article = n - (unsigned)med_rng_below(&rng, 3 < n ? 3 : n + 1);
    if (med_rng_below(&rng, 3) == 0)
        doc.pmid = med_str_of(med_arena_printf(arena, "%u", 1000 + article / 2 * 2));
    if (med_rng_below(&rng, 3) == 0)
        doc.doi = med_str_of(med_arena_printf(arena, "10.1/%u", article / 3));
    return doc;
}
