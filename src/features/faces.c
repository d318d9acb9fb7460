/*
 * Pictures are numbered; three counters run over them:
 *
 *     popped <= released <= pushed
 *
 * A picture is released when each track that has it is ready to cut its mouth, and no face that is
 * found later can reach back to it: a new track begins as far back as pictures are not released
 * (its first landmarks are copied), so that a face found by a late search loses nothing.
 *
 * A detection belongs to the track whose place it has; else to the nearest lost one that could have
 * moved there; else it is the face of a track that ended in this shot, or a new one.
 */
#include "features/faces.h"

#include "base/memory.h"
#include "features/face_track.h"
#include "features/mouth_warp.h"
#include "features/shot.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    SMALL_SIDE = 88,
    PICTURE_MAX = 16384,
    DETECTIONS = 16,
    TRACKS = 2 * FACES_MOST, /* also of ended ones, until their last picture is popped */
};

static const float same_place = 0.5f; /* face sides between the centres of one face, seen twice */
static const float reach = 1.5f;      /* face sides that a face moves while it is lost */
static const float resize = 1.6f;     /* and by how much its size may change */
static const float like = 1.25f;      /* prominences closer than the detector's sizes can tell */
static const float off_centre =
    0.3f; /* of its size, what a face at the picture's edge counts less */

struct person {
    int id, number, shot;
    struct face_box box; /* the last */
};

struct track {
    bool used;
    struct person person;
    struct face_track face;
    struct mouth_track mouth;
    float points[FACE_LANDMARKS][2]; /* of the picture that is being looked at, where face.held */
};

struct faces {
    struct face_finder *finder;
    int width, height; /* 0 before the first picture */
    bool ready;        /* pictures are mouths */
    bool finished;
    bool given_up; /* no face for too long: release at once until there is one */
    int64_t pushed, released, popped;
    int wait; /* pictures until the whole picture is searched again */
    struct shot_watch watch;
    int shot, ids, shot_ids; /* ids given so far, and before this shot */
    struct track tracks[TRACKS];
    struct person gone[FACES_MOST]; /* whose tracks have ended in this shot, oldest first */
    int gone_count;
    uint8_t *gray[MOUTH_RING]; /* by picture; NULL after popping */
    bool cut[MOUTH_RING];      /* by picture: a new shot begins with it */
    uint8_t *spare[MOUTH_RING];
    int spares;
};

int faces_new(struct faces **f, struct face_finder *finder, struct error *err)
{
    *f = memory_new(1, sizeof **f);
    if (!*f)
        return error_set(err, ERROR_MEMORY, "out of memory for the face tracker");
    (*f)->finder = finder;
    return 0;
}

void faces_free(struct faces *f)
{
    if (!f)
        return;
    for (int i = 0; i < MOUTH_RING; i++)
        memory_free(f->gray[i]);
    for (int i = 0; i < f->spares; i++)
        memory_free(f->spare[i]);
    memory_free(f);
}

static bool alive(const struct track *t)
{
    return t->used && !t->mouth.ended;
}

static int count_alive(const struct faces *f)
{
    int count = 0;
    for (int i = 0; i < TRACKS; i++)
        count += alive(&f->tracks[i]);
    return count;
}

/* ---- tracks begin and end ---- */

/* The first picture that a new track can have: not released, and behind all tracks that ended, so
   that no picture gets more than FACES_MOST. */
static int64_t first_free(const struct faces *f)
{
    int64_t first = f->released;
    for (int i = 0; i < TRACKS; i++)
        if (f->tracks[i].used && f->tracks[i].mouth.ended && f->tracks[i].mouth.next > first)
            first = f->tracks[i].mouth.next;
    return first;
}

static bool may_be(const struct person *p, const struct face_box *box)
{
    const float before = face_box_side(&p->box), now = face_box_side(box);
    return face_box_distance(&p->box, box) < reach * fmaxf(before, now) &&
           fmaxf(before, now) < resize * fminf(before, now);
}

