/* The shapes of three services for which agents have tools already, so that a change of an address
 * is enough to point such a tool here: Serper (search), Jina Reader (one page as text) and Tavily
 * (both). api-spec/openapi.yaml has the shapes.
 *
 * What these clients send besides (country, language, depth, ...) has no meaning here and is not
 * refused. Queries come from models that write for web search engines: one that the query language
 * does not understand is taken as plain words. Titles and texts of retracted articles say so,
 * because none of the shapes has a place for it. Errors have the status of the problem and the
 * shape that each service gives them. */
#pragma once

#include "service/fetch_many.h"
#include "service/server.h"

enum compat { COMPAT_SERPER, COMPAT_JINA, COMPAT_TAVILY };

/* Answers with an error in the service's shape; what was written before is thrown away. */
void compat_refuse(enum compat service, const struct http_request *request,
    struct http_response *response, enum problem problem, const char *detail);
void compat_error(enum compat service, const struct http_request *request,
    struct http_response *response, const struct med_err *err);
/* The body as an object. NULL: refused; an empty body is an empty object where may_be_empty. */
bool compat_body(enum compat service, const struct http_request *request, bool may_be_empty,
    struct med_json **ret_body, struct http_response *response);
/* The secret in api_key of the body, empty if there is none. false: out of memory. */
bool compat_key(
    const struct http_request *request, struct med_arena *arena, struct med_str *ret_secret);
/* A whole number from min to max, or digits that say one; larger is max. Absent leaves *ret alone.
 */
enum med_code compat_number(const struct med_json *body, const char *name, long long min,
    long long max, long long *ret, struct med_err *err) MED_CHECK;

/* One search. The answer lives in the worker's arena. */
enum med_code compat_search(struct server *server, struct worker_state *worker,
    const struct med_index *index, const struct med_search_request *request,
    struct med_answer **ret_answer, struct med_err *err) MED_CHECK;

/* What a link, an id or an address of a document names here, and its whole text. Links that a
 * search of this server gave, public_url and Host included, are understood, percent-encoded or not.
 */
enum med_code compat_read(struct server *server, struct worker_state *worker,
    const struct served *served, const struct http_request *request, struct med_str given,
    struct med_fetched **ret_fetched, struct selection *ret_selection,
    struct med_err *err) MED_CHECK;
/* "[retracted] Title" */
void compat_title(struct med_str title, uint32_t flags, struct med_buf *out);
