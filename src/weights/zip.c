#include "weights/zip.h"
#include "base/memory.h"
#include "weights/cursor.h"
#include "weights/tensor_list.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    CENTRAL_BYTES = 46,
    MAX_COMMENT = 65535
};

#define END_MARK 0x06054b50u
#define LOCATOR_MARK 0x07064b50u
#define END64_MARK 0x06064b50u
#define CENTRAL_MARK 0x02014b50u
#define LOCAL_MARK 0x04034b50u
#define ZIP64_EXTRA 0x0001u
#define SEE_ZIP64 0xffffffffu
#define ENCRYPTED 0x0001u

struct zip {
    const char *path;
    const unsigned char *bytes;
    size_t size;
    size_t directory, directory_end; /* offsets */
    struct zip_entry *entries;       /* [count] by name */
    int count;
};

/* What an end record says, of either kind. */
struct end {
    uint64_t parts, count, bytes, start;
};

static int broken(const struct zip *z, const char *what, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "%s: bad or truncated zip archive: %s", z->path, what);
}

/* The end record whose comment reaches exactly to the end of the file. */
static int find_end(const struct zip *z, size_t *at, struct end *end, struct error *err)
{
    if (z->size < END_BYTES)
        return broken(z, "too short", err);
    size_t last = z->size - END_BYTES, first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
    for (size_t i = last + 1; i-- > first;) {
        struct cursor c = {.bytes = z->bytes, .size = z->size, .at = i};
        if (cursor_u32(&c) != END_MARK)
            continue;
        end->parts = cursor_u32(&c);
        cursor_u16(&c);
        end->count = cursor_u16(&c);
        end->bytes = cursor_u32(&c);
        end->start = cursor_u32(&c);
        if (cursor_u16(&c) != last - i)
            continue;
        *at = i;
        return 0;
    }
    return broken(z, "its end record is missing", err);
}

/* The zip64 end record, where a locator stands before the end record at *at, which moves there. */
static int find_end64(const struct zip *z, size_t *at, struct end *end, struct error *err)
{
    if (*at < LOCATOR_BYTES + END64_BYTES)
        return 0;
    struct cursor c = {.bytes = z->bytes, .size = *at, .at = *at - LOCATOR_BYTES};
    if (cursor_u32(&c) != LOCATOR_MARK)
        return 0;
    cursor_u32(&c);
    uint64_t place = cursor_u64(&c);
    c = (struct cursor){.bytes = z->bytes, .size = *at - LOCATOR_BYTES};
    cursor_take(&c, place);
    if (cursor_u32(&c) != END64_MARK)
        return broken(z, "its zip64 end record is missing", err);
    cursor_take(&c, 12);
    end->parts = cursor_u64(&c);
    cursor_u64(&c);
    end->count = cursor_u64(&c);
    end->bytes = cursor_u64(&c);
    end->start = cursor_u64(&c);
    *at = (size_t)place;
    return c.failed ? broken(z, "its zip64 end record is too short", err) : 0;
}

static int find_directory(struct zip *z, uint64_t *count, struct error *err)
{
    size_t at = 0;
    struct end end = {0};
    int rc = find_end(z, &at, &end, err);
    if (!rc)
        rc = find_end64(z, &at, &end, err);
    if (rc)
        return rc;
    if (end.parts != 0)
        return broken(z, "one of several parts", err);
    if (end.start > at || end.bytes > at - end.start || end.count > end.bytes / CENTRAL_BYTES ||
        end.count > INT_MAX)
        return broken(z, "its directory lies outside the file", err);
    z->directory = (size_t)end.start;
    z->directory_end = (size_t)(end.start + end.bytes);
    *count = end.count;
    return 0;
}

/* Sizes and offset that did not fit into 32 bits: those only, in this order. */
static bool read_zip64(const unsigned char *extra, size_t bytes, uint64_t *values[3])
{
    bool wanted = *values[0] == SEE_ZIP64 || *values[1] == SEE_ZIP64 || *values[2] == SEE_ZIP64;
    struct cursor c = {.bytes = extra, .size = bytes};
    while (wanted && cursor_left(&c) > 0) {
        unsigned kind = cursor_u16(&c);
        size_t length = cursor_u16(&c);
        struct cursor field = {.size = length};
        field.bytes = cursor_take(&c, length);
        if (kind != ZIP64_EXTRA || c.failed)
            continue;
        for (int i = 0; i < 3; i++)
            if (*values[i] == SEE_ZIP64)
                *values[i] = cursor_u64(&field);
        return !field.failed;
    }
    return !wanted;
}

