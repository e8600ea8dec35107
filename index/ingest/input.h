/* Where bytes come from: files and stdin, gunzipped, with a look at their head; members of tar
 * archives.
 *
 *   med_raw (a file descriptor) -> med_stream (gunzip, head) -> [med_tar_each -> med_stream] -> a
 * parser
 *
 * Memory is bounded by a few buffers, whatever the size of the input. */
#pragma once

#include "index/ingest/ingest.h"

#define MED_HEAD_BYTES ((size_t)64 << 10) /* what med_format_detect is shown */

/* An open file or, for "-", stdin (not closed). */
struct med_raw {
    int fd;
    uint64_t bytes; /* read so far */
    const char *path;
};
enum med_code med_raw_open(
    const char *path, struct med_raw *ret_raw, struct med_err *err) MED_CHECK;
enum med_code med_raw_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err) MED_CHECK;
void med_raw_close(struct med_raw *raw);

/* A stream that is gunzipped where it begins with gzip's magic (members one after the other are one
 * stream). A damaged or truncated gzip ends like a shorter file, with `problem` set. More than
 * MED_GZIP_RATIO_MAX bytes out per byte in is MED_E_LIMIT. */
struct med_stream;
/* Borrows raw (read and ctx) until closed. */
enum med_code med_stream_open(
    const struct med_input *raw, struct med_stream **ret_stream, struct med_err *err) MED_CHECK;
enum med_code med_stream_read(
    void *ctx, void *ptr, size_t cap, size_t *ret_len, struct med_err *err) MED_CHECK;
/* The first MED_HEAD_BYTES bytes, or all. Call before the first read; reads still begin at the
 * start. */
enum med_code med_stream_head(
    struct med_stream *stream, struct med_str *ret_head, struct med_err *err) MED_CHECK;
/* What was wrong with the compressed bytes, or NULL. To be asked at the end. */
const char *med_stream_problem(const struct med_stream *stream);
uint64_t med_stream_bytes(const struct med_stream *stream); /* handed out or waiting in the head */
void med_stream_close(struct med_stream **stream);

/* True when the head begins a tar archive (ustar, pax or GNU). */
bool med_tar_detect(struct med_str head);
/* Calls member for each regular file; members may be gzipped: open a stream on them. *ret_problem
 * (static or in problem_text) tells of a damaged or truncated archive, whose complete members have
 * been handed out. */
#define MED_TAR_PROBLEM_MAX 256
enum med_code med_tar_each(const struct med_input *in,
    enum med_code (*member)(void *ctx, const struct med_input *in, struct med_err *err), void *ctx,
    char ret_problem[MED_TAR_PROBLEM_MAX], struct med_err *err) MED_CHECK;

/* The base name of a path, and the sequence number that an update file's name carries
 * ("pubmed24n1220.xml.gz" -> 2024 * 100000 + 1220), else 0. */
struct med_str med_base_name(const char *path);
uint64_t med_sequence_of_name(struct med_str base_name);
