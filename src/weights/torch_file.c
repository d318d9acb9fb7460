#include "weights/torch_file.h"
#include "base/memory.h"
#include "weights/cursor.h"
#include "weights/tensor_list.h"
#include "weights/torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL 1001 /* of the older format: the only one there was */
#define MAX_KEY 128

/* The long 0x1950a86a20f9469cfc6c, as every protocol from 2 on writes it. */
static const unsigned char magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                      0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

struct torch_placed {
    const char *key;
    size_t key_bytes;
    const struct torch_element *element;
    const unsigned char *data; /* NULL: not found */
    uint64_t bytes;
};

const struct torch_element *torch_element_find(const struct pickle_value *class)
{
    static const struct torch_element elements[] = {
        {"FloatStorage", "float32", DTYPE_F32, 4},
        {"HalfStorage", "float16", DTYPE_F16, 2},
        {"BFloat16Storage", "bfloat16", DTYPE_BF16, 2},
        {"DoubleStorage", "float64", DTYPE_OTHER, 8},
        {"LongStorage", "int64", DTYPE_OTHER, 8},
        {"IntStorage", "int32", DTYPE_OTHER, 4},
        {"ShortStorage", "int16", DTYPE_OTHER, 2},
        {"CharStorage", "int8", DTYPE_OTHER, 1},
        {"ByteStorage", "uint8", DTYPE_OTHER, 1},
        {"BoolStorage", "bool", DTYPE_OTHER, 1},
        {"UntypedStorage", "uint8", DTYPE_OTHER, 1},
        {"ComplexFloatStorage", "complex64", DTYPE_OTHER, 8},
        {"ComplexDoubleStorage", "complex128", DTYPE_OTHER, 16},
        {"", "complex32", DTYPE_OTHER, 4},
        {"", "uint16", DTYPE_OTHER, 2},
        {"", "uint32", DTYPE_OTHER, 4},
        {"", "uint64", DTYPE_OTHER, 8},
        {"", "float8_e4m3fn", DTYPE_OTHER, 1},
        {"", "float8_e5m2", DTYPE_OTHER, 1},
        {"", "float8_e4m3fnuz", DTYPE_OTHER, 1},
        {"", "float8_e5m2fnuz", DTYPE_OTHER, 1},
        {"", "float8_e8m0fnu", DTYPE_OTHER, 1},
    };
    if (!class || class->kind != PICKLE_CLASS)
        return NULL;
    const char *dot = memrchr(class->text, '.', class->count);
    size_t length = dot ? (size_t)(class->text + class->count - dot - 1) : 0;
    for (size_t i = 0; length && i < sizeof elements / sizeof *elements; i++)
        if ((strlen(elements[i].storage) == length &&
             memcmp(elements[i].storage, dot + 1, length) == 0) ||
            (strlen(elements[i].name) == length && memcmp(elements[i].name, dot + 1, length) == 0))
            return &elements[i];
    return NULL;
}

bool torch_sniff(const unsigned char *bytes, size_t size)
{
    if (size >= 4 && memcmp(bytes, "PK\3\4", 4) == 0)
        return true;
    return size >= 2 && bytes[0] == 0x80 &&
           memmem(bytes, size < 32 ? size : 32, magic, sizeof magic);
}

static int broken(const struct torch_file *f, const char *what, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "%s: bad PyTorch file: %s", f->path, what);
}

/* What the archive is, if its entries give it away. */
static const char *foreign_archive(const struct zip *z)
{
    static const struct {
        const char *end, *what; /* of an entry's name */
    } signs[] = {
        {"[Content_Types].xml", "an Office document"},
        {"META-INF/MANIFEST.MF", "a Java archive"},
        {"mimetype", "an OpenDocument or EPUB file"},
        {".npy", "NumPy's .npz"},
        {"/constants.pkl", "TorchScript without data"},
        {"/model.json", "TorchScript of PyTorch 1.0"},
    };
    for (size_t k = 0; k < sizeof signs / sizeof *signs; k++)
        for (int i = 0; i < zip_count(z); i++) {
            const struct zip_entry *e = zip_at(z, i);
            size_t n = strlen(signs[k].end);
            if (e->name_bytes >= n && memcmp(e->name + e->name_bytes - n, signs[k].end, n) == 0)
                return signs[k].what;
        }
    return "there is no data.pkl in it";
}

/* The one folder that has a data.pkl. */
static int find_folder(struct torch_file *f, struct error *err)
{
    static const char wanted[] = "/data.pkl";
    const size_t n = sizeof wanted - 1;
    for (int i = 0; i < zip_count(f->zip); i++) {
        const struct zip_entry *e = zip_at(f->zip, i);
        if (e->name_bytes <= n || e->name_bytes - n >= TORCH_MAX_FOLDER ||
            memcmp(e->name + e->name_bytes - n, wanted, n) != 0 ||
            memchr(e->name, '/', e->name_bytes - n))
            continue;
        if (f->folder[0])
            return broken(f, "two folders in it have a data.pkl", err);
        memcpy(f->folder, e->name, e->name_bytes - n);
    }
    if (!f->folder[0])
        return error_set(err, ERROR_FORMAT, "%s: a zip archive, but not PyTorch's: %s", f->path,
                         foreign_archive(f->zip));
    return 0;
}

