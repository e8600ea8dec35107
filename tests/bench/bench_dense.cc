/* The dense index beside hnswlib and FAISS alone, on the same vectors in the same run: queries per
 * second on one thread at equal recall, building time, memory. Prints a table and, last, one JSON
 * object.
 *
 *   bench_dense drawn ROWS DIM [THREADS [KEEP [ENGINES]]]
 *   bench_dense files VECTORS QUERIES DIM [THREADS [KEEP [ENGINES]]]
 *
 * "files" hold float32 rows: those of a real index and the vectors of real questions, which
 * bench_extract writes. "drawn" makes them up: rows around topics, their own directions with less
 * and less variance, queries drawn like rows. THREADS build (default 1); KEEP is a folder in which
 * graphs and exact answers stay for another run.
 *
 * hnswlib is compiled for this processor, as its own instructions say; FAISS is Debian's. Graphs
 * are all built with the M and ef that medicus serves with; medicus chooses by itself between a
 * graph and inverted lists ("ef" is then how many lists are probed). Recall is against an exact
 * scan in float32. For each engine the efs around the wanted recall are found first, then measured
 * in alternating rounds. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wc++20-extensions"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wtype-limits"
extern "C" {
#include "common/clock.h"
#include "common/parallel.h"
#include "common/rng.h"
#include "index/dense/dense.h"
}
#include <faiss/IndexHNSW.h>
#include <faiss/index_io.h>
#include <hnswlib/hnswlib.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <malloc.h>
#include <omp.h>
#include <sys/stat.h>
#include <unistd.h>

namespace
{

constexpr size_t k = 10;
constexpr size_t drawn_queries = 500;
constexpr uint32_t m = 24;
constexpr uint32_t ef_construction = 160;
constexpr int rounds = 7;
constexpr double recall_wanted = .98;
const uint32_t efs[] = {1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96,
    128, 160, 192, 256, 384, 512, 768, 1024, 1536, 2048};

struct Data {
    uint32_t dim = 0;
    size_t count = 0, query_count = 0;
    std::vector<float> rows, queries;
    std::vector<std::vector<uint32_t>> truth;
    const float *row(size_t r) const
    {
        return &rows[r * dim];
    }
    const float *query(size_t q) const
    {
        return &queries[q * dim];
    }
};

[[noreturn]] void die(const std::string &sentence)
{
    std::fprintf(stderr, "error: %s\n", sentence.c_str());
    std::exit(1);
}

void must(enum med_code code, const struct med_err &err)
{
    if (code != MED_OK) die(err.text);
}

/* --- vectors, queries, exact answers --- */

void draw_all(Data &data)
{
    struct med_rng rng;
    med_rng_seed(&rng, 1);
    const uint32_t topics = static_cast<uint32_t>(data.count / 500 + 1), dim = data.dim;
    std::vector<float> centres(static_cast<size_t>(topics) * dim);
    for (float &value : centres) value = static_cast<float>(med_rng_normal(&rng));
    const auto draw = [&](float *v) {
        const float *centre = &centres[static_cast<size_t>(med_rng_below(&rng, topics)) * dim];
        double norm = 0;
        for (uint32_t i = 0; i < dim; i++) {
            const double spread = 6 / std::sqrt(1.0 + i);
            v[i] = static_cast<float>(
                .7 * static_cast<double>(centre[i]) + spread * med_rng_normal(&rng));
            norm += static_cast<double>(v[i]) * static_cast<double>(v[i]);
        }
        for (uint32_t i = 0; i < dim; i++)
            v[i] = static_cast<float>(static_cast<double>(v[i]) / std::sqrt(norm));
    };
    data.query_count = drawn_queries;
    data.rows.resize(data.count * dim);
    data.queries.resize(data.query_count * dim);
    for (size_t r = 0; r < data.count; r++) draw(&data.rows[r * dim]);
    for (size_t q = 0; q < data.query_count; q++) draw(&data.queries[q * dim]);
}

