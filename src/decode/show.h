/*
 * A transcript shown in its own pictures: a video in which one sees what was recognised, when, from
 * what, and how sure (decode/show_layout says what is drawn). Two passes over a file:
 *
 *     decode/transcribe reads it: show_faces gets every picture's faces, show_utterance what was
 * said show_write reads it again, draws, and writes the new file; the sound is kept
 *
 * What a picture's faces are is kept in an unnamed temporary file (160 bytes a picture, 14 MB an
 * hour), words and utterances in memory: about 1 MB an hour of speech.
 */
#ifndef DECODE_SHOW_H
#define DECODE_SHOW_H

#include "decode/utterance.h"
#include "features/faces.h"

struct show; /* opaque */

/* Whether media can be shown at path, before any work: a file that can be read twice, with pictures
   in it, and not the same as path, which ends in .mp4 and is not there unless it may be replaced.
 */
int show_check(const char *media, const char *path, bool replace, struct error *err);

int show_new(struct show **s, struct error *err);
void show_free(struct show *s); /* NULL is fine */

/* In the order of time; arg is the show (stream_options.faces). */
int show_faces(void *arg, const struct faces_picture *faces, struct error *err);
int show_utterance(struct show *s, const struct utterance *u, struct error *err);

/* progress: now and then; total 0: not known; not 0 stops with ERROR_CANCELLED. path appears when
   it is whole. */
int show_write(struct show *s, const char *media, const char *path,
               int (*progress)(void *arg, double seconds, double total), void *arg,
               struct error *err);

#endif