/* Who stands here: a person that was gone, or a new one. */
static struct person identify(struct faces *f, const struct face_box *box)
{
    for (int i = f->gone_count - 1; i >= 0; i--)
        if (may_be(&f->gone[i], box)) {
            const struct person back = f->gone[i];
            memmove(&f->gone[i], &f->gone[i + 1], (size_t)(--f->gone_count - i) * sizeof back);
            return back;
        }
    f->ids++;
    return (struct person){.id = f->ids, .number = f->ids - f->shot_ids, .shot = f->shot};
}

static int begin_track(struct faces *f, const struct face_box *found, struct gray_picture picture,
                       struct error *err)
{
    struct track *t = f->tracks;
    while (t < f->tracks + TRACKS && t->used)
        t++;
    if (t == f->tracks + TRACKS || count_alive(f) == FACES_MOST)
        return 0;
    t->face = (struct face_track){.finder = f->finder};
    const int rc = face_track_take(&t->face, t->points, picture, found, err);
    if (rc <= 0)
        return rc;
    t->person = identify(f, found);
    mouth_track_begin(&t->mouth, first_free(f), f->pushed, (const float(*)[2])t->points,
                      &t->face.box);
    t->used = true;
    return 0;
}

static void remember(struct faces *f, const struct track *t)
{
    if (f->gone_count == FACES_MOST)
        memmove(f->gone, f->gone + 1, (size_t)--f->gone_count * sizeof *f->gone);
    f->gone[f->gone_count] = t->person;
    f->gone[f->gone_count++].box = t->face.box;
}

/* A change that ends nothing is none: the first face counts, whatever was shown before. */
static void begin_shot(struct faces *f)
{
    if (count_alive(f) == 0 && f->gone_count == 0)
        return;
    for (int i = 0; i < TRACKS; i++)
        if (alive(&f->tracks[i]))
            mouth_track_end(&f->tracks[i].mouth);
    f->gone_count = 0;
    f->shot++;
    f->shot_ids = f->ids;
    f->given_up = false;
    f->wait = 0;
}

/* ---- one picture ---- */

static int keep_faces(struct faces *f, struct gray_picture picture, struct error *err)
{
    for (int i = 0; i < TRACKS; i++) {
        struct track *t = &f->tracks[i];
        if (!alive(t) || !t->face.held)
            continue;
        const int rc = face_track_keep(&t->face, t->points, picture, err);
        if (rc < 0)
            return rc;
        for (int k = 0; k < i && t->face.held; k++) /* two have run onto one face */
            if (alive(&f->tracks[k]) && f->tracks[k].face.held)
                t->face.held = face_box_distance(&f->tracks[k].face.box, &t->face.box) >
                               same_place * face_box_side(&t->face.box);
        if (!t->face.held)
            f->wait = 0; /* search this very picture */
    }
    return 0;
}

static float prominence(const struct faces *f, const struct face_box *b)
{
    const struct face_box middle = {0, 0, (float)f->width, (float)f->height, 0};
    const float reach_max = 0.5f * hypotf((float)f->width, (float)f->height);
    return face_box_side(b) * (1 - off_centre * face_box_distance(b, &middle) / reach_max);
}

static bool before(const struct faces *f, const struct face_box *a, const struct face_box *b)
{
    const float first = prominence(f, a), second = prominence(f, b);
    const bool alike = fmaxf(first, second) < like * fminf(first, second);
    return alike ? a->left < b->left : first > second;
}

static void sort_faces(const struct faces *f, struct face_box *boxes, int count)
{
    for (int i = 1; i < count; i++) {
        const struct face_box box = boxes[i];
        int k = i;
        for (; k > 0 && before(f, &box, &boxes[k - 1]); k--)
            boxes[k] = boxes[k - 1];
        boxes[k] = box;
    }
}