std::vector<float> read_floats(const char *path, uint32_t dim)
{
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) die(std::string("cannot read ") + path);
    const size_t bytes = static_cast<size_t>(file.tellg());
    if (dim == 0 || bytes == 0 || bytes % (dim * sizeof(float)) != 0)
        die(std::string("not whole rows: ") + path);
    std::vector<float> values(bytes / sizeof(float));
    file.seekg(0);
    file.read(reinterpret_cast<char *>(values.data()), static_cast<std::streamsize>(bytes));
    return values;
}

struct Scan {
    Data *data;
    hnswlib::InnerProductSpace *space;
};

/* The k nearest rows of queries [begin, end) by an exact scan; ties: the smaller row. */
enum med_code scan_queries(void *ctx, unsigned, uint64_t begin, uint64_t end, struct med_err *)
{
    const Scan *scan = static_cast<Scan *>(ctx);
    const auto distance = scan->space->get_dist_func();
    std::vector<std::pair<float, uint32_t>> all(scan->data->count);
    for (uint64_t q = begin; q < end; q++) {
        for (size_t r = 0; r < all.size(); r++)
            all[r] = {distance(scan->data->query(q), scan->data->row(r),
                          scan->space->get_dist_func_param()),
                static_cast<uint32_t>(r)};
        const size_t wanted = std::min(k, all.size());
        std::partial_sort(
            all.begin(), all.begin() + static_cast<std::ptrdiff_t>(wanted), all.end());
        for (size_t i = 0; i < wanted; i++) scan->data->truth[q].push_back(all[i].second);
    }
    return MED_OK;
}

void find_truth(Data &data, const std::string &keep, unsigned threads)
{
    const std::string path = keep + "/truth";
    data.truth.assign(data.query_count, {});
    if (std::ifstream file(path); file) {
        for (auto &ids : data.truth)
            for (uint32_t i = 0, id; i < std::min(k, data.count) && file >> id; i++)
                ids.push_back(id);
        return;
    }
    hnswlib::InnerProductSpace space(data.dim);
    Scan scan = {&data, &space};
    struct med_err err;
    must(med_parallel_for(threads, data.query_count, 4, scan_queries, &scan, &err), err);
    std::ofstream file(path);
    for (const auto &ids : data.truth)
        for (const uint32_t id : ids) file << id << '\n';
}

/* --- engines --- */

size_t allocated()
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct Built {
    double seconds = 0, processor_seconds = 0, bytes_per_row = 0;
};

double processor_seconds()
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
}

class Engine
{
  public:
    virtual ~Engine() = default;
    virtual const char *name() const = 0;
    virtual void build(const Data &data, const std::string &keep, unsigned threads) = 0;
    virtual void save(const std::string &) {} /* what build has not written itself */
    virtual void open(const Data &data, const std::string &keep) = 0; /* built or saved */
    virtual size_t mapped_bytes() const
    {
        return 0;
    } /* 0: all is in allocated memory */
    virtual void set_ef(uint32_t ef) = 0;
    virtual uint32_t least_ef() const
    {
        return k;
    }
    virtual size_t search(const float *query, uint32_t *ret_ids) = 0;
};

class Medicus : public Engine
{
  public:
    ~Medicus() override
    {
        med_dense_free(&dense);
        med_map_close(&vectors);
        med_map_close(&graph);
    }
    const char *name() const override
    {
        return "medicus";
    }
    void build(const Data &data, const std::string &keep, unsigned threads) override
    {
        struct med_err err;
        struct med_dense_options options = {};
        options.kind = MED_DENSE_AUTO;
        options.dim = data.dim;
        options.hnsw_m = m;
        options.hnsw_ef_construction = ef_construction;
        options.threads = threads;
        struct med_dense_writer *writer;
        struct med_file_ref files[MED_DENSE_FILE_COUNT];
        struct med_dense_report report;
        const std::string dir = keep + "/medicus";
        must(med_fs_mkdir_all(med_fs_posix(), dir.c_str(), &err), err);
        must(med_dense_writer_new(med_fs_posix(), dir.c_str(), &options, &writer, &err), err);
        must(med_dense_writer_add(writer, data.rows.data(), data.count, &err), err);
        must(med_dense_writer_finish(writer, files, &report, &err), err);
        med_dense_writer_free(&writer);
    }
    void open(const Data &, const std::string &keep) override
    {
        struct med_err err;
        must(med_map_open((keep + "/medicus/vectors").c_str(), &vectors, &err), err);
        must(med_map_open((keep + "/medicus/graph").c_str(), &graph, &err), err);
        must(med_dense_open(vectors, graph, &dense, &err), err);
    }
    void set_ef(uint32_t ef) override
    {
        params.ef = ef;
    }
    size_t search(const float *query, uint32_t *ret_ids) override
    {
        struct med_err err;
        const struct med_filter all = {};
        struct med_hit hits[k];
        size_t count;
        must(med_dense_search(dense, query, all, &params, k, hits, &count, &err), err);
        for (size_t i = 0; i < count; i++) ret_ids[i] = hits[i].chunk;
        return count;
    }
    size_t mapped_bytes() const override
    {
        return vectors.len + graph.len;
    }

