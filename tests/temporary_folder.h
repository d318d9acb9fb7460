/* Folders of tests: made under /tmp, removed with all that is in them. */
#ifndef TESTS_TEMPORARY_FOLDER_H
#define TESTS_TEMPORARY_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* Writes a text file there, and the folders that its name has. 0, or -1. */
static inline int temporary_folder_put(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    if (!file)
        return -1;
    int wrong = fputs(text, file) < 0;
    return fclose(file) || wrong ? -1 : 0;
}

#endif
