/*
 * Co-articulation by dominance (Cohen, Massaro 1993): every phone pulls the mouth towards its
 * target with a strength that is full while it sounds and falls off around it,
 *   D_i(t) = weight_i exp(-(distance of t from the phone / reach)^1.5),
 *   pose(t) = sum_i D_i target_i / sum_i D_i,
 * separately for the jaw (short reach) and the lips (reach twice as far: rounding is prepared
 * early). A diphthong is two targets. Closures must be complete in "p b m" and the lip must be
 * tucked in "f v", however short: those pull on top, with a raised cosine that begins 50 ms early.
 */
#include "viseme.h"

#include <math.h>
#include <string.h>

struct target {
    const char *phone;
    struct mouth_pose pose; /* open spread round tongue press tuck teeth */
    double jaw, lips;       /* weights */
    const char *then;       /* second half of a diphthong */
};

static const struct target targets[] = {
    {"pau", {0.00, 0.00, 0.00, 0.2, 0.0, 0, 0.6}, 0.8, 0.5, NULL},
    {"aa", {0.90, 0.05, 0.05, 0.1, 0, 0, 0.0}, 1.0, 0.8, NULL},
    {"ae", {0.80, 0.40, 0.00, 0.3, 0, 0, 0.0}, 1.0, 0.8, NULL},
    {"ah", {0.60, 0.05, 0.00, 0.2, 0, 0, 0.0}, 0.9, 0.6, NULL},
    {"ao", {0.72, -0.10, 0.55, 0.1, 0, 0, 0.0}, 1.0, 1.0, NULL},
    {"aw", {0.88, 0.05, 0.05, 0.1, 0, 0, 0.0}, 1.0, 0.8, "uh"},
    {"ax", {0.34, 0.00, 0.05, 0.3, 0, 0, 0.3}, 0.5, 0.3, NULL},
    {"axr", {0.30, 0.00, 0.30, 0.4, 0, 0, 0.3}, 0.6, 0.6, NULL},
    {"ay", {0.88, 0.10, 0.00, 0.1, 0, 0, 0.0}, 1.0, 0.8, "ih"},
    {"eh", {0.56, 0.30, 0.00, 0.3, 0, 0, 0.1}, 0.9, 0.7, NULL},
    {"er", {0.34, 0.00, 0.35, 0.5, 0, 0, 0.3}, 0.8, 0.8, NULL},
    {"ey", {0.50, 0.40, 0.00, 0.4, 0, 0, 0.2}, 0.9, 0.8, "iy"},
    {"ih", {0.34, 0.35, 0.00, 0.4, 0, 0, 0.3}, 0.8, 0.7, NULL},
    {"iy", {0.24, 0.80, 0.00, 0.5, 0, 0, 0.6}, 0.9, 1.0, NULL},
    {"ow", {0.58, -0.10, 0.60, 0.1, 0, 0, 0.0}, 1.0, 1.1, "uw"},
    {"oy", {0.68, -0.10, 0.60, 0.1, 0, 0, 0.0}, 1.0, 1.1, "ih"},
    {"uh", {0.30, -0.10, 0.60, 0.2, 0, 0, 0.3}, 0.9, 1.0, NULL},
    {"uw", {0.18, -0.30, 1.00, 0.2, 0, 0, 0.4}, 1.0, 1.4, NULL},
    {"b", {0.00, 0.00, 0.00, 0.3, 0.7, 0, 0.3}, 1.2, 0.3, NULL},
    {"p", {0.00, 0.00, 0.00, 0.3, 0.9, 0, 0.3}, 1.2, 0.3, NULL},
    {"m", {0.00, 0.00, 0.00, 0.3, 0.6, 0, 0.3}, 1.2, 0.3, NULL},
    {"f", {0.10, 0.15, 0.00, 0.2, 0, 1, 0.4}, 1.2, 0.5, NULL},
    {"v", {0.10, 0.15, 0.00, 0.2, 0, 1, 0.4}, 1.2, 0.5, NULL},
    {"th", {0.26, 0.10, 0.00, 1.0, 0, 0, 0.2}, 1.1, 0.4, NULL},
    {"dh", {0.24, 0.10, 0.00, 0.95, 0, 0, 0.2}, 1.0, 0.4, NULL},
    {"t", {0.18, 0.10, 0.00, 0.75, 0, 0, 0.7}, 0.7, 0.2, NULL},
    {"d", {0.20, 0.10, 0.00, 0.75, 0, 0, 0.6}, 0.7, 0.2, NULL},
    {"dx", {0.26, 0.10, 0.00, 0.75, 0, 0, 0.4}, 0.4, 0.2, NULL},
    {"n", {0.22, 0.05, 0.00, 0.75, 0, 0, 0.5}, 0.7, 0.2, NULL},
    {"nx", {0.22, 0.05, 0.00, 0.75, 0, 0, 0.5}, 0.5, 0.2, NULL},
    {"en", {0.22, 0.05, 0.00, 0.75, 0, 0, 0.5}, 0.7, 0.2, NULL},
    {"s", {0.15, 0.40, 0.00, 0.6, 0, 0, 1.0}, 1.1, 0.6, NULL},
    {"z", {0.15, 0.40, 0.00, 0.6, 0, 0, 1.0}, 1.1, 0.6, NULL},
    {"sh", {0.22, -0.10, 0.65, 0.5, 0, 0, 0.9}, 1.0, 1.1, NULL},
    {"zh", {0.22, -0.10, 0.65, 0.5, 0, 0, 0.9}, 1.0, 1.1, NULL},
    {"ch", {0.20, -0.10, 0.65, 0.6, 0, 0, 0.9}, 1.0, 1.1, NULL},
    {"jh", {0.20, -0.10, 0.65, 0.6, 0, 0, 0.9}, 1.0, 1.1, NULL},
    {"k", {0.30, 0.05, 0.00, 0.4, 0, 0, 0.3}, 0.5, 0.1, NULL},
    {"g", {0.30, 0.05, 0.00, 0.4, 0, 0, 0.3}, 0.5, 0.1, NULL},
    {"ng", {0.30, 0.05, 0.00, 0.4, 0, 0, 0.3}, 0.5, 0.1, NULL},
    {"hh", {0.38, 0.00, 0.00, 0.2, 0, 0, 0.2}, 0.2, 0.05, NULL},
    {"l", {0.34, 0.10, 0.00, 0.9, 0, 0, 0.2}, 0.8, 0.3, NULL},
    {"el", {0.34, 0.00, 0.10, 0.9, 0, 0, 0.2}, 0.8, 0.3, NULL},
    {"r", {0.24, -0.10, 0.50, 0.4, 0, 0, 0.4}, 0.9, 0.9, NULL},
    {"w", {0.12, -0.35, 1.00, 0.2, 0, 0, 0.4}, 1.2, 1.5, NULL},
    {"y", {0.22, 0.50, 0.00, 0.5, 0, 0, 0.5}, 0.8, 0.7, NULL},
};

