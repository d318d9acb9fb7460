#include "text/token_words.h"
#include "base/memory.h"
#include "text/normalize.h"

bool token_words_blank(char byte)
{
    return (unsigned char)byte <= ' ' || byte == 127;
}

/* Where the bytes of each token end: decoded from the first on, since that may lose its space. */
static void decode(struct strbuf *bytes, size_t *ends, const struct tokenizer *t,
                   const int32_t *ids, int count)
{
    for (int i = 0; i < count; i++) {
        bytes->length = 0;
        tokenizer_decode_bytes(t, bytes, ids, i + 1);
        ends[i] = bytes->length;
    }
}

static int find_words(struct token_word *words, const struct strbuf *bytes, const size_t *ends)
{
    int count = 0, token = 0;
    for (size_t at = 0; at < bytes->length; at++) {
        if (token_words_blank(bytes->data[at]))
            continue;
        struct token_word *w = &words[count++];
        w->from = at;
        while (at < bytes->length && !token_words_blank(bytes->data[at]))
            at++;
        w->to = at;
        while (count > 1 && ends[token] <= w[-1].to)
            token++;
        w->first = token;
        while (ends[token] < w->to)
            token++;
        w->last = token;
    }
    return count;
}

int token_words(struct token_word **words, struct strbuf *bytes, const struct tokenizer *t,
                const int32_t *ids, int count, struct error *err)
{
    size_t *ends = memory_new((size_t)count + 1, sizeof *ends);
    *words = NULL;
    if (ends)
        decode(bytes, ends, t, ids, count);
    if (ends && !bytes->failed)
        *words = memory_new(bytes->length / 2 + 1, sizeof **words);
    int found = *words ? find_words(*words, bytes, ends)
                       : error_set(err, ERROR_MEMORY, "out of memory for the words");
    memory_free(ends);
    return found;
}

/* The blank behind a word says that its last character will not be completed. */
void token_words_text(struct strbuf *text, const struct strbuf *bytes, const struct token_word *w)
{
    const bool followed = w->to < bytes->length;
    normalize_utf8(text, bytes->data + w->from, w->to - w->from + followed);
    if (followed && !text->failed)
        text->data[--text->length] = 0;
}
