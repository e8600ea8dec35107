/* FAISS's HNSW over rows that it neither owns nor copies.
 *
 * RowIndex is a faiss::Index whose distance computer is our kernel: -(inner product), because
 * FAISS 1.7.3 searches graphs for small distances. Graphs are built and searched through
 * faiss::HNSW directly, not through IndexHNSW::add and ::search: these copy vectors and start
 * OpenMP threads, whereas here the caller's threads do all work, rows of zeros can be left out, and
 * a build can be stopped.
 *
 * Every entry point that C calls is noexcept in effect: try, and an error code for whatever was
 * thrown. */
/* C functions may bear the name of a struct; C++ warns about the hidden constructor. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "common/parallel.h"
#include "common/progress.h"
}
#include "index/dense/faiss_shim.h"

#include "index/dense/kernels.h"
#pragma GCC diagnostic pop

#include <faiss/Clustering.h>
#include <faiss/Index.h>
#include <faiss/IndexFlat.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/HNSW.h>
#include <faiss/impl/IDSelector.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include <omp.h>

namespace
{

constexpr uint32_t no_link = UINT32_MAX; /* MED_GRAPH_NO_LINK; as a FAISS link it is -1 */
constexpr uint32_t levels_max = 24;      /* MED_GRAPH_LEVELS_MAX */
constexpr uint64_t grain = 64;
static_assert(sizeof(faiss::HNSW::storage_idx_t) == sizeof(uint32_t), "links are 32 bits");

/* Damaged rows score NaN or infinity, which would break FAISS's heaps. */
inline float clean(float score)
{
    return score >= -3.0e38f && score <= 3.0e38f ? score : 0.0f;
}

struct RowDistances final : faiss::DistanceComputer {
    const med_faiss_rows rows;
    const med_dense_kernels *const kernels = med_dense_kernels_best();
    const float *query = nullptr; /* padded */

    explicit RowDistances(const med_faiss_rows &r) : rows(r) {}

    const uint16_t *row(idx_t i) const
    {
        return rows.base + static_cast<size_t>(i) * rows.padded;
    }
    void set_query(const float *x) override
    {
        query = x;
    }
    float operator()(idx_t i) override
    {
        return -clean(kernels->dot(row(i), query, rows.padded));
    }
    float symmetric_dis(idx_t i, idx_t j) override
    {
        return -clean(kernels->dot_rows(row(i), row(j), rows.padded));
    }
};

struct RowIndex final : faiss::Index {
    const med_faiss_rows rows;

    explicit RowIndex(const med_faiss_rows &r)
        : faiss::Index(static_cast<idx_t>(r.dim), faiss::METRIC_INNER_PRODUCT), rows(r)
    {
        ntotal = r.count;
    }
    faiss::DistanceComputer *get_distance_computer() const override
    {
        return new RowDistances(rows);
    }
    void add(idx_t, const float *) override
    {
        FAISS_THROW_MSG("the rows belong to the caller");
    }
    void search(idx_t, const float *, idx_t, float *, idx_t *,
        const faiss::SearchParameters *) const override
    {
        FAISS_THROW_MSG("rows are scanned by scan.c");
    }
    void reset() override
    {
        FAISS_THROW_MSG("the rows belong to the caller");
    }
};

struct BitSelector final : faiss::IDSelector {
    const uint64_t *const words;

    explicit BitSelector(const uint64_t *w) : words(w) {}
    bool is_member(idx_t id) const override
    {
        return words[id >> 6] >> (id & 63) & 1;
    }
};

/* What one search needs; kept between searches. */
struct Context {
    std::unique_ptr<faiss::DistanceComputer> distances;
    faiss::VisitedTable visited;
    std::vector<faiss::Index::idx_t> ids;
    std::vector<float> scores;

    explicit Context(const RowIndex &index)
        : distances(index.get_distance_computer()), visited(static_cast<int>(index.ntotal))
    {
    }
};

enum med_code translate(struct med_err *err, const char *what)
{
    try {
        throw;
    } catch (const std::bad_alloc &) {
        return med_fail(err, MED_E_NOMEM, "out of memory while %s", what);
    } catch (const std::exception &e) {
        return med_fail(err, MED_E_INTERNAL, "FAISS failed while %s: %s", what, e.what());
    } catch (...) {
        return med_fail(err, MED_E_INTERNAL, "FAISS failed while %s", what);
    }
}

} // namespace

struct med_faiss_hnsw {
    RowIndex index;
    faiss::HNSW graph;
    std::mutex lock; /* guards idle */
    std::vector<std::unique_ptr<Context>> idle;

    med_faiss_hnsw(const med_faiss_rows &rows, uint32_t m) : index(rows), graph(static_cast<int>(m))
    {
    }

