/* medicus key: API keys. A secret is printed once, when it is made; nobody can print it again. */
#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "index/data_folder.h"
#include "service/command.h"
#include "service/keys.h"
#include "service/workspace.h"

#include <stdio.h>

struct change {
    const struct options *options;
    struct med_str name;
    struct key key; /* in: what to add; out: what was added or removed */
    char secret[SECRET_LEN + 1];
    size_t left; /* keys in the file afterwards */
};

static enum med_code no_such_key(struct med_str name, struct med_err *err)
{
    return med_fail(err, MED_E_NOT_FOUND, "there is no key \"%.*s\"; see `medicus key list`",
        (int)(name.len < KEY_NAME_MAX ? name.len : KEY_NAME_MAX), name.ptr);
}

static enum med_code new_secret(struct change *c, struct key *key, struct med_err *err)
{
    enum med_code code = secret_new(c->secret, err);
    if (!code) code = secret_random_hex(KEY_ID_LEN / 2, key->id, err);
    if (code) return code;
    secret_hash(med_str_of(c->secret), key->hash);
    key->created_unix_s = med_unix_time_s();
    return MED_OK;
}

static enum med_code add(void *ctx, struct key_set *set, struct med_err *err)
{
    struct change *c = ctx;
    size_t cap = set->count;
    if (keys_named(set, c->name))
        return med_fail(err, MED_E_CONFLICT,
            "there is a key \"" MED_STR_FMT "\" already; choose another name, or use key rotate",
            MED_STR_ARG(c->name));
    if (set->count == KEYS_MAX)
        return med_fail(err, MED_E_LIMIT, "there are %d keys already; revoke one", KEYS_MAX);
    if (!med_grow(&set->items, &cap, set->count + 1, sizeof *set->items))
        return med_fail(err, MED_E_NOMEM, "out of memory for the keys");
    enum med_code code = new_secret(c, &c->key, err);
    while (!code && keys_named(set, med_str_of(c->key.id)))
        code = secret_random_hex(KEY_ID_LEN / 2, c->key.id, err);
    if (code) return code;
    set->items[set->count++] = c->key;
    return MED_OK;
}

static enum med_code rotate(void *ctx, struct key_set *set, struct med_err *err)
{
    struct change *c = ctx;
    struct key *key = keys_named(set, c->name);
    if (!key) return no_such_key(c->name, err);
    enum med_code code = new_secret(c, key, err);
    if (c->options->expires) key->expires_unix_s = c->key.expires_unix_s;
    if (!code) c->key = *key;
    return code;
}

static enum med_code revoke(void *ctx, struct key_set *set, struct med_err *err)
{
    struct change *c = ctx;
    struct key *key = keys_named(set, c->name);
    if (!key) return no_such_key(c->name, err);
    c->key = *key;
    *key = set->items[--set->count];
    c->left = set->count;
    return MED_OK;
}

/* --- what is printed --- */

static void key_json(const struct key *key, const char *secret, struct med_jw *w)
{
    char time[MED_TIME_TEXT_LEN + 1], rate[RATE_TEXT_MAX];
    struct med_buf sources;
    med_buf_init(&sources, MED_KIB);
    sources_text(key->source_mask, &sources);
    rate_text(key->rate, rate);
    med_jw_object(w);
    med_jw_kcstr(w, "id", key->id);
    med_jw_kcstr(w, "name", key->name);
    if (secret) med_jw_kcstr(w, "secret", secret);
    med_jw_kcstr(w, "scopes", scopes_text(key->scopes));
    med_jw_kstr(w, "sources", med_buf_str(&sources));
    med_jw_kcstr(w, "rate", key->rate.count ? rate : NULL);
    med_time_text(key->created_unix_s, time);
    med_jw_kcstr(w, "created", time);
    med_time_text(key->expires_unix_s, time);
    med_jw_kcstr(w, "expires", key->expires_unix_s ? time : NULL);
    med_jw_kbool(w, "expired", key->expires_unix_s && key->expires_unix_s <= med_unix_time_s());
    med_jw_object_end(w);
    med_buf_free(&sources);
}

static void key_line(const struct key *key, struct med_buf *out)
{
    char created[MED_TIME_TEXT_LEN + 1], expires[MED_TIME_TEXT_LEN + 1], rate[RATE_TEXT_MAX];
    med_time_text(key->created_unix_s, created);
    med_time_text(key->expires_unix_s, expires);
    rate_text(key->rate, rate);
    bool expired = key->expires_unix_s && key->expires_unix_s <= med_unix_time_s();
    med_buf_printf(out, "%s\t%s\t%s\t", key->id, key->name, scopes_text(key->scopes));
    sources_text(key->source_mask, out);
    med_buf_printf(out, "\t%s\t%s\t%s%s\n", key->rate.count ? rate : "default", created,
        key->expires_unix_s ? expires : "never", expired ? " (expired)" : "");
}