  private:
    struct med_map vectors = {}, graph = {};
    struct med_dense *dense = nullptr;
    struct med_dense_params params = {};
};

class Hnswlib : public Engine
{
  public:
    const char *name() const override
    {
        return "hnswlib";
    }
    void build(const Data &data, const std::string &, unsigned threads) override
    {
        space = std::make_unique<hnswlib::InnerProductSpace>(data.dim);
        graph = std::make_unique<Graph>(space.get(), data.count, m, ef_construction);
        Job job = {&data, graph.get()};
        struct med_err err;
        graph->addPoint(data.row(0), 0);
        must(med_parallel_for(threads, data.count, 64, add_rows, &job, &err), err);
    }
    void save(const std::string &keep) override
    {
        graph->saveIndex(keep + "/hnswlib");
    }
    void open(const Data &data, const std::string &keep) override
    {
        if (graph) return;
        space = std::make_unique<hnswlib::InnerProductSpace>(data.dim);
        graph = std::make_unique<Graph>(space.get(), keep + "/hnswlib");
    }
    void set_ef(uint32_t ef) override
    {
        graph->setEf(ef);
    }
    size_t search(const float *query, uint32_t *ret_ids) override
    {
        size_t n = 0;
        for (auto found = graph->searchKnn(query, k); !found.empty(); found.pop())
            ret_ids[n++] = static_cast<uint32_t>(found.top().second);
        return n;
    }

  private:
    using Graph = hnswlib::HierarchicalNSW<float>;
    struct Job {
        const Data *data;
        Graph *graph;
    };
    static enum med_code add_rows(
        void *ctx, unsigned, uint64_t begin, uint64_t end, struct med_err *)
    {
        const Job *job = static_cast<Job *>(ctx);
        for (uint64_t r = std::max<uint64_t>(begin, 1); r < end; r++)
            job->graph->addPoint(job->data->row(r), r);
        return MED_OK;
    }
    std::unique_ptr<hnswlib::InnerProductSpace> space;
    std::unique_ptr<Graph> graph;
};

class Faiss : public Engine
{
  public:
    const char *name() const override
    {
        return "FAISS";
    }
    void build(const Data &data, const std::string &, unsigned threads) override
    {
        omp_set_num_threads(static_cast<int>(threads));
        index = std::make_unique<faiss::IndexHNSWFlat>(
            static_cast<int>(data.dim), static_cast<int>(m), faiss::METRIC_INNER_PRODUCT);
        index->hnsw.efConstruction = static_cast<int>(ef_construction);
        index->add(static_cast<faiss::Index::idx_t>(data.count), data.rows.data());
    }
    void save(const std::string &keep) override
    {
        faiss::write_index(index.get(), (keep + "/faiss").c_str());
    }
    void open(const Data &, const std::string &keep) override
    {
        omp_set_num_threads(1);
        if (index) return;
        faiss::Index *loaded = faiss::read_index((keep + "/faiss").c_str());
        index.reset(dynamic_cast<faiss::IndexHNSWFlat *>(loaded));
        if (!index) die("a kept graph of FAISS is of another kind");
    }
    void set_ef(uint32_t ef) override
    {
        index->hnsw.efSearch = static_cast<int>(ef);
    }
    size_t search(const float *query, uint32_t *ret_ids) override
    {
        float distances[k];
        faiss::Index::idx_t ids[k];
        index->search(1, query, static_cast<faiss::Index::idx_t>(k), distances, ids);
        size_t n = 0;
        for (const faiss::Index::idx_t id : ids)
            if (id >= 0) ret_ids[n++] = static_cast<uint32_t>(id);
        return n;
    }

