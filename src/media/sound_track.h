/*
 * The sound of one file as a track of another: its packets as they are, where the container takes
 * their codec, else decoded and encoded as AAC at the same rate, with the same channels (at most
 * two). Time stamps that do not rise, which muxers refuse, are moved on.
 */
#ifndef MEDIA_SOUND_TRACK_H
#define MEDIA_SOUND_TRACK_H

#include "base/error.h"

#include <stdint.h>

#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavformat/avformat.h>

struct sound_track {
    const AVStream *from;
    AVStream *to;
    AVFormatContext *muxer; /* borrowed */
    AVPacket *packet;
    int64_t next; /* in the time base of `to`: no packet may be earlier */
    /* NULL where packets are copied: */
    AVCodecContext *decoder, *encoder;
    AVFilterGraph *graph;
    AVFilterContext *in, *out;
    AVFrame *frame;
};

/* All return 0 or AVERROR. `from` is borrowed; nothing may have been written by the muxer yet. */
int sound_track_open(struct sound_track *t, AVFormatContext *muxer, const AVStream *from);
int sound_track_packet(struct sound_track *t, const AVPacket *packet);
int sound_track_finish(struct sound_track *t);   /* no more packets come */
void sound_track_release(struct sound_track *t); /* also fine on a zeroed struct */

#endif
