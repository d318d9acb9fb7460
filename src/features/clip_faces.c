#include "features/clip_faces.h"

#include "base/memory.h"
#include "features/speaker.h"

#include <math.h>
#include <string.h>

enum {
    CANDIDATES = 16
}; /* in one span; people who come later in it than so many are passed over */

/* ---- collecting ---- */

/* Makes room for one more item of `size` bytes in *data, doubling it. */
static bool reserve(void **data, int64_t *room, int64_t used, size_t size)
{
    if (used < *room)
        return true;
    const int64_t larger = used ? 2 * used : 64;
    void *copy = memory_new((size_t)larger, size);
    if (!copy)
        return false;
    if (used)
        memcpy(copy, *data, (size_t)used * size);
    memory_free(*data);
    *data = copy;
    *room = larger;
    return true;
}

static bool append(struct clip_face *face, const uint8_t *crop, float opening)
{
    int64_t crop_room = face->room;
    if (!reserve((void **)&face->crops, &crop_room, face->count, MOUTH_PIXELS) ||
        !reserve((void **)&face->openings, &face->room, face->count, sizeof *face->openings))
        return false;
    if (crop)
        memcpy(face->crops + face->count * MOUTH_PIXELS, crop, MOUTH_PIXELS);
    face->openings[face->count++] = opening;
    return true;
}

static struct clip_face *face_of(struct clip_faces *f, const struct faces_face *seen, int64_t first)
{
    for (int i = f->count - 1; i >= 0; i--)
        if (f->list[i].id == seen->id)
            return &f->list[i];
    int64_t room = f->room;
    if (!reserve((void **)&f->list, &room, f->count, sizeof *f->list))
        return NULL;
    f->room = (int)room;
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

/* The face that the span gets, the one there longest where nobody's lips move; NULL: none. */
static const struct clip_face *decide(const struct span *s, const float *levels, bool *moves)
{
    const float *openings[CANDIDATES];
    struct speaker_score scores[CANDIDATES];
    int longest = 0;
    for (int i = 0; i < s->face_count; i++) {
        openings[i] = s->openings[i];
        if (overlap(s, s->faces[i]) > overlap(s, s->faces[longest]))
            longest = i;
    }
    const int chosen = speaker_choose(scores, openings, s->face_count, levels, s->count);
    *moves |= chosen >= 0;
    return s->face_count ? s->faces[chosen < 0 ? longest : chosen] : NULL;
}

static void take(struct clip *clip, const struct span *s, const struct clip_face *face)
{
    const int64_t start = face->first > s->start ? face->first : s->start;
    memcpy(clip->mouth + start * MOUTH_PIXELS, face->crops + (start - face->first) * MOUTH_PIXELS,
           (size_t)overlap(s, face) * MOUTH_PIXELS);
}

/* Pictures from the first to behind the last of a shot's faces. */
static void shot_range(const struct clip_faces *f, int shot, int64_t *start, int64_t *end)
{
    *start = f->pictures;
    *end = 0;
    for (int i = 0; i < f->count; i++) {
        const struct clip_face *face = &f->list[i];
        if (face->shot != shot)
            continue;
        *start = face->first < *start ? face->first : *start;
        *end = face->first + face->count > *end ? face->first + face->count : *end;
    }
}

bool clip_faces_choose(const struct clip_faces *f, struct clip *clip)
{
    const int last_shot = f->count ? f->list[f->count - 1].shot : -1;
    int64_t *taken = memory_new((size_t)f->numbers + 1, sizeof *taken); /* pictures, by number */
    float *levels = memory_new((size_t)f->pictures + 1, sizeof *levels);
    struct span *s = memory_new(1, sizeof *s);
    clip->mouth = memory_new((size_t)f->pictures, MOUTH_PIXELS);
    const bool good = taken && levels && s && clip->mouth;
    clip->frames = f->pictures;
    clip->faces = f->numbers;
    clip->lips_move = f->ready;
    if (good)
        speaker_levels(levels, f->pictures, clip->pcm, clip->samples);
    for (int shot = 0; good && shot <= last_shot; shot++) {
        int64_t start, end;
        shot_range(f, shot, &start, &end);
        const int64_t spans = (end - start + CLIP_FACES_SPAN - 1) / CLIP_FACES_SPAN;
        for (int64_t i = 0; i < spans; i++) {
            s->start = start + i * (end - start) / spans;
            s->count = start + (i + 1) * (end - start) / spans - s->start;
            gather(s, f, shot);
            const struct clip_face *face =
                decide(s, clip->has_sound ? levels + s->start : NULL, &clip->lips_move);
            if (face) {
                take(clip, s, face);
                taken[face->number] += overlap(s, face);
            }
        }
    }
    for (int k = 1; good && k <= f->numbers; k++)
        clip->face = taken[k] > taken[clip->face] ? k : clip->face;
    memory_free(taken);
    memory_free(levels);
    memory_free(s);
    return good;
}
