#include "weights/ggml.h"
#include "base/memory.h"
#include "weights/gguf.h"

#include <string.h>

#define MAX_DIMS 4
#define MAX_TABLE (1 << 24) /* filters, words: far more than any model has */

static const char *const header[] = {
    "n_vocab",      "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer", "n_text_ctx",
    "n_text_state", "n_text_head", "n_text_layer",  "n_mels",       "ftype"};

bool ggml_sniff(const unsigned char *bytes, size_t size)
{
    return size >= 4 && memcmp(bytes, "lmgg", 4) == 0;
}

static int truncated(const struct tensor_list *l, const struct cursor *c, struct error *err)
{
    return error_set(err, ERROR_FORMAT,
                     "%s: this whisper.cpp file is truncated or damaged (%zu bytes)", l->path,
                     c->size);
}

static int read_header(struct metadata *m, struct cursor *c, struct error *err)
{
    int rc = 0;
    cursor_u32(c);
    for (size_t i = 0; i < sizeof header / sizeof *header && !rc; i++) {
        int32_t value = (int32_t)cursor_u32(c);
        if (value < 0)
            return error_set(err, ERROR_FORMAT, "%s: the header's %s is %d", m->path, header[i],
                             value);
        rc = metadata_add_number(m, header[i], strlen(header[i]), value, err);
    }
    return rc;
}

static int read_filters(struct metadata *m, struct cursor *c, struct error *err)
{
    uint32_t mels = cursor_u32(c), bins = cursor_u32(c);
    if (mels > MAX_TABLE || bins > MAX_TABLE)
        return error_set(err, ERROR_FORMAT, "%s: mel filters of %ux%u", m->path, mels, bins);
    struct weights_array a = {.count = (int64_t)mels * bins, .type = NUMBER_F32};
    a.numbers = cursor_take(c, 4 * (uint64_t)a.count);
    if (c->failed)
        return 0; /* the caller sees it */
    return metadata_add_array(m, "mel_filters", strlen("mel_filters"), &a, err);
}

static int read_words(struct metadata *m, struct cursor *c, struct error *err)
{
    uint32_t count = cursor_u32(c);
    if (count > cursor_left(c) / 4 || count > MAX_TABLE) {
        c->failed = true;
        return 0;
    }
    struct weights_array a = {.count = count};
    a.texts = memory_new(count ? count : 1, sizeof *a.texts);
    if (!a.texts)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", m->path);
    for (uint32_t i = 0; i < count; i++) {
        a.texts[i].length = cursor_u32(c);
        a.texts[i].data = (const char *)cursor_take(c, a.texts[i].length);
    }
    if (c->failed) {
        memory_free(a.texts);
        return 0;
    }
    return metadata_add_array(m, "tokens", strlen("tokens"), &a, err);
}

static int read_tensor(struct tensor_list *l, struct cursor *c, struct error *err)
{
    struct tensor_entry e = {0};
    uint32_t dims = cursor_u32(c);
    int64_t shape[MAX_DIMS];
    e.name_length = cursor_u32(c);
    uint32_t type = cursor_u32(c);
    if (dims > MAX_DIMS)
        return error_set(err, ERROR_FORMAT, "%s: tensor %d has %u dimensions", l->path, l->count,
                         dims);
    for (uint32_t i = 0; i < dims; i++)
        shape[dims - 1 - i] = (int32_t)cursor_u32(c);
    e.dims = (int)dims;
    e.shape = shape;
    e.name = (const char *)cursor_take(c, e.name_length);
    if (c->failed)
        return truncated(l, c, err);
    /* the next tensor begins where this one ends: an unknown size ends the reading */
    if (!ggml_type_find(&e, type))
        return error_set(err, ERROR_UNSUPPORTED, "%s: tensor %d is of the unknown type %u", l->path,
                         l->count, type);
    e.data = c->bytes + c->at;
    e.room = cursor_left(c);
    int rc = tensor_list_add(l, &e, err);
    if (!rc)
        cursor_take(c, (uint64_t)l->items[l->count - 1].bytes);
    return rc;
}

int ggml_read(struct tensor_list *tensors, struct metadata *metadata, const unsigned char *bytes,
              size_t size, struct error *err)
{
    struct cursor c = {.bytes = bytes, .size = size};
    int rc = read_header(metadata, &c, err);
    if (!rc)
        rc = read_filters(metadata, &c, err);
    if (!rc)
        rc = read_words(metadata, &c, err);
    if (!rc && c.failed)
        rc = truncated(tensors, &c, err);
    while (!rc && cursor_left(&c))
        rc = read_tensor(tensors, &c, err);
    return rc;
}
