#include "weights/gguf.h"
#include "base/memory.h"

#include <string.h>

enum { TYPE_STRING = 8, TYPE_ARRAY = 9 };
#define MAX_NESTING 4
#define MAX_ALIGNMENT (1 << 20)

struct gguf {
    struct cursor c;
    const char *path;
    struct tensor_list *tensors;
    struct metadata *metadata;
    uint64_t alignment, data_start; /* bytes */
};

struct string {
    const char *data;
    uint64_t length;
};

bool gguf_sniff(const unsigned char *bytes, size_t size)
{
    return size >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

bool ggml_type_find(struct tensor_entry *e, uint32_t type)
{
    static const struct {
        uint8_t type;
        enum dtype dtype;
        int16_t block, bytes; /* of DTYPE_OTHER */
    } types[] = {
        {0, DTYPE_F32, 0, 0},        {1, DTYPE_F16, 0, 0},        {2, DTYPE_Q4_0, 0, 0},
        {3, DTYPE_Q4_1, 0, 0},       {6, DTYPE_Q5_0, 0, 0},       {7, DTYPE_Q5_1, 0, 0},
        {8, DTYPE_Q8_0, 0, 0},       {9, DTYPE_OTHER, 32, 36},    {10, DTYPE_OTHER, 256, 84},
        {11, DTYPE_OTHER, 256, 110}, {12, DTYPE_Q4_K, 0, 0},      {13, DTYPE_Q5_K, 0, 0},
        {14, DTYPE_Q6_K, 0, 0},      {15, DTYPE_OTHER, 256, 292}, {16, DTYPE_OTHER, 256, 66},
        {17, DTYPE_OTHER, 256, 74},  {18, DTYPE_OTHER, 256, 98},  {19, DTYPE_OTHER, 256, 50},
        {20, DTYPE_OTHER, 32, 18},   {21, DTYPE_OTHER, 256, 110}, {22, DTYPE_OTHER, 256, 82},
        {23, DTYPE_OTHER, 256, 136}, {24, DTYPE_OTHER, 1, 1},     {25, DTYPE_OTHER, 1, 2},
        {26, DTYPE_OTHER, 1, 4},     {27, DTYPE_OTHER, 1, 8},     {28, DTYPE_OTHER, 1, 8},
        {29, DTYPE_OTHER, 256, 56},  {30, DTYPE_BF16, 0, 0},      {34, DTYPE_OTHER, 256, 54},
        {35, DTYPE_OTHER, 256, 66},  {39, DTYPE_OTHER, 32, 17},
    };
    e->dtype = DTYPE_OTHER;
    e->other_block = e->other_bytes = 0;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type) {
            e->dtype = types[i].dtype;
            e->other_block = types[i].block;
            e->other_bytes = types[i].bytes;
            return true;
        }
    return false;
}

static int truncated(const struct gguf *g, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "%s: this GGUF file is truncated or damaged (%zu bytes)",
                     g->path, g->c.size);
}

static struct string read_string(struct cursor *c)
{
    struct string s = {.length = cursor_u64(c)};
    s.data = (const char *)cursor_take(c, s.length);
    return s;
}

/* An array's strings, as places in the file; NULL: err is set. */
static struct metadata_text *read_texts(struct gguf *g, uint64_t count, struct error *err)
{
    if (count > cursor_left(&g->c) / 8) {
        truncated(g, err);
        return NULL;
    }
    if (count > METADATA_TEXTS_LIMIT) {
        error_set(err, ERROR_LIMIT, "%s: a list of more than %d texts", g->path,
                  METADATA_TEXTS_LIMIT);
        return NULL;
    }
    struct metadata_text *texts = memory_new(count ? (size_t)count : 1, sizeof *texts);
    for (uint64_t i = 0; texts && i < count; i++) {
        struct string s = read_string(&g->c);
        texts[i] = (struct metadata_text){s.data, (size_t)s.length};
    }
    if (texts && !g->c.failed)
        return texts;
    if (texts)
        truncated(g, err);
    else
        error_set(err, ERROR_MEMORY, "%s: out of memory", g->path);
    memory_free(texts);
    return NULL;
}

