/*
 * Drawing in RGB24 pictures by hand (segments of square dots), written by media/writer. Mouths come
 * some pictures later than their pictures, so copies wait in a ring until their frame arrives.
 */
#include "features/mouth_debug.h"

#include "base/memory.h"
#include "media/media.h"
#include "media/writer.h"

#include <math.h>
#include <string.h>

enum { WAITING = 64, INSET_SCALE = 2, INSET = MOUTH_SIDE * INSET_SCALE, DOT_PER_WIDTH = 480 };

struct mouth_debug {
    bool with_sound;
    struct writer *writer;
    int width, height;
    uint8_t *waiting[WAITING]; /* [height, width, 3] each; allocated as needed */
    int64_t pushed, written;
};

struct canvas {
    uint8_t *rgb;
    int width, height;
    int dot; /* side of the pen, pixels */
};

static const uint8_t green[3] = {40, 220, 60}, yellow[3] = {250, 210, 30};
static const uint8_t red[3] = {240, 60, 50}, cyan[3] = {60, 210, 250};

static void draw_dot(struct canvas c, float x, float y, const uint8_t colour[3])
{
    if (!(fabsf(x) < 1e6f && fabsf(y) < 1e6f))
        return;
    const int left = (int)lrintf(x) - c.dot / 2, top = (int)lrintf(y) - c.dot / 2;
    for (int v = top < 0 ? 0 : top; v < top + c.dot && v < c.height; v++)
        for (int u = left < 0 ? 0 : left; u < left + c.dot && u < c.width; u++)
            memcpy(c.rgb + 3 * ((size_t)v * c.width + u), colour, 3);
}

static void draw_line(struct canvas c, const float from[2], const float to[2],
                      const uint8_t colour[3])
{
    const float longer = fmaxf(fabsf(to[0] - from[0]), fabsf(to[1] - from[1]));
    const int steps = (int)fminf(longer, 4.0f * (float)(c.width + c.height)) + 1;
    for (int i = 0; i <= steps; i++) {
        const float w = (float)i / (float)steps;
        draw_dot(c, from[0] + w * (to[0] - from[0]), from[1] + w * (to[1] - from[1]), colour);
    }
}

static void draw_loop(struct canvas c, const float corners[4][2], const uint8_t colour[3])
{
    for (int i = 0; i < 4; i++)
        draw_line(c, corners[i], corners[(i + 1) % 4], colour);
}

static void draw_inset(struct canvas c, const uint8_t *crop, int place)
{
    const int left = place * INSET;
    if (c.width < left + INSET || c.height < INSET)
        return;
    for (int y = 0; y < INSET; y++)
        for (int x = 0; x < INSET; x++)
            memset(c.rgb + 3 * ((size_t)(c.height - INSET + y) * c.width + left + x),
                   crop[y / INSET_SCALE * MOUTH_SIDE + x / INSET_SCALE], 3);
}

static void draw_face(struct canvas c, const struct mouth_frame *f)
{
    const float box[4][2] = {{f->box.left, f->box.top},
                             {f->box.right, f->box.top},
                             {f->box.right, f->box.bottom},
                             {f->box.left, f->box.bottom}};
    draw_loop(c, box, f->source == MOUTH_MEASURED ? green : yellow);
    draw_loop(c, f->corners, red);
    for (int i = 0; i < FACE_LANDMARKS; i++)
        draw_dot(c, f->landmarks[i][0], f->landmarks[i][1], cyan);
}

static void draw_faces(struct canvas c, const struct faces_picture *p)
{
    for (int i = 0; i < p->count; i++)
        if (p->faces[i].mouth.source != MOUTH_READY)
            draw_face(c, &p->faces[i].mouth);
    for (int i = 0; i < p->count; i++)
        if (p->faces[i].mouth.source != MOUTH_READY)
            draw_inset(c, p->faces[i].mouth.crop, p->faces[i].number - 1);
}

int mouth_debug_open(struct mouth_debug **d, const char *path, int width, int height,
                     bool with_sound, struct error *err)
{
    const struct writer_options options = {.width = width,
                                           .height = height,
                                           .fps_num = MEDIA_FPS,
                                           .fps_den = 1,
                                           .sample_rate = with_sound ? MEDIA_SAMPLE_RATE : 0};
    *d = memory_new(1, sizeof **d);
    if (!*d)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    (*d)->width = width;
    (*d)->height = height;
    (*d)->with_sound = with_sound;
    const int rc = writer_open(&(*d)->writer, path, &options, err);
    if (rc < 0) {
        memory_free(*d);
        *d = NULL;
    }
    return rc;
}

void mouth_debug_abandon(struct mouth_debug *d)
{
    if (!d)
        return;
    writer_abandon(d->writer);
    for (int i = 0; i < WAITING; i++)
        memory_free(d->waiting[i]);
    memory_free(d);
}

int mouth_debug_close(struct mouth_debug *d, struct error *err)
{
    const int rc = writer_close(d->writer, err);
    d->writer = NULL;
    mouth_debug_abandon(d);
    return rc;
}

int mouth_debug_picture(struct mouth_debug *d, const uint8_t *rgb, int stride, struct error *err)
{
    const size_t row = 3 * (size_t)d->width;
    uint8_t **copy = &d->waiting[d->pushed % WAITING];
    if (d->pushed - d->written >= WAITING)
        return error_set(err, ERROR_USAGE, "mouth video: pictures without frames");
    if (!*copy)
        *copy = memory_new((size_t)d->height, row);
    if (!*copy)
        return error_set(err, ERROR_MEMORY, "out of memory for the mouth video");
    for (int y = 0; y < d->height; y++)
        memcpy(*copy + y * row, rgb + (size_t)y * stride, row);
    d->pushed++;
    return 0;
}

int mouth_debug_faces(struct mouth_debug *d, const struct faces_picture *faces, struct error *err)
{
    if (faces->index != d->written || d->written >= d->pushed)
        return error_set(err, ERROR_USAGE, "mouth video: frame %lld out of turn",
                         (long long)faces->index);
    const int dot = 1 + d->width / DOT_PER_WIDTH;
    const struct canvas c = {d->waiting[d->written++ % WAITING], d->width, d->height, dot};
    draw_faces(c, faces);
    return writer_picture(d->writer, c.rgb, 3 * d->width, err);
}

int mouth_debug_sound(struct mouth_debug *d, const float *pcm, int64_t count, struct error *err)
{
    return d->with_sound ? writer_sound(d->writer, pcm, count, err) : 0;
}
