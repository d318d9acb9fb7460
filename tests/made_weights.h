/* Files of weights made byte by byte, and a reader run over a copy of exactly their size, so that
   the sanitizers see a read past the end. Include after cmocka. */
#ifndef TESTS_MADE_WEIGHTS_H
#define TESTS_MADE_WEIGHTS_H

#include "base/strbuf.h"
#include "weights/metadata.h"
#include "weights/tensor_list.h"

#include <stdlib.h>
#include <string.h>

typedef int weights_reader(struct tensor_list *tensors, struct metadata *metadata,
                           const unsigned char *bytes, size_t size, struct error *err);

static inline void put(struct strbuf *s, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        strbuf_add(s, &(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static inline void put_float(struct strbuf *s, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put(s, bits, 4);
}

static inline void put_text(struct strbuf *s, const char *text, int length_bytes)
{
    put(s, strlen(text), length_bytes);
    strbuf_adds(s, text);
}

struct made {
    unsigned char *bytes;
    struct tensor_list tensors;
    struct metadata metadata;
};

static inline void made_close(struct made *m)
{
    tensor_list_release(&m->tensors);
    metadata_release(&m->metadata);
    free(m->bytes);
}

/* 0, or the reader's error with the file's name in it; close it in both cases. */
static inline int made_read(struct made *m, weights_reader *read, const void *bytes, size_t size,
                            struct error *err)
{
    m->bytes = malloc(size ? size : 1);
    if (size)
        memcpy(m->bytes, bytes, size);
    tensor_list_init(&m->tensors, "made.bin");
    metadata_init(&m->metadata, "made.bin");
    int rc = read(&m->tensors, &m->metadata, m->bytes, size, err);
    if (!rc)
        rc = tensor_list_finish(&m->tensors, err);
    if (!rc)
        rc = metadata_finish(&m->metadata, err);
    assert_true(!rc || strncmp(err->message, "made.bin: ", 10) == 0);
    return rc;
}

/* Overwrites `width` bytes at `at`, reads, expects an error that holds `words` (NULL: no error),
   and puts the bytes back. */
static inline void expect_patched(struct strbuf *file, weights_reader *read, size_t at,
                                  uint64_t value, int width, const char *words)
{
    struct made m;
    struct error err = {0};
    unsigned char old[8];
    memcpy(old, file->data + at, (size_t)width);
    for (int i = 0; i < width; i++)
        file->data[at + (size_t)i] = (char)(value >> (8 * i));
    int rc = made_read(&m, read, file->data, file->length, &err);
    if (words ? !rc || !strstr(err.message, words) : rc)
        fail_msg("%llx at %zu: %d %s, not \"%s\"", (unsigned long long)value, at, rc, err.message,
                 words ? words : "");
    made_close(&m);
    memcpy(file->data + at, old, (size_t)width);
}

/* A field of the file, and a value that makes the file wrong. */
struct patch {
    size_t at;
    uint64_t value;
    int width;
    const char *words; /* of the message */
};

static inline void expect_patches(struct strbuf *file, weights_reader *read,
                                  const struct patch *patches, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect_patched(file, read, patches[i].at, patches[i].value, patches[i].width,
                       patches[i].words);
}

/* Every beginning of the file, of `from` bytes and more, is refused. */
static inline void expect_cuts(const struct strbuf *file, weights_reader *read, size_t from)
{
    for (size_t n = from; n < file->length; n++) {
        struct made m;
        struct error err = {0};
        if (made_read(&m, read, file->data, n, &err) != ERROR_FORMAT)
            fail_msg("%zu of %zu bytes: %d %s", n, file->length, err.code, err.message);
        made_close(&m);
    }
}

#endif
