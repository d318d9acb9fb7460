#include "features/clip_faces.h"

#include "base/memory.h"
#include "features/speaker.h"

#include <math.h>
#include <string.h>

enum {
    CANDIDATES = 16, /* in one span; people who come later in it than so many are passed over */
    MOVE_REACH = 12, /* pictures on both sides, half a second, that tell whether lips move */
};

/* ---- collecting ---- */

static bool append(struct clip_face *face, const uint8_t *crop, float opening)
{
    int64_t crop_room = face->room;
    if (!memory_reserve(&face->crops, &crop_room, face->count, face->count + 1, MOUTH_PIXELS) ||
        !memory_reserve(&face->openings, &face->room, face->count, face->count + 1,
                        sizeof *face->openings))
        return false;
    uint8_t *to = face->crops + face->count * MOUTH_PIXELS;
    if (crop)
        memcpy(to, crop, MOUTH_PIXELS);
    else
        memset(to, 0, MOUTH_PIXELS);
    face->openings[face->count++] = opening;
    return true;
}

static struct clip_face *face_of(struct clip_faces *f, const struct faces_face *seen, int64_t first)
{
    for (int i = f->count - 1; i >= 0 && f->list[i].shot == seen->shot; i--)
        if (f->list[i].id == seen->id)
            return &f->list[i];
    if (!memory_reserve(&f->list, &f->room, f->count, f->count + 1, sizeof *f->list))
        return NULL;
    struct clip_face *face = &f->list[f->count++];
    *face = (struct clip_face){
        .id = seen->id, .number = seen->number, .shot = seen->shot, .first = first};
    return face;
}

static bool add_face(struct clip_faces *f, const struct faces_face *seen, int64_t picture)
{
    const bool measured = seen->mouth.source == MOUTH_MEASURED;
    struct clip_face *face = face_of(f, seen, picture);
    if (!face)
        return false;
    while (face->first + face->count < picture) /* it was away */
        if (!append(face, NULL, NAN))
            return false;
    return append(face, seen->mouth.crop, measured ? speaker_opening(seen->mouth.landmarks) : NAN);
}

bool clip_faces_add(struct clip_faces *f, const struct faces_picture *picture, int face)
{
    bool found = false;
    for (int i = 0; i < picture->count; i++) {
        const struct faces_face *seen = &picture->faces[i];
        f->numbers = seen->number > f->numbers ? seen->number : f->numbers;
        f->ready |= seen->mouth.source == MOUTH_READY;
        if (face && seen->number != face)
            continue;
        found |= seen->mouth.source != MOUTH_GUESSED;
        if (!add_face(f, seen, picture->index))
            return false;
    }
    f->found += found;
    f->pictures++;
    return true;
}

void clip_faces_release(struct clip_faces *f)
{
    for (int i = 0; i < f->count; i++) {
        memory_free(f->list[i].crops);
        memory_free(f->list[i].openings);
    }
    memory_free(f->list);
    *f = (struct clip_faces){0};
}

/* ---- choosing ---- */

struct span {
    int64_t start, count; /* pictures */
    const struct clip_face *faces[CANDIDATES];
    int face_count;
    float openings[CANDIDATES][CLIP_FACES_SPAN];
};

static int64_t overlap(const struct span *s, const struct clip_face *face)
{
    const int64_t start = face->first > s->start ? face->first : s->start;
    const int64_t s_end = s->start + s->count, f_end = face->first + face->count;
    return (f_end < s_end ? f_end : s_end) - start;
}

static void gather(struct span *s, const struct clip_faces *f, int shot)
{
    s->face_count = 0;
    for (int i = 0; i < f->count && s->face_count < CANDIDATES; i++) {
        const struct clip_face *face = &f->list[i];
        if (face->shot != shot || overlap(s, face) <= 0)
            continue;
        float *row = s->openings[s->face_count];
        s->faces[s->face_count++] = face;
        for (int64_t k = 0; k < s->count; k++) {
            const int64_t at = s->start + k - face->first;
            row[k] = at >= 0 && at < face->count ? face->openings[at] : NAN;
        }
    }
}

static int64_t measured(const struct span *s, int face)
{
    int64_t known = 0;
    for (int64_t k = 0; k < s->count; k++)
        known += !isnan(s->openings[face][k]);
    return known;
}

/* The face that the span gets, the one seen most where nobody's lips move; NULL: none. */
static const struct clip_face *decide(const struct span *s, const float *levels, bool *moves)
{
    const float *openings[CANDIDATES];
    struct speaker_score scores[CANDIDATES];
    int most = 0;
    for (int i = 0; i < s->face_count; i++) {
        openings[i] = s->openings[i];
        if (measured(s, i) > measured(s, most))
            most = i;
    }
    const int chosen = speaker_choose(scores, openings, s->face_count, levels, s->count);
    *moves |= chosen >= 0;
    return s->face_count ? s->faces[chosen < 0 ? most : chosen] : NULL;
}