static int open_zip(struct torch_file *f, struct error *err)
{
    char name[TORCH_MAX_FOLDER + 16];
    const struct zip_entry *e;
    int rc = zip_open(&f->zip, f->bytes, f->size, f->path, err);
    if (!rc)
        rc = find_folder(f, err);
    if (rc)
        return rc;
    snprintf(name, sizeof name, "%s/byteorder", f->folder);
    if (zip_find(f->zip, name)) {
        rc = zip_read(&e, f->zip, name, err);
        if (rc)
            return rc;
        if (e->bytes != 6 || memcmp(e->data, "little", 6) != 0)
            return error_set(err, ERROR_UNSUPPORTED, "%s: a big-endian PyTorch file", f->path);
    }
    snprintf(name, sizeof name, "%s/data.pkl", f->folder);
    rc = zip_read(&e, f->zip, name, err);
    if (rc)
        return rc;
    return pickle_open(&f->pickle, e->data, e->bytes, &f->pickle_bytes, f->path, err);
}

/* The pickle at the cursor, which moves behind it. */
static int next_pickle(const struct torch_file *f, struct pickle **p, struct cursor *c,
                       struct error *err)
{
    size_t used;
    int rc = pickle_open(p, c->bytes + c->at, cursor_left(c), &used, f->path, err);
    if (!rc)
        cursor_take(c, used);
    return rc;
}

/* Magic number, protocol and the system it was written on. */
static int read_preamble(const struct torch_file *f, struct cursor *c, struct error *err)
{
    for (int i = 0; i < 3; i++) {
        struct pickle *p;
        int rc = next_pickle(f, &p, c, err);
        if (rc)
            return rc;
        const struct pickle_value *v = pickle_root(p), *little;
        if (i == 1 && (v->kind != PICKLE_INTEGER || v->integer != PROTOCOL))
            rc = error_set(err, ERROR_UNSUPPORTED, "%s: a PyTorch file of an unknown protocol",
                           f->path);
        little = i == 2 && v->kind == PICKLE_DICT ? pickle_get(v, "little_endian") : NULL;
        if (i == 2 && (!little || little->kind != PICKLE_BOOL || !little->integer))
            rc = error_set(err, ERROR_UNSUPPORTED, "%s: a big-endian PyTorch file", f->path);
        pickle_close(p);
        if (rc)
            return rc;
    }
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct torch_placed *x = a, *y = b;
    size_t shorter = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
    int order = memcmp(x->key, y->key, shorter);
    return order ? order : (x->key_bytes > y->key_bytes) - (x->key_bytes < y->key_bytes);
}

static struct torch_placed *find_placed(const struct torch_file *f, const struct pickle_value *key)
{
    struct torch_placed wanted = {.key = key->text, .key_bytes = key->count};
    if (key->kind != PICKLE_TEXT || !f->count)
        return NULL;
    return bsearch(&wanted, f->placed, f->count, sizeof wanted, by_key);
}

/* Parts of a reference to a storage; NULL: it refers to something else. */
static struct pickle_value **storage_parts(const struct pickle_value *reference, size_t *count)
{
    const struct pickle_value *tuple = reference->args;
    if (reference->kind != PICKLE_REFERENCE || tuple->kind != PICKLE_TUPLE || tuple->count < 5 ||
        !pickle_text_is(tuple->items[0], PICKLE_TEXT, "storage") ||
        tuple->items[2]->kind != PICKLE_TEXT || tuple->items[2]->count > MAX_KEY ||
        !tensor_name_is_good(tuple->items[2]->text, tuple->items[2]->count) ||
        tuple->items[4]->kind != PICKLE_INTEGER || tuple->items[4]->integer < 0)
        return NULL;
    *count = tuple->count;
    return tuple->items;
}

/* The storages that the object refers to, by key: only there it is said how large an element is. */
static int list_placed(struct torch_file *f, struct error *err)
{
    size_t references = pickle_reference_count(f->pickle), count, kept = 0;
    f->placed = memory_new(references, sizeof *f->placed);
    if (!f->placed)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", f->path);
    for (size_t i = 0; i < references; i++) {
        struct pickle_value **parts = storage_parts(pickle_reference(f->pickle, i), &count);
        const struct torch_element *element = parts ? torch_element_find(parts[1]) : NULL;
        if (element)
            f->placed[f->count++] = (struct torch_placed){
                .key = parts[2]->text, .key_bytes = parts[2]->count, .element = element};
    }
    if (f->count)
        qsort(f->placed, f->count, sizeof *f->placed, by_key);
    for (size_t i = 0; i < f->count; i++) {
        if (kept && by_key(&f->placed[kept - 1], &f->placed[i]) == 0) {
            if (f->placed[kept - 1].element->bytes != f->placed[i].element->bytes)
                return broken(f, "a storage has two types", err);
            continue;
        }
        f->placed[kept++] = f->placed[i];
    }
    f->count = kept;
    return 0;
}

