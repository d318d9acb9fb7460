#include "cli/outputs.h"
#include "base/memory.h"
#include "media/ending.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int outputs_formats(struct outputs *o, const char *list)
{
    for (const char *at = list;; at++) {
        char name[8];
        enum transcript_format format;
        size_t n = strcspn(at, ",");
        if (n >= sizeof name)
            return -1;
        memcpy(name, at, n);
        name[n] = 0;
        if (!transcript_format_find(&format, name))
            return -1;
        o->formats[format] = true;
        at += n;
        if (!*at)
            return 0;
    }
}

static bool to_files(const struct outputs *o)
{
    return o->folder || o->beside;
}

/* The next format that is wanted, after `format`; TRANSCRIPT_FORMATS: there is none. */
static int next_format(const struct outputs *o, int format)
{
    bool none = true;
    for (int i = 0; i < TRANSCRIPT_FORMATS; i++)
        none &= !o->formats[i];
    while (++format < TRANSCRIPT_FORMATS)
        if (o->formats[format] || (none && format == TRANSCRIPT_TXT))
            break;
    return format;
}

bool outputs_wanted(const struct outputs *o)
{
    const int first = next_format(o, -1);
    return to_files(o) || first != TRANSCRIPT_TXT || next_format(o, first) < TRANSCRIPT_FORMATS;
}

/* Without a format's ending; freed by memory_free; NULL: out of memory. */
static char *target_stem(const struct outputs *o, const struct input *input)
{
    const char *name = o->folder || !strcmp(input->path, "-") ? input->name : input->path;
    char *stem = o->folder ? file_join(o->folder, name) : memory_strdup(name);
    if (stem)
        stem[path_stem(stem)] = 0;
    return stem;
}

static const char *format_name(int format)
{
    return transcript_format_name((enum transcript_format)format);
}

static char *target(const char *stem, int format)
{
    const char *name = format_name(format);
    size_t bytes = strlen(stem) + strlen(name) + 2;
    char *path = memory_new(bytes, 1);
    if (path)
        snprintf(path, bytes, "%s.%s", stem, name);
    return path;
}

/* ---- what cannot be ---------------------------------------------------------------------- */

struct claim {
    char *stem; /* by the folder's real path; owned */
    const struct input *input;
};

static int by_stem(const void *a, const void *b)
{
    return strcmp(((const struct claim *)a)->stem, ((const struct claim *)b)->stem);
}

/* Takes the stem over: one name for one file, however its folder is called. */
static char *real_stem(char *stem)
{
    char *slash = stem ? strrchr(stem, '/') : NULL;
    char *folder = slash ? strndup(stem, (size_t)(slash - stem) + 1) : strdup(".");
    char *real = folder ? realpath(folder, NULL) : NULL;
    char *joined = stem && real ? file_join(real, slash ? slash + 1 : stem) : NULL;
    free(folder);
    free(real);
    if (!joined) /* there is no such folder yet, so it has one name */
        return stem;
    memory_free(stem);
    return joined;
}

static int check_files(const struct outputs *o, const struct inputs *in, struct error *err)
{
    struct claim *claims = memory_new((size_t)in->count + 1, sizeof *claims);
    int count = 0, rc = 0;
    if (!claims)
        return error_set(err, ERROR_MEMORY, "out of memory");
    while (!rc && count < in->count) {
        claims[count] =
            (struct claim){real_stem(target_stem(o, &in->list[count])), &in->list[count]};
        if (claims[count].stem)
            count++;
        else
            rc = error_set(err, ERROR_MEMORY, "out of memory");
    }
    qsort(claims, (size_t)count, sizeof *claims, by_stem);
    for (int i = 1; !rc && i < count; i++)
        if (!strcmp(claims[i].stem, claims[i - 1].stem))
            rc = error_set(err, ERROR_USAGE, "%s and %s would both write %s.%s",
                           claims[i - 1].input->path, claims[i].input->path, claims[i].stem,
                           format_name(next_format(o, -1)));
    while (count > 0)
        memory_free(claims[--count].stem);
    memory_free(claims);
    return !rc && o->folder ? file_make_folder(o->folder, err) : rc;
}

int outputs_check(const struct outputs *o, const struct inputs *in, struct error *err)
{
    const int first = next_format(o, -1);
    if (to_files(o))
        return check_files(o, in, err);
    if (next_format(o, first) < TRANSCRIPT_FORMATS)
        return error_set(err, ERROR_USAGE,
                         "standard output takes one format: name a folder with -o, or --beside");
    if (first != TRANSCRIPT_TXT && in->count > 1)
        return error_set(err, ERROR_USAGE,
                         "standard output takes one file's %s: name a folder with -o, or --beside",
                         format_name(first));
    return 0;
}

/* ---- a medium's -------------------------------------------------------------------------- */

/* An output at the end of those that are open. */
static void begin(struct outputs *o, int format, FILE *to, const char *media)
{
    struct output *out = &o->open[o->open_count++];
    transcript_file_begin(&out->file, (enum transcript_format)format, to, media);
}

static int open_target(struct outputs *o, const char *path, int format, const char *media,
                       struct error *err)
{
    struct file_writer *w = &o->open[o->open_count].writer;
    if (!o->replace && access(path, F_OK) == 0)
        return 0;
    int rc = file_writer_open(w, path, err);
    if (!rc)
        begin(o, format, w->stream, media);
    return rc;
}

static int make_parent(char *path, struct error *err)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return 0;
    *slash = 0;
    int rc = file_make_folder(path, err);
    *slash = '/';
    return rc;
}

int outputs_open(struct outputs *o, const struct input *input, struct error *err)
{
    o->open_count = 0;
    if (!to_files(o)) {
        begin(o, next_format(o, -1), stdout, input->path);
        return 0;
    }
    char *stem = target_stem(o, input);
    int rc = stem ? make_parent(stem, err) : error_set(err, ERROR_MEMORY, "out of memory");
    for (int f = -1; !rc && (f = next_format(o, f)) < TRANSCRIPT_FORMATS;) {
        char *path = target(stem, f);
        rc = path ? open_target(o, path, f, input->path, err)
                  : error_set(err, ERROR_MEMORY, "out of memory");
        memory_free(path);
    }
    memory_free(stem);
    if (rc)
        outputs_abandon(o);
    return rc;
}

int outputs_add(struct outputs *o, const struct utterance *u, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < o->open_count; i++)
        rc = transcript_file_add(&o->open[i].file, u, err);
    return rc;
}

int outputs_commit(struct outputs *o, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < o->open_count; i++)
        rc = transcript_file_end(&o->open[i].file, err);
    for (int i = 0; !rc && i < o->open_count; i++)
        if (o->open[i].writer.stream)
            rc = file_writer_commit(&o->open[i].writer, err);
    outputs_abandon(o);
    return rc;
}

void outputs_abandon(struct outputs *o)
{
    for (int i = 0; i < o->open_count; i++) {
        transcript_file_release(&o->open[i].file);
        file_writer_abandon(&o->open[i].writer);
    }
    o->open_count = 0;
}
