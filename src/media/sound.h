/*
 * Decoded sound of any rate, layout and sample type -> contiguous 16 kHz mono float (swresample).
 *
 * Each pushed frame comes with the output sample at which it should begin. As long as that is
 * within SOUND_TOLERANCE of where it would land anyway, samples just follow one another (time
 * stamps of many containers are rounded). Otherwise the resampler is emptied, and silence is put in
 * between, or the overlapping start of the frame is left out:
 *
 *     out:  [ tail of what was before ][ silence ][ body: this frame ]
 */
#ifndef MEDIA_SOUND_H
#define MEDIA_SOUND_H

#include "base/error.h"
#include "media/media.h"

#include <stdbool.h>
#include <stdint.h>

#include <libavutil/frame.h>
#include <libswresample/swresample.h>

#define SOUND_TOLERANCE 320 /* samples, 20 ms */

struct sound {
    SwrContext *resampler;
    AVChannelLayout layout; /* of the input that the resampler is set up for */
    int format, rate;
    float *buffer; /* [capacity] tail, then body */
    int capacity, read, tail, body;
    int64_t silence; /* samples still to be given between tail and body */
    int64_t next;    /* output index of the next sample given */
    bool started;
};

/* Pull everything before the next push. target: output index of the frame's first sample, may be
   negative; SOUND_FOLLOWS: not known. Returns 0 or AVERROR. */
#define SOUND_FOLLOWS INT64_MIN
int sound_push(struct sound *s, const AVFrame *frame, int64_t target);
int sound_finish(struct sound *s); /* no more frames; what the resampler holds comes out */
bool sound_pull(struct sound *s, struct media_chunk *chunk);
void sound_release(struct sound *s);

#endif