  private:
    std::unique_ptr<faiss::IndexHNSWFlat> index;
};

/* Builds what `keep` does not hold yet; what it took is kept beside it. */
Built build_or_open(Engine &engine, const Data &data, const std::string &keep, unsigned threads)
{
    const std::string note = keep + "/" + engine.name() + ".built";
    Built built;
    if (std::ifstream file(note);
        file >> built.seconds >> built.processor_seconds >> built.bytes_per_row) {
        engine.open(data, keep);
        return built;
    }
    const size_t before = allocated();
    const double spent = processor_seconds();
    const uint64_t begin = med_now_ns();
    engine.build(data, keep, threads);
    built.seconds = static_cast<double>(med_now_ns() - begin) / 1e9;
    built.processor_seconds = processor_seconds() - spent;
    engine.save(keep);
    engine.open(data, keep);
    const size_t mapped = engine.mapped_bytes();
    built.bytes_per_row = static_cast<double>(mapped ? mapped : allocated() - before) /
                          static_cast<double>(data.count);
    std::ofstream(note) << built.seconds << ' ' << built.processor_seconds << ' '
                        << built.bytes_per_row << '\n';
    return built;
}

/* --- measuring --- */

struct Point {
    double recall = 0;
    std::vector<double> times; /* seconds per round */
    double per_second(size_t queries) const
    {
        std::vector<double> sorted = times;
        std::sort(sorted.begin(), sorted.end());
        return static_cast<double>(queries) / sorted[sorted.size() / 2];
    }
};
using Points = std::map<uint32_t, Point>; /* by ef */

/* One round over all queries. */
void round_of(Engine &engine, uint32_t ef, const Data &data, Point &point)
{
    size_t found = 0;
    uint64_t spent = 0;
    uint32_t ids[k];
    engine.set_ef(ef);
    for (size_t q = 0; q < data.query_count; q++) {
        const uint64_t begin = med_now_ns();
        const size_t count = engine.search(data.query(q), ids);
        spent += med_now_ns() - begin;
        for (size_t i = 0; i < count; i++)
            found +=
                static_cast<size_t>(std::count(data.truth[q].begin(), data.truth[q].end(), ids[i]));
    }
    point.recall = static_cast<double>(found) / static_cast<double>(data.query_count * k);
    point.times.push_back(static_cast<double>(spent) / 1e9);
}

/* The efs just below and above the wanted recall: all that need measuring. */
Points bracket(Engine &engine, const Data &data)
{
    Points points;
    for (const uint32_t ef : efs) {
        if (ef < engine.least_ef()) continue;
        round_of(engine, ef, data, points[ef]);
        if (points[ef].recall >= recall_wanted) break;
    }
    while (points.size() > 2) points.erase(points.begin());
    for (auto &[ef, point] : points) point.times.clear(); /* it was the warm-up */
    return points;
}

/* Queries per second at the wanted recall, between the two points around it; 0: not reached. */
double at_recall(const Points &points, size_t queries)
{
    const Point &above = points.rbegin()->second;
    if (above.recall < recall_wanted) return 0;
    const Point &below = points.begin()->second;
    if (below.recall >= above.recall) return above.per_second(queries);
    const double part =
        std::max(0., (recall_wanted - below.recall) / (above.recall - below.recall));
    return below.per_second(queries) +
           part * (above.per_second(queries) - below.per_second(queries));
}

struct Row {
    std::unique_ptr<Engine> engine;
    Built built;
    Points points;
};