static const struct target *find(const char *phone)
{
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        if (strcmp(targets[i].phone, phone) == 0)
            return &targets[i];
    }
    return &targets[0];
}

/* 0 outside, 1 within [start, end], raised cosine over `ramp` before and after. */
static double hold(double t, double start, double end, double ramp)
{
    double d = t < start ? start - t : t > end ? t - end : 0;
    return d >= ramp ? 0 : 0.5 + 0.5 * cos(3.14159265 * d / ramp);
}

struct sum {
    struct mouth_pose pose;
    double jaw, lips;
};

static void pull(struct sum *s, const struct target *g, double ms, double start, double end,
                 double reach_ms)
{
    double d = ms < start ? start - ms : ms > end ? ms - end : 0;
    double jaw = g->jaw * exp(-pow(d / reach_ms, 1.5)) + 1e-9;
    double lips = g->lips * exp(-pow(d / (2 * reach_ms), 1.5)) + 1e-9;
    s->jaw += jaw, s->lips += lips;
    s->pose.open += jaw * g->pose.open;
    s->pose.tongue += jaw * g->pose.tongue;
    s->pose.teeth += jaw * g->pose.teeth;
    s->pose.spread += lips * g->pose.spread;
    s->pose.round += lips * g->pose.round;
}

struct mouth_pose viseme_pose(const struct speech_span *phones, int count, double ms,
                              const struct articulation *a)
{
    struct target silence = targets[0];
    struct sum s = {{0}, 0, 0};
    double press = 0, tuck = 0;
    silence.pose.open = a->rest, silence.pose.spread = a->smile;
    pull(&s, &silence, ms, -1e6, (count ? phones[0].start_ms : 0) - 150.0, a->reach_ms);
    for (int i = 0; i < count; i++) {
        const struct target *g = find(phones[i].name);
        double start = phones[i].start_ms, end = phones[i].end_ms, inset = (end - start) * 0.2;
        if (ms < start - 600 || ms > end + 600)
            continue;
        double middle = g->then ? start + 0.55 * (end - start) : end;
        pull(&s, g, ms, start + inset, middle - inset, a->reach_ms);
        if (g->then)
            pull(&s, find(g->then), ms, middle + inset, end - inset, a->reach_ms);
        press = fmax(press, g->pose.press * hold(ms, start + inset, end - inset, 50));
        tuck = fmax(tuck, g->pose.tuck * hold(ms, start + inset, end - inset, 55));
    }
    pull(&s, &silence, ms, (count ? phones[count - 1].end_ms : 0) + 180.0, 1e9, a->reach_ms);
    struct mouth_pose p = {.open = a->strength * s.pose.open / s.jaw,
                           .spread = s.pose.spread / s.lips,
                           .round = s.pose.round / s.lips,
                           .tongue = s.pose.tongue / s.jaw,
                           .teeth = s.pose.teeth / s.jaw,
                           .press = press,
                           .tuck = tuck};
    double shut = fmin(1, press * 1.7);
    p.open = fmin(p.open, 1) * (1 - shut) * (1 - 0.6 * tuck);
    return p;
}
