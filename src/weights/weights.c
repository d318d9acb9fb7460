/*
 * A table of formats: each recognises its first bytes and reads tensors and metadata from the
 * mapped file into two lists. PyTorch's reader owns its memory (tensors that it had to gather), so
 * its tensors are borrowed; so are those of shards, each of which is a `struct weights` of its own.
 */
#include "weights/weights.h"
#include "base/file.h"
#include "base/memory.h"
#include "weights/ct2.h"
#include "weights/foreign.h"
#include "weights/ggml.h"
#include "weights/gguf.h"
#include "weights/metadata.h"
#include "weights/safetensors.h"
#include "weights/tensor_list.h"
#include "weights/torch.h"

#include <dirent.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_INDEX_BYTES ((size_t)64 << 20)
#define MAX_SHARDS 1000

struct weights {
    enum weights_format format;
    char *path;
    struct file_map map;
    struct tensor_list tensors;
    struct metadata metadata;
    struct torch *torch;
    struct weights **shards; /* [shard_count], in the index's order */
    int shard_count;
};

static const struct {
    const char *name;
    bool (*sniff)(const unsigned char *bytes, size_t size);
    int (*read)(struct tensor_list *tensors, struct metadata *metadata, const unsigned char *bytes,
                size_t size, struct error *err);
} formats[WEIGHTS_FORMATS] = {
    [WEIGHTS_SAFETENSORS] = {"safetensors", safetensors_sniff, safetensors_read},
    [WEIGHTS_GGUF] = {"GGUF", gguf_sniff, gguf_read},
    [WEIGHTS_TORCH] = {"PyTorch", torch_sniff, NULL},
    [WEIGHTS_GGML] = {"whisper.cpp", ggml_sniff, ggml_read},
    [WEIGHTS_CT2] = {"CTranslate2", ct2_sniff, ct2_read},
};

static int no_memory(const char *path, struct error *err)
{
    return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
}

/* ---- one file ------------------------------------------------------------------------------ */

static int open_torch(struct weights *w, struct error *err)
{
    int rc = torch_open(&w->torch, w->path, err);
    for (int i = 0; !rc && i < torch_count(w->torch); i++)
        rc = tensor_list_borrow(&w->tensors, torch_at(w->torch, i), err);
    return rc;
}

static int open_shards(struct weights *w, const json_t *index, struct error *err);

/* An index of shards, or what else a JSON text is; is_index: whether it was one. */
static int try_index(struct weights *w, bool *is_index, struct error *err)
{
    const char *text = (const char *)w->map.data;
    size_t size = w->map.size, space = 0;
    while (space < size && space < 64 && strchr(" \t\r\n", text[space]) && text[space])
        space++;
    *is_index = false;
    if (space == size || text[space] != '{' || size > MAX_INDEX_BYTES)
        return 0;
    json_t *index = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    *is_index = json_object_get(index, "weight_map") != NULL;
    int rc = *is_index ? open_shards(w, index, err) : 0;
    json_decref(index);
    return rc;
}

static int open_mapped(struct weights *w, bool shards, struct error *err)
{
    bool is_index = false;
    int f = 0;
    while (f < WEIGHTS_FORMATS && !formats[f].sniff(w->map.data, w->map.size))
        f++;
    if (f == WEIGHTS_FORMATS && shards) {
        int rc = try_index(w, &is_index, err);
        if (rc || is_index)
            return rc;
    }
    if (f == WEIGHTS_FORMATS) {
        char what[160];
        foreign_describe(what, sizeof what, w->map.data, w->map.size);
        return error_set(err, ERROR_FORMAT,
                         "%s: this is %s; expected are weights: safetensors, GGUF, PyTorch (.pt "
                         ".pth .bin .ckpt), whisper.cpp or CTranslate2 (.bin)",
                         w->path, what);
    }
    w->format = (enum weights_format)f;
    if (f == WEIGHTS_TORCH) {
        file_map_close(&w->map);
        return open_torch(w, err);
    }
    return formats[f].read(&w->tensors, &w->metadata, w->map.data, w->map.size, err);
}

