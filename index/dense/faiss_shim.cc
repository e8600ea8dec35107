/* FAISS's HNSW over rows that it neither owns nor copies.
 *
 * RowDistances is FAISS's extension point: its distance is our kernel's -(inner product) of
 * coarse bytes, as FAISS 1.7.3 links rows of small distance. Graphs are built through faiss::HNSW
 * directly, not through IndexHNSW::add: that copies vectors and starts OpenMP threads, whereas here
 * our own threads do all work, rows of zeros are left out, and a build reports progress and can be
 * stopped.
 *
 * Every entry point that C calls is noexcept in effect: try, and an error code for whatever was
 * thrown. */
/* C functions may bear the name of a struct; C++ warns about the hidden constructor. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "common/mem.h"
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

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include <omp.h>

namespace
{

constexpr uint32_t no_link = UINT32_MAX; /* MED_GRAPH_NO_LINK; as a FAISS link it is -1 */
constexpr uint32_t levels_max = 24;      /* MED_GRAPH_LEVELS_MAX */
constexpr uint64_t grain = 64;
static_assert(sizeof(faiss::HNSW::storage_idx_t) == sizeof(uint32_t), "links are 32 bits");

/* A row as the other side of products: its coarse bytes with their sign. */
struct Other {
    std::vector<int8_t> storage;
    int8_t *codes; /* 64-byte aligned, in storage */
    int32_t bias = 0;
    float scale = 0;
    faiss::Index::idx_t row = -1;

    explicit Other(size_t padded) : storage(padded + 64)
    {
        const size_t over = reinterpret_cast<uintptr_t>(storage.data()) % 64;
        codes = storage.data() + (64 - over) % 64;
    }
};

/* The inner product of coarse bytes, as med_dense_near gives it. */
struct RowDistances final : faiss::DistanceComputer {
    const med_faiss_rows rows;
    const med_dense_kernels *const kernels = med_dense_kernels_best();
    Other query, second;

    explicit RowDistances(const med_faiss_rows &r) : rows(r), query(r.padded), second(r.padded) {}

    const uint8_t *row(idx_t i) const
    {
        const size_t number = static_cast<size_t>(i), in_block = number % rows.block_rows;
        return rows.base + ((number - in_block) * 2 + in_block) * rows.padded;
    }
    void load(Other &other, idx_t i) const
    {
        const uint8_t *codes = row(i);
        int32_t sum = 0;
        for (uint32_t v = 0; v < rows.padded; v++) {
            other.codes[v] = static_cast<int8_t>(codes[v] - 128);
            sum += other.codes[v];
        }
        other.bias = 128 * sum;
        other.scale = rows.scales[i] * 65536.0f;
        other.row = i;
    }
    float distance(const Other &other, idx_t i) const
    {
        const int32_t sum = kernels->code_dot(row(i), other.codes, rows.padded);
        return -static_cast<float>(sum - other.bias) * (rows.scales[i] * other.scale);
    }
    void set_query(const float *) override {} /* rows are linked, nothing else: load(query, row) */
    float operator()(idx_t i) override
    {
        return distance(query, i);
    }
    /* One row is compared with many, one after the other: FAISS keeps the second fixed. */
    float symmetric_dis(idx_t i, idx_t j) override
    {
        if (second.row != j) load(second, j);
        return distance(second, i);
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

    explicit Worker(const med_faiss_rows &rows)
        : distances(rows), visited(static_cast<int>(rows.count))
    {
    }
};

struct Build {
    const med_faiss_rows rows;
    faiss::HNSW graph;
    const struct med_progress *progress;
    std::vector<uint32_t> order; /* rows, highest level first */
    std::unique_ptr<Locks> locks;
    std::vector<std::unique_ptr<Worker>> workers;
    std::atomic<uint64_t> done{0};
    uint64_t reported = 0; /* worker 0 only */

    Build(const med_faiss_rows &r, const med_faiss_hnsw_options &options)
        : rows(r), graph(static_cast<int>(options.m)), progress(options.progress)
    {
        graph.efConstruction = static_cast<int>(options.ef_construction);
    }

    void add(Worker &worker, uint32_t row)
    {
        worker.distances.load(worker.distances.query, row);
        graph.add_with_locks(worker.distances, graph.levels[row] - 1, static_cast<int>(row),
            locks->all, worker.visited);
    }
};

/* OpenMP's number of threads for what this thread starts, as long as it lives. */
struct Threads {
    const int before = omp_get_max_threads();

