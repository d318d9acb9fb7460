/* Any bytes as tokenizer.json: an error, or a tokenizer that encodes and saves. And any bytes as
   text: what is encoded decodes to the same bytes, by a tokenizer trained on those very bytes. */
#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Encodes and decodes text; exact: the bytes must come back. */
static void use(const struct tokenizer *t, const char *text, size_t length, bool exact)
{
    struct error err;
    struct strbuf bytes, shown;
    int32_t *ids = memory_new(length + 1, sizeof *ids);
    strbuf_init(&bytes, (size_t)1 << 26);
    strbuf_init(&shown, (size_t)1 << 26);
    int64_t count = tokenizer_encode(t, ids, text, length, &err);
    if (count >= 0) {
        for (int64_t i = 0; i < count; i++)
            if (ids[i] < 0 || ids[i] >= tokenizer_size(t))
                abort();
        tokenizer_decode_bytes(t, &bytes, ids, count);
        tokenizer_decode(t, &shown, ids, count);
        if (exact && (bytes.length != length || memcmp(bytes.data, text, length) != 0))
            abort();
    } else if (exact) {
        abort();
    }
    strbuf_release(&shown);
    strbuf_release(&bytes);
    memory_free(ids);
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
            if (tokenizer_save(t, path, &err) != 0)
                abort();
            tokenizer_free(t);
        }
    } else if (tokenizer_train(&t, path, &options, &err) == 0) {
        use(t, text, size, true);
        tokenizer_free(t);
    }
    unlink(path);
    return 0;
}