/* shards: the file may be an index of shards. */
static int open_file(struct weights **out, const char *path, bool shards, struct error *err)
{
    *out = NULL;
    struct weights *w = memory_new(1, sizeof *w);
    if (!w || !(w->path = memory_strdup(path))) {
        memory_free(w);
        return no_memory(path, err);
    }
    tensor_list_init(&w->tensors, w->path);
    metadata_init(&w->metadata, w->path);
    int rc = file_map_open(&w->map, path, err);
    if (!rc)
        rc = open_mapped(w, shards, err);
    if (!rc)
        rc = tensor_list_finish(&w->tensors, err);
    if (!rc)
        rc = metadata_finish(&w->metadata, err);
    if (rc)
        weights_close(w);
    else
        *out = w;
    return rc;
}

/* ---- shards -------------------------------------------------------------------------------- */

/* The shard's tensors join the index's. The name must be a plain file name: it comes from a file
   that may be anybody's. */
static int open_shard(struct weights *w, const char *name, struct error *err)
{
    if (!name || !name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(err, ERROR_FORMAT, "%s: the index names a shard that is no file beside it",
                         w->path);
    char *folder = memory_strdup(w->path), *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash)
        slash[1] = 0;
    else if (folder)
        folder[0] = 0;
    char *path = folder ? file_join(folder, name) : NULL;
    struct weights *shard = NULL;
    int rc = path ? open_file(&shard, path, false, err) : no_memory(w->path, err);
    if (shard)
        w->shards[w->shard_count++] = shard;
    for (int i = 0; !rc && i < shard->tensors.count; i++)
        rc = tensor_list_borrow(&w->tensors, &shard->tensors.items[i], err);
    if (!rc && shard->format != w->shards[0]->format)
        rc = error_set(err, ERROR_FORMAT, "%s: some shards are %s, others %s", w->path,
                       formats[w->shards[0]->format].name, formats[shard->format].name);
    memory_free(path);
    memory_free(folder);
    return rc;
}

/* files: name to number of the shard, filled here. */
static int open_all(struct weights *w, const json_t *map, json_t *files, struct error *err)
{
    json_t *file;
    const char *name;
    int rc = 0;
    json_object_foreach((json_t *)map, name, file)
    {
        const char *shard = json_string_value(file);
        if (!rc && shard && json_object_get(files, shard))
            continue;
        if (w->shard_count == MAX_SHARDS)
            return error_set(err, ERROR_LIMIT, "%s: more than %d shards", w->path, MAX_SHARDS);
        rc = open_shard(w, shard, err);
        if (rc)
            return rc;
        json_object_set_new(files, shard, json_integer(w->shard_count - 1));
    }
    json_object_foreach((json_t *)map, name, file)
    {
        const json_t *number = json_object_get(files, json_string_value(file));
        const struct weights *shard = w->shards[json_integer_value(number)];
        if (!weights_find(shard, name))
            return error_set(err, ERROR_FORMAT, "%s: tensor %.200s is not in %s", w->path, name,
                             shard->path);
    }
    return 0;
}

static int open_shards(struct weights *w, const json_t *index, struct error *err)
{
    const json_t *map = json_object_get(index, "weight_map");
    if (!json_object_size(map))
        return error_set(err, ERROR_FORMAT, "%s: the weight_map of this index is empty", w->path);
    json_t *files = json_object();
    w->shards = memory_new(MAX_SHARDS, sizeof *w->shards);
    int rc = files && w->shards ? open_all(w, map, files, err) : no_memory(w->path, err);
    if (!rc)
        w->format = w->shards[0]->format;
    json_decref(files);
    file_map_close(&w->map);
    return rc;
}

/* ---- folders ------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The only file of the folder that ends so, into *path (NULL: there is none). */
static int find_single(char **path, const char *folder, const char *end, struct error *err)
{
    *path = NULL;
    DIR *dir = opendir(folder);
    int rc = 0;
    for (struct dirent *entry; dir && !rc && (entry = readdir(dir));) {
        if (!ends_with(entry->d_name, end))
            continue;
        if (*path)
            rc =
                error_set(err, ERROR_USAGE, "%s: holds several *%s, name one of them", folder, end);
        else if (!(*path = file_join(folder, entry->d_name)))
            rc = no_memory(folder, err);
    }
    if (dir)
        closedir(dir);
    if (rc) {
        memory_free(*path);
        *path = NULL;
    }
    return rc;
}