static bool is_held(const struct faces *f, const struct face_box *box)
{
    for (int i = 0; i < TRACKS; i++) {
        const struct track *t = &f->tracks[i];
        const float side = fmaxf(face_box_side(&t->face.box), face_box_side(box));
        if (alive(t) && t->face.held && face_box_distance(&t->face.box, box) < same_place * side)
            return true;
    }
    return false;
}

/* The lost face that is nearest to what was found; NULL: none could be there. */
static struct track *lost_near(struct faces *f, const struct face_box *box)
{
    struct track *best = NULL;
    for (int i = 0; i < TRACKS; i++) {
        struct track *t = &f->tracks[i];
        const struct person last = {.box = t->face.box};
        if (alive(t) && !t->face.held && may_be(&last, box) &&
            (!best ||
             face_box_distance(&t->face.box, box) < face_box_distance(&best->face.box, box)))
            best = t;
    }
    return best;
}

static int search(struct faces *f, struct gray_picture picture, struct error *err)
{
    struct face_box boxes[DETECTIONS];
    const int count = face_detect(f->finder, picture, boxes, DETECTIONS, err);
    int rc = count < 0 ? count : 0;
    sort_faces(f, boxes, count);
    for (int i = 0; rc == 0 && i < count; i++) {
        if (is_held(f, &boxes[i]))
            continue;
        struct track *t = lost_near(f, &boxes[i]);
        rc = t ? face_track_take(&t->face, t->points, picture, &boxes[i], err)
               : begin_track(f, &boxes[i], picture, err);
        rc = rc > 0 ? 0 : rc;
    }
    return rc;
}

/* Tells the tracks what this picture has of them; whether one of them is lost. */
static bool note_faces(struct faces *f)
{
    bool lost = false;
    for (int i = 0; i < TRACKS; i++) {
        struct track *t = &f->tracks[i];
        if (!alive(t))
            continue;
        if (t->mouth.next <= f->pushed &&
            !mouth_track_add(&t->mouth, t->face.held ? (const float(*)[2])t->points : NULL,
                             &t->face.box))
            remember(f, t);
        lost |= alive(t) && !t->face.held;
    }
    return lost;
}

static int look(struct faces *f, struct gray_picture picture, struct error *err)
{
    bool *cut = &f->cut[f->pushed % MOUTH_RING];
    *cut = shot_changed(&f->watch, picture);
    if (*cut)
        begin_shot(f);
    const int before = count_alive(f);
    int rc = keep_faces(f, picture, err);
    const bool due = --f->wait <= 0;
    if (rc == 0 && due)
        rc = search(f, picture, err);
    if (rc < 0)
        return rc;
    const bool lost = note_faces(f);
    const int now = count_alive(f);
    if (due)
        f->wait = lost || now == 0 ? FACES_SEARCH_LOST : FACES_SEARCH;
    f->pushed++;
    if (now > 0)
        f->given_up = false;
    else if (before > 0 || f->pushed - f->released > MOUTH_GAP)
        f->given_up = true;
    return 0;
}

/* ---- the queue ---- */

static bool decided(const struct faces *f, int64_t picture)
{
    bool later = f->given_up || f->finished; /* what comes can't reach back to it */
    bool covered = false;
    for (int i = 0; i < TRACKS; i++) {
        const struct track *t = &f->tracks[i];
        if (!t->used)
            continue;
        if (!mouth_track_covers(&t->mouth, picture)) {
            later |= alive(t);
            continue;
        }
        if (!mouth_track_ready(&t->mouth, picture))
            return false;
        covered = true;
    }
    return covered || later;
}

static void release(struct faces *f)
{
    while (f->released < f->pushed && (f->ready || decided(f, f->released)))
        f->released++;
}

