/*
 * A zip archive whose entries are stored, not compressed, so that their bytes can be used where
 * they lie in the mapped file. Compressed entries are listed, and asking for one is an error.
 *
 *     local header, name, extra, data    for each entry
 *     central directory                  46 bytes, name, extra, comment for each entry
 *     [zip64 end record, its locator]    where 32 bits do not reach
 *     end record                         22 bytes, comment
 *
 * Source: PKWARE's APPNOTE.TXT 6.3.10. Checked: everything lies inside the file, no two entries
 * overlap or have the same name, local headers name what the directory does. Check sums are not
 * computed: that would read all of a file of which only a part may be wanted.
 */
#ifndef WEIGHTS_ZIP_H
#define WEIGHTS_ZIP_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct zip_entry {
    const char *name; /* in the archive: not NUL-terminated */
    size_t name_bytes;
    const unsigned char *data, *header; /* in the archive */
    size_t bytes;                       /* of data, as it is stored */
    int method;                         /* 0: stored; else how it is compressed; -1: encrypted */
};

struct zip;

/* The bytes are the caller's and outlive the archive; `path` is for messages. */
int zip_open(struct zip **z, const unsigned char *bytes, size_t size, const char *path,
             struct error *err);
void zip_close(struct zip *z); /* NULL is fine */
int zip_count(const struct zip *z);
const struct zip_entry *zip_at(const struct zip *z, int index);          /* by name */
const struct zip_entry *zip_find(const struct zip *z, const char *name); /* or NULL */
/* As zip_find; missing, compressed or encrypted is an error. */
int zip_read(const struct zip_entry **entry, const struct zip *z, const char *name,
             struct error *err);

#endif
