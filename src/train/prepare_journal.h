/*
 * What became of each clip, kept while a data set is prepared, so that work is done once: a text
 * file for each shard, OUT/work/1-of-3.tsv, one line a clip, appended when its files are in place:
 *
 *     PATH  KEY  kept      BYTES:MS  BYTES:MS  few faces ...      a field for each piece
 *     PATH  KEY  no face   DETAIL
 *
 * with tabs between; KEY is a hash of what the outcome depends on (16 hex digits). Of lines with
 * the same path and key the last one counts. A line that is not like this, such as the half one of
 * a run that was killed, is passed over: its clip is done again. All shards' files are read by all.
 */
#ifndef TRAIN_PREPARE_JOURNAL_H
#define TRAIN_PREPARE_JOURNAL_H

#include "train/prepare_clip.h"

struct journal; /* of all shards */

int journal_load(struct journal **j, const char *folder, struct error *err);
void journal_free(struct journal *j); /* NULL is fine */
/* Whether the clip's outcome is known for this key: *p is filled, for the caller to release. */
bool journal_find(const struct journal *j, struct prepared *p, const char *path, uint64_t key);

struct journal_writer {
    int fd;
    char *path;
};

/* One process at a time: a journal that another one writes is ERROR_IO. */
int journal_open(struct journal_writer *w, const char *path, struct error *err);
int journal_add(struct journal_writer *w, const char *path, uint64_t key, const struct prepared *p,
                struct error *err);
void journal_close(struct journal_writer *w); /* also fine where it was not opened, zeroed */

/* What journal_load is made of: the lines of one file, whose bytes (and a NUL) are taken over. */
int journal_take(struct journal *j, char *bytes, size_t size, struct error *err);
int journal_new(struct journal **j, struct error *err);
void journal_sort(struct journal *j);

#endif
