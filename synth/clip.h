/*
 * One made-up clip: somebody says a sentence. Everything about it follows from its plan: the same
 * plan gives the same samples and the same pictures, whatever was made before it.
 */
#ifndef SYNTH_CLIP_H
#define SYNTH_CLIP_H

#include "base/error.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

#define CLIP_WIDTH 360
#define CLIP_HEIGHT 288
#define CLIP_FPS 25

struct clip_plan {
    const char *text;
    uint64_t seed;      /* of the speaker, the timing, the recording */
    uint64_t face_seed; /* of the face, its light, motion and camera */
    int voice;          /* -1: drawn */
    double pitch, rate; /* 0: drawn; else as in struct speaker */
    bool sound_only;    /* .wav; else .mp4 */
};

/* Writes the clip to `path` (whole or not at all) and adds to `line` what a manifest says of it
   after the path: text, words_ms, phones_ms, with tabs between. */
int clip_make(struct strbuf *line, const struct clip_plan *plan, const char *path,
              struct error *err);

/* `seconds` of ten people reading sentences at once, to `path`. texts: sentences to read, or NULL:
   of the GRID grammar. */
int clip_babble(const char *path, double seconds, uint64_t seed, const char *const *texts,
                int text_count, struct error *err);

#endif
