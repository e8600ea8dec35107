/* The overlay of a generation: what other documents, and the operator, say about a document.
 *
 * A segment's rows hold what follows from a document alone and are never written again. That an
 * article was retracted, corrected, questioned or replaced is often said by another document, which
 * may arrive years earlier or later; so it lives here, in a file of the generation, and a later
 * generation can publish a new overlay over old segments. Flags are added to the row's, never taken
 * away, and every link is there from both sides, whichever of the two stated it.
 *
 *   header   "MEDOVLY1", counts
 *   entries  one per document that has something, in byte order of ids: id, flags, its links
 *   links    kind, id of the other document, note
 *   heap     strings
 *
 * Size and checksum of the file are in the manifest. Who may say what:
 *   - "X was retracted by Y" is said by X, by Y, or by a list of retractions (retractions.h), and
 *     holds for every document of X's work (its abstract and its full text);
 *   - the evidence level of a work is the highest that one of its documents has: full texts come
 *     without PubMed's publication types;
 *   - a retraction notice is never marked as retracted, whoever says so;
 *   - an erratum is no retraction; a partial retraction counts as a concern;
 *   - a guideline is superseded by what it or the newer one names, and by a newer guideline of the
 *     same organisation whose slug differs in a trailing year, date or version only
 *     ("asthma-2019", "asthma-2022", "asthma-v3"). */
#pragma once

#include "common/fs.h"
#include "index/evidence.h"
#include "index/retractions.h"
#include "index/store/store.h"

#define MED_OVERLAY_FILE "overlay"

/* --- on disk, little-endian --- */
struct med_overlay_header {
    char magic[8];
    uint32_t entry_count, link_count;
    uint64_t heap_len;
};
_Static_assert(sizeof(struct med_overlay_header) == 24, "on-disk layout");
#define MED_OVERLAY_MAGIC "MEDOVLY1"

struct med_overlay_entry {
    uint32_t id; /* in the heap */
    uint16_t id_len;
    uint8_t evidence; /* enum med_evidence of its work, where that is more than its own; or 0 */
    uint8_t reserved;
    uint32_t flags; /* enum med_doc_flag */
    uint32_t first_link, link_count;
};
_Static_assert(sizeof(struct med_overlay_entry) == 20, "on-disk layout");

struct med_overlay_link {
    uint32_t id; /* of the other document; id_len 0 = unknown */
    uint32_t note, note_len;
    uint16_t id_len;
    uint16_t kind; /* enum med_link_kind, seen from the entry's document */
};
_Static_assert(sizeof(struct med_overlay_link) == 16, "on-disk layout");

/* --- making --- */
/* All that follows from one state of the store and the operator's list, as the bytes of the file;
 * equal input gives equal bytes. Appends to `out`. `list` may be NULL. */
enum med_code med_overlay_make(struct med_snapshot *snapshot,
    const struct med_retraction_list *list, struct med_buf *out, struct med_err *err) MED_CHECK;

/* The same in two steps, for a build that reads every document anyway: add each live document once,
 * in any order, then finish. One thread. */
struct med_overlay_builder;
enum med_code med_overlay_builder_new(
    struct med_overlay_builder **ret_builder, struct med_err *err) MED_CHECK;
void med_overlay_builder_free(struct med_overlay_builder **builder);
enum med_code med_overlay_builder_add(
    struct med_overlay_builder *builder, const struct med_doc *doc, struct med_err *err) MED_CHECK;
enum med_code med_overlay_builder_finish(struct med_overlay_builder *builder,
    struct med_snapshot *snapshot, const struct med_retraction_list *list, struct med_buf *out,
    struct med_err *err) MED_CHECK;

/* Without reading documents: what a builder must know of each, and what it asks for. */
struct med_overlay_facts {
    struct med_str id;
    uint32_t own_flags; /* med_doc_flags */
    enum med_source source;
    struct med_date date;
    struct med_str organization; /* of guidelines */
    const struct med_link *links;
    size_t link_count;
};
enum med_code med_overlay_builder_add_facts(struct med_overlay_builder *builder,
    const struct med_overlay_facts *facts, struct med_err *err) MED_CHECK;
#define MED_OVERLAY_MEMBERS_MAX 16u /* of one work; more share an alias by mistake */
struct med_overlay_member {
    struct med_str id;
    uint32_t own_flags;
    enum med_evidence evidence; /* of its own record */
};
/* All live documents of the work that `id` belongs to, in any order, at most
 * MED_OVERLAY_MEMBERS_MAX; *ret_count may be larger, then the documents are read after all. Ids are
 * borrowed until the builder is freed. MED_E_NOT_FOUND: no live document has that id. */
typedef enum med_code (*med_overlay_work_fn)(void *ctx, struct med_str id,
    struct med_overlay_member members[MED_OVERLAY_MEMBERS_MAX], size_t *ret_count,
    struct med_err *err);
/* Before finish: works come from here instead of from the store's documents. */
void med_overlay_builder_ask(
    struct med_overlay_builder *builder, med_overlay_work_fn work, void *ctx);

/* --- reading --- */
struct med_overlay {
    const struct med_overlay_entry *entries;
    const struct med_overlay_link *links;
    const char *heap;
    uint32_t entry_count, link_count;
};
/* Validates every entry; borrows the bytes. No bytes are an empty overlay. MED_E_CORRUPT. */
enum med_code med_overlay_open(
    const void *ptr, size_t len, struct med_overlay *ret_overlay, struct med_err *err) MED_CHECK;
struct med_str med_overlay_id(const struct med_overlay *overlay, uint32_t entry);
/* NULL when the overlay says nothing about the document. */
const struct med_overlay_entry *med_overlay_find(
    const struct med_overlay *overlay, struct med_str id);
/* Link `i` of an entry; its strings are borrowed from the overlay. */
struct med_link med_overlay_link_at(
    const struct med_overlay *overlay, const struct med_overlay_entry *entry, uint32_t i);

/* The kind of the same link as the other side sees it: retraction-in <-> retraction-of, ...; other
 * stays other. */
enum med_link_kind med_link_inverse(enum med_link_kind kind);
/* The stem that guidelines of one family share: the slug in lower case without trailing years,
 * dates and versions. *ret_version is 0 where the slug names none. In the arena. */
enum med_code med_slug_family(struct med_str slug, struct med_arena *arena,
    struct med_str *ret_family, uint32_t *ret_year, uint32_t *ret_version,
    struct med_err *err) MED_CHECK;