static int find_in_folder(char **path, const char *folder, struct error *err)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json",
                                        "model.bin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stat st;
        *path = file_join(folder, names[i]);
        if (!*path)
            return no_memory(folder, err);
        if (stat(*path, &st) == 0)
            return 0;
        memory_free(*path);
    }
    int rc = find_single(path, folder, ".gguf", err);
    if (!rc && !*path)
        rc = error_set(err, ERROR_IO,
                       "%s: no weights in this folder; expected is one of model.safetensors, "
                       "model.safetensors.index.json, pytorch_model.bin, "
                       "pytorch_model.bin.index.json, model.bin, *.gguf",
                       folder);
    return rc;
}

/* ---- what weights.h promises --------------------------------------------------------------- */

int weights_open(struct weights **out, const char *path, struct error *err)
{
    struct stat st;
    *out = NULL;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return open_file(out, path, true, err);
    char *file;
    int rc = find_in_folder(&file, path, err);
    if (rc)
        return rc;
    rc = open_file(out, file, true, err);
    memory_free(file);
    return rc;
}

void weights_close(struct weights *w)
{
    if (!w)
        return;
    tensor_list_release(&w->tensors);
    metadata_release(&w->metadata);
    for (int i = 0; i < w->shard_count; i++)
        weights_close(w->shards[i]);
    memory_free(w->shards);
    torch_close(w->torch);
    file_map_close(&w->map);
    memory_free(w->path);
    memory_free(w);
}

enum weights_format weights_format(const struct weights *w)
{
    return w->format;
}

const char *weights_format_name(enum weights_format f)
{
    return formats[f].name;
}

const char *weights_path(const struct weights *w)
{
    return w->path;
}

int64_t weights_bytes(const struct weights *w)
{
    int64_t bytes = 0;
    for (int i = 0; i < w->tensors.count; i++)
        if (__builtin_add_overflow(bytes, w->tensors.items[i].bytes, &bytes))
            return INT64_MAX;
    return bytes;
}

int weights_count(const struct weights *w)
{
    return w->tensors.count;
}

const struct stored_tensor *weights_at(const struct weights *w, int index)
{
    return &w->tensors.items[index];
}

const struct stored_tensor *weights_find(const struct weights *w, const char *name)
{
    return tensor_list_find(&w->tensors, name);
}

void weights_expect(const struct weights *w)
{
    file_map_expect(&w->map);
    for (int i = 0; i < w->shard_count; i++)
        file_map_expect(&w->shards[i]->map);
}

void weights_forget(const struct weights *w, const struct stored_tensor *t)
{
    file_map_forget(&w->map, t->data, (size_t)t->bytes);
    for (int i = 0; i < w->shard_count; i++)
        file_map_forget(&w->shards[i]->map, t->data, (size_t)t->bytes);
}

const char *weights_text(const struct weights *w, const char *key)
{
    const struct metadata_entry *e = metadata_find(&w->metadata, key);
    const char *text = e ? e->text : w->torch ? torch_text(w->torch, key) : NULL;
    for (int i = 0; !text && i < w->shard_count; i++)
        text = weights_text(w->shards[i], key);
    return text;
}

bool weights_number(const struct weights *w, const char *key, double *value)
{
    const struct metadata_entry *e = metadata_find(&w->metadata, key);
    if (e && e->is_number)
        *value = e->number;
    bool found = e ? e->is_number : w->torch && torch_number(w->torch, key, value);
    for (int i = 0; !found && i < w->shard_count; i++)
        found = weights_number(w->shards[i], key, value);
    return found;
}

int weights_key_count(const struct weights *w)
{
    return w->metadata.count;
}

const char *weights_key_at(const struct weights *w, int index)
{
    return w->metadata.entries[index].key;
}

const struct weights_array *weights_array(const struct weights *w, const char *key)
{
    const struct metadata_entry *e = metadata_find(&w->metadata, key);
    return e && e->is_array ? &e->array : NULL;
}

bool weights_array_is_text(const struct weights_array *a)
{
    return a->texts != NULL;
}

int64_t weights_array_count(const struct weights_array *a)
{
    return a->count;
}

const char *weights_array_text(const struct weights_array *a, int64_t i, size_t *length)
{
    *length = a->texts[i].length;
    return a->texts[i].data;
}

double weights_array_number(const struct weights_array *a, int64_t i)
{
    return number_read(a->type, a->numbers + i * number_bytes(a->type));
}
