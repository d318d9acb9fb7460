/*
 * From landmarks to a mouth: the geometry, free of any state.
 *
 * A similarity (rotation, one scale, shift)
 *     x' = a x - b y + tx
 *     y' = b x + a y + ty
 * takes the picture to a 256x256 canvas on which the mean face has its place; the mouth is the
 * 96x96 window about the mean of landmarks 48..67 there.
 */
#ifndef FEATURES_MOUTH_WARP_H
#define FEATURES_MOUTH_WARP_H

#include "features/face.h"
#include "features/mouth.h"

struct similarity {
    double a, b, tx, ty;
};

/* The eight points of the face that speech moves least: two of the nose, eye corners, mouth
   corners. Numbers of the landmarks, and their places on the canvas. */
enum { MOUTH_STABLE = 8, MOUTH_CANVAS = 256, MOUTH_MARGIN = 6 };
extern const int mouth_stable_landmarks[MOUTH_STABLE];
extern const double mouth_stable_places[MOUTH_STABLE][2];

/* Least squares over the stable points. Points that all coincide give the identity's scale. */
struct similarity mouth_fit(const float points[FACE_LANDMARKS][2]);

/* Mean of the window's landmarks over time (count of them, oldest first), shifted as a whole so
   that its mean is that of the landmarks at `current`. */
void mouth_smooth(float points[FACE_LANDMARKS][2], const float (*const *window)[2], int count,
                  int current);

/* Cuts the mouth (row-major, MOUTH_SIDE squared; zero outside the picture) and tells where in the
   picture its corners lie. */
void mouth_cut(uint8_t *crop, float corners[4][2], struct gray_picture picture,
               const float points[FACE_LANDMARKS][2]);

/* BT.601 luma, the weights of torchvision's and OpenCV's gray; gray has stride width. */
void mouth_gray(uint8_t *gray, const uint8_t *rgb, int width, int height, int stride);

#endif
