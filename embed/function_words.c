/* Function words of English, as the analyzer stems them. Measured in index/lexical/README.md. */
#include "embed/analyzer.h"

#include <stdlib.h>

#define WORD_BYTES_MAX 8

/* Sorted for the binary search; a test keeps it so. */
static const char words[][WORD_BYTES_MAX] = {"a", "about", "also", "am", "an", "and", "ani", "are",
    "as", "at", "be", "been", "between", "both", "but", "by", "can", "could", "did", "do", "doe",
    "dure", "each", "few", "for", "from", "had", "has", "have", "how", "i", "if", "in", "into",
    "is", "it", "may", "might", "more", "most", "no", "not", "of", "on", "onli", "or", "other",
    "our", "same", "should", "so", "some", "such", "than", "that", "the", "their", "then", "there",
    "these", "they", "this", "to", "too", "veri", "was", "we", "were", "what", "when", "where",
    "whi", "which", "who", "whom", "will", "with", "would", "you", "your"};

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

bool med_is_function_word(struct med_str text, const struct med_token *token)
{
    if (token->extra || token->term.len >= WORD_BYTES_MAX) return false;
    if (token->start >= token->end || token->end > text.len) return false;
    char word[WORD_BYTES_MAX] = {0};
    memcpy(word, token->term.ptr, token->term.len);
    if (!bsearch(word, words, sizeof(words) / sizeof(words[0]), sizeof(words[0]), compare))
        return false;
    bool capitals = true;
    for (size_t i = token->start; i < token->end; i++) capitals = capitals && is_upper(text.ptr[i]);
    return !capitals || (token->position == 0 && token->end - token->start == 1);
}
