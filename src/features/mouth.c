/*
 * The queue between pictures and mouths. Pictures are numbered; three counters run over them:
 *
 *     popped <= settled <= pushed
 *
 * A picture is settled when its landmarks are decided: measured in it, interpolated over a gap of
 * at most MOUTH_GAP pictures that a later measurement closed, or copied from the nearest end. It
 * can be popped when the MOUTH_MARGIN settled pictures that smoothing wants are there, or no more
 * come. With n pictures, the window of picture i is i-m..i+m, m = min(MOUTH_MARGIN, i, n-1-i), as
 * in auto_avsr's preparation (window margin 12); pictures before the first face do not count.
 *
 * Slots live in a ring; popped ones stay for their landmarks, their gray picture is used again.
 */
#include "features/mouth.h"

#include "base/memory.h"
#include "features/face_track.h"
#include "features/mouth_warp.h"

#include <assert.h>
#include <string.h>

enum { RING = 64, SMALL_SIDE = 88, PICTURE_MAX = 16384 };
static_assert(RING > MOUTH_GAP + 2 * MOUTH_MARGIN + 2, "a gap and the smoothing window fit");

struct slot {
    enum mouth_source source;
    uint8_t *gray; /* NULL after popping */
    float points[FACE_LANDMARKS][2];
    struct face_box box;
};

struct mouth_tracker {
    struct face_track track;
    int width, height; /* 0 before the first picture */
    bool ready;        /* pictures are mouths */
    bool finished;
    bool given_up; /* the gap grew too long: settle at once until the face is back */
    int64_t pushed, settled, popped, found;
    int64_t first; /* picture with landmarks; -1: none yet */
    struct slot ring[RING];
    uint8_t *spare[RING];
    int spares;
};

static struct slot *slot_at(struct mouth_tracker *t, int64_t index)
{
    return &t->ring[index % RING];
}

int mouth_tracker_new(struct mouth_tracker **t, struct face_finder *finder, struct error *err)
{
    *t = memory_new(1, sizeof **t);
    if (!*t)
        return error_set(err, ERROR_MEMORY, "out of memory for the mouth tracker");
    (*t)->track.finder = finder;
    (*t)->first = -1;
    return 0;
}

void mouth_tracker_free(struct mouth_tracker *t)
{
    if (!t)
        return;
    for (int i = 0; i < RING; i++)
        memory_free(t->ring[i].gray);
    for (int i = 0; i < t->spares; i++)
        memory_free(t->spare[i]);
    memory_free(t);
}

int64_t mouth_tracker_found(const struct mouth_tracker *t)
{
    return t->found;
}

static float between(float from, float to, float w)
{
    return from + w * (to - from);
}

/* Settles the gap settled..end-1: landmarks on the line from the last known to those of `end`
   (close), or copies of the only side that is known, or none. */
static void settle_gap(struct mouth_tracker *t, int64_t end, bool close)
{
    const struct slot *before = t->first < 0 ? NULL : slot_at(t, t->settled - 1);
    const struct slot *after = close ? slot_at(t, end) : before;
    const int64_t gap = end - t->settled;
    if (!before)
        before = after;
    if (close && t->first < 0)
        t->first = t->settled;
    for (int64_t k = 1; k <= gap && before; k++) {
        struct slot *s = slot_at(t, t->settled + k - 1);
        const float w = (float)k / (float)(gap + 1);
        s->source = MOUTH_GUESSED;
        for (int i = 0; i < FACE_LANDMARKS; i++)
            for (int axis = 0; axis < 2; axis++)
                s->points[i][axis] = between(before->points[i][axis], after->points[i][axis], w);
        s->box.left = between(before->box.left, after->box.left, w);
        s->box.top = between(before->box.top, after->box.top, w);
        s->box.right = between(before->box.right, after->box.right, w);
        s->box.bottom = between(before->box.bottom, after->box.bottom, w);
    }
    t->settled = end;
}

/* After the last picture was looked at. */
static void settle(struct mouth_tracker *t)
{
    const int64_t last = t->pushed - 1;
    if (slot_at(t, last)->source == MOUTH_MEASURED) {
        settle_gap(t, last, true);
        t->settled = t->pushed;
        t->given_up = false;
        t->found++;
    } else if (t->given_up || t->pushed - t->settled > MOUTH_GAP) {
        settle_gap(t, t->pushed, false);
        t->given_up = true;
    }
}