    std::unique_ptr<Context> borrow()
    {
        {
            std::lock_guard<std::mutex> guard(lock);
            if (!idle.empty()) {
                std::unique_ptr<Context> context = std::move(idle.back());
                idle.pop_back();
                return context;
            }
        }
        return std::make_unique<Context>(index);
    }
    void give_back(std::unique_ptr<Context> context)
    {
        std::lock_guard<std::mutex> guard(lock);
        idle.push_back(std::move(context));
    }
};

namespace
{

/* --- building --- */

struct Locks {
    std::vector<omp_lock_t> all;

    explicit Locks(size_t count) : all(count)
    {
        for (omp_lock_t &one : all) omp_init_lock(&one);
    }
    ~Locks()
    {
        for (omp_lock_t &one : all) omp_destroy_lock(&one);
    }
    Locks(const Locks &) = delete;
    Locks &operator=(const Locks &) = delete;
};

struct Worker {
    RowDistances distances;
    faiss::VisitedTable visited;
    std::vector<float> query;

    explicit Worker(const med_faiss_rows &rows)
        : distances(rows), visited(static_cast<int>(rows.count)), query(rows.padded)
    {
        distances.set_query(query.data());
    }
};

struct Build {
    med_faiss_hnsw *hnsw;
    const struct med_progress *progress;
    std::vector<uint32_t> order; /* rows, highest level first */
    std::unique_ptr<Locks> locks;
    std::vector<std::unique_ptr<Worker>> workers;
    std::atomic<uint64_t> done{0};
    uint64_t reported = 0; /* worker 0 only */

    void add(Worker &worker, uint32_t row)
    {
        const med_faiss_rows &rows = hnsw->index.rows;
        worker.distances.kernels->to_float(
            worker.distances.row(row), worker.query.data(), rows.padded);
        hnsw->graph.add_with_locks(worker.distances, hnsw->graph.levels[row] - 1,
            static_cast<int>(row), locks->all, worker.visited);
    }
};

/* Draws levels and orders rows: all of a higher level come first, so that the entry point is the
 * first of them and stays it; within a level the order is random, as neighbours in the file tend to
 * be alike. */
void plan(Build &build, const uint64_t *skip, uint64_t seed)
{
    faiss::HNSW &graph = build.hnsw->graph;
    const uint32_t count = build.hnsw->index.rows.count;
    std::vector<std::vector<uint32_t>> by_level(levels_max + 1);
    size_t links = 0;
    graph.rng = faiss::RandomGenerator(static_cast<int64_t>(seed & 0x7fffffffffffffff));
    graph.levels.resize(count);
    for (uint32_t row = 0; row < count; row++) {
        const bool skipped = skip && (skip[row >> 6] >> (row & 63) & 1);
        int levels = skipped ? 0 : graph.random_level() + 1;
        levels = std::min(levels, static_cast<int>(levels_max));
        graph.levels[row] = levels;
        links += static_cast<size_t>(graph.cum_nb_neighbors(levels));
        if (levels > 0) by_level[static_cast<size_t>(levels)].push_back(row);
    }
    graph.offsets.reserve(static_cast<size_t>(count) + 1);
    graph.neighbors.reserve(links);
    graph.prepare_level_tab(count, true);
    build.order.reserve(count);
    for (size_t levels = levels_max; levels > 0; levels--) {
        std::vector<uint32_t> &rows = by_level[levels];
        for (size_t left = rows.size(); left > 1; left--) {
            const auto other = static_cast<size_t>(graph.rng.rand_int64()) % left;
            std::swap(rows[left - 1], rows[other]);
        }
        build.order.insert(build.order.end(), rows.begin(), rows.end());
    }
}

} // namespace

