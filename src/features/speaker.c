#include "features/speaker.h"

#include <math.h>

enum {
    SAMPLES = 640, /* of sound in the time of a picture */
    AROUND = 5,    /* pictures on either side whose mean is what changes slowly */
    LAG = 1,       /* pictures that sound and lips may be apart */
    LEAST = 10     /* pictures that an opinion needs */
};

static const float silence = -100, floor_below = 30; /* dB; under the loudest: no quieter counts */
static const float level_min = 1;      /* dB rms: sound that varies less says nothing */
static const float motion_min = 0.03f; /* rms of lips that move, eye distances */

static float apart(const float points[FACE_LANDMARKS][2], int a, int b)
{
    return hypotf(points[a][0] - points[b][0], points[a][1] - points[b][1]);
}

static float eye_distance(const float points[FACE_LANDMARKS][2])
{
    float x = 0, y = 0;
    for (int i = 36; i < 42; i++) {
        x += (points[i + 6][0] - points[i][0]) / 6;
        y += (points[i + 6][1] - points[i][1]) / 6;
    }
    return hypotf(x, y);
}

float speaker_opening(const float landmarks[FACE_LANDMARKS][2])
{
    const float inner =
        apart(landmarks, 61, 67) + apart(landmarks, 62, 66) + apart(landmarks, 63, 65);
    const float outer =
        apart(landmarks, 50, 58) + apart(landmarks, 51, 57) + apart(landmarks, 52, 56);
    const float eyes = eye_distance(landmarks);
    return eyes > 0 ? ((inner + outer) / 3 + apart(landmarks, 8, 33)) / eyes : NAN;
}

void speaker_levels(float *levels, int64_t pictures, const float *pcm, int64_t samples)
{
    for (int64_t k = 0; k < pictures; k++) {
        const int64_t start = k * SAMPLES;
        const int64_t end = start + SAMPLES < samples ? start + SAMPLES : samples;
        double power = 0;
        for (int64_t i = start; i < end; i++)
            power += (double)pcm[i] * pcm[i] / SAMPLES;
        levels[k] = fmaxf(silence, (float)(10 * log10(power + 1e-12)));
    }
}

/* What is left of x[k] without the mean about it, values under `lowest` raised to it. */
static float fast_part(const float *x, int64_t count, int64_t k, float lowest)
{
    float sum = 0;
    int known = 0;
    for (int64_t i = k - AROUND; i <= k + AROUND; i++)
        if (i >= 0 && i < count && !isnan(x[i])) {
            sum += fmaxf(x[i], lowest);
            known++;
        }
    return isnan(x[k]) ? NAN : fmaxf(x[k], lowest) - sum / (float)known;
}

/* Root mean square of the fast part; 0 of too few pictures. */
static float motion(const float *x, int64_t count, float lowest)
{
    double power = 0;
    int64_t known = 0;
    for (int64_t k = 0; k < count; k++) {
        const float fast = fast_part(x, count, k, lowest);
        if (!isnan(fast)) {
            power += (double)fast * fast;
            known++;
        }
    }
    return known < LEAST ? 0 : (float)sqrt(power / (double)known);
}

/* Of the fast parts, the sound `lag` pictures behind the lips. */
static float correlation(const float *opening, const float *levels, int64_t count, int lag,
                         float lowest)
{
    double both = 0, lips = 0, sound = 0;
    for (int64_t k = lag < 0 ? -lag : 0; k < count && k + lag < count; k++) {
        const float a = fast_part(opening, count, k, 0);
        const float b = fast_part(levels, count, k + lag, lowest);
        if (isnan(a))
            continue;
        both += (double)a * b;
        lips += (double)a * a;
        sound += (double)b * b;
    }
    return lips > 0 && sound > 0 ? (float)(both / sqrt(lips * sound)) : 0;
}

static float loudest(const float *levels, int64_t count)
{
    float most = silence;
    for (int64_t k = 0; k < count; k++)
        most = fmaxf(most, levels[k]);
    return most;
}

int speaker_choose(struct speaker_score *scores, const float *const *openings, int faces,
                   const float *levels, int64_t pictures)
{
    const float lowest = levels ? loudest(levels, pictures) - floor_below : 0;
    const bool heard = levels && motion(levels, pictures, lowest) > level_min;
    int best = -1;
    for (int i = 0; i < faces; i++) {
        const float moved = motion(openings[i], pictures, 0);
        scores[i].moves = moved > motion_min;
        scores[i].score = heard ? -1 : moved;
        for (int lag = -LAG; heard && lag <= LAG; lag++)
            scores[i].score =
                fmaxf(scores[i].score, correlation(openings[i], levels, pictures, lag, lowest));
        if (scores[i].moves && (best < 0 || scores[i].score > scores[best].score))
            best = i;
    }
    return best;
}
