/*
 * Media as it happens: a camera and a microphone, or a file at its own pace.
 *
 *     camera      -- media -- thread --+
 *                                      +-- queue -- live_take, in the order of arrival
 *     microphone  -- media -- thread --+
 *
 * Both are on one clock (media/media.h), whose zero is what was taken first; live_now is what it
 * shows. The queue holds LIVE_QUEUE_BYTES; where whoever takes is slower for long, a device loses
 * what it cannot keep, which then is silence and a picture that stands, and a file waits.
 */
#ifndef MEDIA_LIVE_H
#define MEDIA_LIVE_H

#include "media/media.h"

enum { LIVE_QUEUE_BYTES = 64 << 20 };

struct live; /* opaque; live_take belongs to one thread */

struct live_options {
    const char *file;           /* "-": standard input; NULL: the following */
    bool no_sound, no_pictures; /* of the file */
    const char *camera;         /* "/dev/video0"; NULL: none */
    const char *microphone;     /* "pulse:default", "alsa:hw:1"; NULL: none */
};

int live_open(struct live **l, const struct live_options *options, struct error *err);
void live_close(struct live *l); /* NULL is fine */
struct media_info live_info(const struct live *l);

/* 1: *chunk is filled, valid until the next call; 0: the end; LIVE_NOTHING: nothing came for so
   many seconds; or an error. */
enum { LIVE_NOTHING = 2 };
int live_take(struct live *l, struct media_chunk *chunk, double seconds, struct error *err);
/* Seconds since the clock's zero: a file's runs while its own pace is kept. */
double live_now(const struct live *l);
/* What has not been read yet is not any more: the end comes after what is in the queue. From the
   thread that takes. */
void live_stop(struct live *l);

#endif