/* An array inside an array: bounds only. */
static int skip_array(struct gguf *g, int depth, struct error *err)
{
    uint32_t type = cursor_u32(&g->c);
    uint64_t count = cursor_u64(&g->c), bytes;
    int rc = 0;
    if (depth > MAX_NESTING)
        return error_set(err, ERROR_LIMIT, "%s: lists in the metadata nest deeper than %d", g->path,
                         MAX_NESTING);
    int each = number_bytes((enum number_type)type);
    if (!each && type != TYPE_STRING && type != TYPE_ARRAY && !g->c.failed)
        return error_set(err, ERROR_FORMAT, "%s: metadata of unknown type %u", g->path, type);
    if (each && __builtin_mul_overflow(count, (uint64_t)each, &bytes))
        return truncated(g, err);
    if (each) {
        cursor_take(&g->c, bytes);
        count = 0;
    }
    for (uint64_t i = 0; i < count && !rc && !g->c.failed; i++) {
        if (type == TYPE_STRING)
            read_string(&g->c);
        else
            rc = skip_array(g, depth + 1, err);
    }
    return rc || !g->c.failed ? rc : truncated(g, err);
}

static int read_array(struct gguf *g, struct string key, struct error *err)
{
    struct cursor start = g->c;
    uint32_t type = cursor_u32(&g->c);
    struct weights_array a = {.count = (int64_t)cursor_u64(&g->c)};
    uint64_t count = (uint64_t)a.count, bytes;
    if (g->c.failed)
        return truncated(g, err);
    if (type == TYPE_STRING) {
        a.texts = read_texts(g, count, err);
        if (!a.texts)
            return err->code;
        return metadata_add_array(g->metadata, key.data, (size_t)key.length, &a, err);
    }
    a.type = (enum number_type)type;
    if (!number_bytes(a.type)) {
        g->c = start;
        return skip_array(g, 1, err);
    }
    if (__builtin_mul_overflow(count, (uint64_t)number_bytes(a.type), &bytes))
        return truncated(g, err);
    a.numbers = cursor_take(&g->c, bytes);
    if (g->c.failed)
        return truncated(g, err);
    return metadata_add_array(g->metadata, key.data, (size_t)key.length, &a, err);
}

static int read_value(struct gguf *g, struct error *err)
{
    struct string key = read_string(&g->c), text;
    uint32_t type = cursor_u32(&g->c);
    if (g->c.failed)
        return truncated(g, err);
    if (type == TYPE_ARRAY)
        return read_array(g, key, err);
    if (type == TYPE_STRING) {
        text = read_string(&g->c);
        if (g->c.failed)
            return truncated(g, err);
        return metadata_add_text(g->metadata, key.data, (size_t)key.length, text.data,
                                 (size_t)text.length, err);
    }
    int bytes = number_bytes((enum number_type)type);
    if (!bytes)
        return error_set(err, ERROR_FORMAT, "%s: metadata of unknown type %u", g->path, type);
    const unsigned char *value = cursor_take(&g->c, (uint64_t)bytes);
    if (!value)
        return truncated(g, err);
    return metadata_add_number(g->metadata, key.data, (size_t)key.length,
                               number_read((enum number_type)type, value), err);
}

