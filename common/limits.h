/* Every cap in one place. A limit without a reason is a trap: each line says whom it protects. */
#pragma once

#define MED_KIB (1024ull)
#define MED_MIB (1024ull * MED_KIB)
#define MED_GIB (1024ull * MED_MIB)

/* JSON */
#define MED_JSON_DEPTH_MAX 64ull                 /* the parser's stack */
#define MED_REQUEST_BODY_BYTES_MAX (1 * MED_MIB) /* search and fetch bodies */

/* Ingest */
#define MED_DOC_TEXT_BYTES_MAX (32 * MED_MIB) /* one document's canonical text */
#define MED_LINE_BYTES_MAX (64 * MED_MIB)     /* one JSON Lines record */
#define MED_XML_DEPTH_MAX 256                 /* nesting of one record */
#define MED_GZIP_RATIO_MAX 1024ull            /* decompressed : compressed, against bombs */
#define MED_ID_BYTES_MAX 400ull /* document ids are LMDB keys (511 at most) with a suffix */
#define MED_DOC_SECTIONS_MAX 65535ull
#define MED_DOC_ARENA_BYTES_MAX (256 * MED_MIB)

/* Chunks */
#define MED_CHUNK_WORDS_TARGET 250
#define MED_CHUNK_WORDS_MAX 320
#define MED_CHUNKS_PER_DOC_MAX 100000ull

/* Analysis */
#define MED_TERM_BYTES_MAX 64ull /* longer tokens are cut: nobody searches them */
#define MED_QUERY_BYTES_MAX (16 * MED_KIB)
#define MED_QUERY_TERMS_MAX 1024ull

/* Search */
#define MED_LIMIT_DEFAULT 10
#define MED_LIMIT_MAX 1000
#define MED_POOL_DEPTH_DEFAULT 200
#define MED_POOL_DEPTH_MAX 10000
#define MED_EXPORT_DOCS_MAX 10000 /* one export; narrow the query for more */
#define MED_FETCH_IDS_MAX 64
#define MED_BATCH_QUERIES_MAX 16
#define MED_TOKENS_MAX 1000000000ull /* max_tokens: so that four bytes for each do not overflow */
#define MED_BYTES_PER_TOKEN 4        /* the estimate; api-spec/README.md */
#define MED_REQUEST_ARENA_BYTES_MAX (64 * MED_MIB)
#define MED_RESPONSE_BYTES_MAX (64 * MED_MIB)

/* Server */
#define MED_URL_BYTES_MAX (16 * MED_KIB)
#define MED_HEADER_COUNT_MAX 64
#define MED_CONNECTIONS_DEFAULT 4096
#define MED_HEADER_DEADLINE_MS 10000
#define MED_REQUEST_DEADLINE_MS 30000
#define MED_QUEUE_DEPTH_DEFAULT 256 /* searches waiting for a worker; beyond it 503 */
#define MED_QUEUE_MS_DEFAULT 5      /* that one may wait while overloaded (service/admission.h) */

/* Training of the corpus encoder: bounds time and memory on large corpora by sampling */
#define MED_TRAIN_PASSAGES_MAX 200000ull
#define MED_ENCODER_VOCAB_MAX 400000ull
#define MED_TRAIN_PASSAGES_MIN                                                                     \
    2000ull /* with less memory than for these, nothing good is learnt                             \
             */
#define MED_ENCODER_VOCAB_MIN 5000ull
#define MED_CALIBRATION_DOCS_MAX 2000ull
#define MED_DIM_DEFAULT 256
#define MED_DIM_MAX 4096
