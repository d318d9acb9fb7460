/* Any bytes as tokenizer.json: an error, or a tokenizer that encodes, and does so again after it
   was saved and loaded. And any bytes as text: what is encoded decodes to the same bytes, by a
   tokenizer trained on those very bytes. */
#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Encodes by one of the two ways; ids must be in range and within the room. */
static int64_t encode(const struct tokenizer *t, int32_t **ids, const char *text, size_t length,
                      bool special)
{
    struct error err;
    size_t room = tokenizer_room(t, length);
    *ids = memory_new(room, sizeof **ids);
    int64_t count = special ? tokenizer_encode_special(t, *ids, text, length, &err)
                            : tokenizer_encode(t, *ids, text, length, &err);
    if (count > (int64_t)room)
        abort();
    for (int64_t i = 0; i < count; i++)
        if ((*ids)[i] < 0 || (*ids)[i] >= tokenizer_size(t))
            abort();
    return count;
}

/* Encodes and decodes text; exact: the bytes must come back. */
static void use(const struct tokenizer *t, const char *text, size_t length, bool exact)
{
    struct strbuf bytes, shown;
    int32_t *ids;
    strbuf_init(&bytes, (size_t)1 << 26);
    strbuf_init(&shown, (size_t)1 << 26);
    for (int special = 0; special < 2; special++) {
        int64_t count = encode(t, &ids, text, length, special);
        strbuf_clear(&bytes);
        if (count >= 0) {
            tokenizer_decode_bytes(t, &bytes, ids, count);
            tokenizer_decode(t, &shown, ids, count);
        }
        if (exact && !special &&
            (count < 0 || bytes.length != length || memcmp(bytes.data, text, length) != 0))
            abort();
        memory_free(ids);
    }
    strbuf_release(&shown);
    strbuf_release(&bytes);
}

/* What was saved and is loaded again encodes the same. */
static void compare_saved(const struct tokenizer *t, const char *path, const char *text,
                          size_t length)
{
    struct error err;
    struct tokenizer *again;
    if (tokenizer_save(t, path, &err) != 0 || tokenizer_load(&again, path, &err) != 0)
        abort();
    for (int special = 0; special < 2; special++) {
        int32_t *a, *b;
        int64_t count = encode(t, &a, text, length, special);
        if (encode(again, &b, text, length, special) != count ||
            (count > 0 && memcmp(a, b, (size_t)count * sizeof *a) != 0))
            abort();
        memory_free(a);
        memory_free(b);
    }
    tokenizer_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tokenizer_options options = {.vocabulary = 300, .prefix_space = true};
    char path[64];
    struct error err;
    struct tokenizer *t;
    const char *text = (const char *)data;
    snprintf(path, sizeof path, "/dev/shm/mome-fuzz-tokenizer.%d", (int)getpid());
    if (file_write(path, data, size, &err))
        return 0;
    if (size && data[0] == '{') {
        if (tokenizer_load(&t, path, &err) == 0) {
            use(t, text, size, false);
            compare_saved(t, path, text, size);
            tokenizer_free(t);
        }
    } else if (tokenizer_train(&t, path, &options, &err) == 0) {
        use(t, text, size, true);
        tokenizer_free(t);
    }
    unlink(path);
    return 0;
}
