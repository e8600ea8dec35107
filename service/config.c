/* See config.h. */
#include "service/config.h"

#include "common/unicode.h"

static bool is_name(struct med_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '-' && c != '_') return false;
    }
    return name.len > 0;
}

static bool is_clean(struct med_str line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7F) return false;
    }
    return med_utf8_valid(line.ptr, line.len);
}

static enum med_code out_of_memory(struct med_err *err)
{
    return med_fail(err, MED_E_NOMEM, "out of memory for the configuration");
}

/* "name = value" */
static enum med_code parse_entry(struct med_str line, unsigned number, struct med_arena *arena,
    struct config *config, struct med_err *err)
{
    size_t equals = 0;
    struct med_str name, value;
    while (equals < line.len && line.ptr[equals] != '=') equals++;
    if (equals == line.len)
        return med_fail(err, MED_E_USAGE, "line %u: \"name = value\" expected", number);
    name = med_str_trim(med_str_sub(line, 0, equals));
    value = med_str_trim(med_str_sub(line, equals + 1, line.len));
    if (!is_name(name))
        return med_fail(err, MED_E_USAGE,
            "line %u: a name of letters, digits and dashes expected before \"=\"", number);
    char *own_name = med_arena_printf(arena, MED_STR_FMT, MED_STR_ARG(name));
    char *own_value = med_arena_printf(arena, MED_STR_FMT, MED_STR_ARG(value));
    if (!own_name || !own_value) return out_of_memory(err);
    for (char *c = own_name; *c; c++) {
        if (*c == '_') *c = '-';
    }
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->entries[i].name, own_name) == 0)
            return med_fail(err, MED_E_USAGE, "line %u: %.60s was given in line %u already", number,
                own_name, config->entries[i].line);
    }
    if (config->count == CONFIG_ENTRIES_MAX)
        return med_fail(err, MED_E_LIMIT, "more than %d settings", CONFIG_ENTRIES_MAX);
    config->entries[config->count++] =
        (struct config_entry){.name = own_name, .value = own_value, .line = number};
    return MED_OK;
}

enum med_code config_parse(
    struct med_str text, struct med_arena *arena, struct config *ret_config, struct med_err *err)
{
    unsigned number = 0;
    struct config config = {
        .entries = med_arena_calloc(arena, CONFIG_ENTRIES_MAX, sizeof *config.entries)};
    if (!config.entries) return out_of_memory(err);
    if (text.len > CONFIG_BYTES_MAX)
        return med_fail(err, MED_E_LIMIT, "more than %zu bytes", CONFIG_BYTES_MAX);
    for (size_t at = 0; at < text.len;) {
        size_t end = at;
        while (end < text.len && text.ptr[end] != '\n') end++;
        struct med_str line = med_str_trim(med_str_sub(text, at, end));
        at = end + 1;
        number++;
        if (line.len == 0) continue;
        if (!is_clean(line))
            return med_fail(err, MED_E_USAGE, "line %u: control characters, or no UTF-8", number);
        if (line.ptr[0] == '#') continue;
        enum med_code code = parse_entry(line, number, arena, &config, err);
        if (code) return code;
    }
    *ret_config = config;
    return MED_OK;
}
