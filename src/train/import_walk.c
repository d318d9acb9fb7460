#include "train/import_part.h"
#include "media/ending.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 32 /* folders in folders */

/* One thing that is met on the walk; root: bytes of the path that are the root's and the slash. */
static int meet(struct import_list *list, FTS *walk, FTSENT *entry, size_t root,
                const struct stat *skip, struct error *err)
{
    const bool folder = entry->fts_info == FTS_D;
    const bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';
    if (folder && (hidden || entry->fts_level > MAX_DEPTH ||
                   (skip && skip->st_dev == entry->fts_statp->st_dev &&
                    skip->st_ino == entry->fts_statp->st_ino)))
        fts_set(walk, entry, FTS_SKIP);
    const bool refused =
        entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS;
    const bool file =
        entry->fts_info == FTS_F || entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE;
    struct stat st;
    const bool link = file && entry->fts_info != FTS_F;
    const bool to_folder = link && stat(entry->fts_accpath, &st) == 0 && S_ISDIR(st.st_mode);
    const bool media = file && (to_folder || media_rank(entry->fts_name) != RANK_NONE);
    if (hidden || entry->fts_level < 1 || (!media && !refused))
        return 0;
    struct import_clip *clip =
        import_add(list, entry->fts_path + root, entry->fts_pathlen - root, err);
    if (clip && to_folder)
        import_set_drop(clip, DROP_OUTSIDE, "links to folders are not followed; name that folder");
    if (clip && refused)
        import_set_drop(clip, DROP_UNREADABLE, strerror(entry->fts_errno));
    return clip ? 0 : err->code;
}

int import_walk(struct import_list *list, const char *skip, struct error *err)
{
    char *const roots[] = {list->real, NULL};
    struct stat st;
    const struct stat *left_out = skip && stat(skip, &st) == 0 ? &st : NULL;
    const size_t root = strlen(list->real) + (strcmp(list->real, "/") != 0);
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    int rc = 0;
    if (!walk)
        return error_set(err, ERROR_IO, "%s: cannot be read: %s", list->root, strerror(errno));
    errno = 0;
    while (!rc && (entry = fts_read(walk)))
        rc = meet(list, walk, entry, root, left_out, err);
    if (!rc && errno)
        rc = error_set(err, ERROR_IO, "%s: cannot be read: %s", list->root, strerror(errno));
    fts_close(walk);
    if (!rc)
        import_sort(list);
    return rc;
}
