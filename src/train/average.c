#include "train/average.h"
#include "base/file.h"
#include "base/memory.h"
#include "weights/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_KEPT = 1024, NAME = 32 }; /* NAME: "%012lld.safetensors" with room */

static const char ending[] = ".safetensors";

/* Files in order of their steps. */
struct kept {
    char name[MOST_KEPT][NAME];
    int count;
};

static bool is_kept(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && digits < NAME - sizeof ending && !strcmp(name + digits, ending);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b); /* as long as each other: leading zeros */
}

static int list_kept(struct kept *k, const char *folder, struct error *err)
{
    DIR *d = opendir(folder);
    k->count = 0;
    if (!d)
        return error_set(err, ERROR_IO, "%s: %s", folder, strerror(errno));
    for (struct dirent *e; k->count < MOST_KEPT && (e = readdir(d)) != NULL;)
        if (is_kept(e->d_name))
            memcpy(k->name[k->count++], e->d_name, strlen(e->d_name) + 1);
    closedir(d);
    qsort(k->name, (size_t)k->count, NAME, by_name);
    return 0;
}

/* All but the last `most`. */
static int delete_oldest(const char *folder, int most, struct error *err)
{
    struct kept *k = memory_new(1, sizeof *k);
    int rc = k ? list_kept(k, folder, err) : error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; !rc && i < k->count - most; i++) {
        char *path = file_join(folder, k->name[i]);
        if (!path)
            rc = error_set(err, ERROR_MEMORY, "out of memory");
        else if (unlink(path) != 0)
            rc = error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
        memory_free(path);
    }
    memory_free(k);
    return rc;
}

int average_start(const char *folder, struct error *err)
{
    int rc = file_make_folder(folder, err);
    file_remove_temporaries(folder);
    return rc ? rc : delete_oldest(folder, 0, err);
}

static bool is_averaged(const struct param_entry *p)
{
    bool statistic = p->kind == PARAM_MEAN || p->kind == PARAM_VARIANCE;
    return p->tensor->grad || (statistic && !p->tensor->borrowed);
}

int average_keep(const char *folder, const struct param_list *params, int64_t step, int most,
                 struct error *err)
{
    char name[NAME];
    int count = 0;
    struct checkpoint_tensor *list = memory_new((size_t)params->count + 1, sizeof *list);
    snprintf(name, sizeof name, "%012lld%s", (long long)step, ending);
    char *path = file_join(folder, name);
    int rc = list && path ? 0 : error_set(err, ERROR_MEMORY, "%s: out of memory", folder);
    for (int64_t i = 0; !rc && i < params->count; i++) {
        const struct param_entry *p = &params->entries[i];
        if (is_averaged(p))
            list[count++] = (struct checkpoint_tensor){.name = p->name,
                                                       .dims = p->tensor->dims,
                                                       .shape = p->tensor->shape,
                                                       .data = p->tensor->data,
                                                       .dtype = DTYPE_F32};
    }
    if (!rc)
        rc = checkpoint_save(path, "{}", list, count, err);
    if (!rc)
        rc = delete_oldest(folder, most, err);
    memory_free(list);
    memory_free(path);
    return rc;
}

/* Adds each file's tensor; sum and part: [tensor_count]. */
static int mean_of_one(const struct param_entry *p, struct checkpoint *const *files, int count,
                       double *sum, float *part, struct error *err)
{
    int64_t n = tensor_count(p->tensor);
    memset(sum, 0, (size_t)n * sizeof *sum);
    for (int f = 0; f < count; f++) {
        int rc = checkpoint_read(files[f], part, p->name, p->tensor->dims, p->tensor->shape, err);
        if (rc)
            return rc;
        for (int64_t i = 0; i < n; i++)
            sum[i] += part[i];
    }
    for (int64_t i = 0; i < n; i++)
        p->tensor->data[i] = (float)(sum[i] / count);
    parameter_changed(p->tensor);
    return 0;
}

static int mean_of_all(const struct param_list *params, struct checkpoint *const *files, int count,
                       struct error *err)
{
    int64_t largest = 1;
    int rc = 0;
    for (int64_t i = 0; i < params->count; i++)
        if (tensor_count(params->entries[i].tensor) > largest)
            largest = tensor_count(params->entries[i].tensor);
    double *sum = memory_new((size_t)largest, sizeof *sum);
    float *part = memory_new((size_t)largest, sizeof *part);
    if (!sum || !part)
        rc = error_set(err, ERROR_MEMORY, "out of memory for the averaged weights");
    for (int64_t i = 0; !rc && i < params->count; i++)
        if (is_averaged(&params->entries[i]))
            rc = mean_of_one(&params->entries[i], files, count, sum, part, err);
    memory_free(sum);
    memory_free(part);
    return rc;
}

int average_take(const char *folder, const struct param_list *params, int *count, struct error *err)
{
    int opened = 0;
    struct kept *k = memory_new(1, sizeof *k);
    struct checkpoint **files = memory_new(MOST_KEPT, sizeof *files);
    int rc = k && files ? list_kept(k, folder, err)
                        : error_set(err, ERROR_MEMORY, "%s: out of memory", folder);
    while (!rc && opened < k->count) {
        char *path = file_join(folder, k->name[opened]);
        rc = path ? checkpoint_open(&files[opened], path, err)
                  : error_set(err, ERROR_MEMORY, "%s: out of memory", folder);
        opened += !rc;
        memory_free(path);
    }
    if (!rc && opened)
        rc = mean_of_all(params, files, opened, err);
    if (count)
        *count = rc ? 0 : opened;
    while (opened > 0)
        checkpoint_close(files[--opened]);
    memory_free(files);
    memory_free(k);
    return rc;
}
