/* The list of a backup's files: see backup.h for its text. */
#include "index/backup_list.h"

#include "common/clock.h"
#include "common/mem.h"

#include <inttypes.h>
#include <stdio.h>

#define FIRST_LINE "medicus-backup 1"
#define FILES_MAX 1000000u

void backup_list_free(struct backup_list *list)
{
    med_free(list->items);
    med_arena_free(&list->arena);
    list->items = NULL;
    list->count = list->cap = 0;
}

enum med_code backup_list_add(struct backup_list *list, const char *name, uint64_t size,
    struct med_hash128 hash, struct med_err *err)
{
    char *copy = list->count < FILES_MAX
                     ? med_arena_strndup(list->arena, name, strnlen(name, BACKUP_NAME_MAX))
                     : NULL;
    if (!copy || !med_grow(&list->items, &list->cap, list->count + 1, sizeof *list->items))
        return med_fail(err, MED_E_NOMEM, "out of memory for the list of a backup's files");
    list->items[list->count++] = (struct backup_entry){.name = copy, .size = size, .hash = hash};
    return MED_OK;
}

bool backup_name_ok(const char *name)
{
    static const char *const folders[] = {
        "docs/", "segments/", "encoders/", "generations/", "vocab/"};
    struct med_str s = med_str_of(name);
    bool known = med_str_eq(s, MED_STR("retractions")) || med_str_eq(s, MED_STR("keys"));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        known |= med_str_starts(s, med_str_of(folders[i]));
    if (!known || s.len >= BACKUP_NAME_MAX) return false;
    /* No empty part, no "." and no "..", nothing that would end a line of the list. */
    for (size_t i = 0, start = 0; i <= s.len; i++) {
        if (i < s.len && (unsigned char)s.ptr[i] < ' ') return false;
        if (i < s.len && s.ptr[i] != '/') continue;
        struct med_str part = med_str_sub(s, start, i);
        if (part.len == 0 || part.ptr[0] == '.') return false;
        start = i + 1;
    }
    return true;
}

enum med_code backup_list_write(
    const struct backup_list *list, struct med_buf *out, struct med_err *err)
{
    char date[MED_TIME_TEXT_LEN + 1], hex[MED_HASH_HEX_LEN + 1];
    med_time_text(list->created_unix_s, date);
    med_buf_printf(
        out, FIRST_LINE "\ncreated %s\ngeneration %" PRIu64 "\n", date, list->generation);
    for (size_t i = 0; i < list->count; i++) {
        med_hash128_hex(list->items[i].hash, hex);
        med_buf_printf(out, "%s %" PRIu64 " %s\n", hex, list->items[i].size, list->items[i].name);
    }
    enum med_code code = med_buf_status(out, err);
    if (code) return code;
    med_hash128_hex(med_hash128(out->data, out->len), hex);
    med_buf_printf(out, "xxh3 %s\n", hex);
    return med_buf_status(out, err);
}

static struct med_str next_line(struct med_str *rest)
{
    size_t end = 0;
    while (end < rest->len && rest->ptr[end] != '\n') end++;
    struct med_str line = med_str_sub(*rest, 0, end);
    *rest = med_str_sub(*rest, end < rest->len ? end + 1 : end, rest->len);
    return line;
}

/* The text without its closing line, when that is right. */
static bool checked(struct med_str *text)
{
    const size_t closing = sizeof "xxh3 \n" - 1 + MED_HASH_HEX_LEN;
    struct med_hash128 hash;
    if (text->len < closing) return false;
    struct med_str body = med_str_sub(*text, 0, text->len - closing);
    struct med_str last = med_str_sub(*text, body.len, text->len);
    if (!med_str_starts(last, MED_STR("xxh3 ")) || last.ptr[last.len - 1] != '\n' ||
        !med_hash128_from_hex(med_str_sub(last, 5, last.len - 1), &hash) ||
        !med_hash128_eq(hash, med_hash128(body.ptr, body.len)))
        return false;
    *text = body;
    return true;
}

static bool parse_line(struct backup_list *list, struct med_str line, struct med_err *err)
{
    struct med_hash128 hash;
    unsigned long long size;
    char name[BACKUP_NAME_MAX];
    if (line.len < MED_HASH_HEX_LEN + 4 || line.ptr[MED_HASH_HEX_LEN] != ' ' ||
        !med_hash128_from_hex(med_str_sub(line, 0, MED_HASH_HEX_LEN), &hash))
        return false;
    struct med_str rest = med_str_sub(line, MED_HASH_HEX_LEN + 1, line.len);
    size_t space = 0;
    while (space < rest.len && rest.ptr[space] != ' ') space++;
    if (space == rest.len || !med_str_to_u64(med_str_sub(rest, 0, space), &size)) return false;
    rest = med_str_sub(rest, space + 1, rest.len);
    if (rest.len >= sizeof name) return false;
    memcpy(name, rest.ptr, rest.len);
    name[rest.len] = '\0';
    return strlen(name) == rest.len && backup_name_ok(name) &&
           backup_list_add(list, name, size, hash, err) == MED_OK;
}

enum med_code backup_list_parse(struct backup_list *list, struct med_str text, struct med_err *err)
{
    unsigned long long generation;
    if (!checked(&text))
        return med_fail(
            err, MED_E_CORRUPT, "the list of the backup's files fails its own checksum");
    if (!med_str_eq(next_line(&text), MED_STR(FIRST_LINE)))
        return med_fail(err, MED_E_UNSUPPORTED,
            "the backup was made by a newer version of medicus, or is none");
    (void)next_line(&text);
    struct med_str line = next_line(&text), key = MED_STR("generation ");
    bool ok = med_str_starts(line, key) &&
              med_str_to_u64(med_str_sub(line, key.len, line.len), &generation);
    while (ok && text.len) ok = parse_line(list, next_line(&text), err);
    if (!ok) return med_fail(err, MED_E_CORRUPT, "the list of the backup's files is malformed");
    list->generation = generation;
    return MED_OK;
}
