/*
 * A picture is put together from layers painted once (wall, shoulders, hair behind, head) and what
 * moves by itself (eyes, mouth). The head layer is laid down twice: above the nose's base as it is,
 * below it stretched downwards by the drop of the jaw, so that chin and cheeks follow the mouth.
 * Sway is a sum of slow sines; a blink is a raised cosine of 0.2 s.
 */
#include "film.h"

#include "base/memory.h"
#include "camera.h"
#include "clip.h"
#include "head.h"

#include <math.h>
#include <stdio.h>

#define HINGE 0.74 /* y of the nose's base: nothing above moves with the jaw */
#define HEAD_X 1.45
#define HEAD_BOTTOM 2.1
#define BLINKS_LIMIT 64

/* A picture of a part of the head's frame, at the film's scale. */
struct layer {
    cairo_surface_t *surface; /* NULL: nothing to show */
    double left, top;         /* of its first pixel, in the head's frame */
};

struct film {
    struct look look;
    const struct speech_span *phones;
    int phone_count, lead_ms;
    cairo_surface_t *wall, *frame;
    struct layer back, neck, head;
    struct camera *camera;
    double phase[6], blink_s[BLINKS_LIMIT];
    int blinks;
    uint8_t rgb[CLIP_WIDTH * CLIP_HEIGHT * 3];
};

static const struct colour black = {0, 0, 0}, white = {1, 1, 1};

static double between(struct random *r, double low, double high)
{
    return low + (high - low) * random_uniform(r);
}

static void paint_wall(cairo_t *cr, const struct look *l, struct random *r)
{
    double angle = between(r, 0, 6.28);
    cairo_pattern_t *p =
        cairo_pattern_create_linear(180 - 180 * cos(angle), 144 - 150 * sin(angle),
                                    180 + 180 * cos(angle), 144 + 150 * sin(angle));
    for (int i = 0; i < 2; i++)
        cairo_pattern_add_color_stop_rgb(p, i, l->wall[i].r, l->wall[i].g, l->wall[i].b);
    cairo_set_source(cr, p);
    cairo_paint(cr);
    cairo_pattern_destroy(p);
    int things = l->wall_kind < 2 ? 0 : (int)random_below(r, 12);
    for (int i = 0; i < things; i++) {
        struct colour c = {random_uniform(r), random_uniform(r), random_uniform(r)};
        if (l->wall_kind == 2) {
            paint_spot(cr, between(r, 0, 360), between(r, 0, 288), between(r, 20, 120),
                       between(r, 20, 120), c, between(r, 0.1, 0.5));
            continue;
        }
        paint_source(cr, colour_mix(c, l->wall[0], 0.5), 0.8);
        cairo_rectangle(cr, between(r, -40, 340), between(r, -40, 250), between(r, 10, 120),
                        between(r, 10, 160));
        cairo_fill(cr);
    }
    paint_spot(cr, 180 + 160 * l->light_x, 120 + 120 * l->light_y, 260, 220, white, 0.18);
    paint_spot(cr, 180 - 260 * l->light_x, 300, 300, 260, black, 0.25);
}

typedef void painter(cairo_t *cr, const struct look *l, uint64_t seed);

static struct layer layer_new(const struct look *l, uint64_t seed, painter *paint, double half,
                              double top, double bottom)
{
    double u = l->unit_px;
    struct layer made = {.left = -half, .top = top};
    made.surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)ceil(2 * half * u),
                                              (int)ceil((bottom - top) * u));
    cairo_t *cr = cairo_create(made.surface);
    cairo_scale(cr, u, u);
    cairo_translate(cr, half, -top);
    paint(cr, l, seed);
    cairo_destroy(cr);
    return made;
}