static int check_picture(struct faces *f, int width, int height, int stride, struct error *err)
{
    if (width < 1 || height < 1 || width > PICTURE_MAX || height > PICTURE_MAX ||
        stride < 3 * width)
        return error_set(err, ERROR_LIMIT, "pictures of %dx%d cannot be searched for a face", width,
                         height);
    if (f->finished || f->pushed - f->popped >= MOUTH_RING - 2 * MOUTH_MARGIN)
        return error_set(err, ERROR_USAGE, "face tracker: pushed %s",
                         f->finished ? "after its end" : "without popping");
    if (f->width && (f->width != width || f->height != height))
        return error_set(err, ERROR_FORMAT, "the picture changes its size from %dx%d to %dx%d",
                         f->width, f->height, width, height);
    f->width = width;
    f->height = height;
    f->ready = width == height && (width == MOUTH_SIDE || width == SMALL_SIDE);
    return 0;
}

int faces_push(struct faces *f, const uint8_t *rgb, int width, int height, int stride,
               struct error *err)
{
    int rc = check_picture(f, width, height, stride, err);
    if (rc < 0)
        return rc;
    uint8_t **gray = &f->gray[f->pushed % MOUTH_RING];
    if (!*gray)
        *gray = f->spares ? f->spare[--f->spares] : memory_new((size_t)width, (size_t)height);
    if (!*gray)
        return error_set(err, ERROR_MEMORY, "out of memory for a picture of %dx%d", width, height);
    mouth_gray(*gray, rgb, width, height, stride);
    if (f->ready) {
        f->pushed++;
    } else {
        const struct gray_picture picture = {*gray, width, height, width};
        rc = look(f, picture, err);
    }
    release(f);
    return rc;
}

void faces_finish(struct faces *f)
{
    for (int i = 0; i < TRACKS; i++)
        if (alive(&f->tracks[i]))
            mouth_track_end(&f->tracks[i].mouth);
    f->finished = true;
    release(f);
}

static void pass_mouth(const struct faces *f, struct faces_picture *p, const uint8_t *gray)
{
    struct mouth_frame *m = &p->faces[0].mouth;
    const int border = (MOUTH_SIDE - f->width) / 2;
    memset(&p->faces[0], 0, sizeof p->faces[0]);
    p->faces[0].id = p->faces[0].number = p->count = 1;
    m->source = MOUTH_READY;
    for (int y = 0; y < f->height; y++)
        memcpy(m->crop + (y + border) * MOUTH_SIDE + border, gray + y * f->width, (size_t)f->width);
}

/* The faces of a picture, by number. */
static void cut_mouths(struct faces *f, struct faces_picture *p, const uint8_t *gray)
{
    const struct gray_picture picture = {gray, f->width, f->height, f->width};
    const struct track *order[FACES_MOST];
    for (int i = 0; i < TRACKS; i++) {
        const struct track *t = &f->tracks[i];
        if (!t->used || !mouth_track_covers(&t->mouth, p->index))
            continue;
        assert(p->count < FACES_MOST);
        int k = p->count++;
        for (; k > 0 && order[k - 1]->person.number > t->person.number; k--)
            order[k] = order[k - 1];
        order[k] = t;
    }
    for (int k = 0; k < p->count; k++) {
        p->faces[k].id = order[k]->person.id;
        p->faces[k].number = order[k]->person.number;
        p->faces[k].shot = order[k]->person.shot;
        mouth_track_cut(&order[k]->mouth, &p->faces[k].mouth, p->index, picture);
    }
}

bool faces_pop(struct faces *f, struct faces_picture *picture)
{
    if (f->popped >= f->released)
        return false;
    uint8_t **gray = &f->gray[f->popped % MOUTH_RING];
    picture->index = f->popped;
    picture->shot = f->cut[f->popped % MOUTH_RING];
    picture->count = 0;
    if (f->ready)
        pass_mouth(f, picture, *gray);
    else
        cut_mouths(f, picture, *gray);
    f->spare[f->spares++] = *gray;
    *gray = NULL;
    f->popped++;
    for (int i = 0; i < TRACKS; i++)
        if (f->tracks[i].mouth.ended && f->tracks[i].mouth.next <= f->popped)
            f->tracks[i].used = false;
    return true;
}
