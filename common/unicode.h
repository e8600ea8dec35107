/* UTF-8 and Unicode, an adapter over utf8proc (the only file that includes it is unicode.c). */
#pragma once

#include "common/buf.h"

/* True when every byte belongs to well-formed UTF-8 (no surrogates, no overlong forms, at most
 * U+10FFFF). */
bool med_utf8_valid(const void *ptr, size_t len);
/* Decodes one code point at s[*pos] and moves *pos on; an invalid byte gives U+FFFD and moves one
 * byte. */
uint32_t med_utf8_next(struct med_str s, size_t *pos);
void med_utf8_put(struct med_buf *buf, uint32_t code_point);
/* Largest position <= pos that is not inside a code point. */
size_t med_utf8_floor(struct med_str s, size_t pos);

/* Appends s in NFC; invalid bytes become U+FFFD, C0 controls other than \n and \t become spaces.
 * After 30 marks in a row a combining grapheme joiner is put in (stream-safe text, Unicode Standard
 * Annex 15). MED_E_LIMIT, MED_E_NOMEM. */
enum med_code med_utf8_nfc(struct med_str s, struct med_buf *out, struct med_err *err) MED_CHECK;
/* Compatibility fold for search: NFKC, case fold, marks and strokes of Latin letters removed (o for
 * o with stroke, oe for the ligature), invisible code points such as the soft hyphen dropped; keeps
 * Greek letters. */
enum med_code med_utf8_fold(struct med_str s, struct med_buf *out, struct med_err *err) MED_CHECK;

enum med_char_class {
    MED_CHAR_OTHER,
    MED_CHAR_LETTER,
    MED_CHAR_DIGIT,
    MED_CHAR_SPACE,
    MED_CHAR_MARK
};
enum med_char_class med_char_class(uint32_t code_point);
bool med_char_is_upper(uint32_t code_point);