/* The first picture of [start, end) and the one behind the last that have faces of a shot. */
static void shot_range(const struct clip_faces *f, int shot, int64_t *start, int64_t *end)
{
    int64_t first = *end, behind = *start;
    for (int i = 0; i < f->count; i++) {
        const struct clip_face *face = &f->list[i];
        if (face->shot != shot)
            continue;
        first = face->first < first ? face->first : first;
        behind = face->first + face->count > behind ? face->first + face->count : behind;
    }
    *start = first > *start ? first : *start;
    *end = behind < *end ? behind : *end;
}

/* What a clip's mouths are chosen with. */
struct choice {
    struct clip *clip;
    int64_t start;  /* the clip's first picture */
    float *levels;  /* of its sound, by picture */
    int64_t *taken; /* pictures, by the number of the face */
    struct span span;
};

static void choose_span(struct choice *c, const struct clip_faces *f, int shot)
{
    struct span *s = &c->span;
    const int64_t at = s->start - c->start;
    gather(s, f, shot);
    const struct clip_face *face =
        decide(s, c->clip->has_sound ? c->levels + at : NULL, &c->clip->lips_move);
    if (!face)
        return;
    const int64_t from = face->first > s->start ? face->first : s->start;
    memcpy(c->clip->mouth + (from - c->start) * MOUTH_PIXELS,
           face->crops + (from - face->first) * MOUTH_PIXELS,
           (size_t)overlap(s, face) * MOUTH_PIXELS);
    c->taken[face->number] += overlap(s, face);
}

static void choose_shot(struct choice *c, const struct clip_faces *f, int shot)
{
    int64_t start = c->start, end = c->start + c->clip->frames;
    shot_range(f, shot, &start, &end);
    const int64_t spans = (end - start + CLIP_FACES_SPAN - 1) / CLIP_FACES_SPAN;
    for (int64_t i = 0; i < spans; i++) {
        c->span.start = start + i * (end - start) / spans;
        c->span.count = start + (i + 1) * (end - start) / spans - c->span.start;
        choose_span(c, f, shot);
    }
}

int64_t clip_faces_choose(const struct clip_faces *f, struct clip *clip, int64_t start,
                          int64_t count)
{
    struct choice *c = memory_new(1, sizeof *c);
    int64_t shown = -1;
    if (!c)
        return -1;
    *c = (struct choice){.clip = clip,
                         .start = start,
                         .levels = memory_new((size_t)count + 1, sizeof *c->levels),
                         .taken = memory_new((size_t)f->numbers + 1, sizeof *c->taken)};
    clip->mouth = memory_new((size_t)count, MOUTH_PIXELS);
    clip->frames = count;
    clip->faces = f->numbers;
    clip->lips_move = f->ready;
    if (c->levels && c->taken && clip->mouth) {
        speaker_levels(c->levels, count, clip->pcm, clip->samples);
        for (int i = 0; i < f->count; i++)
            if (!i || f->list[i].shot != f->list[i - 1].shot)
                choose_shot(c, f, f->list[i].shot);
        for (int k = 1; k <= f->numbers; k++)
            clip->face = c->taken[k] > c->taken[clip->face] ? k : clip->face;
        shown = c->taken[clip->face];
    }
    memory_free(c->taken);
    memory_free(c->levels);
    memory_free(c);
    return shown;
}

bool clip_faces_move(const struct clip_faces *f, int64_t picture)
{
    struct speaker_score scores[CANDIDATES];
    const float *openings[CANDIDATES];
    float rows[CANDIDATES][2 * MOVE_REACH + 1];
    int n = 0;
    for (int i = 0; i < f->count && n < CANDIDATES; i++) {
        const struct clip_face *face = &f->list[i];
        if (picture < face->first || picture >= face->first + face->count)
            continue;
        for (int k = 0; k < 2 * MOVE_REACH + 1; k++) {
            const int64_t at = picture - MOVE_REACH + k - face->first;
            rows[n][k] = at >= 0 && at < face->count ? face->openings[at] : NAN;
        }
        openings[n] = rows[n];
        n++;
    }
    return f->ready || (n && speaker_choose(scores, openings, n, NULL, 2 * MOVE_REACH + 1) >= 0);
}

void clip_faces_forget(struct clip_faces *f, int64_t before)
{
    int kept = 0;
    before -= MOVE_REACH;
    for (int i = 0; i < f->count; i++) {
        struct clip_face *face = &f->list[i];
        const int64_t drop = before - face->first;
        if (drop >= face->count) {
            memory_free(face->crops);
            memory_free(face->openings);
            continue;
        }
        if (drop > face->room / 2) { /* not for every picture */
            face->count -= drop;
            face->first += drop;
            memmove(face->crops, face->crops + drop * MOUTH_PIXELS,
                    (size_t)face->count * MOUTH_PIXELS);
            memmove(face->openings, face->openings + drop,
                    (size_t)face->count * sizeof *face->openings);
        }
        f->list[kept++] = *face;
    }
    f->count = kept;
}
