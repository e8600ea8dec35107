/* --print-config and --check-config. See reload.h. */
#include "index/data_folder.h"
#include "service/listener.h"
#include "service/reload.h"

void settings_print(const struct options *options, struct med_buf *out)
{
    struct option_setting s;
    med_buf_printf(out, "# medicus %s; configuration file: %s\n", MEDICUS_VERSION,
        options->config_path ? options->config_path : "none");
    for (unsigned i = 0; options_setting(COMMAND_SERVE, options, i, &s); i++) {
        med_buf_printf(out, "\n# %s\n# from: %s\n", s.help, s.origin);
        if (s.is_set)
            med_buf_printf(out, "%s = %s\n", s.name, s.value);
        else
            med_buf_printf(out, "# %s =\n", s.name);
    }
}

enum med_code settings_check_all(const struct options *o, struct med_buf *out, struct med_err *err)
{
    struct key_set keys = {0};
    struct med_data *data;
    enum med_code code = settings_check(o, err);
    if (!code) code = keys_load(o->data, &keys, err);
    bool asked = keys.asked;
    size_t count = keys.count;
    if (!code) code = listener_check(o->listen, o->allow_public || asked, err);
    keys_free(&keys);
    /* With --wait the folder may come later. */
    if (!code && !(o->wait && !med_path_exists(o->data))) {
        code = med_data_open(o->data, false, NULL, &data, err);
        if (!code) med_data_close(&data);
    }
    if (code) return code;
    med_buf_printf(out, "configuration ok: %s, %zu keys, %s\n",
        o->config_path ? o->config_path : "no file", count, o->tls_cert ? "TLS" : "no TLS");
    return MED_OK;
}
