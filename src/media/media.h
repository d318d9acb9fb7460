/*
 * Streaming reader of sound and pictures: any file or pipe that FFmpeg reads, as
 *
 *     sound     16 kHz mono float in [-1, 1]
 *     pictures  RGB24 on a grid of 25 pictures a second
 *
 * on ONE clock whose zero is the earliest presentation time of the file's streams. Sample i is
 * heard at i/16000 s, picture k is seen at k/25 s. So streams that start late, have gaps, run at
 * another or a varying rate, or differ in length stay in sync:
 *
 *   - sound is contiguous from sample 0: what the file has not (a late start, a gap) is silence;
 *   - picture k is the one whose presentation time is nearest to k/25 s; before the first picture
 * of the file stands a repeat of it, after the last one (and its duration) the pictures end;
 *   - each stream ends by itself: the two need not be equally long.
 *
 * With `own_times` pictures come as the file has them, each at its own time on that clock, and
 * sound as it is stored: packets, for media/writer to keep.
 *
 * Pictures are turned upright (display matrix) and have square pixels. Cover art is no picture.
 * Memory does not grow with the length of the file. A reader belongs to one thread.
 */
#ifndef MEDIA_MEDIA_H
#define MEDIA_MEDIA_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define MEDIA_SAMPLE_RATE 16000 /* Hz */
#define MEDIA_FPS 25            /* pictures a second */
#define MEDIA_SAMPLES_PER_PICTURE (MEDIA_SAMPLE_RATE / MEDIA_FPS)

struct media; /* opaque */
struct AVPacket;
struct AVStream;

struct media_options {
    bool no_sound, no_pictures; /* leave the stream out: it costs nothing then */
    bool own_times;             /* nothing on a grid, nothing resampled */
    double max_seconds;         /* stop there, without an error; 0: to the end (at most 12 hours) */
    const char
        *device; /* the path is a name of a device of this kind (media/device.h); NULL: not */
    bool (*stop)(void *arg); /* asked before each packet: true is the end; NULL: not asked */
    void *arg;
};

struct media_info {
    bool has_sound, has_pictures; /* streams that are there (and not left out by the options) */
    int width, height;            /* of the pictures as media_read gives them, upright */
    double duration_s;            /* as the container says; 0: not known */
    double picture_rate;          /* of the file, before the grid, per second; 0: not known */
    int rate_num, rate_den;       /* that, as a fraction; 0, 0: not known */
    int sample_rate, channels;    /* of the file */
};

enum media_kind { MEDIA_SOUND, MEDIA_PICTURE, MEDIA_PACKET };

/* Pointers are valid until the next media_read or media_close. */
struct media_chunk {
    enum media_kind kind;
    int64_t start;      /* index of the first sample, or of the picture (nearest on the grid) */
    const float *pcm;   /* MEDIA_SOUND: [count] */
    int64_t count;      /* samples; 1 for a picture */
    const uint8_t *rgb; /* MEDIA_PICTURE: [height, stride] bytes, a row holds [width, 3] */
    int width, height, stride;
    int64_t time_us;               /* MEDIA_PICTURE: when it is seen */
    const struct AVPacket *packet; /* MEDIA_PACKET: of sound, by own_times; on the common clock */
};

const char *media_ffmpeg_version(void); /* of the one that runs: "5.1.6-0+deb12u1" */

/* path "-" is standard input. options NULL: everything. */
int media_open(struct media **m, const char *path, const struct media_options *options,
               struct error *err);
struct media_info media_info(const struct media *m);
/* What the packets of sound belong to; NULL: there is no sound. */
const struct AVStream *media_sound_stream(const struct media *m);

/* 1: *chunk is filled; 0: the end; negative: error. Sound and pictures come in the order of the
   file; within a kind the starts are contiguous from 0. */
int media_read(struct media *m, struct media_chunk *chunk, struct error *err);
void media_close(struct media *m); /* NULL is fine */

/* The time of the clock's zero, microseconds: in a file, in its own; of a device, in the Unix epoch
   (media/live puts two of them on one clock: set before the first media_read). */
int64_t media_zero(const struct media *m);
void media_set_zero(struct media *m, int64_t zero_us);

#endif
