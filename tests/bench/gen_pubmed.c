/* Multiplies real PubMed XML into files like those of the yearly baseline:
 *
 *   gen_pubmed [--seed N] [--citations N] [--files N] [--level N] OUT_DIR IN.xml.gz...
 *
 * Writes OUT_DIR/pubmed26n0001.xml.gz, ...: `--citations` (default 30000) PubmedArticle elements in
 * each, under PubmedArticleSet, in the order of their PMIDs. The same seed gives the same bytes
 * wherever zlib is the same.
 *
 * Each citation is one of the real ones with everything changed that would make it a copy to zstd
 * or LMDB, while elements, attributes and lengths stay what they were:
 *
 *   its own PMID            a new one, ascending
 *   other identifiers       (DOI, PII, PMC, ORCID, PMIDs of references) every digit anew
 *   years                   shifted by -12 to 2; volumes, issues and pages: every digit anew
 *   LastName, ForeName,     a whole element of another citation, drawn as often as it occurs
 *   DescriptorName,
 *   NameOfSubstance
 *   words of running text   three of five become a word drawn from the texts of the same element,
 *                           so that the distribution of words stays; one of two hundred becomes a
 *                           new, rare word
 *   everything else         as it was: journals, publication types, dates, mark-up
 */
#include "common/buf.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define INPUT_BYTES_MAX MED_GIB
#define DEPTH_MAX 64
#define FIRST_PMID 10000000ull
#define WORD_BYTES_MIN 3

/* What is done with the text of an element; the kinds up to KEEP have a pool of what occurs in it.
 */
enum kind {
    TITLE,
    ABSTRACT,
    AFFILIATION,
    CITATION,
    KEYWORD,
    LAST,
    FORE,
    MESH,
    SUBSTANCE,
    KEEP,
    DIGITS,
    YEAR,
    PMID,
    KIND_COUNT
};
static const struct {
    const char *name;
    enum kind kind;
} elements[] = {{"ArticleTitle", TITLE}, {"AbstractText", ABSTRACT}, {"Affiliation", AFFILIATION},
    {"Citation", CITATION}, {"Keyword", KEYWORD}, {"CollectiveName", TITLE}, {"LastName", LAST},
    {"ForeName", FORE}, {"DescriptorName", MESH}, {"NameOfSubstance", SUBSTANCE},
    {"ArticleId", DIGITS}, {"ELocationID", DIGITS}, {"Identifier", DIGITS}, {"OtherID", DIGITS},
    {"Volume", DIGITS}, {"Issue", DIGITS}, {"MedlinePgn", DIGITS}, {"StartPage", DIGITS},
    {"EndPage", DIGITS}, {"RefSource", DIGITS}, {"Year", YEAR}, {"PMID", PMID}};

struct list {
    struct med_str *items;
    size_t count, cap;
};

struct gen {
    struct med_rng rng;
    struct med_buf input; /* all files, one after the other: the lists point into it */
    struct list records;
    struct list pools[KEEP];
    struct med_buf out; /* one citation */
    uint64_t pmid;
    bool pmid_told; /* the citation's own PMID has been written */
};

static void die(const char *what)
{
    fprintf(stderr, "gen_pubmed: %s\n", what);
    exit(1);
}

static void add(struct list *list, struct med_str item)
{
    if (!med_grow(&list->items, &list->cap, list->count + 1, sizeof *list->items))
        die("out of memory");
    list->items[list->count++] = item;
}

static void read_gzip(struct med_buf *out, const char *path)
{
    gzFile file = gzopen(path, "rb");
    if (!file) die(path);
    for (int len = 1; len > 0;) {
        char *room = med_buf_extend(out, MED_MIB);
        if (!room) die("the input is too large");
        len = gzread(file, room, MED_MIB);
        if (len < 0) die(path);
        out->len -= MED_MIB - (size_t)len;
    }
    gzclose(file);
}

/* Cuts the records out; those of older files are a bare MedlineCitation. */
static void find_records(struct gen *g)
{
    static const struct med_str tags[][2] = {{{"<PubmedArticle>", 15}, {"</PubmedArticle>", 16}},
        {{"<MedlineCitation ", 17}, {"</MedlineCitation>", 18}}};
    const char *pos = g->input.data, *end = pos + g->input.len;
    while ((pos = memchr(pos, '<', (size_t)(end - pos)))) {
        struct med_str rest = {.ptr = pos, .len = (size_t)(end - pos)};
        pos++;
        for (size_t i = 0; i < 2; i++) {
            if (!med_str_starts(rest, tags[i][0])) continue;
            const char *close = memmem(rest.ptr, rest.len, tags[i][1].ptr, tags[i][1].len);
            if (!close) return;
            pos = close + tags[i][1].len;
            add(&g->records, (struct med_str){.ptr = rest.ptr, .len = (size_t)(pos - rest.ptr)});
            break;
        }
    }
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool has_pool_of_words(enum kind kind)
{
    return kind <= KEYWORD;
}

static bool is_name(struct med_str tag, const char *name)
{
    size_t len = strlen(name);
    return tag.len > len + 1 && memcmp(tag.ptr + 1, name, len) == 0 &&
           (tag.ptr[len + 1] == '>' || tag.ptr[len + 1] == ' ');
}

static enum kind kind_of(struct med_str tag)
{
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
        if (is_name(tag, elements[i].name)) return elements[i].kind;
    }
    return KEEP;
}

