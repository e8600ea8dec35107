/* Generations as JSON, for `medicus generations` and GET /v1/admin/generations. */
#pragma once

#include "common/json.h"
#include "index/compare.h"

void generations_json(const struct med_generation_info *list, size_t count, struct med_jw *w);
