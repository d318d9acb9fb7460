#include "features/mouth.h"

#include "features/mouth_warp.h"

#include <assert.h>
#include <string.h>

static_assert(MOUTH_RING > MOUTH_GAP + 2 * MOUTH_MARGIN + 2, "a gap and the smoothing window fit");

static struct mouth_slot *slot_at(struct mouth_track *t, int64_t picture)
{
    return &t->ring[picture % MOUTH_RING];
}

static float between(float from, float to, float w)
{
    return from + w * (to - from);
}

/* Settles the gap settled..end-1: landmarks on the line from `before` to `after`. */
static void settle_gap(struct mouth_track *t, int64_t end, const struct mouth_slot *before,
                       const struct mouth_slot *after)
{
    const int64_t gap = end - t->settled;
    for (int64_t k = 1; k <= gap; k++) {
        struct mouth_slot *s = slot_at(t, t->settled + k - 1);
        const float w = (float)k / (float)(gap + 1);
        s->source = MOUTH_GUESSED;
        for (int i = 0; i < FACE_LANDMARKS; i++)
            for (int axis = 0; axis < 2; axis++)
                s->points[i][axis] = between(before->points[i][axis], after->points[i][axis], w);
        s->box.left = between(before->box.left, after->box.left, w);
        s->box.top = between(before->box.top, after->box.top, w);
        s->box.right = between(before->box.right, after->box.right, w);
        s->box.bottom = between(before->box.bottom, after->box.bottom, w);
        s->box.score = 0;
    }
    t->settled = end;
}

static struct mouth_slot *put(struct mouth_track *t, int64_t picture, const float (*points)[2],
                              const struct face_box *box)
{
    struct mouth_slot *s = slot_at(t, picture);
    s->source = MOUTH_MEASURED;
    memcpy(s->points, points, sizeof s->points);
    s->box = *box;
    return s;
}

void mouth_track_begin(struct mouth_track *t, int64_t first, int64_t now,
                       const float points[FACE_LANDMARKS][2], const struct face_box *box)
{
    t->first = t->settled = first;
    t->ended = false;
    const struct mouth_slot *s = put(t, now, points, box);
    settle_gap(t, now, s, s);
    t->settled = t->next = now + 1;
}

void mouth_track_end(struct mouth_track *t)
{
    const struct mouth_slot *last = slot_at(t, t->settled - 1);
    settle_gap(t, t->next, last, last);
    t->ended = true;
}

bool mouth_track_add(struct mouth_track *t, const float (*points)[2], const struct face_box *box)
{
    const int64_t picture = t->next++;
    if (points) {
        settle_gap(t, picture, slot_at(t, t->settled - 1), put(t, picture, points, box));
        t->settled = t->next;
    } else if (t->next - t->settled > MOUTH_GAP) {
        mouth_track_end(t);
    }
    return !t->ended;
}

bool mouth_track_covers(const struct mouth_track *t, int64_t picture)
{
    return picture >= t->first && (!t->ended || picture < t->next);
}

bool mouth_track_ready(const struct mouth_track *t, int64_t picture)
{
    return picture + (t->ended ? 0 : MOUTH_MARGIN) < t->settled;
}

void mouth_track_cut(const struct mouth_track *t, struct mouth_frame *frame, int64_t picture,
                     struct gray_picture gray)
{
    const struct mouth_slot *s = &t->ring[picture % MOUTH_RING];
    const float(*window[2 * MOUTH_MARGIN + 1])[2];
    float smooth[FACE_LANDMARKS][2];
    int64_t margin = picture - t->first;
    margin = margin < MOUTH_MARGIN ? margin : MOUTH_MARGIN;
    const int64_t right = t->settled - 1 - picture;
    margin = margin < right ? margin : right;
    for (int64_t k = -margin; k <= margin; k++)
        window[k + margin] = t->ring[(picture + k) % MOUTH_RING].points;
    mouth_smooth(smooth, window, (int)(2 * margin + 1), (int)margin);
    mouth_cut(frame->crop, frame->corners, gray, (const float(*)[2])smooth);
    memcpy(frame->landmarks, s->points, sizeof s->points);
    frame->box = s->box;
    frame->source = s->source;
}
