/*
 * The box between two detections. dlib's landmarks depend a little on the box they start from, and
 * the detector's boxes jump (8-pixel cells, pyramid steps of 5/6), so the box is moved with the
 * landmarks' mean, and a detection that overlaps it only pulls it by a quarter of the difference.
 *
 * Sanity of landmarks, in box sides: 4400 pictures of nine speakers at two cameras had spreads
 * (root mean square about the mean) of .31 to .43 and means within .10 of the box's centre; outside
 * of
 * [.24, .52] and .3 the regressor has run off.
 */
#include "features/face_track.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FACES_MAX = 16,
    CHECK_FACE = 120 /* pixels of the face in the detector's confirming look */
};

static const float spread_min = 0.24f, spread_max = 0.52f, offset_max = 0.3f;
static const float pull = 0.25f;        /* of a new detection on the box */
static const float overlap_same = 0.4f; /* intersection over union of one face in two looks */
static const int cut_difference = 25;   /* mean gray levels between the box's samples: a cut */

static float centre_x(const struct face_box *b)
{
    return 0.5f * (b->left + b->right);
}
static float centre_y(const struct face_box *b)
{
    return 0.5f * (b->top + b->bottom);
}

float face_box_side(const struct face_box *b)
{
    return 0.5f * (b->right - b->left + b->bottom - b->top);
}

static void box_shift(struct face_box *b, float x, float y)
{
    b->left += x;
    b->right += x;
    b->top += y;
    b->bottom += y;
}

static float box_overlap(const struct face_box *a, const struct face_box *b)
{
    const float width = fminf(a->right, b->right) - fmaxf(a->left, b->left);
    const float height = fminf(a->bottom, b->bottom) - fmaxf(a->top, b->top);
    if (width <= 0 || height <= 0)
        return 0;
    const float both = width * height;
    return both / ((a->right - a->left) * (a->bottom - a->top) +
                   (b->right - b->left) * (b->bottom - b->top) - both);
}

float face_box_distance(const struct face_box *a, const struct face_box *b)
{
    return hypotf(centre_x(a) - centre_x(b), centre_y(a) - centre_y(b));
}

/* The box in a later picture: the same place sampled on a grid; outside the picture: 0. */
static void look_at(uint8_t *look, struct gray_picture p, const struct face_box *b)
{
    for (int i = 0; i < FACE_TRACK_GRID * FACE_TRACK_GRID; i++) {
        const float fx = (i % FACE_TRACK_GRID + 0.5f) / FACE_TRACK_GRID;
        const float fy = (i / FACE_TRACK_GRID + 0.5f) / FACE_TRACK_GRID;
        const int x = (int)(b->left + fx * (b->right - b->left));
        const int y = (int)(b->top + fy * (b->bottom - b->top));
        const bool inside = x >= 0 && y >= 0 && x < p.width && y < p.height;
        look[i] = inside ? p.data[(size_t)y * p.stride + x] : 0;
    }
}

static bool is_cut(const struct face_track *t, struct gray_picture picture)
{
    uint8_t now[FACE_TRACK_GRID * FACE_TRACK_GRID];
    int sum = 0;
    look_at(now, picture, &t->box);
    for (int i = 0; i < FACE_TRACK_GRID * FACE_TRACK_GRID; i++)
        sum += abs(now[i] - t->look[i]);
    return sum > cut_difference * FACE_TRACK_GRID * FACE_TRACK_GRID;
}

/* Looks for the held face around its box: 1 found, 0 it is not there, negative error. */
static int confirm(struct face_track *t, struct face_box *found, struct gray_picture picture,
                   struct error *err)
{
    struct face_box faces[FACES_MAX];
    const float side = face_box_side(&t->box), x = centre_x(&t->box), y = centre_y(&t->box);
    const int left = (int)fmaxf(x - side, 0), top = (int)fmaxf(y - side, 0);
    const int right = (int)fminf(x + side, (float)picture.width);
    const int bottom = (int)fminf(y + side, (float)picture.height);
    if (right <= left || bottom <= top)
        return 0;
    const struct gray_picture part = {picture.data + (size_t)top * picture.stride + left,
                                      right - left, bottom - top, picture.stride};
    const int longer = part.width > part.height ? part.width : part.height;
    const int count = face_detect_at(t->finder, part, (int)lrintf(longer * CHECK_FACE / side) + 1,
                                     faces, FACES_MAX, err);
    if (count < 0)
        return count;
    float best = overlap_same;
    for (int i = 0; i < count; i++) {
        box_shift(&faces[i], (float)left, (float)top);
        const float overlap = box_overlap(&faces[i], &t->box);
        if (overlap > best) {
            best = overlap;
            *found = faces[i];
        }
    }
    return best > overlap_same;
}

/* Landmarks from t->box: 1 when they are a face's. The box then follows them; a detection in this
   picture (`found`, else NULL) pulls its size and its place on the face by `gain`. */
static int follow(struct face_track *t, float points[FACE_LANDMARKS][2],
                  struct gray_picture picture, const struct face_box *found, float gain,
                  struct error *err)
{
    const int rc = face_landmarks(t->finder, points, picture, &t->box, err);
    if (rc < 0)
        return rc;
    float x = 0, y = 0, spread = 0;
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        x += points[i][0] / FACE_LANDMARKS;
        y += points[i][1] / FACE_LANDMARKS;
    }
    for (int i = 0; i < FACE_LANDMARKS; i++) {
        const float dx = points[i][0] - x, dy = points[i][1] - y;
        spread += (dx * dx + dy * dy) / FACE_LANDMARKS;
    }
    float side = face_box_side(&t->box);
    spread = sqrtf(spread) / side;
    if (spread < spread_min || spread > spread_max ||
        hypotf(x - centre_x(&t->box), y - centre_y(&t->box)) > offset_max * side)
        return 0;
    if (found) {
        t->offset[0] += gain * (centre_x(found) - x - t->offset[0]);
        t->offset[1] += gain * (centre_y(found) - y - t->offset[1]);
        side += gain * (face_box_side(found) - side);
        t->box.score = found->score;
    }
    t->box.left = x + t->offset[0] - side / 2;
    t->box.right = x + t->offset[0] + side / 2;
    t->box.top = y + t->offset[1] - side / 2;
    t->box.bottom = y + t->offset[1] + side / 2;
    return 1;
}

int face_track_keep(struct face_track *t, float points[FACE_LANDMARKS][2],
                    struct gray_picture picture, struct error *err)
{
    struct face_box found;
    const bool look = --t->wait <= 0 || is_cut(t, picture);
    int rc = 1;
    if (look) {
        rc = confirm(t, &found, picture, err);
        t->wait = FACE_TRACK_CHECK;
    }
    if (rc > 0)
        rc = follow(t, points, picture, look ? &found : NULL, pull, err);
    t->held = rc > 0;
    if (t->held)
        look_at(t->look, picture, &t->box);
    return rc;
}

int face_track_take(struct face_track *t, float points[FACE_LANDMARKS][2],
                    struct gray_picture picture, const struct face_box *found, struct error *err)
{
    t->box = *found;
    const int rc = follow(t, points, picture, found, 1, err);
    t->wait = FACE_TRACK_CHECK;
    t->held = rc > 0;
    if (t->held)
        look_at(t->look, picture, &t->box);
    return rc;
}
