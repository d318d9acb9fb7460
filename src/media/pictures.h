/*
 * Decoded pictures at any time stamps -> upright RGB24 with square pixels at 25 a second.
 *
 * Picture k of the grid is the frame whose time is nearest to k/25 s. With frames at t0 < t1, frame
 * 0 therefore serves every k/25 < (t0 + t1) / 2 that no frame before it has served; the last one
 * serves k/25 < t + duration. So one frame is held until its successor is known, and no more. With
 * own_times every frame is given once, as soon as it is there.
 */
#ifndef MEDIA_PICTURES_H
#define MEDIA_PICTURES_H

#include "base/error.h"
#include "media/media.h"

#include <stdbool.h>
#include <stdint.h>

#include <libavcodec/codec_par.h>
#include <libavutil/frame.h>
#include <libswscale/swscale.h>

#define PICTURES_MAX_SIDE 8192
#define PICTURES_MAX_PIXELS (1 << 25)

struct pictures {
    int width, height; /* as given out, upright */
    bool transposed, flip_x, flip_y;
    AVFrame *held, *coming; /* held: being shown; coming: takes over at `until` */
    bool has_held, has_coming, converted;
    bool own_times;             /* each once, at its time, instead of the grid */
    int64_t held_us, coming_us; /* their times on the common clock */
    int64_t next, until;        /* grid index given next; first one that `held` does not serve */
    struct SwsContext *scaler;
    int key[5];   /* format, width, height, colour space, range that the scaler is set up for */
    uint8_t *rgb; /* [scaled height, scaled stride] as decoded */
    uint8_t *upright;
    int stride, upright_stride;
};

/* matrix: the display matrix, or NULL. Returns 0 or AVERROR. */
int pictures_init(struct pictures *p, const AVCodecParameters *parameters, AVRational pixel_shape,
                  const int32_t *matrix);

/* Takes the frame's contents over. Pull everything before the next push. */
void pictures_push(struct pictures *p, AVFrame *frame, int64_t time_us);
void pictures_finish(struct pictures *p, int64_t duration_us); /* of the last frame */

/* 1: *chunk filled; 0: nothing at present; AVERROR. */
int pictures_pull(struct pictures *p, struct media_chunk *chunk);
void pictures_release(struct pictures *p);

#endif
