/*
 * Per pixel: blur (1-2-1 kernel of share `blur`, both ways), saturation, light's colour, gain,
 * gamma (one table per channel), noise (a table of normal numbers read from a random place in each
 * row: cheap, and never the same picture twice).
 */
#include "camera.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

#define NOISE_COUNT 65536

struct camera {
    int width, height, blur256, saturation256;
    struct random random;
    uint8_t curve[3][256];
    int8_t noise[NOISE_COUNT];
    uint8_t rows[]; /* 2 x [width + 2, 4]: a row blurred down, then also across */
};

struct camera *camera_new(const struct look *l, int width, int height, uint64_t seed)
{
    struct camera *c = memory_new(1, sizeof *c + 8 * ((size_t)width + 2));
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

/* One direction of the blur: out[i] = side * (before[i] + after[i]) + (1 - 2 side) * here[i]. Sums
   stay below 2^16. The four bytes of a pixel are treated alike, so that it runs as SIMD. */
static void blur_down(uint8_t *restrict out, const uint8_t *before, const uint8_t *here,
                      const uint8_t *after, unsigned side, int count)
{
    unsigned middle = 256 - 2 * side;
    for (int i = 0; i < count; i++)
        out[i] = (uint8_t)((uint16_t)(side * before[i] + side * after[i] + middle * here[i]) >> 8);
}

void camera_take(struct camera *c, uint8_t *rgb, const uint8_t *bgrx, int stride)
{
    int w = c->width, sat = c->saturation256;
    uint8_t *down = c->rows + 4, *row = down + 4 * (w + 2);
    for (int y = 0; y < c->height; y++) {
        const int8_t *noise = c->noise + random_below(&c->random, NOISE_COUNT - 3 * w);
        const uint8_t *here = bgrx + (int64_t)y * stride;
        uint8_t *out = rgb + (int64_t)y * w * 3;
        blur_down(down, y > 0 ? here - stride : here, here,
                  y < c->height - 1 ? here + stride : here, (unsigned)c->blur256, 4 * w);
        memcpy(down - 4, down, 4);
        memcpy(down + 4 * w, down + 4 * w - 4, 4);
        blur_down(row, down - 4, down, down + 4, (unsigned)c->blur256, 4 * w);
        for (int x = 0; x < w; x++) {
            int b = row[4 * x], g = row[4 * x + 1], r = row[4 * x + 2];
            int grey = (77 * r + 150 * g + 29 * b) >> 8;
            const int v[3] = {r, g, b};
            for (int k = 0; k < 3; k++) {
                int mixed = clip(grey + ((sat * (v[k] - grey)) >> 8), 255);
                out[3 * x + k] = (uint8_t)clip(c->curve[k][mixed] + noise[3 * x + k], 255);
            }
        }
    }
}
