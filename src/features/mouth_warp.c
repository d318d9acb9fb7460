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

static float pixel(struct gray_picture p, int x, int y)
{
    return x < 0 || y < 0 || x >= p.width || y >= p.height ? 0 : p.data[(size_t)y * p.stride + x];
}

static float sample(struct gray_picture p, float x, float y)
{
    if (!(x > -1 && y > -1 && x < (float)p.width && y < (float)p.height))
        return 0;
    const int left = (int)(x + 1) - 1, top = (int)(y + 1) - 1; /* floor */
    const float fx = x - (float)left, fy = y - (float)top;
    float q[4];
    if (left >= 0 && top >= 0 && left + 1 < p.width && top + 1 < p.height) {
        const uint8_t *at = p.data + (size_t)top * p.stride + left;
        q[0] = at[0], q[1] = at[1], q[2] = at[p.stride], q[3] = at[p.stride + 1];
    } else {
        for (int i = 0; i < 4; i++)
            q[i] = pixel(p, left + i % 2, top + i / 2);
    }
    const float above = q[0] + fx * (q[1] - q[0]), below = q[2] + fx * (q[3] - q[2]);
    return above + fy * (below - above);
}

/* The map from the canvas to the picture is a similarity too. */
static struct similarity inverse(const struct similarity *s)
{
    const double power = s->a * s->a + s->b * s->b;
    const struct similarity r = {.a = s->a / power,
                                 .b = -s->b / power,
                                 .tx = -(s->a * s->tx + s->b * s->ty) / power,
                                 .ty = (s->b * s->tx - s->a * s->ty) / power};
    return r;
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

    /* k samples a side in each pixel: on the canvas a grid of step 1/k */
    const struct similarity r = inverse(&s);
    const int k = (int)fmin(fmax(sqrt(r.a * r.a + r.b * r.b), 1), SAMPLES_MAX);
    const float step_x = (float)(r.a / k), step_y = (float)(r.b / k);
    for (int v = 0; v < MOUTH_SIDE; v++)
        for (int u = 0; u < MOUTH_SIDE; u++) {
            const double cu = left + u + 0.5 / k - 0.5, cv = top + v + 0.5 / k - 0.5;
            const float px = (float)(r.a * cu - r.b * cv + r.tx);
            const float py = (float)(r.b * cu + r.a * cv + r.ty);
            float sum = 0;
            for (int i = 0; i < k * k; i++) {
                const float across = (float)(i % k), down = (float)(i / k);
                sum += sample(picture, px + across * step_x - down * step_y,
                              py + across * step_y + down * step_x);
            }
            crop[v * MOUTH_SIDE + u] = (uint8_t)(sum / (float)(k * k) + 0.5f);
        }
    for (int i = 0; i < 4; i++) {
        const double cu = left - 0.5 + (i == 1 || i == 2 ? MOUTH_SIDE : 0);
        const double cv = top - 0.5 + (i >= 2 ? MOUTH_SIDE : 0);
        corners[i][0] = (float)(r.a * cu - r.b * cv + r.tx);
        corners[i][1] = (float)(r.b * cu + r.a * cv + r.ty);
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
