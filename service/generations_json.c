#include "service/generations_json.h"

#include "common/clock.h"

void generations_json(const struct med_generation_info *list, size_t count, struct med_jw *w)
{
    med_jw_array(w);
    for (size_t i = 0; i < count; i++) {
        const struct med_generation_info *g = &list[i];
        char date[MED_TIME_TEXT_LEN + 1];
        med_time_text(g->created_unix_s, date);
        med_jw_object(w);
        med_jw_kint(w, "number", (long long)g->number);
        med_jw_kcstr(w, "created", g->created_unix_s ? date : NULL);
        med_jw_kint(w, "documents", (long long)g->doc_count);
        med_jw_kint(w, "passages", (long long)g->chunk_count);
        med_jw_kint(w, "segments", (long long)g->segment_count);
        med_jw_kint(w, "bytes", (long long)g->bytes);
        med_jw_kcstr(w, "encoder", g->encoder_id[0] ? g->encoder_id : NULL);
        med_jw_kbool(w, "current", g->current);
        med_jw_kbool(w, "pinned", g->pinned);
        med_jw_object_end(w);
    }
    med_jw_array_end(w);
}
