/* Reading an overlay, and the relations that its making rests on. The file was checksummed; its
 * structure is validated all the same. */
#include "index/overlay.h"

#include "index/evidence.h"

enum med_link_kind med_link_inverse(enum med_link_kind kind)
{
    switch (kind) {
    case MED_LINK_RETRACTION_IN: return MED_LINK_RETRACTION_OF;
    case MED_LINK_RETRACTION_OF: return MED_LINK_RETRACTION_IN;
    case MED_LINK_ERRATUM_IN: return MED_LINK_ERRATUM_FOR;
    case MED_LINK_ERRATUM_FOR: return MED_LINK_ERRATUM_IN;
    case MED_LINK_CONCERN_IN: return MED_LINK_CONCERN_FOR;
    case MED_LINK_CONCERN_FOR: return MED_LINK_CONCERN_IN;
    case MED_LINK_COMMENT_IN: return MED_LINK_COMMENT_ON;
    case MED_LINK_COMMENT_ON: return MED_LINK_COMMENT_IN;
    case MED_LINK_UPDATE_IN: return MED_LINK_UPDATE_OF;
    case MED_LINK_UPDATE_OF: return MED_LINK_UPDATE_IN;
    case MED_LINK_REPUBLISHED_IN: return MED_LINK_REPUBLISHED_FROM;
    case MED_LINK_REPUBLISHED_FROM: return MED_LINK_REPUBLISHED_IN;
    case MED_LINK_PARTIAL_RETRACTION_IN: return MED_LINK_PARTIAL_RETRACTION_OF;
    case MED_LINK_PARTIAL_RETRACTION_OF: return MED_LINK_PARTIAL_RETRACTION_IN;
    case MED_LINK_OTHER:
    case MED_LINK_COUNT: break;
    }
    return MED_LINK_OTHER;
}

/* --- opening --- */

static enum med_code corrupt(struct med_err *err, const char *what)
{
    return med_fail(err, MED_E_CORRUPT, "the overlay is damaged: %s", what);
}

static bool in_heap(uint64_t at, uint64_t len, uint64_t heap_len)
{
    return at <= heap_len && len <= heap_len - at;
}

static enum med_code validate(const struct med_overlay *o, uint64_t heap_len, struct med_err *err)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < o->entry_count; i++) {
        const struct med_overlay_entry *e = &o->entries[i];
        if (e->id_len == 0 || !in_heap(e->id, e->id_len, heap_len))
            return corrupt(err, "an id is out of range");
        if (e->evidence >= MED_EVIDENCE_COUNT)
            return corrupt(err, "an evidence level is out of range");
        if (e->first_link != next || e->link_count > o->link_count - next)
            return corrupt(err, "entries and links disagree");
        if (i > 0 && med_str_cmp(med_overlay_id(o, i - 1), med_overlay_id(o, i)) >= 0)
            return corrupt(err, "ids are out of order");
        next += e->link_count;
    }
    if (next != o->link_count) return corrupt(err, "entries and links disagree");
    for (uint32_t i = 0; i < o->link_count; i++) {
        const struct med_overlay_link *l = &o->links[i];
        if (l->kind >= MED_LINK_COUNT || !in_heap(l->id, l->id_len, heap_len) ||
            !in_heap(l->note, l->note_len, heap_len))
            return corrupt(err, "a link is out of range");
    }
    return MED_OK;
}

enum med_code med_overlay_open(
    const void *ptr, size_t len, struct med_overlay *ret_overlay, struct med_err *err)
{
    struct med_overlay_header h;
    if (len == 0) {
        *ret_overlay = (struct med_overlay){0};
        return MED_OK;
    }
    if (len < sizeof h) return corrupt(err, "it has no header");
    memcpy(&h, ptr, sizeof h);
    if (memcmp(h.magic, MED_OVERLAY_MAGIC, sizeof h.magic) != 0)
        return corrupt(err, "it has no header");
    uint64_t entries = (uint64_t)h.entry_count * sizeof(struct med_overlay_entry);
    uint64_t links = (uint64_t)h.link_count * sizeof(struct med_overlay_link);
    uint64_t left = len - sizeof h;
    if (left < entries + links || left - entries - links != h.heap_len)
        return corrupt(err, "it has the wrong size");
    const uint8_t *p = (const uint8_t *)ptr + sizeof h;
    struct med_overlay o = {.entries = (const struct med_overlay_entry *)p,
        .links = (const struct med_overlay_link *)(p + entries),
        .heap = (const char *)p + entries + links,
        .entry_count = h.entry_count,
        .link_count = h.link_count};
    enum med_code code = validate(&o, h.heap_len, err);
    if (!code) *ret_overlay = o;
    return code;
}

