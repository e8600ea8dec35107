/* See reload.h. */
#include "service/reload.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "service/tls.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* I/O threads may be reading a list of origins while it is replaced: all that ever were are kept
 * until the end. They only grow in number when an operator changes them. */
struct origin_list {
    struct origin_list *before;
    char text[];
};

struct settings {
    const struct options *first; /* of the start; what cannot be reloaded stays as it says */
    struct options last;         /* of the last reload that succeeded */
    bool reloaded;               /* last is in use */
    struct origin_list *origins;
};

struct prepared {
    enum med_log_level level;
    enum med_log_format format;
    struct rate rate;
    int64_t certificate_expires;
};

enum med_code settings_rate(const struct options *o, struct rate *ret_rate, struct med_err *err)
{
    *ret_rate = (struct rate){0};
    if (!o->rate_limit) return MED_OK;
    enum med_code code = rate_parse(med_str_of(o->rate_limit), ret_rate, err);
    if (code) med_err_prefix(err, "--rate-limit");
    return code;
}

static enum med_code prepare_log(const struct options *o, struct prepared *p, struct med_err *err)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    struct med_str format = med_str_of(o->log_format), level = med_str_of(o->log_level);
    bool json = med_str_eq(format, MED_STR("json"));
    if (!json && !med_str_eq(format, MED_STR("text")))
        return med_fail(err, MED_E_USAGE, "--log-format is text or json");
    p->format = json ? MED_LOG_JSON : MED_LOG_TEXT;
    for (int i = 0; i < 4; i++) {
        if (!med_str_eq(level, med_str_of(levels[i]))) continue;
        p->level = o->quiet ? MED_LOG_ERROR : (enum med_log_level)i;
        return MED_OK;
    }
    return med_fail(err, MED_E_USAGE, "--log-level is debug, info, warn or error");
}

static enum med_code prepare_tls(const struct options *o, struct prepared *p, struct med_err *err)
{
    if (!o->tls_cert && !o->tls_key) return MED_OK;
    if (!o->tls_cert || !o->tls_key)
        return med_fail(err, MED_E_USAGE, "--tls-cert and --tls-key go together");
    return tls_check(o->tls_cert, o->tls_key, &p->certificate_expires, err);
}

static enum med_code prepare_audit(const struct options *o, struct med_err *err)
{
    struct audit *audit;
    if (o->audit_query_text && !o->audit_log)
        return med_fail(err, MED_E_USAGE, "--audit-query-text needs --audit-log FILE");
    if (!o->audit_log) return MED_OK;
    enum med_code code = audit_new(&audit, err);
    if (code) return code;
    code = audit_open(audit, o->audit_log, false, err);
    audit_free(&audit);
    return code;
}

static enum med_code prepare(const struct options *o, struct prepared *p, struct med_err *err)
{
    enum med_code code = prepare_log(o, p, err);
    if (!code) code = settings_rate(o, &p->rate, err);
    if (!code) code = prepare_tls(o, p, err);
    if (!code) code = prepare_audit(o, err);
    return code;
}

enum med_code settings_check(const struct options *options, struct med_err *err)
{
    struct prepared p = {0};
    return prepare(options, &p, err);
}

static enum med_code set_origins(struct server *server, const char *text, struct med_err *err)
{
    const char *now = atomic_load(&server->allow_origin);
    if (!text || !*text) {
        atomic_store(&server->allow_origin, NULL);
        return MED_OK;
    }
    if (now && strcmp(now, text) == 0) return MED_OK;
    size_t len = strlen(text) + 1;
    struct origin_list *list = med_malloc(sizeof *list + len);
    if (!list) return med_fail(err, MED_E_NOMEM, "out of memory for the settings");
    memcpy(list->text, text, len);
    list->before = server->settings->origins;
    server->settings->origins = list;
    atomic_store(&server->allow_origin, list->text);
    return MED_OK;
}

