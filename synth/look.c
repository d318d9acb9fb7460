#include "look.h"

#include <math.h>
#include <stdbool.h>

static double between(struct random *r, double low, double high)
{
    return low + (high - low) * random_uniform(r);
}

/* Around `usual`, seldom more than two deviations away, never more than 2.5. */
static double about(struct random *r, double usual, double deviation)
{
    double n = random_normal(r);
    return usual + deviation * fmax(-2.5, fmin(2.5, n));
}

static bool chance(struct random *r, double share)
{
    return random_uniform(r) < share;
}

static struct colour jitter(struct random *r, struct colour c, double by)
{
    c.r += between(r, -by, by), c.g += between(r, -by, by), c.b += between(r, -by, by);
    return colour_scale(c, 1);
}

static void draw_bone(struct look *l, struct random *r)
{
    l->width = about(r, 1.0, 0.045);
    l->jaw = about(r, 1.0, 0.07);
    l->chin = about(r, 0.0, 0.05);
    l->forehead = about(r, 0.0, 0.06);
    l->nose_width = about(r, 1.15, 0.12);
    l->nose_length = about(r, 0.0, 0.035);
    l->mouth_y = about(r, 1.09, 0.03);
    l->mouth_width = about(r, 0.42, 0.03);
    l->upper_lip = about(r, 0.102, 0.022);
    l->lower_lip = about(r, 0.145, 0.026);
    l->bow = between(r, 0.1, 1.0);
    l->eye_size = about(r, 1.0, 0.08);
    l->eye_slant = about(r, 0.0, 0.025);
    l->brow_y = about(r, -0.36, 0.03);
    l->brow_weight = about(r, 1.0, 0.22);
    l->brow_arch = between(r, 0.02, 0.11);
    l->ear = about(r, 1.0, 0.1);
    l->yaw = about(r, 0.0, 0.035);
    l->mouth_skew = about(r, 0.0, 0.03);
    l->age = random_uniform(r);
}

static void draw_colour(struct look *l, struct random *r)
{
    static const struct colour skins[] = {
        {0.96, 0.82, 0.74}, {0.93, 0.76, 0.65}, {0.88, 0.70, 0.57}, {0.80, 0.61, 0.47},
        {0.69, 0.50, 0.37}, {0.55, 0.38, 0.28}, {0.42, 0.28, 0.20}};
    static const struct colour hairs[] = {
        {0.08, 0.07, 0.06}, {0.20, 0.13, 0.08}, {0.36, 0.23, 0.13}, {0.62, 0.46, 0.26},
        {0.78, 0.66, 0.44}, {0.55, 0.54, 0.52}, {0.45, 0.20, 0.10}};
    static const struct colour irises[] = {
        {0.25, 0.15, 0.08}, {0.35, 0.24, 0.12}, {0.30, 0.40, 0.48}, {0.35, 0.42, 0.28}};
    static const struct colour sticks[] = {
        {0.72, 0.14, 0.20}, {0.80, 0.32, 0.38}, {0.55, 0.12, 0.22}, {0.78, 0.40, 0.36}};
    double tone = random_uniform(r) * 5.99;
    int low = (int)tone;
    l->skin = jitter(r, colour_mix(skins[low], skins[low + 1], tone - low), 0.025);
    struct colour red = {0.74, 0.36, 0.34};
    l->lip = colour_mix(l->skin, red, between(r, 0.40, 0.90));
    l->lip = colour_scale(l->lip, between(r, 0.76, 0.96));
    l->lip_gloss = between(r, 0.08, 0.40);
    if (chance(r, 0.22)) {
        l->lip = colour_mix(l->lip, sticks[random_below(r, 4)], between(r, 0.5, 0.9));
        l->lip_gloss += 0.15;
    }
    l->hair = jitter(r, hairs[tone > 4 ? random_below(r, 2) : random_below(r, 7)], 0.03);
    l->iris = jitter(r, irises[tone > 3 ? random_below(r, 2) : random_below(r, 4)], 0.04);
    l->shirt = (struct colour){random_uniform(r), random_uniform(r), random_uniform(r)};
    l->shirt = colour_scale(l->shirt, 0.85);
    l->blush = between(r, 0, 0.22);
    l->teeth_white = between(r, 0.50, 0.90);
    l->teeth_show = between(r, 0.1, 1.0);
    l->light =
        (struct colour){between(r, 0.9, 1.06), between(r, 0.94, 1.03), between(r, 0.86, 1.06)};
    l->wall_kind = (int)random_below(r, 4);
    struct colour blue = {0.10, 0.60, 0.80};
    for (int i = 0; i < 2; i++) {
        double grey = between(r, 0.1, 0.9), tint = chance(r, 0.3) ? 0.35 : 0.10;
        struct colour any = jitter(r, (struct colour){grey, grey, grey}, tint);
        l->wall[i] = l->wall_kind == 0 ? jitter(r, blue, 0.12) : any;
    }
}

static void draw_hair(struct look *l, struct random *r)
{
    l->hair_style = chance(r, 0.06) ? 0 : 1 + (int)random_below(r, 4);
    l->fringe = random_uniform(r);
    l->parting = between(r, -0.6, 0.6);
    if (l->hair_style <= 2 && chance(r, 0.45)) {
        l->moustache = chance(r, 0.5) ? between(r, 0.3, 1) : 0;
        l->beard = chance(r, 0.4) ? between(r, 0.3, 1) : 0;
        l->stubble = between(r, 0.1, 0.6);
    }
    l->glasses = chance(r, 0.12);
}

static void draw_scene(struct look *l, struct random *r)
{
    l->light_x = between(r, -0.9, 0.9);
    l->light_y = between(r, -0.9, 0.1);
    l->contrast = between(r, 0.45, 1.0);
    l->unit_px = 54 * exp(between(r, log(0.78), log(1.27)));
    double free_x = 180 - 1.25 * l->unit_px, top = 1.05 * l->unit_px;
    double bottom = 288 - 2.05 * l->unit_px;
    l->x_px = 180 + between(r, -0.55, 0.55) * free_x;
    l->y_px = top + between(r, 0.15, 0.95) * fmax(bottom - top, 0);
    l->tilt = about(r, 0, 0.045);
    l->sway = between(r, 0.2, 1.0);
    l->nod = between(r, 0.0, 1.0);
    l->blink_every_s = between(r, 1.5, 5);
    l->blur = between(r, 0.03, 0.33);
    l->noise = between(r, 0, 4.0);
    l->gain = between(r, 0.78, 1.12);
    l->gamma = between(r, 0.85, 1.25);
    l->saturation = between(r, 0.6, 1.15);
    l->articulation.strength = about(r, 0.80, 0.17);
    l->articulation.reach_ms = between(r, 38, 65);
    l->articulation.rest = chance(r, 0.5) ? 0 : between(r, 0, 0.1);
    l->articulation.smile = between(r, -0.15, 0.35);
}

void look_draw(struct look *l, uint64_t seed)
{
    struct random r;
    *l = (struct look){0};
    random_seed(&r, seed ^ 0xface5ULL);
    draw_bone(l, &r);
    draw_colour(l, &r);
    draw_hair(l, &r);
    draw_scene(l, &r);
}
