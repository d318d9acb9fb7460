#include "cli/inputs.h"
#include "base/memory.h"
#include "cli/command.h"
#include "media/ending.h"

#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 32 /* folders in folders */
#define MAX_FILES 10000000

static int grow(struct inputs *in, struct error *err)
{
    if (in->count >= MAX_FILES)
        return error_set(err, ERROR_LIMIT, "more than %d files", MAX_FILES);
    return memory_reserve(&in->list, &in->room, in->count, in->count + 1, sizeof *in->list)
               ? 0
               : error_set(err, ERROR_MEMORY, "out of memory");
}

static int add_file(struct inputs *in, const char *path, const char *name, struct error *err)
{
    int rc = grow(in, err);
    if (rc)
        return rc;
    struct input *i = &in->list[in->count++];
    *i = (struct input){memory_strdup(path), memory_strdup(name)};
    return i->path && i->name ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
}

static void told(struct inputs *in, const char *path, const char *what)
{
    struct error err;
    error_set(&err, ERROR_IO, "%s: %s", path, what);
    command_failed(&err);
    in->failures++;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* One thing that is met on the walk; root: bytes of the path that are the folder's and the slash.
 */
static int meet(struct inputs *in, FTS *walk, FTSENT *entry, size_t root, struct error *err)
{
    const bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';
    if (entry->fts_info == FTS_D && (hidden || entry->fts_level > MAX_DEPTH))
        fts_set(walk, entry, FTS_SKIP);
    else if (!hidden && (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR))
        told(in, entry->fts_path, strerror(entry->fts_errno));
    else if (!hidden && entry->fts_info == FTS_F && media_rank(entry->fts_name) != RANK_NONE)
        return add_file(in, entry->fts_path, entry->fts_path + root, err);
    return 0;
}

static int add_folder(struct inputs *in, const char *path, struct error *err)
{
    char *folder = memory_strdup(path);
    char *const roots[] = {folder, NULL};
    size_t length = strlen(path);
    const int files = in->count, failures = in->failures;
    while (folder && length > 1 && folder[length - 1] == '/')
        folder[--length] = 0;
    FTS *walk = folder ? fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name) : NULL;
    FTSENT *entry;
    int rc = walk ? 0 : error_set(err, ERROR_IO, "%s: cannot be read: %s", path, strerror(errno));
    while (!rc && (entry = fts_read(walk)))
        rc = meet(in, walk, entry, length + (folder[length - 1] != '/'), err);
    if (!rc && errno)
        rc = error_set(err, ERROR_IO, "%s: cannot be read: %s", path, strerror(errno));
    if (!rc && in->count == files && in->failures == failures)
        told(in, path, "holds no media file (mp4, mkv, webm, mov, wav, mp3, flac, ...)");
    if (walk)
        fts_close(walk);
    memory_free(folder);
    return rc;
}

int inputs_add(struct inputs *in, const char *path, struct error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return add_folder(in, path, err);
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return add_file(in, path, strcmp(path, "-") == 0 ? "stdin" : name, err);
}

void inputs_release(struct inputs *in)
{
    for (int i = 0; i < in->count; i++) {
        memory_free(in->list[i].path);
        memory_free(in->list[i].name);
    }
    memory_free(in->list);
    *in = (struct inputs){0};
}