/* ---- text ---- */

static struct med_str draw(struct gen *g, enum kind kind)
{
    struct list *pool = &g->pools[kind];
    return pool->items[med_rng_below(&g->rng, pool->count)];
}

static void put_rare_word(struct gen *g, size_t len)
{
    static const char consonants[] = "bcdfghklmnprstvz", vowels[] = "aeiou";
    for (size_t i = 0; i < len; i++)
        med_buf_putc(&g->out, i % 2 ? vowels[med_rng_below(&g->rng, sizeof vowels - 1)]
                                    : consonants[med_rng_below(&g->rng, sizeof consonants - 1)]);
}

/* The length of the word or reference at the start of text; 1 for anything else. */
static size_t token(struct med_str text)
{
    size_t len = 0;
    if (text.ptr[0] == '&') {
        const char *end = memchr(text.ptr, ';', text.len);
        return end ? (size_t)(end - text.ptr) + 1 : 1;
    }
    while (len < text.len && is_letter(text.ptr[len])) len++;
    return len > 0 ? len : 1;
}

static void put_words(struct gen *g, enum kind kind, struct med_str text)
{
    for (size_t pos = 0; pos < text.len;) {
        struct med_str word = med_str_sub(text, pos, text.len);
        word.len = token(word);
        pos += word.len;
        uint64_t dice = med_rng_below(&g->rng, 1000);
        if (word.len < WORD_BYTES_MIN || !is_letter(word.ptr[0]) || dice >= 605)
            med_buf_append_str(&g->out, word);
        else if (dice >= 600)
            put_rare_word(g, word.len + 3);
        else
            med_buf_append_str(&g->out, draw(g, kind));
    }
}

static void put_digits(struct gen *g, struct med_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool digit = c >= '0' && c <= '9';
        med_buf_putc(&g->out, digit ? (char)('1' + med_rng_below(&g->rng, 9)) : c);
    }
}

static void put_text(struct gen *g, enum kind kind, struct med_str tag, struct med_str text)
{
    unsigned long long year;
    bool own = kind == PMID && !g->pmid_told;
    own |= kind == DIGITS && memmem(tag.ptr, tag.len, "\"pubmed\"", 8) && text.len >= 6;
    if (own) {
        med_buf_printf(&g->out, "%llu", (unsigned long long)g->pmid);
        g->pmid_told = true;
    } else if (kind == DIGITS || kind == PMID) {
        put_digits(g, text);
    } else if (kind == YEAR && med_str_to_u64(text, &year)) {
        med_buf_printf(&g->out, "%llu", year + 2 - med_rng_below(&g->rng, 15));
    } else if (has_pool_of_words(kind)) {
        put_words(g, kind, text);
    } else {
        med_buf_append_str(&g->out, text);
    }
}

/* ---- records ---- */

/* One step through a record: a tag, and the text up to the next. False at the end. */
static bool step(
    struct med_str record, size_t *pos, struct med_str *ret_tag, struct med_str *ret_text)
{
    if (*pos >= record.len) return false;
    const char *start = record.ptr + *pos, *end = record.ptr + record.len;
    const char *close = memchr(start, '>', (size_t)(end - start));
    if (!close) return false;
    const char *next = memchr(close, '<', (size_t)(end - close));
    if (!next) next = end;
    *ret_tag = (struct med_str){.ptr = start, .len = (size_t)(close + 1 - start)};
    *ret_text = (struct med_str){.ptr = close + 1, .len = (size_t)(next - close - 1)};
    *pos = (size_t)(next - record.ptr);
    return true;
}

/* The element that begins with tag at pos - tag - text, up to the '>' of its end tag. */
static struct med_str whole_element(struct med_str record, struct med_str tag, size_t pos)
{
    const char *close = memchr(record.ptr + pos, '>', record.len - pos);
    return (struct med_str){.ptr = tag.ptr, .len = close ? (size_t)(close + 1 - tag.ptr) : tag.len};
}

static void fill_pools(struct gen *g)
{
    for (size_t r = 0; r < g->records.count; r++) {
        struct med_str record = g->records.items[r], tag, text;
        for (size_t pos = 0; step(record, &pos, &tag, &text);) {
            enum kind kind = kind_of(tag);
            if (kind >= KEEP) continue;
            if (!has_pool_of_words(kind)) {
                add(&g->pools[kind], whole_element(record, tag, pos));
                continue;
            }
            for (size_t at = 0; at < text.len;) {
                struct med_str word = med_str_sub(text, at, text.len);
                word.len = token(word);
                at += word.len;
                if (word.len >= WORD_BYTES_MIN && is_letter(word.ptr[0]))
                    add(&g->pools[kind], word);
            }
        }
    }
    for (int kind = 0; kind < KEEP; kind++) {
        if (g->pools[kind].count == 0) die("the input has too few elements to draw from");
    }
}

