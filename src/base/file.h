/*
 * Files as wholes. Reading: mapped (file_map) or copied (file_read), both bounded. Writing: into a
 * temporary file that takes the target's place on commit, so that a reader, a full disk or a kill
 * never sees half a file. It has no name before (O_TMPFILE), so that a kill leaves nothing; where
 * the file system can't do that it lies beside the target as NAME.PID.tmp. What is no regular file
 * (a pipe, /dev/stdout) is written to directly.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct file_map {
    const unsigned char *data; /* read-only; NULL for an empty file */
    size_t size;
};

int file_map_open(struct file_map *map, const char *path, struct error *err);
void file_map_close(struct file_map *map);
/* All of it will be read soon: the system may begin to. */
void file_map_expect(const struct file_map *map);
/* The whole pages in [from, from + bytes), where that lies in the map, leave this process's memory
   until they are read again. */
void file_map_forget(const struct file_map *map, const void *from, size_t bytes);

/* Whole file into *text (NUL-terminated, freed by memory_free), *size without the NUL.
   Larger than limit_bytes: ERROR_LIMIT. */
int file_read(char **text, size_t *size, const char *path, size_t limit_bytes, struct error *err);

struct file_writer {
    FILE *stream;
    char *path, *temporary; /* temporary: the name that it has, or gets to be renamed */
    bool unnamed;
};

/* Exactly one of commit or abandon ends a writer that opened well. Commit flushes, syncs, names;
   when it fails the temporary file is gone and the old target untouched. */
int file_writer_open(struct file_writer *w, const char *path, struct error *err);
int file_writer_commit(struct file_writer *w, struct error *err);
void file_writer_abandon(struct file_writer *w);

/* Deletes what writers that were killed left in a folder. None may be at work there. */
void file_remove_temporaries(const char *folder);

int file_write(const char *path, const void *bytes, size_t size, struct error *err); /* atomic */
int file_make_folder(const char *path, struct error *err); /* with parents; existing is fine */

/* "folder/name" (or name, where it is absolute); freed by memory_free; NULL: out of memory. */
char *file_join(const char *folder, const char *name);

#endif
