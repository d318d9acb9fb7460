/*
 * Where a reader's bytes come from: a file, or a pipe (standard input), as an AVIOContext.
 *
 * FFmpeg gets bytes only, never the path: content alone decides the format, and a play-list or an
 * image sequence cannot make it open other files or the network.
 *
 * A pipe is copied to an unnamed temporary file as it is read, so that formats that must look ahead
 * and go back (an mp4 with its index at the end) read from a pipe too:
 *
 *     0 ............ position ............ spooled
 *     |--- in the temporary file, seekable ---|--- still in the pipe, read on demand --->
 */
#ifndef MEDIA_SOURCE_H
#define MEDIA_SOURCE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <libavformat/avio.h>

struct source {
    int fd;
    bool pipe;
    FILE *spool;      /* pipe only */
    int64_t position; /* of the next byte handed out */
    int64_t spooled;  /* pipe only: bytes copied so far */
    int64_t size;     /* -1: not known (a pipe) */
    int error;        /* errno of the first failed read */
    AVIOContext *io;
};

int source_open(struct source *s, const char *path, struct error *err);
void source_close(struct source *s); /* also after a failed open */

/* Up to `count` bytes from `offset` without moving the position; returns how many there were.
   Files only (0 for a pipe). */
int source_peek(const struct source *s, uint8_t *bytes, int count, int64_t offset);
/* Whether an mp4 is all there: 0, or ERROR_FORMAT. */
int source_complete(const struct source *s, const char *path, struct error *err);

#endif
