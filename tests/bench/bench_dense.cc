/* The dense index beside hnswlib, on the same vectors in the same run: queries per second on one
 * thread at equal recall, build time, memory. Prints a table and one JSON object.
 *
 *   ninja -C build tests/bench/bench_dense
 *   build/tests/bench/bench_dense [rows [dim [threads for building [m]]]]
 *   build/tests/bench/bench_dense --vectors <segment>/vectors        (a real index's rows)
 *
 * Made-up vectors are drawn around topics, their own directions with less and less variance;
 * queries are drawn like rows, or made from two rows of a real index. The peer is compiled for this
 * processor, as its own instructions say; each figure is the median of alternating rounds. */
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
#include <hnswlib/hnswlib.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

namespace
{

constexpr size_t k = 10;
constexpr size_t query_count = 500;
constexpr int rounds = 5;
constexpr double recall_wanted = .98;
const uint32_t efs[] = {10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768};

struct Data {
    uint32_t dim = 256;
    uint32_t count = 50000;
    std::vector<float> rows, queries;
};

[[noreturn]] void die(const struct med_err &err)
{
    std::fprintf(stderr, "%s\n", err.text);
    std::exit(1);
}

void normalise(float *v, uint32_t dim)
{
    double norm = 0;
    for (uint32_t i = 0; i < dim; i++) norm += static_cast<double>(v[i]) * v[i];
    for (uint32_t i = 0; i < dim; i++) v[i] = static_cast<float>(v[i] / std::sqrt(norm));
}

void draw_all(Data &data)
{
    struct med_rng rng;
    med_rng_seed(&rng, 1);
    const uint32_t topics = data.count / 500 + 1, dim = data.dim;
    std::vector<float> centres(static_cast<size_t>(topics) * dim);
    for (float &value : centres) value = static_cast<float>(med_rng_normal(&rng));
    const auto draw = [&](float *v) {
        const float *centre = &centres[med_rng_below(&rng, topics) * dim];
        for (uint32_t i = 0; i < dim; i++) {
            const double spread = 6 / std::sqrt(1.0 + i);
            v[i] = static_cast<float>(
                .7 * static_cast<double>(centre[i]) + spread * med_rng_normal(&rng));
        }
        normalise(v, dim);
    };
    data.rows.resize(static_cast<size_t>(data.count) * dim);
    data.queries.resize(query_count * dim);
    for (size_t r = 0; r < data.count; r++) draw(&data.rows[r * dim]);
    for (size_t q = 0; q < query_count; q++) draw(&data.queries[q * dim]);
}

struct Ours {
    struct med_map vectors = {}, graph = {};
    struct med_dense *dense = nullptr;
    double build_s = 0;
    double bytes_per_row = 0;
};

void open_ours(const std::string &dir, Ours &ours)
{
    struct med_err err;
    if (med_map_open((dir + "/vectors").c_str(), &ours.vectors, &err) != MED_OK) die(err);
    if (med_map_open((dir + "/graph").c_str(), &ours.graph, &err) != MED_OK) die(err);
    if (med_dense_open(ours.vectors, ours.graph, &ours.dense, &err) != MED_OK) die(err);
}

/* The rows of a real index; queries are middles of two. */
void load_all(const std::string &path, Data &data)
{
    Ours real;
    struct med_err err;
    open_ours(path.substr(0, path.find_last_of('/')), real);
    data.dim = med_dense_dim(real.dense);
    data.count = med_dense_count(real.dense);
    data.rows.resize(static_cast<size_t>(data.count) * data.dim);
    for (uint32_t r = 0; r < data.count; r++) {
        float *row = &data.rows[static_cast<size_t>(r) * data.dim];
        if (med_dense_row(real.dense, r, row, &err) != MED_OK) die(err);
    }
    struct med_rng rng;
    med_rng_seed(&rng, 1);
    data.queries.resize(query_count * data.dim);
    for (size_t q = 0; q < query_count; q++) {
        const float *a = &data.rows[med_rng_below(&rng, data.count) * data.dim];
        const float *b = &data.rows[med_rng_below(&rng, data.count) * data.dim];
        float *query = &data.queries[q * data.dim];
        for (uint32_t i = 0; i < data.dim; i++) query[i] = a[i] + .5f * b[i];
        normalise(query, data.dim);
        if (std::isnan(query[0])) q--; /* rows of zeros */
    }
    med_dense_free(&real.dense);
    med_map_close(&real.vectors);
    med_map_close(&real.graph);
}

void build_ours(const Data &data, const std::string &dir, unsigned threads, uint32_t m, Ours &ours)
{
    struct med_err err;
    struct med_dense_options options = {};
    options.kind = MED_DENSE_HNSW;
    options.dim = data.dim;
    options.hnsw_m = m;
    options.threads = threads;
    struct med_dense_writer *writer;
    struct med_file_ref files[MED_DENSE_FILE_COUNT];
    struct med_dense_report report;
    const uint64_t begin = med_now_ns();
    if (med_dense_writer_new(med_fs_posix(), dir.c_str(), &options, &writer, &err) != MED_OK ||
        med_dense_writer_add(writer, data.rows.data(), data.count, &err) != MED_OK ||
        med_dense_writer_finish(writer, files, &report, &err) != MED_OK)
        die(err);
    ours.build_s = static_cast<double>(med_now_ns() - begin) / 1e9;
    med_dense_writer_free(&writer);
    open_ours(dir, ours);
    ours.bytes_per_row =
        static_cast<double>(ours.vectors.len + ours.graph.len) / static_cast<double>(data.count);
    std::printf("tuned: recall@10 %.3f at ef %.0f (measured within the build time)\n",
        static_cast<double>(report.recall_at_10), static_cast<double>(report.search_ef));
}

using Peer = hnswlib::HierarchicalNSW<float>;

struct PeerBuild {
    const Data *data;
    Peer *peer;
};

enum med_code add_to_peer(void *ctx, unsigned, uint64_t begin, uint64_t end, struct med_err *)
{
    const PeerBuild *build = static_cast<PeerBuild *>(ctx);
    for (uint64_t r = begin; r < end; r++)
        build->peer->addPoint(&build->data->rows[r * build->data->dim], r);
    return MED_OK;
}

size_t allocated()
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct Point {
    double recall = 0;
    std::vector<double> times; /* seconds per round */
    double per_second() const
    {
        std::vector<double> sorted = times;
        std::sort(sorted.begin(), sorted.end());
        return static_cast<double>(query_count) / sorted[sorted.size() / 2];
    }
};

/* One round over all queries. `answer` returns the ids found. */
template <typename Answer>
void round_of(Point &point, const std::vector<std::vector<uint32_t>> &truth, Answer answer)
{
    size_t found = 0;
    uint64_t spent = 0;
    uint32_t ids[k];
    for (size_t q = 0; q < query_count; q++) {
        const uint64_t begin = med_now_ns();
        const size_t count = answer(q, ids);
        spent += med_now_ns() - begin;
        for (size_t i = 0; i < count; i++)
            found += static_cast<size_t>(std::count(truth[q].begin(), truth[q].end(), ids[i]));
    }
    point.recall = static_cast<double>(found) / static_cast<double>(query_count * k);
    point.times.push_back(static_cast<double>(spent) / 1e9);
}

/* Queries per second at the wanted recall, between the two measured points around it. */
double at_recall(const std::map<uint32_t, Point> &points)
{
    const Point *below = nullptr;
    for (const auto &[ef, point] : points) {
        if (point.recall < recall_wanted) {
            below = &point;
            continue;
        }
        if (!below) return point.per_second();
        const double part = (recall_wanted - below->recall) / (point.recall - below->recall);
        return below->per_second() + part * (point.per_second() - below->per_second());
    }
    return 0; /* not reached */
}

} // namespace

