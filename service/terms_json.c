/* What GET /v1/terms sends and `medicus terms --json` prints, and the list for people. */
#include "service/answer.h"

static const char *kind_name(enum med_concept_kind kind)
{
    return kind == MED_CONCEPT_ABBREVIATION ? "abbreviation" : "descriptor";
}

static void strings_json(
    struct med_jw *w, const char *key, const struct med_str *items, size_t count)
{
    med_jw_key(w, key);
    med_jw_array(w);
    for (size_t i = 0; i < count; i++) med_jw_str(w, items[i]);
    med_jw_array_end(w);
}

static void term_json(const struct med_term *t, struct med_jw *w)
{
    med_jw_object(w);
    med_jw_kcstr(w, "kind", kind_name(t->kind));
    med_jw_key(w, "id");
    if (t->id.len)
        med_jw_str(w, t->id);
    else
        med_jw_null(w);
    med_jw_kstr(w, "name", t->name);
    med_jw_kstr(w, "matched", t->matched);
    strings_json(w, "entry_terms", t->entry_terms, t->entry_term_count);
    strings_json(w, "tree_numbers", t->trees, t->tree_count);
    med_jw_kint(w, "narrower", (long long)t->narrower);
    med_jw_kint(w, "documents", (long long)t->documents);
    med_jw_kint(w, "mentions", (long long)t->mentions);
    med_jw_kint(w, "share_percent", t->share);
    med_jw_object_end(w);
}

#define NO_THESAURUS                                                                               \
    "this index has neither vocabulary nor abbreviations; an operator adds one with `medicus "     \
    "vocab "                                                                                       \
    "add`"

void terms_json(const struct view *view, const struct terms_answer *answer, struct med_buf *out)
{
    struct med_jw w = med_jw_of(out, view->pretty);
    med_jw_object(&w);
    med_jw_kstr(&w, "query", answer->query);
    med_jw_kint(&w, "generation", (long long)answer->generation);
    med_jw_key(&w, "terms");
    med_jw_array(&w);
    for (size_t i = 0; i < answer->count; i++) term_json(&answer->terms[i], &w);
    med_jw_array_end(&w);
    med_jw_key(&w, "notices");
    med_jw_array(&w);
    if (!answer->any)
        med_jw_cstr(&w, NO_THESAURUS);
    else if (answer->count == 0)
        med_jw_cstr(&w, "no descriptor and no abbreviation of that name");
    med_jw_array_end(&w);
    med_jw_object_end(&w);
    med_buf_putc(out, '\n');
}

static void names_text(
    const char *label, const struct med_str *items, size_t count, struct med_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        med_buf_puts(out, i ? "; " : label);
        med_buf_append_str(out, items[i]);
    }
    if (count) med_buf_putc(out, '\n');
}

void terms_text(const struct terms_answer *answer, struct med_buf *out)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct med_term *t = &answer->terms[i];
        if (i) med_buf_putc(out, '\n');
        med_buf_append_str(out, t->name);
        if (t->id.len) med_buf_printf(out, "  [" MED_STR_FMT "]", MED_STR_ARG(t->id));
        if (t->kind == MED_CONCEPT_ABBREVIATION)
            med_buf_printf(out, "  [abbreviation, %u %% of its definitions]", t->share);
        med_buf_putc(out, '\n');
        names_text(t->kind == MED_CONCEPT_ABBREVIATION ? "  short: " : "  also: ", t->entry_terms,
            t->entry_term_count, out);
        names_text("  tree: ", t->trees, t->tree_count, out);
        if (t->narrower)
            med_buf_printf(out, "  narrower descriptors: %llu\n", (unsigned long long)t->narrower);
        med_buf_printf(out, "  documents %s: %llu; that mention it: %llu\n",
            t->kind == MED_CONCEPT_ABBREVIATION ? "that define it" : "with the heading",
            (unsigned long long)t->documents, (unsigned long long)t->mentions);
    }
    if (!answer->any)
        med_buf_puts(out, NO_THESAURUS "\n");
    else if (answer->count == 0)
        med_buf_puts(out, "no descriptor and no abbreviation of that name\n");
}
