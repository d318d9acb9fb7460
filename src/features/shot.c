#include "features/shot.h"

#include <math.h>
#include <string.h>

enum { BLOCKS = SHOT_GRID * SHOT_GRID, SAMPLES = 8 }; /* so many a block and axis */

static const float change_min = 12, outstanding = 4; /* gray levels; times the usual change */
static const float usual_pull = 0.1f;

static void block_means(float *blocks, struct gray_picture p)
{
    const int64_t steps = (int64_t)SHOT_GRID * SAMPLES;
    memset(blocks, 0, BLOCKS * sizeof *blocks);
    for (int64_t i = 0; i < steps; i++) {
        const uint8_t *row = p.data + (size_t)(i * p.height / steps) * p.stride;
        for (int64_t j = 0; j < steps; j++)
            blocks[i / SAMPLES * SHOT_GRID + j / SAMPLES] += row[j * p.width / steps];
    }
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] /= SAMPLES * SAMPLES;
}

bool shot_changed(struct shot_watch *w, struct gray_picture picture)
{
    float now[BLOCKS], change = 0;
    block_means(now, picture);
    for (int i = 0; i < BLOCKS; i++)
        change += fabsf(now[i] - w->blocks[i]) / BLOCKS;
    memcpy(w->blocks, now, sizeof now);
    if (!w->started) {
        w->started = true;
        return false;
    }
    const bool changed = change > change_min && change > outstanding * w->usual;
    if (!changed)
        w->usual += usual_pull * (change - w->usual);
    return changed;
}
