/* MD5 companions: "pubmed24n0001.xml.gz.md5" beside "pubmed24n0001.xml.gz", as NLM publishes them
 * ("MD5(name)= <hex>") or as md5sum writes them ("<hex>  name"). MD5 (RFC 1321) finds a damaged
 * transfer; it is no proof of origin. */
#pragma once

#include "common/err.h"

#include <stdbool.h>

bool med_is_md5_companion(const char *path); /* by its name */
bool med_has_md5_companion(const char *path);
/* Reads the whole file. MED_OK without a companion, unless it is required. MED_E_CORRUPT: they do
 * not fit; MED_E_INVALID: the companion holds no checksum; MED_E_NOT_FOUND: it is required. */
enum med_code med_md5_check(const char *path, bool required, struct med_err *err) MED_CHECK;
