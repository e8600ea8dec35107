/* GET /v1/export: all hits of a query as a file. */
#include "common/limits.h"
#include "service/export.h"
#include "service/server.h"

struct export_job {
    const struct view *view;
    enum export_format format;
    struct med_buf *out;
    size_t count;
};

static enum med_code add_record(void *ctx, const struct med_doc *doc, uint32_t flags,
    enum med_evidence evidence, struct med_err *err)
{
    struct export_job *job = ctx;
    export_record(job->format, job->view, doc, flags, evidence, job->count++, job->out);
    return med_buf_status(job->out, err);
}

static enum med_code read_params(const struct http_request *r, struct med_arena *arena,
    struct search_params *params, enum export_format *ret_format, struct med_err *err)
{
    struct query_pair *pairs;
    size_t count;
    enum media media = MEDIA_RIS;
    search_params_init(params);
    /* Anything goes: RIS, as ever. Else the first form of what is accepted. */
    if (!media_choose(r, MEDIA_BIT(MEDIA_RIS), &media))
        (void)media_choose(
            r, MEDIA_CITATIONS | MEDIA_BIT(MEDIA_CSV) | MEDIA_BIT(MEDIA_TEXT), &media);
    *ret_format = export_format_of(media);
    enum med_code code = query_pairs(r->query, arena, &pairs, &count, err);
    for (size_t i = 0; !code && i < count; i++) {
        if (med_str_eq(pairs[i].name, MED_STR("format")))
            code = export_format_parse(pairs[i].value, ret_format, err);
        else
            code = export_params_set(params, pairs[i].name, pairs[i].value, err);
    }
    return code ? code : search_params_finish(params, err);
}

static void export(struct worker_state *worker, const struct http_request *r,
    const struct search_params *params, struct export_job *job, const struct served *served,
    struct http_response *response)
{
    enum media media = export_media(job->format);
    struct med_err err = {0};
    uint64_t total, count;
    export_begin(job->format, job->out);
    enum med_code code = med_export(served->index, worker->searcher, &params->request,
        worker->arena, add_record, job, &total, &count, &err);
    if (code) {
        err.code = code;
        respond_error(r, response, &err);
        return;
    }
    export_end(job->format, job->out);
    respond(response, 200, media);
    http_response_header(response, "X-Total-Count", "%llu", (unsigned long long)total);
    http_response_header(response, "X-Exported-Count", "%llu", (unsigned long long)count);
    http_response_header(response, "Content-Disposition",
        "attachment; filename=\"medicus-export.%s\"", media_suffix(media));
}

void route_export(struct server *server, struct worker_state *worker,
    const struct http_request *request, struct http_response *response)
{
    struct search_params params;
    struct med_err err = {0};
    struct served served;
    struct view view = {.public_url = server->public_url};
    struct export_job job = {.view = &view, .format = EXPORT_RIS, .out = &response->body};
    enum med_code code = read_params(request, worker->arena, &params, &job.format, &err);
    if (code) {
        err.code = code;
        respond_error(request, response, &err);
    } else if (acquire_or_answer(server, request, 0, &served, response)) {
        export(worker, request, &params, &job, &served, response);
        serving_release(&served);
    }
}
