#include "media/pictures.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/common.h>
#include <libavutil/mem.h>

#define PERIOD_US (1000000 / MEDIA_FPS)
#define END_SLACK_US (PERIOD_US / 4) /* an end this little past a grid point makes no picture */
#define ROW_PADDING 64               /* swscale's vector code writes beyond a row's end */

static int padded_stride(int width)
{
    return FFALIGN(width * 3, 64) + ROW_PADDING;
}

/* Which of the eight ways to turn and mirror the matrix (libavutil/display.h) stands for:
   p' = a p + c q, q' = b p + d q. */
static void read_matrix(struct pictures *p, const int32_t *matrix)
{
    int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    p->transposed = llabs(b) + llabs(c) > llabs(a) + llabs(d);
    p->flip_x = (p->transposed ? c : a) < 0;
    p->flip_y = (p->transposed ? b : d) < 0;
}

int pictures_init(struct pictures *p, const AVCodecParameters *parameters, AVRational pixel_shape,
                  const int32_t *matrix)
{
    int width = parameters->width, height = parameters->height;
    double shape = pixel_shape.num > 0 && pixel_shape.den > 0 ? av_q2d(pixel_shape) : 1;
    if (width < 1 || height < 1)
        return AVERROR(EINVAL);
    if (width > PICTURES_MAX_SIDE || height > PICTURES_MAX_SIDE)
        return AVERROR(ERANGE);
    if (shape >= 0.25 && shape <= 4) /* anything else is a broken header */
        width = FFMAX(1, (int)(width * shape + 0.5));
    if (width > PICTURES_MAX_SIDE || width * height > PICTURES_MAX_PIXELS)
        return AVERROR(ERANGE);
    if (matrix)
        read_matrix(p, matrix);
    p->width = p->transposed ? height : width;
    p->height = p->transposed ? width : height;
    p->stride = padded_stride(width);
    p->upright_stride = padded_stride(p->width);
    p->held = av_frame_alloc();
    p->coming = av_frame_alloc();
    p->rgb = av_mallocz((size_t)p->stride * height + ROW_PADDING);
    if (p->transposed || p->flip_x || p->flip_y)
        p->upright = av_mallocz((size_t)p->upright_stride * p->height);
    bool ok = p->held && p->coming && p->rgb &&
              (p->upright || !(p->transposed || p->flip_x || p->flip_y));
    return ok ? 0 : AVERROR(ENOMEM);
}

static int set_up_scaler(struct pictures *p, const AVFrame *f, int width, int height)
{
    int key[5] = {f->format, f->width, f->height, f->colorspace, f->color_range};
    if (p->scaler && memcmp(key, p->key, sizeof key) == 0)
        return 0;
    sws_freeContext(p->scaler);
    p->scaler = sws_getContext(f->width, f->height, f->format, width, height, AV_PIX_FMT_RGB24,
                               SWS_BILINEAR, NULL, NULL, NULL);
    if (!p->scaler)
        return AVERROR(EINVAL);
    const int *in = sws_getCoefficients(
        f->colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_DEFAULT : (int)f->colorspace);
    /* Formats that know their range by themselves (gray, yuvj) are left as they are. */
    if (f->color_range == AVCOL_RANGE_JPEG || f->colorspace != AVCOL_SPC_UNSPECIFIED)
        sws_setColorspaceDetails(p->scaler, in, f->color_range == AVCOL_RANGE_JPEG,
                                 sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    memcpy(p->key, key, sizeof key);
    return 0;
}

static void turn_upright(struct pictures *p)
{
    for (int y = 0; y < p->height; y++) {
        uint8_t *out = p->upright + (size_t)y * p->upright_stride;
        int v = p->flip_y ? p->height - 1 - y : y;
        for (int x = 0; x < p->width; x++) {
            int u = p->flip_x ? p->width - 1 - x : x;
            size_t row = p->transposed ? u : v, column = p->transposed ? v : u;
            memcpy(out + 3 * (size_t)x, p->rgb + row * p->stride + 3 * column, 3);
        }
    }
}

static int convert(struct pictures *p)
{
    int width = p->transposed ? p->height : p->width;
    int height = p->transposed ? p->width : p->height;
    uint8_t *rows[4] = {p->rgb};
    int strides[4] = {p->stride};
    int rc = set_up_scaler(p, p->held, width, height);
    if (rc < 0)
        return rc;
    rc = sws_scale(p->scaler, (const uint8_t *const *)p->held->data, p->held->linesize, 0,
                   p->held->height, rows, strides);
    if (rc < 0)
        return rc;
    if (p->upright)
        turn_upright(p);
    p->converted = true;
    return 0;
}

/* How many grid points lie before `time_us`. */
static int64_t points_before(int64_t time_us)
{
    return time_us > 0 ? (time_us + PERIOD_US - 1) / PERIOD_US : 0;
}

static void take_over(struct pictures *p)
{
    av_frame_unref(p->held);
    av_frame_move_ref(p->held, p->coming);
    p->held_us = p->coming_us;
    p->has_held = true;
    p->has_coming = p->converted = false;
}

void pictures_push(struct pictures *p, AVFrame *frame, int64_t time_us)
{
    av_frame_unref(p->coming);
    av_frame_move_ref(p->coming, frame);
    p->coming_us = time_us;
    p->has_coming = true;
    if (!p->has_held)
        take_over(p);
    else
        p->until = points_before(p->held_us + (time_us - p->held_us) / 2);
}

void pictures_finish(struct pictures *p, int64_t duration_us)
{
    if (!p->has_held)
        return;
    p->until = points_before(p->held_us + duration_us - END_SLACK_US);
    if (p->next == 0 && p->until == 0) /* a still picture of no duration */
        p->until = 1;
}

/* The picture that is held, at a place of the grid. */
static int give(struct pictures *p, struct media_chunk *chunk, int64_t index, int64_t time_us)
{
    int rc = p->converted ? 0 : convert(p);
    if (rc < 0)
        return rc;
    *chunk = (struct media_chunk){
        .kind = MEDIA_PICTURE,
        .start = index,
        .time_us = time_us,
        .count = 1,
        .rgb = p->upright ? p->upright : p->rgb,
        .width = p->width,
        .height = p->height,
        .stride = p->upright ? p->upright_stride : p->stride,
    };
    return 1;
}

int pictures_pull(struct pictures *p, struct media_chunk *chunk)
{
    if (!p->has_held)
        return 0;
    if (p->own_times) {
        p->has_held = false;
        return give(p, chunk, points_before(p->held_us - PERIOD_US / 2), p->held_us);
    }
    if (p->next >= p->until) {
        if (p->has_coming)
            take_over(p);
        return 0;
    }
    const int64_t index = p->next++;
    return give(p, chunk, index, index * PERIOD_US);
}

void pictures_release(struct pictures *p)
{
    av_frame_free(&p->held);
    av_frame_free(&p->coming);
    sws_freeContext(p->scaler);
    av_freep(&p->rgb);
    av_freep(&p->upright);
}