int film_open(struct film **out, uint64_t face_seed, const struct speech_span *phones,
              int phone_count, int lead_ms, int pictures, struct error *err)
{
    struct random r;
    struct film *f = memory_new(1, sizeof *f);
    if (!f)
        return error_set(err, ERROR_MEMORY, "out of memory for a film");
    random_seed(&r, face_seed ^ 0xf11aULL);
    look_draw(&f->look, face_seed);
    f->phones = phones, f->phone_count = phone_count, f->lead_ms = lead_ms;
    f->wall = cairo_image_surface_create(CAIRO_FORMAT_RGB24, CLIP_WIDTH, CLIP_HEIGHT);
    f->frame = cairo_image_surface_create(CAIRO_FORMAT_RGB24, CLIP_WIDTH, CLIP_HEIGHT);
    cairo_t *cr = cairo_create(f->wall);
    paint_wall(cr, &f->look, &r);
    cairo_destroy(cr);
    if (f->look.hair_style == 4)
        f->back = layer_new(&f->look, face_seed, head_paint_back, 1.7, -1.9, 2.4);
    f->neck = layer_new(&f->look, face_seed, head_paint_neck, 2.9, 0.9, 6);
    f->head = layer_new(&f->look, face_seed, head_paint_front, HEAD_X, -1.9, HEAD_BOTTOM);
    f->camera = camera_new(&f->look, CLIP_WIDTH, CLIP_HEIGHT, face_seed);
    for (int i = 0; i < 6; i++)
        f->phase[i] = between(&r, 0, 6.2831853);
    double end = (double)pictures / CLIP_FPS, at = between(&r, 0, f->look.blink_every_s);
    for (; at < end && f->blinks < BLINKS_LIMIT;
         at += f->look.blink_every_s * between(&r, 0.5, 1.5))
        f->blink_s[f->blinks++] = at;
    *out = f;
    if (f->camera && cairo_surface_status(f->head.surface) == CAIRO_STATUS_SUCCESS)
        return 0;
    film_close(f);
    *out = NULL;
    return error_set(err, ERROR_MEMORY, "out of memory for a film");
}

void film_close(struct film *f)
{
    if (!f)
        return;
    cairo_surface_destroy(f->wall);
    cairo_surface_destroy(f->frame);
    cairo_surface_destroy(f->back.surface);
    cairo_surface_destroy(f->neck.surface);
    cairo_surface_destroy(f->head.surface);
    camera_free(f->camera);
    memory_free(f);
}

struct motion {
    double x, y, turn, lean, lid, gaze_x, gaze_y;
};

static struct motion motion_at(const struct film *f, double s, const struct mouth_pose *pose)
{
    const struct look *l = &f->look;
    const double *p = f->phase;
    double a = l->sway;
    struct motion m = {
        .x = a * (0.055 * sin(1.3 * s + p[0]) + 0.02 * sin(3.1 * s + p[1])),
        .y = a * (0.035 * sin(1.7 * s + p[2]) + 0.012 * sin(4.3 * s + p[3])),
        .turn = l->tilt + a * (0.030 * sin(1.1 * s + p[4]) + 0.010 * sin(3.7 * s + p[5])),
        .lean = 1 + 0.012 * a * sin(0.9 * s + p[1]),
        .gaze_x = 0.5 * sin(0.7 * s + p[3]) * (sin(0.31 * s + p[2]) > 0.6),
        .gaze_y = 0.3 * sin(0.5 * s + p[5]),
    };
    m.y += 0.05 * l->nod * pose->open;
    for (int i = 0; i < f->blinks; i++) {
        double d = fabs(s - f->blink_s[i]);
        if (d < 0.11)
            m.lid = fmax(m.lid, 0.5 + 0.5 * cos(3.14159265 * d / 0.11));
    }
    return m;
}

/* Lays a layer on the context, which is in the head's frame. */
static void lay(cairo_t *cr, const struct layer *l, double unit_px)
{
    if (!l->surface)
        return;
    cairo_save(cr);
    cairo_translate(cr, l->left, l->top);
    cairo_scale(cr, 1 / unit_px, 1 / unit_px);
    cairo_set_source_surface(cr, l->surface, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_BILINEAR);
    cairo_paint(cr);
    cairo_restore(cr);
}

static void lay_head(cairo_t *cr, const struct film *f, double drop)
{
    double chin = 1.77 + f->look.chin, stretch = (chin + drop - HINGE) / (chin - HINGE);
    cairo_save(cr);
    cairo_rectangle(cr, -HEAD_X, HINGE - 0.06, 2 * HEAD_X, HEAD_BOTTOM);
    cairo_clip(cr);
    cairo_translate(cr, 0, HINGE);
    cairo_scale(cr, 1, stretch);
    cairo_translate(cr, 0, -HINGE);
    lay(cr, &f->head, f->look.unit_px);
    cairo_restore(cr);
    cairo_save(cr);
    cairo_rectangle(cr, -HEAD_X, f->head.top, 2 * HEAD_X, HINGE - f->head.top);
    cairo_clip(cr);
    lay(cr, &f->head, f->look.unit_px);
    cairo_restore(cr);
}