struct med_str med_overlay_id(const struct med_overlay *o, uint32_t entry)
{
    const struct med_overlay_entry *e = &o->entries[entry];
    return (struct med_str){.ptr = o->heap + e->id, .len = e->id_len};
}

const struct med_overlay_entry *med_overlay_find(const struct med_overlay *o, struct med_str id)
{
    uint32_t low = 0, high = o->entry_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = med_str_cmp(med_overlay_id(o, mid), id);
        if (order == 0) return &o->entries[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

struct med_link med_overlay_link_at(
    const struct med_overlay *o, const struct med_overlay_entry *entry, uint32_t i)
{
    const struct med_overlay_link *l = &o->links[entry->first_link + i];
    return (struct med_link){.kind = (enum med_link_kind)l->kind,
        .target = {.ptr = l->id_len ? o->heap + l->id : NULL, .len = l->id_len},
        .note = {.ptr = l->note_len ? o->heap + l->note : NULL, .len = l->note_len}};
}

/* --- families of guidelines --- */

struct slug_token {
    size_t start, end;
};

static bool is_slug_gap(char c)
{
    return c == '-' || c == '_' || c == '.' || c == ' ' || c == ':' || c == '/';
}

/* The last token of the first `len` bytes; false when there is none. */
static bool last_token(struct med_str slug, size_t len, struct slug_token *ret_token)
{
    while (len > 0 && is_slug_gap(slug.ptr[len - 1])) len--;
    size_t start = len;
    while (start > 0 && !is_slug_gap(slug.ptr[start - 1])) start--;
    *ret_token = (struct slug_token){start, len};
    return start < len;
}

static bool token_number(struct med_str slug, struct slug_token t, unsigned long long *ret_number)
{
    return t.end - t.start <= 4 && med_str_to_u64(med_str_sub(slug, t.start, t.end), ret_number);
}

static bool token_year(struct med_str slug, struct slug_token t, uint32_t *ret_year)
{
    unsigned long long n;
    if (t.end - t.start != 4 || !token_number(slug, t, &n) || n < 1950 || n > 2099) return false;
    *ret_year = (uint32_t)n;
    return true;
}

/* A year, or a year and at most two numbers behind it ("2022-03-28"). */
static bool cut_date(struct med_str slug, size_t *len, uint32_t *ret_year)
{
    struct slug_token t;
    unsigned long long n;
    size_t end = *len;
    for (int tail = 0; tail <= 2 && last_token(slug, end, &t); tail++) {
        if (token_year(slug, t, ret_year)) {
            *len = t.start;
            return true;
        }
        if (t.end - t.start > 2 || !token_number(slug, t, &n) || n == 0 || n > 31) return false;
        end = t.start;
    }
    return false;
}

/* "v3", "version-3", "update", "updated". */
static bool cut_version(struct med_str slug, size_t *len, uint32_t *ret_version)
{
    struct slug_token t, before;
    unsigned long long n;
    if (!last_token(slug, *len, &t)) return false;
    struct med_str word = med_str_sub(slug, t.start, t.end);
    if (med_str_eq(word, MED_STR("update")) || med_str_eq(word, MED_STR("updated"))) {
        *len = t.start;
        return true;
    }
    struct slug_token digits = {t.start + 1, t.end};
    if (slug.ptr[t.start] == 'v' && token_number(slug, digits, &n)) {
        *ret_version = (uint32_t)n;
        *len = t.start;
        return true;
    }
    if (token_number(slug, t, &n) && last_token(slug, t.start, &before) &&
        med_str_eq(med_str_sub(slug, before.start, before.end), MED_STR("version"))) {
        *ret_version = (uint32_t)n;
        *len = before.start;
        return true;
    }
    return false;
}

enum med_code med_slug_family(struct med_str slug, struct med_arena *arena,
    struct med_str *ret_family, uint32_t *ret_year, uint32_t *ret_version, struct med_err *err)
{
    char *lower = med_arena_strndup(arena, slug.ptr, slug.len);
    if (!lower) return med_fail(err, MED_E_NOMEM, "out of memory for a guideline's family");
    for (size_t i = 0; i < slug.len; i++) {
        if (lower[i] >= 'A' && lower[i] <= 'Z') lower[i] = (char)(lower[i] + ('a' - 'A'));
    }
    struct med_str s = {.ptr = lower, .len = slug.len};
    *ret_year = *ret_version = 0;
    size_t len = slug.len, before;
    do {
        before = len;
        size_t cut = len;
        if (cut_date(s, &cut, ret_year) || cut_version(s, &cut, ret_version)) len = cut;
        while (len > 0 && is_slug_gap(s.ptr[len - 1])) len--;
    } while (len < before && len > 0);
    *ret_family = len ? med_str_sub(s, 0, len) : s; /* a slug that is a year only */
    return MED_OK;
}
