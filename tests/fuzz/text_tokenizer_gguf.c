/* Any bytes as what a GGUF says of its tokenizer: an error, or a tokenizer that encodes and saves.
   Layout: a byte of flags (1 "llama", 2 scores, 4 types, 8 merges, 16 prefix), then a line for each
   token (its type as a digit first, if there are types; its score is the line's last byte), an
   empty line, a line for each merge, an empty line, a text. */
#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_LINES 4096

struct lines {
    const char *begin[MAX_LINES];
    size_t length[MAX_LINES];
    int64_t count;
};

struct said {
    struct lines tokens, merges;
    int flags;
};

/* Reads up to an empty line; returns where it goes on. */
static const char *read_lines(struct lines *l, const char *at, const char *end)
{
    for (l->count = 0; at < end && l->count < MAX_LINES; l->count++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        l->begin[l->count] = at;
        l->length[l->count] = (size_t)(stop - at);
        if (stop == at)
            return at + 1;
        at = stop < end ? stop + 1 : end;
    }
    return at;
}

static const char *token(const void *arg, int64_t i, size_t *length)
{
    const struct said *s = arg;
    size_t skip = (s->flags & 4) != 0;
    *length = s->tokens.length[i] - skip;
    return s->tokens.begin[i] + skip;
}

static const char *merge(const void *arg, int64_t i, size_t *length)
{
    const struct said *s = arg;
    *length = s->merges.length[i];
    return s->merges.begin[i];
}

static double score(const void *arg, int64_t i)
{
    const struct said *s = arg;
    return s->tokens.begin[i][s->tokens.length[i] - 1];
}

static double type(const void *arg, int64_t i)
{
    const struct said *s = arg;
    return s->tokens.begin[i][0] - '0';
}

static void use(const struct tokenizer *t, const char *text, size_t length)
{
    char path[64];
    struct error err;
    struct tokenizer *again;
    size_t room = tokenizer_room(t, length);
    int32_t *ids = memory_new(room, sizeof *ids), *others = memory_new(room, sizeof *ids);
    snprintf(path, sizeof path, "/dev/shm/mome-fuzz-gguf.%d", (int)getpid());
    if (tokenizer_save(t, path, &err) || tokenizer_load(&again, path, &err))
        abort();
    int64_t count = tokenizer_encode_special(t, ids, text, length, &err);
    if (count > (int64_t)room ||
        tokenizer_encode_special(again, others, text, length, &err) != count)
        abort();
    if (count > 0 && memcmp(ids, others, (size_t)count * sizeof *ids) != 0)
        abort();
    tokenizer_free(again);
    memory_free(others);
    memory_free(ids);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const pres[] = {"gpt-2", "smollm", "llama-bpe", "qwen2"};
    struct error err;
    struct tokenizer *t;
    struct said *s = memory_new(1, sizeof *s);
    if (size < 1 || !s) {
        memory_free(s);
        return 0;
    }
    const char *end = (const char *)data + size, *at = (const char *)data + 1;
    s->flags = data[0];
    at = read_lines(&s->tokens, at, end);
    at = read_lines(&s->merges, at, end);
    const struct tokenizer_source source = {.model = s->flags & 1 ? "llama" : "gpt2",
                                            .pre = pres[s->flags >> 5 & 3],
                                            .tokens = s->tokens.count,
                                            .merges = s->flags & 8 ? s->merges.count : 0,
                                            .add_space_prefix = s->flags & 16,
                                            .has_scores = s->flags & 2,
                                            .has_types = s->flags & 4,
                                            .arg = s,
                                            .token = token,
                                            .merge = merge,
                                            .score = score,
                                            .type = type};
    if (tokenizer_from_gguf(&t, &source, &err) == 0) {
        use(t, at, at < end ? (size_t)(end - at) : 0);
        tokenizer_free(t);
    }
    memory_free(s);
    return 0;
}
