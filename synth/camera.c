/*
 * Per pixel: blur (1-2-1 kernel of share `blur`, both ways), saturation, light's colour, gain,
 * gamma (one table per channel), noise (a table of normal numbers read from a random place in each
 * row: cheap, and never the same picture twice).
 */
#include "camera.h"

#include "base/memory.h"

#include <math.h>

#define NOISE_COUNT 65536

struct camera {
    int width, height, blur256, saturation256;
    struct random random;
    uint8_t curve[3][256];
    int8_t noise[NOISE_COUNT];
    int row[]; /* [3, width]: blurred over rows */
};

struct camera *camera_new(const struct look *l, int width, int height, uint64_t seed)
{
    struct camera *c = memory_new(1, sizeof *c + 3 * (size_t)width * sizeof *c->row);
    if (!c)
        return NULL;
    c->width = width, c->height = height;
    c->blur256 = (int)(256 * l->blur);
    c->saturation256 = (int)(256 * l->saturation);
    random_seed(&c->random, seed ^ 0xca3e7aULL);
    const double light[3] = {l->light.r, l->light.g, l->light.b};
    for (int channel = 0; channel < 3; channel++) {
        for (int i = 0; i < 256; i++) {
            double v = pow(i / 255.0, l->gamma) * l->gain * light[channel];
            c->curve[channel][i] = (uint8_t)(255 * fmin(v, 1) + 0.5);
        }
    }
    for (int i = 0; i < NOISE_COUNT; i++)
        c->noise[i] = (int8_t)fmax(-100, fmin(100, lround(l->noise * random_normal(&c->random))));
    return c;
}

void camera_free(struct camera *c)
{
    memory_free(c);
}

static int clip(int v, int high)
{
    return v < 0 ? 0 : v > high ? high : v;
}

/* Rows y-1, y, y+1 -> c->row, channel-wise r, g, b. */
static void blur_rows(struct camera *c, const uint8_t *bgrx, int stride, int y)
{
    const uint8_t *here = bgrx + (int64_t)y * stride, *above = y > 0 ? here - stride : here;
    const uint8_t *below = y < c->height - 1 ? here + stride : here;
    int side = c->blur256, middle = 256 - 2 * side, w = c->width;
    for (int x = 0; x < w; x++) {
        for (int channel = 0; channel < 3; channel++) {
            int i = 4 * x + 2 - channel;
            c->row[channel * w + x] = (side * (above[i] + below[i]) + middle * here[i]) >> 8;
        }
    }
}

void camera_take(struct camera *c, uint8_t *rgb, const uint8_t *bgrx, int stride)
{
    int w = c->width, side = c->blur256, middle = 256 - 2 * side, sat = c->saturation256;
    for (int y = 0; y < c->height; y++) {
        const int8_t *noise = c->noise + random_below(&c->random, NOISE_COUNT - 3 * w);
        uint8_t *out = rgb + (int64_t)y * w * 3;
        blur_rows(c, bgrx, stride, y);
        for (int x = 0; x < w; x++) {
            int v[3], left = x > 0 ? x - 1 : 0, right = x < w - 1 ? x + 1 : x;
            for (int channel = 0; channel < 3; channel++) {
                const int *row = c->row + channel * w;
                v[channel] = (side * (row[left] + row[right]) + middle * row[x]) >> 8;
            }
            int grey = (77 * v[0] + 150 * v[1] + 29 * v[2]) >> 8;
            for (int channel = 0; channel < 3; channel++) {
                int mixed = clip(grey + ((sat * (v[channel] - grey)) >> 8), 255);
                out[3 * x + channel] =
                    (uint8_t)clip(c->curve[channel][mixed] + noise[3 * x + channel], 255);
            }
        }
    }
}