    explicit Threads(unsigned count)
    {
        omp_set_num_threads(static_cast<int>(std::max(1u, std::min(count, 1024u))));
    }
    ~Threads()
    {
        omp_set_num_threads(before);
    }
    Threads(const Threads &) = delete;
    Threads &operator=(const Threads &) = delete;
};

/* Draws levels and orders rows: all of a higher level come first, so that the entry point is the
 * first of them and stays it; within a level the order is random, as neighbours in the file tend to
 * be alike. */
void plan(Build &build, const uint64_t *skip, uint64_t seed)
{
    faiss::HNSW &graph = build.graph;
    const uint32_t count = build.rows.count;
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

/* FAISS's arrays in our layout. */
enum med_code take_out(
    const faiss::HNSW &graph, size_t m, struct med_faiss_graph *ret_graph, struct med_err *err)
{
    const size_t count = graph.levels.size();
    struct med_faiss_graph out = {};
    for (const int levels : graph.levels)
        out.upper_count += levels > 1 ? static_cast<size_t>(levels - 1) * m : 0;
    out.levels = static_cast<uint8_t *>(med_malloc(count));
    out.level_0 = static_cast<uint32_t *>(med_malloc(count * 2 * m * sizeof(uint32_t)));
    out.upper = static_cast<uint32_t *>(med_malloc((out.upper_count + 1) * sizeof(uint32_t)));
    if (!out.levels || !out.level_0 || !out.upper) {
        med_faiss_graph_free(&out);
        return med_fail(err, MED_E_NOMEM, "out of memory for the links of %zu vectors", count);
    }
    uint32_t *upper = out.upper;
    for (size_t row = 0; row < count; row++) {
        const size_t levels = static_cast<size_t>(graph.levels[row]);
        const auto *links = graph.neighbors.data() + graph.offsets[row];
        out.levels[row] = static_cast<uint8_t>(levels);
        if (levels == 0) {
            std::fill_n(out.level_0 + row * 2 * m, 2 * m, no_link);
            continue;
        }
        std::copy_n(links, 2 * m, out.level_0 + row * 2 * m);
        upper = std::copy_n(links + 2 * m, (levels - 1) * m, upper);
    }
    out.entry_point = static_cast<uint32_t>(graph.entry_point);
    out.max_level = static_cast<uint32_t>(graph.max_level);
    *ret_graph = out;
    return MED_OK;
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
    const struct med_faiss_hnsw_options *options, struct med_faiss_graph *ret_graph,
    struct med_err *err)
{
    try {
        Build build(*rows, *options);
        plan(build, skip, options->seed);
        build.locks = std::make_unique<Locks>(rows->count);
        const unsigned threads = std::max(1u, std::min(options->threads, 1024u));
        for (unsigned t = 0; t < threads; t++)
            build.workers.push_back(std::make_unique<Worker>(*rows));
        if (build.order.empty()) return med_fail(err, MED_E_INVALID, "no vector can be linked");
        build.add(*build.workers[0], build.order[0]); /* the entry point */
        const enum med_code code =
            med_parallel_for(threads, build.order.size() - 1, grain, add_rows, &build, err);
        if (code != MED_OK) return code;
        build.workers.clear();
        build.locks.reset();
        return take_out(build.graph, options->m, ret_graph, err);
    } catch (...) {
        return translate(err, "building the vector graph");
    }
}

void med_faiss_graph_free(struct med_faiss_graph *graph)
{
    med_free(graph->levels);
    med_free(graph->level_0);
    med_free(graph->upper);
    std::memset(graph, 0, sizeof *graph);
}

/* --- k-means --- */

enum med_code med_faiss_kmeans(const float *points, uint32_t count, uint32_t dim,
    uint32_t list_count, unsigned threads, uint64_t seed, float *ret_centroids, struct med_err *err)
{
    try {
        const Threads team(threads);
        faiss::ClusteringParameters parameters;
        parameters.spherical = true;
        parameters.niter = 12;
        parameters.seed = static_cast<int>(seed & 0x7fffffff);
        parameters.min_points_per_centroid = 1; /* fewer are no reason to print a warning */
        parameters.max_points_per_centroid = 1 << 20;
        faiss::Clustering clustering(
            static_cast<int>(dim), static_cast<int>(list_count), parameters);
        faiss::IndexFlatIP nearest(dim);
        clustering.train(count, points, nearest);
        std::copy(clustering.centroids.begin(), clustering.centroids.end(), ret_centroids);
        return MED_OK;
    } catch (...) {
        return translate(err, "clustering vectors");
    }
}

enum med_code med_faiss_assign(const float *points, uint32_t count, uint32_t dim,
    const float *centroids, uint32_t list_count, unsigned threads, uint32_t *ret_lists,
    struct med_err *err)
{
    try {
        const Threads team(threads);
        faiss::IndexFlatIP nearest(dim);
        nearest.add(list_count, centroids);
        std::vector<faiss::Index::idx_t> lists(count);
        std::vector<float> scores(count);
        nearest.search(count, points, 1, scores.data(), lists.data());
        for (uint32_t i = 0; i < count; i++) /* -1 only where a centroid is damaged */
            ret_lists[i] = lists[i] < 0 ? 0 : static_cast<uint32_t>(lists[i]);
        return MED_OK;
    } catch (...) {
        return translate(err, "assigning vectors to lists");
    }
}
}
