/* api-spec/openapi.yaml as JSON, put into the binary by the build. */
#pragma once

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_len;
