/* A made-up clip for tests: dark pictures and silence, and at one moment a white picture and a
   beep. Measured again after reading, the two must have stayed together. */
#ifndef TESTS_MADE_CLIP_H
#define TESTS_MADE_CLIP_H

#include "media/media.h"
#include "media/writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { MADE_WIDTH = 96, MADE_HEIGHT = 64 };

struct made {
    double picture_seconds, sound_seconds, flash_at, beep_at; /* on each stream's own clock */
    struct writer_options options;
};

/* What media_read gave. */
struct seen {
    int64_t samples, pictures;
    double flash_at, beep_at; /* seconds; -1: not seen */
    double peak;
    int width, height;
    bool contiguous;
    int code;
    struct error err;
};

/* A path in a new folder under the system's temporary one; made_remove takes both away. */
static inline char *made_path(char path[256], const char *name)
{
    char folder[] = "/tmp/mome-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(path, 256, "%s/%s", folder, name);
    return path;
}

static inline void made_remove(const char *path)
{
    char folder[256];
    unlink(path);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    assert_int_equal(rmdir(folder), 0); /* also proves that nothing else was left there */
}

static inline void made_write(const char *path, const struct made *made)
{
    static uint8_t rgb[MADE_HEIGHT * MADE_WIDTH * 3];
    struct error err = {0};
    struct writer *w;
    struct writer_options o = made->options;
    assert_int_equal(writer_open(&w, path, &o, &err), 0);
    double fps = o.fps_num ? (double)o.fps_num / o.fps_den : 25;
    int pictures = o.width ? (int)lrint(made->picture_seconds * fps) : 0;
    for (int k = 0; k < pictures; k++) {
        /* light from the flash until 0.2 s after it: the onset is what counts */
        bool light = k >= made->flash_at * fps - 1e-6 && k < (made->flash_at + 0.2) * fps;
        memset(rgb, light ? 255 : 10, sizeof rgb);
        memset(rgb, 120, sizeof rgb / 8); /* a gray bar at the top: shows rotation */
        assert_int_equal(writer_picture(w, rgb, MADE_WIDTH * 3, &err), 0);
    }
    int samples = (int)(made->sound_seconds * o.sample_rate);
    for (int i = 0; i < samples; i++) {
        double t = (double)i / o.sample_rate - made->beep_at;
        float x = t >= 0 && t < 0.2 ? (float)(0.8 * sin(2 * 3.14159265 * 1000 * t)) : 0;
        assert_int_equal(writer_sound(w, &x, 1, &err), 0);
    }
    int rc = writer_close(w, &err);
    if (rc)
        fail_msg("%s", err.message);
}

static inline void made_look(struct seen *seen, const struct media_chunk *chunk)
{
    if (chunk->kind == MEDIA_SOUND) {
        seen->contiguous &= chunk->start == seen->samples && chunk->count > 0;
        for (int64_t i = 0; i < chunk->count; i++) {
            seen->peak = fmax(seen->peak, fabsf(chunk->pcm[i]));
            if (seen->beep_at < 0 && fabsf(chunk->pcm[i]) > 0.1)
                seen->beep_at = (double)(chunk->start + i) / MEDIA_SAMPLE_RATE;
        }
        seen->samples += chunk->count;
        return;
    }
    double sum = 0;
    for (int y = 0; y < chunk->height; y++)
        for (int x = 0; x < 3 * chunk->width; x++)
            sum += chunk->rgb[y * chunk->stride + x];
    seen->contiguous &= chunk->start == seen->pictures;
    if (seen->flash_at < 0 && sum / (3.0 * chunk->width * chunk->height) > 128)
        seen->flash_at = (double)chunk->start / MEDIA_FPS;
    seen->pictures++;
    seen->width = chunk->width;
    seen->height = chunk->height;
}

static inline struct seen made_read(const char *path, const struct media_options *options)
{
    struct seen seen = {.flash_at = -1, .beep_at = -1, .contiguous = true};
    struct media *m;
    struct media_chunk chunk;
    seen.code = media_open(&m, path, options, &seen.err);
    if (seen.code)
        return seen;
    while ((seen.code = media_read(m, &chunk, &seen.err)) == 1)
        made_look(&seen, &chunk);
    media_close(m);
    return seen;
}

#endif
