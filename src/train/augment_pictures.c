#include "train/augment_pictures.h"
#include "features/mouth.h"

#include <math.h>

static double symmetric(struct random *random, double size)
{
    return size * (2 * random_uniform(random) - 1);
}

/* Where an output pixel comes from: (x, y) = centre + [a -b; b a] (output - centre). */
struct warp {
    float a, b, x, y;
    bool mirror;
};

static struct warp draw_warp(const struct augment_config *augment, struct random *random)
{
    double zoom = 1 + symmetric(random, augment->zoom);
    double angle = symmetric(random, augment->rotate) * 3.14159265358979 / 180;
    double centre = (MOUTH_SIDE - 1) / 2.0;
    return (struct warp){
        .a = (float)(cos(angle) / zoom),
        .b = (float)(sin(angle) / zoom),
        .x =
            (float)(centre + (double)random_below(random, 2 * augment->shift + 1) - augment->shift),
        .y =
            (float)(centre + (double)random_below(random, 2 * augment->shift + 1) - augment->shift),
        .mirror = random_uniform(random) < augment->flip,
    };
}

static float bilinear(const uint8_t *picture, float x, float y)
{
    float limit = MOUTH_SIDE - 1.001f;
    x = x < 0 ? 0 : x > limit ? limit : x;
    y = y < 0 ? 0 : y > limit ? limit : y;
    int ix = (int)x, iy = (int)y;
    float fx = x - (float)ix, fy = y - (float)iy;
    const uint8_t *p = picture + iy * MOUTH_SIDE + ix;
    float top = (float)p[0] + fx * (float)(p[1] - p[0]);
    float bottom = (float)p[MOUTH_SIDE] + fx * (float)(p[MOUTH_SIDE + 1] - p[MOUTH_SIDE]);
    return top + fy * (bottom - top);
}

static void warp_picture(float *out, const uint8_t *mouth, const struct warp *w, float gain,
                         float offset)
{
    const float half = (CONFIG_PICTURE - 1) / 2.0f;
    for (int row = 0; row < CONFIG_PICTURE; row++) {
        for (int column = 0; column < CONFIG_PICTURE; column++) {
            float dx = (float)column - half, dy = (float)row - half;
            dx = w->mirror ? -dx : dx;
            float value =
                bilinear(mouth, w->x + w->a * dx - w->b * dy, w->y + w->b * dx + w->a * dy);
            out[row * CONFIG_PICTURE + column] = value * gain + offset;
        }
    }
}

void augment_pictures(float *pictures, const uint8_t *mouth, int64_t frames,
                      const struct augment_config *augment, struct random *random)
{
    const int64_t pixels = CONFIG_PICTURE * CONFIG_PICTURE;
    struct warp warp = draw_warp(augment, random);
    double contrast = 1 + symmetric(random, augment->contrast);
    double brightness = 0.5 * symmetric(random, augment->contrast);
    /* ((v/255 - mean) contrast + brightness) / deviation */
    float gain = (float)(contrast / 255 / PICTURE_DEVIATION);
    float offset = (float)((brightness - PICTURE_MEAN * contrast) / PICTURE_DEVIATION);
    for (int64_t i = 0; i < frames; i++)
        warp_picture(pictures + i * pixels, mouth + i * MOUTH_PIXELS, &warp, gain, offset);
    int masks = (int)random_below(random, augment->time_masks + 1);
    for (int m = 0; m < masks; m++) {
        int64_t length = random_below(random, augment->time_mask_frames + 1);
        int64_t start = random_below(random, frames);
        for (int64_t i = start; i < frames && i < start + length; i++)
            for (int64_t p = 0; p < pixels; p++)
                pictures[i * pixels + p] = -PICTURE_MEAN / PICTURE_DEVIATION;
    }
}
