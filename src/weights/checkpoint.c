#include "weights/checkpoint.h"
#include "base/memory.h"
#include "weights/safetensors.h"

#include <stdio.h>
#include <string.h>

#define METADATA_KEY "mome" /* in __metadata__ */

struct checkpoint {
    char *path;
    struct weights *file;
    bool *seen; /* [weights_count]: somebody has read it */
};

int checkpoint_save(const char *path, const char *metadata, const struct checkpoint_tensor *tensors,
                    int count, struct error *err)
{
    struct safetensors_writer *writer = NULL;
    struct stored_tensor *declared = memory_new((size_t)count, sizeof *declared);
    if (!declared)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    int rc = 0;
    for (int i = 0; i < count && !rc; i++) {
        declared[i] = (struct stored_tensor){.name = tensors[i].name,
                                             .dtype = tensors[i].dtype,
                                             .dims = tensors[i].dims,
                                             .count = 1};
        if (tensors[i].dims > STORED_MAX_DIMS)
            rc = error_set(err, ERROR_USAGE, "%s: tensor %s has %d dimensions", path,
                           tensors[i].name, tensors[i].dims);
        for (int k = 0; k < tensors[i].dims && !rc; k++) {
            declared[i].shape[k] = tensors[i].shape[k];
            declared[i].count *= tensors[i].shape[k];
        }
    }
    if (!rc)
        rc = safetensors_writer_open(&writer, path, declared, count, METADATA_KEY,
                                     metadata ? metadata : "{}", err);
    for (int i = 0; i < count && !rc; i++)
        rc = safetensors_writer_add(writer, tensors[i].data, declared[i].count, err);
    if (!rc)
        rc = safetensors_writer_commit(writer, err);
    else
        safetensors_writer_abandon(writer);
    memory_free(declared);
    return rc;
}

int checkpoint_open(struct checkpoint **out, const char *path, struct error *err)
{
    *out = NULL;
    struct weights *file;
    int rc = weights_open(&file, path, err);
    if (rc)
        return rc;
    if (weights_format(file) != WEIGHTS_SAFETENSORS) {
        rc = error_set(err, ERROR_FORMAT,
                       "%s: this is a %s file, a checkpoint is a safetensors file", path,
                       weights_format_name(weights_format(file)));
        weights_close(file);
        return rc;
    }
    struct checkpoint *c = memory_new(1, sizeof *c);
    if (c)
        *c = (struct checkpoint){.path = memory_strdup(path),
                                 .file = file,
                                 .seen = memory_new((size_t)weights_count(file), sizeof(bool))};
    if (!c || !c->path || !c->seen) {
        if (c)
            checkpoint_close(c);
        else
            weights_close(file);
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    }
    *out = c;
    return 0;
}

void checkpoint_close(struct checkpoint *c)
{
    if (!c)
        return;
    weights_close(c->file);
    memory_free(c->seen);
    memory_free(c->path);
    memory_free(c);
}

const char *checkpoint_metadata(const struct checkpoint *c)
{
    const char *metadata = weights_text(c->file, METADATA_KEY);
    return metadata ? metadata : "{}";
}

const struct weights *checkpoint_tensors(const struct checkpoint *c)
{
    return c->file;
}

bool checkpoint_has(const struct checkpoint *c, const char *name)
{
    return weights_find(c->file, name) != NULL;
}

int checkpoint_read(struct checkpoint *c, float *out, const char *name, int dims,
                    const int64_t *shape, struct error *err)
{
    const struct stored_tensor *t = weights_find(c->file, name);
    if (!t)
        return error_set(err, ERROR_FORMAT, "%s: tensor %s is missing", c->path, name);
    if (t->dims != dims || (dims && memcmp(t->shape, shape, sizeof *shape * (size_t)dims) != 0))
        return stored_misshapen(t, c->path, dims, shape, err);
    int rc = stored_read(out, t, 0, t->count, err);
    if (rc)
        return error_prefix(err, "%s", c->path);
    c->seen[t - weights_at(c->file, 0)] = true;
    return 0;
}

int checkpoint_unread(const struct checkpoint *c, const char **name)
{
    int unread = 0;
    for (int i = weights_count(c->file) - 1; i >= 0; i--) {
        if (c->seen[i])
            continue;
        unread++;
        if (name)
            *name = weights_at(c->file, i)->name;
    }
    return unread;
}
