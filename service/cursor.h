/* Where a reader of results goes on: opaque to callers, the same place for as long as its
 * generation is served.
 *
 * A cursor names a generation, the request that it belongs to (a fingerprint of everything that
 * decides which results there are and in which order) and how many results lie before it. It holds
 * nothing that the caller may not know and opens nothing, so a checksum against mix-ups suffices; a
 * forged one is a request with another offset. */
#pragma once

#include "common/str.h"

#include <stdint.h>

struct cursor {
    uint64_t generation, fingerprint;
    uint32_t offset;
};
#define CURSOR_TEXT_MAX 56
/* base64url, NUL-terminated. */
void cursor_write(const struct cursor *cursor, char ret_text[CURSOR_TEXT_MAX + 1]);
/* False: this is no cursor, or a damaged one. */
bool cursor_read(struct med_str text, struct cursor *ret_cursor);
