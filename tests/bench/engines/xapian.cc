/* Xapian in the lexical comparison:
 *
 *   engine_xapian index raw|terms FILE DIR
 *   engine_xapian serve DIR QUERIES K
 *
 * "raw" analyses titles and texts with Xapian's TermGenerator and its English stemmer, without
 * positions; "terms" takes the terms that medicus made. The glass backend, compacted for searching;
 * BM25 with the parameters that medicus has. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wc++20-extensions"
extern "C" {
#include "common/clock.h"
#include "engine.h"
}
#include <xapian.h>
#pragma GCC diagnostic pop

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace
{

constexpr size_t term_bytes_max = 245; /* of Xapian's backend */

struct Server {
    Xapian::Database db;
    struct lines queries;
    size_t k;
};

std::string string_of(struct med_str s)
{
    return std::string(s.ptr, s.len);
}

Xapian::Document document_of_terms(struct med_str line)
{
    Xapian::Document doc;
    struct med_str word;
    while (lines_next_word(&line, &word))
        if (word.len <= term_bytes_max) doc.add_term(string_of(word));
    return doc;
}

void build(bool raw, const char *file, const char *dir)
{
    struct lines lines;
    lines_open(file, &lines);
    const std::string target = dir, loose = target + ".loose";
    const uint64_t start = med_now_ns();
    {
        Xapian::WritableDatabase db(loose, Xapian::DB_CREATE_OR_OVERWRITE);
        Xapian::TermGenerator generator;
        generator.set_stemmer(Xapian::Stem("en"));
        generator.set_stemming_strategy(Xapian::TermGenerator::STEM_ALL);
        for (size_t i = 0; i < lines.count; i++) {
            if (!raw) {
                db.add_document(document_of_terms(lines.items[i]));
                continue;
            }
            struct med_str title, text;
            lines_split(lines.items[i], &title, &text);
            Xapian::Document doc;
            generator.set_document(doc);
            generator.index_text_without_positions(string_of(title), ENGINE_TITLE_WEIGHT);
            generator.index_text_without_positions(string_of(text));
            db.add_document(doc);
        }
        db.commit();
    }
    const uint64_t ns = med_now_ns() - start;
    Xapian::Database(loose).compact(target, Xapian::DBCOMPACT_NO_RENUMBER);
    engine_report_index(lines.count, ns, dir);
    lines_close(&lines);
}

size_t search(void *ctx, size_t query, uint32_t *ret_ids)
{
    const Server *server = static_cast<const Server *>(ctx);
    struct med_str text, words, word;
    lines_split(server->queries.items[query], &text, &words);
    std::vector<std::string> terms;
    while (lines_next_word(&words, &word)) terms.push_back(string_of(word));
    Xapian::Enquire enquire(server->db);
    enquire.set_weighting_scheme(Xapian::BM25Weight(ENGINE_K1, 0, 0, ENGINE_B, 0));
    enquire.set_query(Xapian::Query(Xapian::Query::OP_OR, terms.begin(), terms.end()));
    const Xapian::MSet found = enquire.get_mset(0, static_cast<Xapian::doccount>(server->k));
    size_t count = 0;
    for (auto hit = found.begin(); hit != found.end(); ++hit) ret_ids[count++] = *hit - 1;
    return count;
}

void serve(const char *dir, const char *queries, size_t k)
{
    Server server = {Xapian::Database(dir), {}, k};
    lines_open(queries, &server.queries);
    struct engine engine = {};
    engine.ctx = &server;
    engine.query_count = server.queries.count;
    engine.k = k;
    engine.search = search;
    engine_serve(&engine);
    lines_close(&server.queries);
}

} // namespace

int main(int argc, char **argv)
{
    try {
        const size_t k = argc == 5 ? std::strtoul(argv[4], nullptr, 10) : 0;
        if (argc == 5 && std::strcmp(argv[1], "index") == 0)
            build(std::strcmp(argv[2], "raw") == 0, argv[3], argv[4]);
        else if (argc == 5 && std::strcmp(argv[1], "serve") == 0 && k > 0 && k <= ENGINE_K_MAX)
            serve(argv[2], argv[3], k);
        else
            engine_die("usage: engine_xapian index raw|terms FILE DIR | serve DIR QUERIES K");
    } catch (const Xapian::Error &error) {
        engine_die(error.get_description().c_str());
    }
    return 0;
}
