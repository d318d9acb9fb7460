/*
 * Writer of clips: H.264 (MPEG-4 part 2 where FFmpeg has no libx264) and AAC in .mp4; nothing lost,
 * FFV1 and 16 bit FLAC, in .mkv: pictures come back to the bit, samples to the nearest 2^-15; or 16
 * bit PCM in .wav for sound alone. The target appears when writer_close succeeds, whole or not at
 * all.
 *
 * Pictures and sound may come in any order and in pieces of any size; picture i is shown at
 * i * fps_den / fps_num seconds, sample i is heard at i / sample_rate. A file that is written anew
 * has its own times (writer_picture_at) and its own sound (media/media's packets, writer_packet).
 */
#ifndef MEDIA_WRITER_H
#define MEDIA_WRITER_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct writer; /* opaque */
struct AVPacket;
struct AVStream;

struct writer_options {
    int width, height;    /* pixels; 0, 0: no pictures. Odd sizes lose the last column or row */
    int fps_num, fps_den; /* pictures a second, as a fraction; 0, 0: 25/1 */
    bool own_times;       /* of the pictures, by writer_picture_at; fps is then about right */
    int sample_rate;      /* Hz; 0: no sound */
    int quality;          /* H.264 crf 1 (best) .. 51 (worst); 0: 20; .mkv knows no other than 0 */
    int rotation;         /* degrees clockwise that a player turns the pictures: 0, 90, 180, 270 */
    const struct AVStream *sound_stream; /* whose packets come; NULL: none do. Borrowed */
    double sound_delay_s; /* the sound begins that much after the pictures; 0 usually */
};

/* The name's ending says which: .wav (needs sample_rate and no pictures), .mkv; anything else is
   mp4. */
int writer_open(struct writer **w, const char *path, const struct writer_options *options,
                struct error *err);

/* rgb [height, stride] bytes, a row holds [width, 3]. */
int writer_picture(struct writer *w, const uint8_t *rgb, int stride, struct error *err);

/* At its own time, which is moved on where it is not later than the last one's. */
int writer_picture_at(struct writer *w, const uint8_t *rgb, int stride, int64_t time_us,
                      struct error *err);

/* Of sound_stream, as it is where the file can hold it, else encoded anew (media/sound_track). */
int writer_packet(struct writer *w, const struct AVPacket *packet, struct error *err);

/* pcm [count] mono in [-1, 1]; beyond is clipped. */
int writer_sound(struct writer *w, const float *pcm, int64_t count, struct error *err);

/* Exactly one of these ends a writer that opened well, also after an error. Close completes the
   file and puts it at its path; when it fails nothing is left behind. Abandon leaves nothing. */
int writer_close(struct writer *w, struct error *err);
void writer_abandon(struct writer *w); /* NULL is fine */

#endif
