/* Who sent a request: filled in before it is routed (access.h), read by routes and the audit log.
 */
#pragma once

#include "service/keys.h"

struct caller {
    char key_id[KEY_ID_LEN + 1]; /* empty: no key */
    char key_name[KEY_NAME_MAX + 1];
    bool trusted;         /* a valid key, or a server that asks for none */
    uint32_t source_mask; /* what may be seen; 0 = all sources */
    /* The limit that applies; rate.count 0: none. */
    struct rate rate;
    uint32_t remaining, full_after_s;
};
