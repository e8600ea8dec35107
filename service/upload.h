/* A body that is received into a file, because it may be larger than memory should be:
 * <data>/spool/upload-<process>-<number>/body. */
#pragma once

#include "common/fs.h"
#include "service/http_server.h"

struct upload {
    struct http_sink sink; /* first: http_request.sink is this */
    int fd;
    char dir[MED_PATH_MAX], path[MED_PATH_MAX];
    uint64_t bytes;
    bool kept;          /* the folder belongs to somebody else now */
    struct med_err err; /* code MED_OK: everything was written */
};

/* The request's sink; freed with the request, and its folder with it unless it is kept. */
enum med_code upload_begin(
    const char *data, struct upload **ret_upload, struct med_err *err) MED_CHECK;
/* The body is complete: gives the file the name, of [A-Za-z0-9._-], that its content goes by. */
enum med_code upload_finish(
    struct upload *upload, struct med_str name, struct med_err *err) MED_CHECK;
/* Removes what dead processes left in <data>/spool: "<word>-<process>...". */
void spool_sweep(const char *data);