static int check_local(const struct zip *z, struct zip_entry *e, uint64_t place, uint64_t bytes,
                       struct error *err)
{
    struct cursor c = {.bytes = z->bytes, .size = z->directory};
    cursor_take(&c, place);
    if (cursor_u32(&c) != LOCAL_MARK)
        return broken(z, "an entry has no header", err);
    cursor_take(&c, 22);
    size_t name_bytes = cursor_u16(&c), extra = cursor_u16(&c);
    const unsigned char *name = cursor_take(&c, name_bytes);
    cursor_take(&c, extra);
    e->header = z->bytes + place;
    e->data = cursor_take(&c, bytes);
    e->bytes = (size_t)bytes;
    if (!e->data)
        return broken(z, "an entry lies outside the file", err);
    if (name_bytes != e->name_bytes || memcmp(name, e->name, name_bytes) != 0)
        return broken(z, "an entry's header has another name than the directory", err);
    return 0;
}

static int read_entry(const struct zip *z, struct zip_entry *e, struct cursor *c, struct error *err)
{
    if (cursor_u32(c) != CENTRAL_MARK)
        return broken(z, "its directory ends too early", err);
    cursor_u32(c);
    unsigned flags = cursor_u16(c), method = cursor_u16(c);
    cursor_u64(c);
    uint64_t stored = cursor_u32(c), size = cursor_u32(c);
    size_t extra_bytes, comment_bytes;
    e->name_bytes = cursor_u16(c);
    extra_bytes = cursor_u16(c);
    comment_bytes = cursor_u16(c);
    cursor_u64(c);
    uint64_t place = cursor_u32(c);
    e->name = (const char *)cursor_take(c, e->name_bytes);
    const unsigned char *extra = cursor_take(c, extra_bytes);
    cursor_take(c, comment_bytes);
    if (c->failed)
        return broken(z, "its directory ends too early", err);
    if (!tensor_name_is_good(e->name, e->name_bytes))
        return broken(z, "an entry's name is empty, too long or not text", err);
    if (!read_zip64(extra, extra_bytes, (uint64_t *[]){&size, &stored, &place}))
        return broken(z, "an entry's zip64 sizes are missing", err);
    e->method = flags & ENCRYPTED ? -1 : (int)method;
    if (e->method == 0 && stored != size)
        return broken(z, "a stored entry has two sizes", err);
    return check_local(z, e, place, stored, err);
}

static int compare_names(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static int by_name(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    return compare_names(x->name, x->name_bytes, y->name, y->name_bytes);
}

static int by_place(const void *a, const void *b)
{
    const struct zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static int read_directory(struct zip *z, struct error *err)
{
    uint64_t count = 0;
    int rc = find_directory(z, &count, err);
    if (rc)
        return rc;
    z->entries = memory_new((size_t)count, sizeof *z->entries);
    if (!z->entries)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", z->path);
    struct cursor c = {.bytes = z->bytes, .size = z->directory_end, .at = z->directory};
    for (; !rc && (uint64_t)z->count < count; z->count++)
        rc = read_entry(z, &z->entries[z->count], &c, err);
    if (rc)
        return rc;
    if (cursor_left(&c) > 0)
        return broken(z, "its directory has more entries than it says", err);
    qsort(z->entries, (size_t)z->count, sizeof *z->entries, by_place);
    for (int i = 1; i < z->count; i++)
        if (z->entries[i].header < z->entries[i - 1].data + z->entries[i - 1].bytes)
            return broken(z, "its entries overlap", err);
    qsort(z->entries, (size_t)z->count, sizeof *z->entries, by_name);
    for (int i = 1; i < z->count; i++)
        if (by_name(&z->entries[i - 1], &z->entries[i]) == 0)
            return broken(z, "two entries have one name", err);
    return 0;
}

int zip_open(struct zip **out, const unsigned char *bytes, size_t size, const char *path,
             struct error *err)
{
    *out = NULL;
    struct zip *z = memory_new(1, sizeof *z);
    if (!z)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    *z = (struct zip){.path = path, .bytes = bytes, .size = size};
    int rc = read_directory(z, err);
    if (rc)
        zip_close(z);
    else
        *out = z;
    return rc;
}

void zip_close(struct zip *z)
{
    if (!z)
        return;
    memory_free(z->entries);
    memory_free(z);
}

int zip_count(const struct zip *z)
{
    return z->count;
}

const struct zip_entry *zip_at(const struct zip *z, int index)
{
    return &z->entries[index];
}

const struct zip_entry *zip_find(const struct zip *z, const char *name)
{
    struct zip_entry key = {.name = name, .name_bytes = strlen(name)};
    return bsearch(&key, z->entries, (size_t)z->count, sizeof key, by_name);
}

int zip_read(const struct zip_entry **entry, const struct zip *z, const char *name,
             struct error *err)
{
    *entry = zip_find(z, name);
    if (!*entry)
        return error_set(err, ERROR_FORMAT, "%s: %s is missing in the archive", z->path, name);
    if ((*entry)->method != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: %s is %s; PyTorch only stores: unpack the archive and pack it with "
                         "zip -0",
                         z->path, name, (*entry)->method < 0 ? "encrypted" : "compressed");
    return 0;
}