static int read_tensor(struct gguf *g, struct error *err)
{
    struct string name = read_string(&g->c);
    struct tensor_entry e = {.name = name.data, .name_length = (size_t)name.length};
    uint32_t dims = cursor_u32(&g->c);
    int64_t shape[STORED_MAX_DIMS];
    if (g->c.failed)
        return truncated(g, err);
    if (dims > STORED_MAX_DIMS)
        return error_set(err, ERROR_FORMAT, "%s: a tensor of %u dimensions", g->path, dims);
    for (uint32_t i = 0; i < dims; i++)
        shape[dims - 1 - i] = (int64_t)cursor_u64(&g->c);
    e.dims = (int)dims;
    e.shape = shape;
    ggml_type_find(&e, cursor_u32(&g->c));
    uint64_t offset = cursor_u64(&g->c), room = g->c.size - g->data_start;
    if (g->c.failed)
        return truncated(g, err);
    if (offset % g->alignment)
        return error_set(err, ERROR_FORMAT, "%s: tensor %.*s is not aligned to %llu bytes", g->path,
                         tensor_name_is_good(e.name, e.name_length) ? (int)e.name_length : 0,
                         e.name, (unsigned long long)g->alignment);
    e.room = offset > room ? 0 : room - offset;
    e.data = g->c.bytes + g->data_start + (offset > room ? room : offset);
    return tensor_list_add(g->tensors, &e, err);
}

/* Past one tensor's description. */
static void skip_tensor(struct cursor *c)
{
    read_string(c);
    uint64_t dims = cursor_u32(c);
    cursor_take(c, 8 * dims + 4 + 8);
}

/* The data begins after the descriptions of all tensors, so these are walked twice. */
static int read_tensors(struct gguf *g, uint64_t count, struct error *err)
{
    struct cursor start = g->c;
    for (uint64_t i = 0; i < count && !g->c.failed; i++)
        skip_tensor(&g->c);
    if (g->c.failed)
        return truncated(g, err);
    g->data_start = (g->c.at + g->alignment - 1) / g->alignment * g->alignment;
    if (g->data_start > g->c.size)
        g->data_start = g->c.size; /* no tensor has any data, or each says that it is outside */
    g->c = start;
    int rc = 0;
    for (uint64_t i = 0; i < count && !rc; i++)
        rc = read_tensor(g, err);
    return rc;
}

static int read_alignment(struct gguf *g, struct error *err)
{
    const struct metadata_entry *parts = metadata_find(g->metadata, "split.count");
    const struct metadata_entry *e = metadata_find(g->metadata, "general.alignment");
    if (parts && parts->is_number && parts->number > 1)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: this is one of %.0f parts of a GGUF file; join them first "
                         "(llama-gguf-split --merge)",
                         g->path, parts->number);
    g->alignment = 32;
    if (!e)
        return 0;
    if (!e->is_number || !(e->number >= 1 && e->number <= MAX_ALIGNMENT) || /* NaN too */
        ((uint64_t)e->number & ((uint64_t)e->number - 1)))
        return error_set(err, ERROR_FORMAT,
                         "%s: general.alignment must be a power of two, at most %d", g->path,
                         MAX_ALIGNMENT);
    g->alignment = (uint64_t)e->number;
    return 0;
}

int gguf_read(struct tensor_list *tensors, struct metadata *metadata, const unsigned char *bytes,
              size_t size, struct error *err)
{
    struct gguf g = {{.bytes = bytes, .size = size}, tensors->path, tensors, metadata, 32, 0};
    cursor_u32(&g.c);
    uint32_t version = cursor_u32(&g.c);
    uint64_t count = cursor_u64(&g.c), values = cursor_u64(&g.c);
    if (version == 1 || (version && (version & 0xffff) == 0))
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: this is %s GGUF file, versions 2 and 3 are read", g.path,
                         version == 1 ? "a version 1" : "a big-endian");
    if (g.c.failed)
        return truncated(&g, err);
    if (version != 2 && version != 3)
        return error_set(err, ERROR_UNSUPPORTED, "%s: GGUF version %u; versions 2 and 3 are read",
                         g.path, version);
    int rc = 0;
    for (uint64_t i = 0; i < values && !rc; i++)
        rc = read_value(&g, err);
    if (!rc)
        rc = metadata_finish(metadata, err);
    if (!rc)
        rc = read_alignment(&g, err);
    return rc ? rc : read_tensors(&g, count, err);
}
