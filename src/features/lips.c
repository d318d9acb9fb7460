#include "features/lips.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { HALF_SECOND = 12 }; /* pictures */

struct kept {
    bool seen;
    float opening; /* of a mouth that was measured; NAN: not known */
    uint8_t crop[MOUTH_PIXELS];
};

struct lips {
    struct mouth_tracker *tracker;
    struct kept *kept; /* [count], pictures base .. base + count - 1 */
    int64_t base, count, room;
};

int lips_new(struct lips **out, struct face_finder *finder, struct error *err)
{
    struct lips *l = *out = memory_new(1, sizeof *l);
    int rc = l ? mouth_tracker_new(&l->tracker, finder, err)
               : error_set(err, ERROR_MEMORY, "out of memory");
    if (rc) {
        lips_free(l);
        *out = NULL;
    }
    return rc;
}

void lips_free(struct lips *l)
{
    if (!l)
        return;
    mouth_tracker_free(l->tracker);
    memory_free(l->kept);
    memory_free(l);
}

static float distance(const float a[2], const float b[2])
{
    return hypotf(a[0] - b[0], a[1] - b[1]);
}

static int reserve(struct lips *l, struct error *err)
{
    if (l->count < l->room)
        return 0;
    int64_t room = l->room ? 2 * l->room : 64;
    struct kept *larger = memory_new((size_t)room, sizeof *larger);
    if (!larger)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (l->count)
        memcpy(larger, l->kept, (size_t)l->count * sizeof *larger);
    memory_free(l->kept);
    l->kept = larger;
    l->room = room;
    return 0;
}

/* Mouths that the tracker has decided. */
static int take(struct lips *l, struct error *err)
{
    struct mouth_frame frame;
    int rc = 0;
    while (!rc && mouth_tracker_pop(l->tracker, &frame)) {
        rc = reserve(l, err);
        if (rc)
            break;
        struct kept *k = &l->kept[l->count++];
        const float eyes = distance(frame.landmarks[36], frame.landmarks[45]);
        k->seen = frame.source != MOUTH_NONE;
        k->opening = frame.source == MOUTH_MEASURED && eyes > 0
                         ? distance(frame.landmarks[62], frame.landmarks[66]) / eyes
                         : NAN;
        memcpy(k->crop, frame.crop, MOUTH_PIXELS);
    }
    return rc;
}

int lips_push(struct lips *l, const uint8_t *rgb, int width, int height, int stride,
              struct error *err)
{
    int rc = mouth_tracker_push(l->tracker, rgb, width, height, stride, err);
    return rc ? rc : take(l, err);
}

int lips_finish(struct lips *l, struct error *err)
{
    mouth_tracker_finish(l->tracker);
    return take(l, err);
}

int64_t lips_known(const struct lips *l)
{
    return l->base + l->count;
}

bool lips_seen(const struct lips *l)
{
    return mouth_tracker_found(l->tracker) > 0;
}

/* Standard deviation of the opening over pictures from .. to - 1; 0: not known. A picture that was
   a mouth from the start has no landmarks: it is taken to move. */
static float deviation(const struct lips *l, int64_t from, int64_t to)
{
    double sum = 0, squares = 0;
    int n = 0, ready = 0;
    for (int64_t i = from < l->base ? l->base : from; i < to && i < lips_known(l); i++) {
        const struct kept *k = &l->kept[i - l->base];
        ready += k->seen && isnan(k->opening);
        if (isnan(k->opening))
            continue;
        sum += k->opening;
        squares += (double)k->opening * k->opening;
        n++;
    }
    if (n < 2)
        return ready > (to - from) / 2 ? 2 * LIPS_MOVE : 0;
    double variance = (squares - sum * sum / n) / (n - 1);
    return variance > 0 ? (float)sqrt(variance) : 0;
}

float lips_motion(const struct lips *l, int64_t picture)
{
    float moves = deviation(l, picture - HALF_SECOND, picture + HALF_SECOND + 1);
    return moves / (moves + LIPS_MOVE);
}

void lips_choose(const struct lips *l, struct lips_choice *choice, int64_t start, int64_t count,
                 const float *levels, int face)
{
    (void)levels;
    int64_t seen = 0;
    for (int64_t i = start; i < start + count; i++)
        seen += i >= l->base && i < lips_known(l) && l->kept[i - l->base].seen;
    *choice = (struct lips_choice){.face = seen && face <= 0 ? 0 : -1,
                                   .seen = (double)seen / (double)count,
                                   .moves = deviation(l, start, start + count) > LIPS_MOVE};
}

void lips_copy(const struct lips *l, uint8_t *mouths, int face, int64_t start, int64_t count)
{
    (void)face;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = start + i - l->base;
        bool there = at >= 0 && at < l->count && l->kept[at].seen;
        if (there)
            memcpy(mouths + i * MOUTH_PIXELS, l->kept[at].crop, MOUTH_PIXELS);
        else
            memset(mouths + i * MOUTH_PIXELS, 0, MOUTH_PIXELS);
    }
}

void lips_forget(struct lips *l, int64_t before)
{
    int64_t drop = before - HALF_SECOND - l->base;
    drop = drop < l->count ? drop : l->count;
    if (drop <= 0)
        return;
    l->count -= drop;
    memmove(l->kept, l->kept + drop, (size_t)l->count * sizeof *l->kept);
    l->base += drop;
}
