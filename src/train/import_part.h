/* Between the files of the importer: a list that grows, and what it may hold. */
#ifndef TRAIN_IMPORT_PART_H
#define TRAIN_IMPORT_PART_H

#include "train/import.h"

#define IMPORT_MAX_CLIPS 10000000
#define IMPORT_MAX_PATH 2048 /* bytes */

/* A new clip at the list's end; valid until the next one. A path that is no good (it may come from
   an enemy) is dropped at once. NULL: ERROR_MEMORY or ERROR_LIMIT. */
struct import_clip *import_add(struct import_list *list, const char *path, size_t length,
                               struct error *err);
/* Takes t over (emptied). fault: what is wrong with it, NULL: nothing. */
void import_set_text(struct import_clip *clip, struct spoken *t, const char *fault);
void import_set_drop(struct import_clip *clip, enum drop drop, const char *detail);

/* The list's own copy of a split's name; NULL where it is no good as a file's, or without memory.
 */
const char *import_split(struct import_list *list, const char *name, size_t length);

/* By stem, videos before sound. */
void import_sort(struct import_list *list);
/* In a sorted list, among the first `count`; NULL: not there. */
struct import_clip *import_find(struct import_list *list, int64_t count, const char *stem,
                                size_t length);

/* DROP_NOT: the path is that of a regular file below the root. *detail: what is wrong, static. */
enum drop import_check(const char **detail, const struct import_list *list, const char *path);
/* The whole of a file below the root, as file_read gives it; DROP_NOT where that went well. */
enum drop import_read(char **bytes, size_t *size, const struct import_list *list, const char *path);

/* ---- import_walk.c: what a folder holds ---- */

/* Adds every media file below the root, without text, and sorts. */
int import_walk(struct import_list *list, const char *skip, struct error *err);

/* ---- import_layouts.c: the text of what is there ---- */

void import_texts(struct import_list *list); /* NAME.txt; by list->format: folder or lrs */
int import_lrs_splits(struct import_list *list, struct error *err);
void import_sentences(struct import_list *list); /* grid */
int import_manifest(struct import_list *list, const char *path, struct error *err);
/* Whether the first line of a file is one of auto_avsr's labels. */
bool import_is_labels(const struct import_list *list, const char *path);
int import_labels(struct import_list *list, const char *path, struct error *err);

#endif