static void paint_picture(cairo_t *cr, const struct film *f, double s)
{
    const struct look *l = &f->look;
    struct mouth_pose pose =
        viseme_pose(f->phones, f->phone_count, 1000 * s - f->lead_ms, &l->articulation);
    struct motion m = motion_at(f, s, &pose);
    double u = l->unit_px;
    cairo_set_source_surface(cr, f->wall, 0, 0);
    cairo_paint(cr);
    cairo_save(cr);
    cairo_translate(cr, l->x_px + 0.3 * m.x * u, l->y_px + 0.3 * m.y * u);
    cairo_scale(cr, u, u);
    cairo_matrix_t shoulders;
    cairo_get_matrix(cr, &shoulders);
    cairo_translate(cr, 0.7 * m.x, 0.7 * m.y + 1.6);
    cairo_rotate(cr, m.turn);
    cairo_scale(cr, m.lean, m.lean);
    cairo_translate(cr, 0, -1.6);
    lay(cr, &f->back, u);
    cairo_save(cr);
    cairo_set_matrix(cr, &shoulders);
    lay(cr, &f->neck, u);
    cairo_restore(cr);
    lay_head(cr, f, mouth_jaw_drop(&pose));
    eyes_paint(cr, l, m.lid, m.gaze_x, m.gaze_y);
    mouth_paint(cr, l, &pose);
    cairo_restore(cr);
}

const uint8_t *film_picture(struct film *f, int index)
{
    cairo_t *cr = cairo_create(f->frame);
    paint_picture(cr, f, (double)index / CLIP_FPS);
    cairo_destroy(cr);
    cairo_surface_flush(f->frame);
    camera_take(f->camera, f->rgb, cairo_image_surface_get_data(f->frame),
                cairo_image_surface_get_stride(f->frame));
    return f->rgb;
}

static void put_tile(cairo_surface_t *sheet, const uint8_t *rgb, int left, int top)
{
    int stride = cairo_image_surface_get_stride(sheet);
    uint8_t *to = cairo_image_surface_get_data(sheet);
    for (int y = 0; y < CLIP_HEIGHT; y++) {
        for (int x = 0; x < CLIP_WIDTH; x++) {
            const uint8_t *in = rgb + 3 * (y * CLIP_WIDTH + x);
            uint8_t *out = to + (int64_t)(top + y) * stride + 4 * (left + x);
            out[0] = in[2], out[1] = in[1], out[2] = in[0];
        }
    }
}

int film_sheet(const char *path, uint64_t seed, int columns, int rows, struct error *err)
{
    static const char *const said[] = {"pau", "aa", "iy", "uw", "f", "th", "m", "s",
                                       "ae",  "ow", "l",  "eh", "w", "ch", "n", "er"};
    cairo_surface_t *sheet =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, columns * CLIP_WIDTH, rows * CLIP_HEIGHT);
    int rc = 0;
    for (int i = 0; rc == 0 && i < columns * rows; i++) {
        struct speech_span phone = {.start_ms = 0, .end_ms = 400};
        snprintf(phone.name, sizeof phone.name, "%s", said[i % 16]);
        struct film *f;
        rc = film_open(&f, seed + (uint64_t)i, &phone, 1, 0, 10, err);
        if (rc != 0)
            break;
        const uint8_t *rgb = film_picture(f, 5);
        cairo_surface_flush(sheet);
        put_tile(sheet, rgb, i % columns * CLIP_WIDTH, i / columns * CLIP_HEIGHT);
        cairo_surface_mark_dirty(sheet);
        film_close(f);
    }
    cairo_status_t status = rc == 0 ? cairo_surface_write_to_png(sheet, path) : 0;
    cairo_surface_destroy(sheet);
    if (status != CAIRO_STATUS_SUCCESS)
        return error_set(err, ERROR_IO, "%s: %s", path, cairo_status_to_string(status));
    return rc;
}