/* Behind the list of keys stand the storages in its order. */
static int place_storages(struct torch_file *f, const struct pickle_value *keys, struct cursor *c,
                          struct error *err)
{
    if (keys->kind != PICKLE_TUPLE)
        return broken(f, "the list of its storages is missing", err);
    for (size_t i = 0; i < keys->count; i++) {
        struct torch_placed *s = find_placed(f, keys->items[i]);
        uint64_t elements = cursor_u64(c), bytes;
        if (!s)
            return broken(f, "a storage is of no known type", err);
        if (__builtin_mul_overflow(elements, (uint64_t)s->element->bytes, &bytes) || c->failed ||
            bytes > cursor_left(c))
            return broken(f, "a storage reaches past its end (truncated?)", err);
        s->data = cursor_take(c, bytes);
        s->bytes = bytes;
    }
    return 0;
}

static int open_older(struct torch_file *f, struct error *err)
{
    struct cursor c = {.bytes = f->bytes, .size = f->size};
    struct pickle *keys = NULL;
    int rc = read_preamble(f, &c, err);
    if (rc)
        return rc;
    size_t start = c.at;
    rc = next_pickle(f, &f->pickle, &c, err);
    if (rc)
        return rc;
    f->pickle_bytes = c.at - start;
    rc = list_placed(f, err);
    if (!rc)
        rc = next_pickle(f, &keys, &c, err);
    if (!rc)
        rc = place_storages(f, pickle_root(keys), &c, err);
    pickle_close(keys);
    return rc;
}

int torch_file_open(struct torch_file *f, const unsigned char *bytes, size_t size, const char *path,
                    struct error *err)
{
    *f = (struct torch_file){.path = path, .bytes = bytes, .size = size};
    if (!torch_sniff(bytes, size))
        return error_set(err, ERROR_FORMAT, "%s: not a PyTorch file", path);
    int rc = bytes[0] == 'P' ? open_zip(f, err) : open_older(f, err);
    if (rc)
        torch_file_release(f);
    return rc;
}

void torch_file_release(struct torch_file *f)
{
    memory_free(f->placed);
    pickle_close(f->pickle);
    zip_close(f->zip);
    *f = (struct torch_file){0};
}

/* A view's piece of a storage, older format: (key, offset, elements). */
static bool cut_view(struct torch_storage *s, const struct pickle_value *view)
{
    if (view->kind == PICKLE_OTHER)
        return true;
    if (view->kind != PICKLE_TUPLE || view->count != 3 || view->items[1]->kind != PICKLE_INTEGER ||
        view->items[2]->kind != PICKLE_INTEGER)
        return false;
    uint64_t room = s->bytes / (uint64_t)s->element->bytes;
    int64_t offset = view->items[1]->integer, elements = view->items[2]->integer;
    if (offset < 0 || elements < 0 || (uint64_t)offset > room ||
        (uint64_t)elements > room - (uint64_t)offset)
        return false;
    s->data += offset * s->element->bytes;
    s->bytes = (uint64_t)elements * (uint64_t)s->element->bytes;
    return true;
}

static int find_bytes(const struct torch_file *f, struct torch_storage *s,
                      const struct pickle_value *key, struct error *err)
{
    int key_bytes = (int)key->count;
    if (f->zip) {
        char name[TORCH_MAX_FOLDER + MAX_KEY + 16];
        const struct zip_entry *e;
        snprintf(name, sizeof name, "%s/data/%.*s", f->folder, key_bytes, key->text);
        int rc = zip_read(&e, f->zip, name, err);
        if (rc)
            return rc;
        s->data = e->data;
        s->bytes = e->bytes;
        return 0;
    }
    const struct torch_placed *placed = find_placed(f, key);
    if (!placed || !placed->data)
        return broken(f, "a storage is missing", err);
    s->data = placed->data;
    s->bytes = placed->bytes;
    return 0;
}

int torch_file_storage(const struct torch_file *f, struct torch_storage *s,
                       const struct pickle_value *reference, struct error *err)
{
    size_t count;
    struct pickle_value **parts = storage_parts(reference, &count);
    s->element = parts ? torch_element_find(parts[1]) : NULL;
    if (!s->element)
        return broken(f, "a tensor's storage is of no known kind", err);
    int rc = find_bytes(f, s, parts[2], err);
    if (rc)
        return rc;
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)parts[4]->integer, (uint64_t)s->element->bytes, &bytes) ||
        bytes > s->bytes)
        return error_set(err, ERROR_FORMAT,
                         "%s: a storage has %llu bytes, fewer than its %lld elements need", f->path,
                         (unsigned long long)s->bytes, (long long)parts[4]->integer);
    s->bytes = bytes;
    if (count > 5 && !cut_view(s, parts[5]))
        return broken(f, "a view reaches past its storage", err);
    return 0;
}
