/*
 * Faces and their 68 landmarks in a gray picture: a C face on dlib's frontal HOG detector and its
 * landmark predictor (Kazemi, Sullivan 2014), the pair that AV-HuBERT's data was prepared with.
 *
 * Landmarks are numbered as in iBUG 300-W: 0..16 jaw, 17..26 brows, 27..35 nose, 36..41 and 42..47
 * eyes, 48..67 mouth. Coordinates are pixels, x right, y down, (0, 0) the centre of the first
 * pixel.
 *
 * A finder may be shared by threads: detection takes a lock (one call in a dozen pictures needs
 * it), landmarks run side by side. Opening is cheap; the two models (0.35 s each) are loaded by the
 * first calls, once per finder: keep one finder per process.
 */
#ifndef FEATURES_FACE_H
#define FEATURES_FACE_H

#include "base/error.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FACE_LANDMARKS = 68 };

struct gray_picture { /* a view; also of a part of a larger picture */
    const uint8_t *data;
    int width, height, stride; /* pixels; stride in bytes */
};

struct face_box { /* dlib's square around brows and chin; may reach outside the picture */
    float left, top, right, bottom;
    float score; /* detector's confidence, 0 = at its threshold */
};

struct face_finder;

/* The landmark file is Debian's (package libdlib-data), or the one the environment variable
   MOME_LANDMARKS names. */
int face_finder_open(struct face_finder **f, struct error *err);
void face_finder_close(struct face_finder *f); /* NULL is fine */
const char *face_landmark_file(void);          /* which one that is */

/* Both return the number of faces written to boxes (best score first, at most max), or negative.
   face_detect searches the whole picture: large ones shrunk first, and where nothing is found once
   more at twice the size. face_detect_at searches once, with the picture scaled so that its longer
   side has `side` pixels; faces under 80 pixels there are not seen. */
int face_detect(struct face_finder *f, struct gray_picture picture, struct face_box *boxes, int max,
                struct error *err);
int face_detect_at(struct face_finder *f, struct gray_picture picture, int side,
                   struct face_box *boxes, int max, struct error *err);

/* Always gives 68 points, whether or not the box holds a face: the caller judges them. */
int face_landmarks(struct face_finder *f, float points[FACE_LANDMARKS][2],
                   struct gray_picture picture, const struct face_box *box, struct error *err);

const char *face_dlib_version(void); /* of the one that this was built with: "19.24" */

#ifdef __cplusplus
}
#endif

#endif