int main(int argc, char **argv)
{
    Data data;
    unsigned threads = 1;
    uint32_t m = 16;
    if (argc > 2 && std::strcmp(argv[1], "--vectors") == 0) {
        load_all(argv[2], data);
    } else {
        if (argc > 1) data.count = static_cast<uint32_t>(std::atoi(argv[1]));
        if (argc > 2) data.dim = static_cast<uint32_t>(std::atoi(argv[2]));
        if (argc > 3) threads = static_cast<unsigned>(std::atoi(argv[3]));
        if (argc > 4) m = static_cast<uint32_t>(std::atoi(argv[4]));
        draw_all(data);
    }
    char dir[] = "/tmp/medicus-bench-XXXXXX";
    if (!mkdtemp(dir)) return 1;
    Ours ours;
    build_ours(data, dir, threads, m, ours);

    const size_t before = allocated();
    hnswlib::InnerProductSpace space(data.dim);
    Peer peer(&space, data.count, m, 100);
    const uint64_t begin = med_now_ns();
    PeerBuild build = {&data, &peer};
    peer.addPoint(data.rows.data(), 0);
    if (med_parallel_for(threads, data.count, 64, add_to_peer, &build, nullptr) != MED_OK) return 1;
    const double peer_build_s = static_cast<double>(med_now_ns() - begin) / 1e9;
    const double peer_bytes =
        static_cast<double>(allocated() - before) / static_cast<double>(data.count);

    std::vector<std::vector<uint32_t>> truth(query_count);
    struct med_hit hits[k];
    size_t count;
    const auto search = [&](size_t q, struct med_dense_params params) {
        struct med_err err;
        const struct med_filter all = {};
        if (med_dense_search(ours.dense, &data.queries[q * data.dim], all, &params, k, hits, &count,
                &err) != MED_OK)
            die(err);
    };
    for (size_t q = 0; q < query_count; q++) {
        search(q, {0, true});
        for (size_t i = 0; i < count; i++) truth[q].push_back(hits[i].chunk);
    }
    std::map<uint32_t, Point> our_points, peer_points;
    for (int r = 0; r < rounds; r++) {
        for (const uint32_t ef : efs) {
            round_of(our_points[ef], truth, [&](size_t q, uint32_t *ids) {
                search(q, {ef, false});
                for (size_t i = 0; i < count; i++) ids[i] = hits[i].chunk;
                return count;
            });
            peer.setEf(ef);
            round_of(peer_points[ef], truth, [&](size_t q, uint32_t *ids) {
                auto found = peer.searchKnn(&data.queries[q * data.dim], k);
                size_t n = 0;
                for (; !found.empty(); found.pop())
                    ids[n++] = static_cast<uint32_t>(found.top().second);
                return n;
            });
        }
    }
    std::printf("%u vectors of %u dimensions, M = %u, %u threads to build\n", data.count, data.dim,
        m, threads);
    std::printf("%6s | %9s %9s | %9s %9s\n", "ef", "medicus", "q/s", "hnswlib", "q/s");
    for (const uint32_t ef : efs)
        std::printf("%6u | %9.4f %9.0f | %9.4f %9.0f\n", ef, our_points[ef].recall,
            our_points[ef].per_second(), peer_points[ef].recall, peer_points[ef].per_second());
    const double our_qps = at_recall(our_points), peer_qps = at_recall(peer_points);
    std::printf("at recall %.2f: %.0f against %.0f queries/s, ratio %.2f\n", recall_wanted, our_qps,
        peer_qps, our_qps / peer_qps);
    std::printf("build: %.1f against %.1f s; bytes per vector: %.0f against %.0f, ratio %.2f\n",
        ours.build_s, peer_build_s, ours.bytes_per_row, peer_bytes,
        ours.bytes_per_row / peer_bytes);
    std::printf("{\"rows\":%u,\"dim\":%u,\"recall\":%.2f,\"qps\":%.0f,\"peer_qps\":%.0f,"
                "\"build_s\":%.2f,\"peer_build_s\":%.2f,\"bytes\":%.1f,\"peer_bytes\":%.1f}\n",
        data.count, data.dim, recall_wanted, our_qps, peer_qps, ours.build_s, peer_build_s,
        ours.bytes_per_row, peer_bytes);
    med_dense_free(&ours.dense);
    med_map_close(&ours.vectors);
    med_map_close(&ours.graph);
    struct med_err err;
    if (med_fs_remove_tree(med_fs_posix(), dir, &err) != MED_OK) die(err);
    return 0;
}
