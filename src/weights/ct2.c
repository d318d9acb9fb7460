#include "weights/ct2.h"

#include <stdio.h>
#include <string.h>

#define NEWEST 6
#define MAX_VERSION 64 /* more is no version number but another format */

struct name {
    const char *text;
    size_t length; /* without the NUL */
};

/* Also sets failed where the string has no NUL at its end, or one inside. */
static struct name read_name(struct cursor *c)
{
    uint16_t length = cursor_u16(c);
    const char *text = (const char *)cursor_take(c, length);
    if (!text || !length || memchr(text, 0, length) != text + length - 1) {
        c->failed = true;
        return (struct name){"", 0};
    }
    return (struct name){text, (size_t)length - 1};
}

bool ct2_sniff(const unsigned char *bytes, size_t size)
{
    struct cursor c = {.bytes = bytes, .size = size};
    uint32_t version = cursor_u32(&c);
    struct name name = read_name(&c);
    return version >= 2 && version <= MAX_VERSION && !c.failed &&
           tensor_name_is_good(name.text, name.length);
}

static int truncated(const struct tensor_list *l, const struct cursor *c, struct error *err)
{
    return error_set(err, ERROR_FORMAT,
                     "%s: this CTranslate2 file is truncated or damaged (%zu bytes)", l->path,
                     c->size);
}

struct element {
    enum dtype dtype;
    enum number_type number; /* NUMBER_BOOL: none, a 16-bit float */
    int bytes;
};

static const struct element elements[] = {
    {DTYPE_F32, NUMBER_F32, 4},   {DTYPE_OTHER, NUMBER_I8, 1}, {DTYPE_OTHER, NUMBER_I16, 2},
    {DTYPE_OTHER, NUMBER_I32, 4}, {DTYPE_F16, NUMBER_BOOL, 2}, {DTYPE_BF16, NUMBER_BOOL, 2},
};

/* Type and bytes of the data of a variable; NULL: unknown type. */
static const struct element *read_element(struct cursor *c, uint32_t version, uint64_t *bytes)
{
    uint8_t type = cursor_u8(c);
    uint32_t size = cursor_u32(c);
    *bytes = size;
    if (version < 4) {
        *bytes = (uint64_t)size * type; /* type: bytes of one number */
        type = type == 4 ? 0 : type == 1 ? 1 : type == 2 ? 2 : UINT8_MAX;
    }
    return type < sizeof elements / sizeof *elements ? &elements[type] : NULL;
}

static int add_setting(struct metadata *m, struct name name, const struct element *element,
                       const unsigned char *data, struct error *err)
{
    float half;
    double value;
    if (element->number == NUMBER_BOOL) {
        dtype_to_float(&half, element->dtype, data, 1);
        value = (double)half;
    } else
        value = number_read(element->number, data);
    return metadata_add_number(m, name.text, name.length, value, err);
}

static int read_variable(struct tensor_list *l, struct metadata *m, struct cursor *c,
                         uint32_t version, struct error *err)
{
    struct name name = read_name(c);
    struct tensor_entry e = {.name = name.text, .name_length = name.length, .dims = cursor_u8(c)};
    int64_t shape[STORED_MAX_DIMS];
    uint64_t bytes;
    if (c->failed)
        return truncated(l, c, err);
    if (e.dims > STORED_MAX_DIMS)
        return error_set(err, ERROR_FORMAT, "%s: variable %d has %d dimensions", l->path, l->count,
                         e.dims);
    for (int i = 0; i < e.dims; i++)
        shape[i] = cursor_u32(c);
    e.shape = shape;
    const struct element *element = read_element(c, version, &bytes);
    e.data = cursor_take(c, bytes);
    if (c->failed)
        return truncated(l, c, err);
    if (!element)
        return error_set(err, ERROR_UNSUPPORTED, "%s: variable %d is of an unknown type", l->path,
                         l->count);
    if (e.dims == 0 && bytes == (uint64_t)element->bytes)
        return add_setting(m, name, element, e.data, err);
    e.dtype = element->dtype;
    e.other_block = 1;
    e.other_bytes = element->bytes;
    e.room = bytes;
    int rc = tensor_list_add(l, &e, err);
    if (!rc && (uint64_t)l->items[l->count - 1].bytes != bytes)
        rc = error_set(err, ERROR_FORMAT, "%s: variable %s has %llu bytes, its shape needs %lld",
                       l->path, name.text, (unsigned long long)bytes,
                       (long long)l->items[l->count - 1].bytes);
    return rc;
}

/* `of` under the name `name`, where it is one of the first `sorted` tensors. */
static int add_alias(struct tensor_list *l, int sorted, const char *name, const char *of,
                     struct error *err)
{
    struct tensor_list variables = {.items = l->items, .count = sorted};
    const struct stored_tensor *t = tensor_list_find(&variables, of);
    if (!t)
        return 0;
    struct stored_tensor alias = *t;
    alias.name = name;
    return tensor_list_borrow(l, &alias, err);
}

static int read_aliases(struct tensor_list *l, struct cursor *c, struct error *err)
{
    int rc = tensor_list_finish(l, err); /* aliases are looked up */
    int sorted = l->count;
    uint32_t count = cursor_u32(c);
    for (uint32_t i = 0; i < count && !rc; i++) {
        struct name alias = read_name(c), of = read_name(c);
        if (c->failed)
            return truncated(l, c, err);
        if (!tensor_name_is_good(alias.text, alias.length) || of.length > STORED_MAX_NAME)
            return error_set(err, ERROR_FORMAT, "%s: alias %u has no proper name", l->path, i);
        char scale[STORED_MAX_NAME + 8], of_scale[STORED_MAX_NAME + 8];
        snprintf(scale, sizeof scale, "%s_scale", alias.text);
        snprintf(of_scale, sizeof of_scale, "%s_scale", of.text);
        rc = add_alias(l, sorted, alias.text, of.text, err);
        if (!rc)
            rc = add_alias(l, sorted, scale, of_scale, err);
    }
    return rc;
}

int ct2_read(struct tensor_list *tensors, struct metadata *metadata, const unsigned char *bytes,
             size_t size, struct error *err)
{
    struct cursor c = {.bytes = bytes, .size = size};
    uint32_t version = cursor_u32(&c);
    if (version < 2 || version > NEWEST)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: CTranslate2 version %u; versions 2 to %d are read", tensors->path,
                         version, NEWEST);
    struct name specification = read_name(&c);
    uint32_t revision = cursor_u32(&c), count = cursor_u32(&c);
    if (c.failed)
        return truncated(tensors, &c, err);
    int rc = metadata_add_text(metadata, "specification", strlen("specification"),
                               specification.text, specification.length, err);
    if (!rc)
        rc = metadata_add_number(metadata, "version", strlen("version"), version, err);
    if (!rc)
        rc = metadata_add_number(metadata, "revision", strlen("revision"), revision, err);
    for (uint32_t i = 0; i < count && !rc; i++)
        rc = read_variable(tensors, metadata, &c, version, err);
    if (!rc && version >= 3)
        rc = read_aliases(tensors, &c, err);
    if (!rc && cursor_left(&c))
        rc = error_set(err, ERROR_FORMAT, "%s: %zu bytes after the last variable", tensors->path,
                       cursor_left(&c));
    return rc ? rc : c.failed ? truncated(tensors, &c, err) : 0;
}