extern "C" {

static enum med_code add_rows(
    void *ctx, unsigned number, uint64_t begin, uint64_t end, struct med_err *err)
{
    Build *build = static_cast<Build *>(ctx);
    try {
        for (uint64_t i = begin; i < end; i++)
            build->add(*build->workers[number], build->order[i + 1]);
    } catch (...) {
        return translate(err, "building the vector graph");
    }
    const uint64_t done = build->done += end - begin;
    const uint64_t total = build->order.size();
    if (number == 0 && done - build->reported >= total / 200) {
        build->reported = done;
        if (!med_progress(build->progress, "graph", done, total, "vectors"))
            return med_fail(err, MED_E_CANCELLED, "cancelled while building the vector graph");
    }
    return MED_OK;
}

enum med_code med_faiss_hnsw_build(const struct med_faiss_rows *rows, const uint64_t *skip,
    const struct med_faiss_hnsw_options *options, struct med_faiss_hnsw **ret_hnsw,
    struct med_err *err)
{
    try {
        auto hnsw = std::make_unique<med_faiss_hnsw>(*rows, options->m);
        hnsw->graph.efConstruction = static_cast<int>(options->ef_construction);
        Build build;
        build.hnsw = hnsw.get();
        build.progress = options->progress;
        plan(build, skip, options->seed);
        build.locks = std::make_unique<Locks>(rows->count);
        const unsigned threads = std::max(1u, std::min(options->threads, 1024u));
        for (unsigned t = 0; t < threads; t++)
            build.workers.push_back(std::make_unique<Worker>(*rows));
        if (!build.order.empty()) {
            build.add(*build.workers[0], build.order[0]); /* the entry point */
            const enum med_code code =
                med_parallel_for(threads, build.order.size() - 1, grain, add_rows, &build, err);
            if (code != MED_OK) return code;
        }
        *ret_hnsw = hnsw.release();
        return MED_OK;
    } catch (...) {
        return translate(err, "building the vector graph");
    }
}

enum med_code med_faiss_hnsw_load(const struct med_faiss_rows *rows,
    const struct med_faiss_links *links, struct med_faiss_hnsw **ret_hnsw, struct med_err *err)
{
    try {
        auto hnsw = std::make_unique<med_faiss_hnsw>(*rows, links->m);
        faiss::HNSW &graph = hnsw->graph;
        const size_t count = rows->count, m = links->m;
        graph.levels.assign(links->levels, links->levels + count);
        graph.offsets.resize(count + 1);
        graph.neighbors.reserve(count * 2 * m + links->upper_count);
        const uint32_t *upper = links->upper;
        bool any = false;
        for (size_t row = 0; row < count; row++) {
            graph.offsets[row] = graph.neighbors.size();
            const size_t levels = links->levels[row];
            if (levels == 0) continue;
            any = true;
            const uint32_t *level_0 = links->level_0 + row * 2 * m;
            graph.neighbors.insert(graph.neighbors.end(), level_0, level_0 + 2 * m);
            graph.neighbors.insert(graph.neighbors.end(), upper, upper + (levels - 1) * m);
            upper += (levels - 1) * m;
        }
        graph.offsets[count] = graph.neighbors.size();
        /* Levels beyond those that FAISS would draw still need their place in this table. */
        while (graph.cum_nneighbor_per_level.size() < levels_max + 1)
            graph.cum_nneighbor_per_level.push_back(
                graph.cum_nneighbor_per_level.back() + static_cast<int>(m));
        graph.entry_point = any ? static_cast<int>(links->entry_point) : -1;
        graph.max_level = any ? static_cast<int>(links->max_level) : -1;
        *ret_hnsw = hnsw.release();
        return MED_OK;
    } catch (...) {
        return translate(err, "loading the vector graph");
    }
}

void med_faiss_hnsw_free(struct med_faiss_hnsw **hnsw)
{
    delete *hnsw;
    *hnsw = nullptr;
}

uint32_t med_faiss_hnsw_entry_point(const struct med_faiss_hnsw *hnsw)
{
    return static_cast<uint32_t>(hnsw->graph.entry_point);
}

uint32_t med_faiss_hnsw_max_level(const struct med_faiss_hnsw *hnsw)
{
    return static_cast<uint32_t>(hnsw->graph.max_level);
}

uint32_t med_faiss_hnsw_levels(const struct med_faiss_hnsw *hnsw, uint32_t row)
{
    return static_cast<uint32_t>(hnsw->graph.levels[row]);
}

const uint32_t *med_faiss_hnsw_links(
    const struct med_faiss_hnsw *hnsw, uint32_t row, uint32_t level)
{
    size_t begin, end;
    hnsw->graph.neighbor_range(row, static_cast<int>(level), &begin, &end);
    return reinterpret_cast<const uint32_t *>(hnsw->graph.neighbors.data() + begin);
}

enum med_code med_faiss_hnsw_search(struct med_faiss_hnsw *hnsw, const float *query,
    const uint64_t *words, uint32_t ef, uint32_t k,
    void (*take)(void *ctx, uint32_t row, float score), void *ctx, struct med_err *err)
{
    if (hnsw->graph.entry_point < 0) return MED_OK;
    try {
        std::unique_ptr<Context> context = hnsw->borrow();
        context->ids.assign(k, -1);
        context->scores.assign(k, std::numeric_limits<float>::max());
        context->distances->set_query(query);
        BitSelector selector(words);
        faiss::SearchParametersHNSW params;
        params.efSearch = static_cast<int>(ef);
        params.sel = words ? &selector : nullptr;
        hnsw->graph.search(*context->distances, static_cast<int>(k), context->ids.data(),
            context->scores.data(), context->visited, &params);
        context->visited.advance();
        for (uint32_t i = 0; i < k; i++) {
            if (context->ids[i] < 0) continue;
            take(ctx, static_cast<uint32_t>(context->ids[i]), -context->scores[i]);
        }
        hnsw->give_back(std::move(context));
        return MED_OK;
    } catch (...) {
        return translate(err, "searching the vector graph");
    }
}
}