static void make_citation(struct gen *g, struct med_str record)
{
    bool bare = !med_str_starts(record, MED_STR("<PubmedArticle>"));
    enum kind open[DEPTH_MAX] = {KEEP};
    struct med_str tags[DEPTH_MAX] = {{0}}, tag, text;
    unsigned depth = 0;
    med_buf_reset(&g->out);
    g->pmid_told = false;
    if (bare) med_buf_puts(&g->out, "<PubmedArticle>\n");
    for (size_t pos = 0; step(record, &pos, &tag, &text);) {
        bool end = tag.len > 1 && tag.ptr[1] == '/';
        bool empty = tag.ptr[tag.len - 2] == '/' || tag.ptr[1] == '!';
        if (end && depth > 0) depth--;
        enum kind kind = end || empty ? open[depth] : kind_of(tag);
        if (kind >= LAST && kind < KEEP && !end && !empty) {
            med_buf_append_str(&g->out, draw(g, kind)); /* with its end tag, which is passed over */
            if (!step(record, &pos, &tag, &text)) break;
            med_buf_append_str(&g->out, text);
            continue;
        }
        if (!end && !empty && kind == KEEP && depth > 0) kind = open[depth]; /* <i> in a text */
        if (!end && !empty && depth + 1 < DEPTH_MAX) {
            open[++depth] = kind;
            tags[depth] = tag;
        }
        med_buf_append_str(&g->out, tag);
        put_text(g, open[depth], tags[depth], text);
    }
    med_buf_puts(&g->out, bare ? "\n</PubmedArticle>\n" : "\n");
}

static void put(gzFile file, struct med_str bytes)
{
    if (gzwrite(file, bytes.ptr, (unsigned)bytes.len) != (int)bytes.len) die("cannot write");
}

/* Every real record once, in an order of its own, before any comes again. */
static uint64_t write_file(struct gen *g, const char *path, uint64_t citations, int level)
{
    char mode[] = {'w', 'b', (char)('0' + level), '\0'};
    uint64_t bytes = 0;
    gzFile file = gzopen(path, mode);
    if (!file) die(path);
    put(file, MED_STR("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
                      "<!DOCTYPE PubmedArticleSet SYSTEM "
                      "\"http://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd\">\n"
                      "<PubmedArticleSet>\n"));
    for (uint64_t i = 0; i < citations; i++) {
        size_t left = g->records.count - i % g->records.count;
        size_t pick = g->records.count - left + med_rng_below(&g->rng, left);
        struct med_str record = g->records.items[pick];
        g->records.items[pick] = g->records.items[g->records.count - left];
        g->records.items[g->records.count - left] = record;
        g->pmid += 1 + med_rng_below(&g->rng, 3);
        make_citation(g, record);
        if (g->out.code) die("a citation is too long");
        put(file, med_buf_str(&g->out));
        bytes += g->out.len;
    }
    put(file, MED_STR("</PubmedArticleSet>\n"));
    if (gzclose(file) != Z_OK) die("cannot write");
    return bytes;
}

int main(int argc, char **argv)
{
    static struct gen g = {.pmid = FIRST_PMID};
    unsigned long long seed = 1, citations = 30000, files = 1, level = 6;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        struct med_str name = med_str_of(argv[i]);
        unsigned long long *value = med_str_eq(name, MED_STR("--seed"))        ? &seed
                                    : med_str_eq(name, MED_STR("--citations")) ? &citations
                                    : med_str_eq(name, MED_STR("--files"))     ? &files
                                    : med_str_eq(name, MED_STR("--level"))     ? &level
                                                                               : NULL;
        if (!value || !med_str_to_u64(med_str_of(argv[i + 1]), value)) die("see its head");
    }
    if (argc - i < 2 || level > 9 || files > 9999) die("see its head");
    const char *dir = argv[i++];
    med_rng_seed(&g.rng, seed);
    med_buf_init(&g.input, INPUT_BYTES_MAX);
    med_buf_init(&g.out, 64 * MED_MIB);
    for (; i < argc; i++) read_gzip(&g.input, argv[i]);
    find_records(&g);
    if (g.records.count == 0) die("no citations in the input");
    fill_pools(&g);
    if (mkdir(dir, 0777) != 0 && access(dir, W_OK) != 0) die("cannot make the folder");
    for (unsigned f = 1; f <= files; f++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/pubmed26n%04u.xml.gz", dir, f);
        uint64_t bytes = write_file(&g, path, citations, (int)level);
        printf(
            "%s: %llu citations, %llu bytes of XML\n", path, citations, (unsigned long long)bytes);
    }
    return 0;
}
