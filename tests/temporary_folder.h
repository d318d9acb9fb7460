/* Folders of tests: made under /tmp, removed with all that is in them. */
#ifndef TESTS_TEMPORARY_FOLDER_H
#define TESTS_TEMPORARY_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { TEMPORARY_FOLDER = 64 }; /* bytes of a name */

/* 0, or -1. */
static inline int temporary_folder_make(char folder[TEMPORARY_FOLDER])
{
    snprintf(folder, TEMPORARY_FOLDER, "/tmp/mome-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int temporary_folder_unlink(const char *path, const struct stat *st, int type,
                                          struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int temporary_folder_remove(const char *folder)
{
    return nftw(folder, temporary_folder_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