void print_json(const Data &data, const std::vector<Row> &rows, unsigned threads)
{
    std::printf("{\"rows\":%zu,\"dim\":%u,\"queries\":%zu,\"recall\":%.2f,\"threads\":%u",
        data.count, data.dim, data.query_count, recall_wanted, threads);
    for (const Row &row : rows)
        std::printf(",\"%s\":{\"queries_per_s\":%.0f,\"ef\":%u,\"recall\":%.4f,\"build_s\":%.6f,"
                    "\"build_processor_s\":%.6f,\"bytes_per_vector\":%.1f}",
            row.engine->name(), at_recall(row.points, data.query_count), row.points.rbegin()->first,
            row.points.rbegin()->second.recall, row.built.seconds, row.built.processor_seconds,
            row.built.bytes_per_row);
    std::printf("}\n");
}

void compare(
    const Data &data, const std::string &keep, unsigned threads, const std::string &engines)
{
    std::vector<std::unique_ptr<Engine>> all;
    all.push_back(std::make_unique<Medicus>());
    all.push_back(std::make_unique<Hnswlib>());
    all.push_back(std::make_unique<Faiss>());
    std::vector<Row> rows;
    for (auto &engine : all)
        if (engines.find(engine->name()) != std::string::npos)
            rows.push_back({std::move(engine), {}, {}});
    for (Row &row : rows) row.built = build_or_open(*row.engine, data, keep, threads);
    for (Row &row : rows) row.points = bracket(*row.engine, data);
    for (int r = 0; r < rounds; r++)
        for (Row &row : rows)
            for (auto &[ef, point] : row.points) round_of(*row.engine, ef, data, point);
    std::printf(
        "%zu vectors of %u dimensions, %zu queries, M = %u, %u threads to build\n\n"
        "| | ef | recall@10 | queries/s | queries/s at %.2f | build s | bytes per vector |\n"
        "|---|---|---|---|---|---|---|\n",
        data.count, data.dim, data.query_count, m, threads, recall_wanted);
    for (const Row &row : rows)
        for (const auto &[ef, point] : row.points)
            std::printf("| %s | %u | %.4f | %.0f | %.0f | %.1f | %.0f |\n", row.engine->name(), ef,
                point.recall, point.per_second(data.query_count),
                at_recall(row.points, data.query_count), row.built.seconds,
                row.built.bytes_per_row);
    print_json(data, rows, threads);
}

} // namespace

int main(int argc, char **argv)
{
    Data data;
    int next;
    if (argc >= 4 && std::strcmp(argv[1], "drawn") == 0) {
        data.count = std::strtoul(argv[2], nullptr, 10);
        data.dim = static_cast<uint32_t>(std::strtoul(argv[3], nullptr, 10));
        draw_all(data);
        next = 4;
    } else if (argc >= 5 && std::strcmp(argv[1], "files") == 0) {
        data.dim = static_cast<uint32_t>(std::strtoul(argv[4], nullptr, 10));
        data.rows = read_floats(argv[2], data.dim);
        data.queries = read_floats(argv[3], data.dim);
        data.count = data.rows.size() / data.dim;
        data.query_count = data.queries.size() / data.dim;
        next = 5;
    } else {
        die("usage: bench_dense drawn ROWS DIM | files VECTORS QUERIES DIM, then "
            "[THREADS [KEEP [ENGINES]]]");
    }
    const unsigned threads =
        argc > next ? static_cast<unsigned>(std::strtoul(argv[next], nullptr, 10)) : 1;
    char dir[] = "/tmp/medicus-bench-XXXXXX";
    const bool kept = argc > next + 1;
    if (!kept && !mkdtemp(dir)) die("no temporary folder");
    const std::string keep = kept ? argv[next + 1] : dir;
    struct med_err err;
    must(med_fs_mkdir_all(med_fs_posix(), keep.c_str(), &err), err);
    find_truth(data, keep, threads);
    compare(data, keep, threads, argc > next + 2 ? argv[next + 2] : "medicus,hnswlib,FAISS");
    if (!kept) must(med_fs_remove_tree(med_fs_posix(), dir, &err), err);
    return 0;
}