/* Everything that can fail for a reason of the operator's was prepared. */
static enum med_code take_over(
    struct server *server, const struct options *o, const struct prepared *p, struct med_err *err)
{
    const struct options *first = server->settings->first;
    struct access_options access = {
        .data = first->data, .rate = p->rate, .metrics_open = o->open_metrics};
    enum med_code code = set_origins(server, o->allow_origin, err);
    /* Whether TLS is spoken is decided at the start. */
    if (!code && first->tls_cert && o->tls_cert) code = tls_use(o->tls_cert, o->tls_key, NULL, err);
    if (!code) code = audit_open(server->audit, o->audit_log, o->audit_query_text, err);
    if (code) return code;
    med_log_setup(p->level, p->format);
    atomic_store(&server->access_log, o->access_log);
    access_configure(server->access, &access);
    if (o->tls_cert && p->certificate_expires <= med_unix_time_s())
        med_log(MED_LOG_WARN, "tls", "the certificate %s has expired", o->tls_cert);
    return MED_OK;
}

enum med_code settings_apply(
    struct server *server, const struct options *options, struct med_err *err)
{
    struct prepared p = {0};
    server->settings = med_calloc(1, sizeof *server->settings);
    if (!server->settings) return med_fail(err, MED_E_NOMEM, "out of memory for the settings");
    server->settings->first = options;
    enum med_code code = prepare(options, &p, err);
    return code ? code : take_over(server, options, &p, err);
}

void settings_free(struct server *server)
{
    struct settings *s = server->settings;
    if (!s) return;
    while (s->origins) {
        struct origin_list *list = s->origins;
        s->origins = list->before;
        med_free(list);
    }
    if (s->reloaded) options_free(&s->last);
    med_free(s);
    server->settings = NULL;
}

/* --- reload --- */

static void tell_changes(const struct options *before, const struct options *now)
{
    struct option_setting a, b;
    unsigned changed = 0;
    for (unsigned i = 0; options_setting(COMMAND_SERVE, before, i, &a) &&
                         options_setting(COMMAND_SERVE, now, i, &b);
         i++) {
        if (a.is_set == b.is_set && strcmp(a.value, b.value) == 0) continue;
        changed++;
        med_log(MED_LOG_INFO, "reload", "%s is now %s%s", b.name, b.is_set ? b.value : "not set",
            b.reloads ? "" : "; this takes effect at the next start");
    }
    if (!changed) med_log(MED_LOG_INFO, "reload", "no setting changed");
}

static void failed(struct server *server, const char *event, const struct med_err *err)
{
    atomic_store(&server->reload_failed, true);
    med_log(MED_LOG_ERROR, event, "%s; what was in force before stays", err->text);
}

void settings_reload(struct server *server)
{
    struct settings *s = server->settings;
    struct med_err err = {0};
    struct options now;
    struct prepared p = {0};
    bool changed;
    if (options_reparse(&now, &err)) {
        failed(server, "reload", &err);
        return;
    }
    enum med_code code = prepare(&now, &p, &err);
    if (!code) code = access_reload(server->access, true, &changed, &err);
    if (!code) code = take_over(server, &now, &p, &err);
    if (code) {
        failed(server, "reload", &err);
        options_free(&now);
        return;
    }
    atomic_store(&server->reload_failed, false);
    tell_changes(s->reloaded ? &s->last : s->first, &now);
    med_log(MED_LOG_INFO, "reload", "read %zu keys%s%s", access_key_count(server->access),
        s->first->tls_cert ? ", the certificate" : "",
        now.audit_log ? ", opened the audit log" : "");
    if (s->reloaded) options_free(&s->last);
    s->last = now;
    s->reloaded = true;
}

void settings_reload_keys(struct server *server)
{
    struct med_err err = {0};
    bool changed;
    enum med_code code = access_reload(server->access, false, &changed, &err);
    if (code) {
        failed(server, "keys", &err);
    } else if (changed) {
        atomic_store(&server->reload_failed, false);
        med_log(MED_LOG_INFO, "keys", "read %zu keys", access_key_count(server->access));
    }
}