static int check_picture(struct mouth_tracker *t, int width, int height, int stride,
                         struct error *err)
{
    if (width < 1 || height < 1 || width > PICTURE_MAX || height > PICTURE_MAX ||
        stride < 3 * width)
        return error_set(err, ERROR_LIMIT, "pictures of %dx%d cannot be searched for a face", width,
                         height);
    if (t->finished || t->pushed - t->popped >= RING - MOUTH_MARGIN)
        return error_set(err, ERROR_USAGE, "mouth tracker: pushed %s",
                         t->finished ? "after its end" : "without popping");
    if (t->width && (t->width != width || t->height != height))
        return error_set(err, ERROR_FORMAT, "the picture changes its size from %dx%d to %dx%d",
                         t->width, t->height, width, height);
    t->width = width;
    t->height = height;
    t->ready = width == height && (width == MOUTH_SIDE || width == SMALL_SIDE);
    return 0;
}

int mouth_tracker_push(struct mouth_tracker *t, const uint8_t *rgb, int width, int height,
                       int stride, struct error *err)
{
    int rc = check_picture(t, width, height, stride, err);
    if (rc < 0)
        return rc;
    struct slot *s = slot_at(t, t->pushed);
    s->gray = t->spares ? t->spare[--t->spares] : memory_new((size_t)width, (size_t)height);
    if (!s->gray)
        return error_set(err, ERROR_MEMORY, "out of memory for a picture of %dx%d", width, height);
    mouth_gray(s->gray, rgb, width, height, stride);
    if (t->ready) {
        s->source = MOUTH_READY;
        t->settled = ++t->pushed;
        t->found++;
        return 0;
    }
    const struct gray_picture picture = {s->gray, width, height, width};
    rc = face_track_next(&t->track, s->points, &s->box, picture, err);
    if (rc < 0) {
        t->spare[t->spares++] = s->gray;
        s->gray = NULL;
        return rc;
    }
    s->source = rc > 0 ? MOUTH_MEASURED : MOUTH_NONE;
    t->pushed++;
    settle(t);
    return 0;
}

void mouth_tracker_finish(struct mouth_tracker *t)
{
    t->finished = true;
    settle_gap(t, t->pushed, false);
}

/* The crop of a picture whose window is settled. */
static void cut_slot(struct mouth_tracker *t, struct mouth_frame *frame, const struct slot *s)
{
    const float(*window[2 * MOUTH_MARGIN + 1])[2];
    float smooth[FACE_LANDMARKS][2];
    int64_t margin = t->popped - t->first;
    margin = margin < MOUTH_MARGIN ? margin : MOUTH_MARGIN;
    const int64_t right = t->settled - 1 - t->popped;
    margin = margin < right ? margin : right;
    for (int64_t k = -margin; k <= margin; k++)
        window[k + margin] = slot_at(t, t->popped + k)->points;
    mouth_smooth(smooth, window, (int)(2 * margin + 1), (int)margin);
    const struct gray_picture picture = {s->gray, t->width, t->height, t->width};
    mouth_cut(frame->crop, frame->corners, picture, (const float(*)[2])smooth);
    memcpy(frame->landmarks, s->points, sizeof s->points);
    frame->box = s->box;
}

bool mouth_tracker_pop(struct mouth_tracker *t, struct mouth_frame *frame)
{
    if (t->popped >= t->settled)
        return false;
    struct slot *s = slot_at(t, t->popped);
    const bool smoothed = s->source == MOUTH_MEASURED || s->source == MOUTH_GUESSED;
    if (smoothed && !t->finished && t->popped + MOUTH_MARGIN >= t->settled)
        return false;
    memset(frame, 0, sizeof *frame);
    frame->index = t->popped;
    frame->source = s->source;
    const int border = (MOUTH_SIDE - t->width) / 2; /* of a ready mouth */
    if (smoothed)
        cut_slot(t, frame, s);
    else if (s->source == MOUTH_READY)
        for (int y = 0; y < t->height; y++)
            memcpy(frame->crop + (y + border) * MOUTH_SIDE + border, s->gray + y * t->width,
                   (size_t)t->width);
    t->spare[t->spares++] = s->gray;
    s->gray = NULL;
    t->popped++;
    return true;
}
