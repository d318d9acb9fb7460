/*
 * Least-squares similarity (complex regression): with z = x + iy of the picture, w of the canvas,
 * both less their means, minimise sum |w - c z|^2, so c = a + ib = sum conj(z) w / sum |z|^2.
 *
 * AV-HuBERT's and auto_avsr's preparation fit the same 4 parameters by LMEDS, which drops points
 * far from the consensus. Here the points are means over 13 pictures of one regressor whose 68
 * landmarks err together, so there is no single outlier to drop, and least squares over all eight
 * changes smoothly from picture to picture, where a changing set of inliers makes the mouth jump.
 *
 * Sampling is bilinear, outside is 0 (cv2.warpAffine's default). Where a picture is shrunk by 2 and
 * more, k x k samples per pixel are averaged, so that large pictures give the same mouth as small.
 */
#include "features/mouth_warp.h"

#include <math.h>
#include <stddef.h>

const int mouth_stable_landmarks[MOUTH_STABLE] = {28, 33, 36, 39, 42, 45, 48, 54};

/* the mean face of auto_avsr's preparation ("20words mean face", 256x256 canvas) */
const double mouth_stable_places[MOUTH_STABLE][2] = {
    {128.489, 106.925}, {128.870, 137.303}, {92.522, 94.369},   {112.772, 94.944},
    {145.525, 94.535},  {166.677, 93.566},  {107.168, 157.196}, {152.193, 156.987},
};

enum { MOUTH_FIRST = 48, MOUTH_LAST = 67, SAMPLES_MAX = 8 };

struct similarity mouth_fit(const float points[FACE_LANDMARKS][2])
{
    double mx = 0, my = 0, mu = 0, mv = 0;
    for (int i = 0; i < MOUTH_STABLE; i++) {
        mx += points[mouth_stable_landmarks[i]][0] / MOUTH_STABLE;
        my += points[mouth_stable_landmarks[i]][1] / MOUTH_STABLE;
        mu += mouth_stable_places[i][0] / MOUTH_STABLE;
        mv += mouth_stable_places[i][1] / MOUTH_STABLE;
    }
    double re = 0, im = 0, power = 0;
    for (int i = 0; i < MOUTH_STABLE; i++) {
        const double x = points[mouth_stable_landmarks[i]][0] - mx;
        const double y = points[mouth_stable_landmarks[i]][1] - my;
        const double u = mouth_stable_places[i][0] - mu, v = mouth_stable_places[i][1] - mv;
        re += x * u + y * v;
        im += x * v - y * u;
        power += x * x + y * y;
    }
    struct similarity s = {.a = 1, .b = 0};
    if (power > 0 && re * re + im * im > 0) {
        s.a = re / power;
        s.b = im / power;
    }
    s.tx = mu - (s.a * mx - s.b * my);
    s.ty = mv - (s.b * mx + s.a * my);
    return s;
}

void mouth_smooth(float points[FACE_LANDMARKS][2], const float (*const *window)[2], int count,
                  int current)
{
    for (int axis = 0; axis < 2; axis++) {
        double shift = 0;
        for (int i = 0; i < FACE_LANDMARKS; i++) {
            double sum = 0;
            for (int k = 0; k < count; k++)
                sum += window[k][i][axis];
            points[i][axis] = (float)(sum / count);
            shift += (window[current][i][axis] - sum / count) / FACE_LANDMARKS;
        }
        for (int i = 0; i < FACE_LANDMARKS; i++)
            points[i][axis] += (float)shift;
    }
}

static double pixel(struct gray_picture p, int x, int y)
{
    return x < 0 || y < 0 || x >= p.width || y >= p.height ? 0 : p.data[(size_t)y * p.stride + x];
}

static double sample(struct gray_picture p, double x, double y)
{
    if (!(x > -1 && y > -1 && x < p.width && y < p.height))
        return 0;
    const int left = (int)floor(x), top = (int)floor(y);
    const double fx = x - left, fy = y - top;
    const double above = pixel(p, left, top) * (1 - fx) + pixel(p, left + 1, top) * fx;
    const double below = pixel(p, left, top + 1) * (1 - fx) + pixel(p, left + 1, top + 1) * fx;
    return above * (1 - fy) + below * fy;
}

static void to_picture(double *x, double *y, const struct similarity *s, double u, double v)
{
    const double power = s->a * s->a + s->b * s->b;
    *x = (s->a * (u - s->tx) + s->b * (v - s->ty)) / power;
    *y = (-s->b * (u - s->tx) + s->a * (v - s->ty)) / power;
}

/* Left or top of the window about centre, rounded and kept on the canvas. */
static double window_start(double centre)
{
    return fmin(fmax(rint(centre - MOUTH_SIDE / 2), 0), MOUTH_CANVAS - MOUTH_SIDE);
}

void mouth_cut(uint8_t *crop, float corners[4][2], struct gray_picture picture,
               const float points[FACE_LANDMARKS][2])
{
    const struct similarity s = mouth_fit(points);
    double x = 0, y = 0;
    for (int i = MOUTH_FIRST; i <= MOUTH_LAST; i++) {
        x += points[i][0] / (MOUTH_LAST - MOUTH_FIRST + 1);
        y += points[i][1] / (MOUTH_LAST - MOUTH_FIRST + 1);
    }
    const double left = window_start(s.a * x - s.b * y + s.tx);
    const double top = window_start(s.b * x + s.a * y + s.ty);

    const double shrink = 1 / sqrt(s.a * s.a + s.b * s.b);
    const int k = (int)fmin(fmax(shrink, 1), SAMPLES_MAX);
    for (int v = 0; v < MOUTH_SIDE; v++)
        for (int u = 0; u < MOUTH_SIDE; u++) {
            double sum = 0;
            for (int i = 0; i < k * k; i++) {
                to_picture(&x, &y, &s, left + u + (i % k + 0.5) / k - 0.5,
                           top + v + (i / k + 0.5) / k - 0.5);
                sum += sample(picture, x, y);
            }
            crop[v * MOUTH_SIDE + u] = (uint8_t)lrint(sum / (k * k));
        }
    for (int i = 0; i < 4; i++) {
        to_picture(&x, &y, &s, left + (i == 1 || i == 2 ? MOUTH_SIDE : 0) - 0.5,
                   top + (i >= 2 ? MOUTH_SIDE : 0) - 0.5);
        corners[i][0] = (float)x;
        corners[i][1] = (float)y;
    }
}

void mouth_gray(uint8_t *gray, const uint8_t *rgb, int width, int height, int stride)
{
    for (int y = 0; y < height; y++) {
        const uint8_t *in = rgb + (size_t)y * stride;
        uint8_t *out = gray + (size_t)y * width;
        for (int x = 0; x < width; x++) /* .299 .587 .114 in 16 bits */
            out[x] = (uint8_t)((19595u * in[3 * x] + 38470u * in[3 * x + 1] +
                                7471u * in[3 * x + 2] + 32768u) >>
                               16);
    }
}
