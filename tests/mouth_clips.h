/*
 * A folder of made-up utterances for tests that train or decode: 96x96 mouth videos (taken as they
 * are, no face is looked for) of two words each out of four, 40 ms a picture. A word is a tone and
 * an opening of the mouth, so both senses can tell the four apart:
 *
 *     rest, first word, second word, rest: 0.32 s each; 20 blocks of AAC, so that sound and
 * pictures come back equally long
 */
#ifndef TESTS_MOUTH_CLIPS_H
#define TESTS_MOUTH_CLIPS_H

#include "temporary_folder.h"
#include "media/writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { MOUTH_CLIP_FRAMES = 32, MOUTH_CLIP_REST = 8, MOUTH_CLIP_WORD = 8, MOUTH_CLIP_SIDE = 96 };

static const char *const mouth_clip_words[4] = {"red", "green", "blue", "white"};
static const int mouth_clip_pairs[4][2] = {{0, 1}, {2, 3}, {1, 2}, {3, 0}};

/* Which word is spoken in a frame; -1: rest. */
static inline int mouth_clip_word(int clip, int frame)
{
    int at = frame - MOUTH_CLIP_REST;
    return at < 0 || at >= 2 * MOUTH_CLIP_WORD ? -1 : mouth_clip_pairs[clip][at / MOUTH_CLIP_WORD];
}

static inline void mouth_clip_picture(uint8_t *rgb, int word)
{
    double open = word < 0 ? 4 : 8.0 + 9 * (word % 2),
           wide = word < 0 ? 26 : 18.0 + 14 * (word / 2);
    for (int i = 0; i < MOUTH_CLIP_SIDE * MOUTH_CLIP_SIDE; i++) {
        double x = (i % MOUTH_CLIP_SIDE - 47.5) / wide, y = (i / MOUTH_CLIP_SIDE - 47.5) / open;
        memset(rgb + 3 * i, x * x + y * y < 1 ? 30 : 180, 3);
    }
}

/* A clip with or without either stream. */
static inline void mouth_clip_write(const char *path, int clip, bool sound, bool pictures)
{
    static uint8_t rgb[MOUTH_CLIP_SIDE * MOUTH_CLIP_SIDE * 3];
    static float pcm[640];
    struct error err = {0};
    struct writer *w;
    const struct writer_options o = {.width = pictures ? MOUTH_CLIP_SIDE : 0,
                                     .height = pictures ? MOUTH_CLIP_SIDE : 0,
                                     .sample_rate = sound ? 16000 : 0};
    if (writer_open(&w, path, &o, &err))
        fail_msg("%s", err.message);
    for (int f = 0; f < MOUTH_CLIP_FRAMES; f++) {
        int word = mouth_clip_word(clip, f);
        for (int i = 0; i < 640; i++)
            pcm[i] = word < 0 ? 0 : 0.4f * sinf((float)(f * 640 + i) * 0.15f * (float)(word + 1));
        mouth_clip_picture(rgb, word);
        if ((sound && writer_sound(w, pcm, 640, &err)) ||
            (pictures && writer_picture(w, rgb, MOUTH_CLIP_SIDE * 3, &err)))
            fail_msg("%s", err.message);
    }
    if (writer_close(w, &err))
        fail_msg("%s", err.message);
}

static inline void mouth_clip_manifest_line(FILE *to, const char *name, int clip)
{
    const int start = MOUTH_CLIP_REST * 40, word = MOUTH_CLIP_WORD * 40;
    const int *pair = mouth_clip_pairs[clip];
    fprintf(to, "%s\t%s %s\t%s:%d:%d %s:%d:%d\n", name, mouth_clip_words[pair[0]],
            mouth_clip_words[pair[1]], mouth_clip_words[pair[0]], start, start + word,
            mouth_clip_words[pair[1]], start + word, start + 2 * word);
}

struct mouth_clips {
    char folder[TEMPORARY_FOLDER], manifest[128];
};

/* clip0.mp4 .. clip3.mp4 and manifest.tsv in a new folder. */
static inline void mouth_clips_make(struct mouth_clips *m)
{
    char path[128];
    assert_int_equal(temporary_folder_make(m->folder), 0);
    snprintf(m->manifest, sizeof m->manifest, "%s/manifest.tsv", m->folder);
    FILE *f = fopen(m->manifest, "w");
    assert_non_null(f);
    fprintf(f, "path\ttext\twords_ms\n");
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/clip%d.mp4", m->folder, i);
        mouth_clip_write(path, i, true, true);
        mouth_clip_manifest_line(f, strrchr(path, '/') + 1, i);
    }
    assert_int_equal(fclose(f), 0);
}

static inline void mouth_clips_remove(const struct mouth_clips *m)
{
    assert_int_equal(temporary_folder_remove(m->folder), 0);
}

/* A test program's clips, with cmocka's setup and teardown of a group. */
static struct mouth_clips clips;

static inline int make_clips(void **state)
{
    (void)state;
    mouth_clips_make(&clips);
    return 0;
}

static inline int remove_clips(void **state)
{
    (void)state;
    mouth_clips_remove(&clips);
    return 0;
}

#endif