static enum med_code list(const struct options *options, struct med_buf *out, struct med_err *err)
{
    struct key_set set;
    enum med_code code = keys_load(options->data, &set, err);
    if (code) return code;
    struct med_jw w = med_jw_of(out, false);
    if (options->json)
        med_jw_array(&w);
    else if (set.count)
        med_buf_puts(out, "id\tname\tscopes\tsources\trate\tcreated\texpires\n");
    for (size_t i = 0; i < set.count; i++) {
        if (options->json)
            key_json(&set.items[i], NULL, &w);
        else
            key_line(&set.items[i], out);
    }
    if (options->json) {
        med_jw_array_end(&w);
        med_buf_putc(out, '\n');
    } else if (!set.count) {
        say(options, set.asked ? "no key is left: every request is refused until one is added"
                               : "no keys: this machine may search without one");
    }
    keys_free(&set);
    return MED_OK;
}

/* The secret alone goes to stdout, so that a script can keep it. */
static void show_secret(const struct change *c, struct med_buf *out)
{
    if (c->options->json) {
        struct med_jw w = med_jw_of(out, false);
        key_json(&c->key, c->secret, &w);
        med_buf_putc(out, '\n');
        return;
    }
    say(c->options,
        "key %s (%s), scopes %s. This is the only time that its secret is shown; send it as\n"
        "  Authorization: Bearer <secret>",
        c->key.name, c->key.id, scopes_text(c->key.scopes));
    med_buf_printf(out, "%s\n", c->secret);
}

static void show_revoked(const struct change *c, struct med_buf *out)
{
    if (c->options->json) {
        struct med_jw w = med_jw_of(out, false);
        key_json(&c->key, NULL, &w);
        med_buf_putc(out, '\n');
    } else {
        med_buf_printf(out, "revoked %s (%s)\n", c->key.name, c->key.id);
    }
    if (!c->left)
        say(c->options,
            "no key is left: every request is refused until one is added. To serve this machine\n"
            "without keys, remove %s/keys",
            c->options->data);
}

/* --- verbs --- */

static enum med_code read_options(struct change *c, struct med_err *err)
{
    const struct options *o = c->options;
    c->key.scopes = SCOPE_SEARCH;
    enum med_code code = MED_OK;
    if (o->scope) code = scopes_parse(med_str_of(o->scope), &c->key.scopes, err);
    if (!code && o->key_sources)
        code = sources_parse(med_str_of(o->key_sources), &c->key.source_mask, err);
    if (!code && o->rate) code = rate_parse(med_str_of(o->rate), &c->key.rate, err);
    if (!code && o->expires)
        code = expiry_parse(med_str_of(o->expires), &c->key.expires_unix_s, err);
    if (!code && o->expires && c->key.expires_unix_s <= med_unix_time_s())
        code = med_fail(err, MED_E_USAGE, "--expires %s has passed already", o->expires);
    return code;
}

static enum med_code run_change(
    struct change *c, keys_change_fn change, struct med_buf *out, struct med_err *err)
{
    struct med_data *data;
    if (c->options->arg_count != 2) return med_fail(err, MED_E_USAGE, "which key? Give one name");
    c->name = med_str_of(c->options->args[1]);
    if (change == add && !key_name_valid(c->name))
        return med_fail(err, MED_E_USAGE,
            "a name has 1 to %d letters, digits, dots, dashes and underscores", KEY_NAME_MAX);
    if (change != add && (c->options->scope || c->options->key_sources || c->options->rate))
        return med_fail(err, MED_E_USAGE,
            "--scope, --source and --rate belong to key add; a key keeps what it was made with");
    enum med_code code = read_options(c, err);
    if (!code && change == add) snprintf(c->key.name, sizeof c->key.name, "%s", c->name.ptr);
    /* A key may come before the first document. */
    if (!code) code = med_data_open(c->options->data, change == add, NULL, &data, err);
    if (code) return code;
    med_data_close(&data);
    code = keys_change(c->options->data, NULL, change, c, err);
    if (code) return code;
    if (change == revoke)
        show_revoked(c, out);
    else
        show_secret(c, out);
    return MED_OK;
}

enum med_code cmd_key(const struct options *options, struct med_err *err)
{
    static const struct {
        const char *name;
        keys_change_fn change;
    } verbs[] = {{"add", add}, {"rotate", rotate}, {"revoke", revoke}};
    struct med_str verb = med_str_of(options->arg_count ? options->args[0] : "");
    struct change c = {.options = options};
    struct med_buf out;
    enum med_code code = MED_OK;
    bool is_list = med_str_eq(verb, MED_STR("list")) && options->arg_count == 1, known = is_list;
    if (!options->data || !*options->data)
        return med_fail(
            err, MED_E_USAGE, "which data folder? Give --data FOLDER or set MEDICUS_DATA");
    med_buf_init(&out, MED_MIB);
    if (is_list) code = list(options, &out, err);
    for (size_t i = 0; !is_list && i < sizeof verbs / sizeof *verbs; i++) {
        if (!med_str_eq(verb, med_str_of(verbs[i].name))) continue;
        known = true;
        code = run_change(&c, verbs[i].change, &out, err);
    }
    if (!known)
        code = med_fail(err, MED_E_USAGE,
            "what to do? key add NAME, list, rotate NAME, or revoke NAME (an id will do)");
    if (!code) code = command_print(&out, err);
    if (out.data) secret_wipe(out.data, out.len);
    med_buf_free(&out);
    secret_wipe(c.secret, sizeof c.secret);
    return code;
}
