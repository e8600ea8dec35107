/* Settings that take effect while serving: at the start, and again on SIGHUP.
 *
 * A reload is all or nothing: everything is read and checked before anything changes, and what is
 * wrong leaves all settings as they were. No request is dropped: those in progress finish with what
 * they began with. The log tells what changed and what waits for the next start. One thread. */
#pragma once

#include "service/options.h"
#include "service/server.h"

/* Words, rates, certificate, key and audit log; touches nothing but creating the audit log. */
enum med_code settings_check(const struct options *options, struct med_err *err) MED_CHECK;
/* At the start: server->audit and server->access exist. options must outlive the server. */
enum med_code settings_apply(
    struct server *server, const struct options *options, struct med_err *err) MED_CHECK;
/* SIGHUP. */
void settings_reload(struct server *server);
/* The keys alone, when their file changed. */
void settings_reload_keys(struct server *server);
void settings_free(struct server *server);
/* The rate of --rate-limit. */
enum med_code settings_rate(
    const struct options *options, struct rate *ret_rate, struct med_err *err) MED_CHECK;

/* --- config_print.c --- */
/* --print-config: every setting as a configuration file that would give the same. */
void settings_print(const struct options *options, struct med_buf *out);
/* --check-config: settings, keys, address, certificate, data folder. */
enum med_code settings_check_all(
    const struct options *options, struct med_buf *out, struct med_err *err) MED_CHECK;
