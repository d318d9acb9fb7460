#include "decode/show_layout.h"
#include "base/memory.h"
#include "text/caption.h"

#include <math.h>
#include <string.h>

#define CAPTION_OF_SIDE 0.062 /* height of a line, of the picture's; small pictures have more */
#define CAPTION_LEAST 13.0    /* pixels */
#define CAPTION_SHARE 0.4f    /* of the picture's height, at most, down to lines of FITTED_LEAST */
#define FITTED_LEAST 6.0f
#define FITTED_STEP 0.85f
#define STATUS_OF_CAPTION 0.72
#define STATUS_LEAST 9.5
#define QUARTERS 4.0f /* of show_face */
#define EVENT_LIMIT (1 << 16)
#define DRAWING 8.0f /* \p4: units of a pixel */
#define BEND 0.55f   /* of a corner's radius: a Bezier curve that is nearly a circle */
#define BAND_ALPHA 0x50

/* Colours are BBGGRR. */
#define LIPS_COLOUR "C0E035"
#define REASON_COLOUR "8C9CFF"

enum { LAYER_FACE, LAYER_MOUTH, LAYER_BAND, LAYER_TEXT };
enum place { CAPTION, STATUS, CLOCK, PLACES };

struct band { /* behind a text; empty where right <= left */
    float left, top, right, bottom;
};

struct show_layout {
    int width, height;
    float caption, status; /* heights of their lines */
    float fitted;          /* that of this cue's lines: less, where there are too many */
    float pad, pen;        /* around text; of a mouth's line */
    struct canvas *canvas;
    struct strbuf text[PLACES]; /* events; empty: nothing is there */
    struct strbuf event;
    struct band bands[PLACES];
    struct strbuf measured; /* the texts that bands were measured for */
};

int show_layout_open(struct show_layout **out, int width, int height, struct error *err)
{
    struct show_layout *l = *out = memory_new(1, sizeof *l);
    if (!l)
        return error_set(err, ERROR_MEMORY, "out of memory");
    const double side = fmin(height, 0.75 * width);
    l->width = width;
    l->height = height;
    l->caption = (float)fmax(CAPTION_OF_SIDE * side, CAPTION_LEAST);
    l->status = (float)fmax(STATUS_OF_CAPTION * l->caption, STATUS_LEAST);
    l->pad = 0.3f * l->status;
    l->pen = fmaxf(1.5f, (float)side / 160);
    for (int i = 0; i < PLACES; i++)
        strbuf_init(&l->text[i], EVENT_LIMIT);
    strbuf_init(&l->event, EVENT_LIMIT);
    strbuf_init(&l->measured, PLACES * EVENT_LIMIT);
    int rc = canvas_open(&l->canvas, width, height, l->caption, (int)lrintf(3 * l->pad), err);
    if (rc) {
        show_layout_close(l);
        *out = NULL;
    }
    return rc;
}

void show_layout_close(struct show_layout *l)
{
    if (!l)
        return;
    canvas_close(l->canvas);
    for (int i = 0; i < PLACES; i++)
        strbuf_release(&l->text[i]);
    strbuf_release(&l->event);
    strbuf_release(&l->measured);
    memory_free(l);
}

/* ---- faces in few bytes -------------------------------------------------------------------- */

static int16_t pack(float x)
{
    const float q = rintf(x * QUARTERS);
    return (int16_t)(q > INT16_MIN ? fminf(q, INT16_MAX) : INT16_MIN); /* NAN: the least */
}

void show_faces_pack(struct show_faces *out, const struct faces_picture *faces)
{
    *out = (struct show_faces){0};
    for (int i = 0; i < faces->count; i++) {
        const struct mouth_frame *m = &faces->faces[i].mouth;
        struct show_face *f = &out->list[out->count];
        if (m->source != MOUTH_MEASURED && m->source != MOUTH_GUESSED)
            continue; /* a picture that is a mouth needs no box */
        const float box[4] = {m->box.left, m->box.top, m->box.right, m->box.bottom};
        for (int k = 0; k < 4; k++) {
            f->box[k] = pack(box[k]);
            f->mouth[k][0] = pack(m->corners[k][0]);
            f->mouth[k][1] = pack(m->corners[k][1]);
        }
        const int number = faces->faces[i].number;
        f->number = (uint8_t)(number < UINT8_MAX ? number : UINT8_MAX);
        f->guessed = m->source == MOUTH_GUESSED;
        out->count++;
    }
}

static bool is_read(const struct show_face *f, const struct show_span *span)
{
    return span && span->face && f->number == span->face;
}

/* ---- shapes -------------------------------------------------------------------------------- */

struct corners {
    float at[4][2]; /* of a rectangle that may be turned, in order */
};

static struct corners upright(float left, float top, float right, float bottom)
{
    return (struct corners){{{left, top}, {right, top}, {right, bottom}, {left, bottom}}};
}

/* From a corner towards the next one (step 1) or the one before (3), one pixel. */
static void direction(float out[2], const struct corners *c, int corner, int step)
{
    const float *from = c->at[corner], *to = c->at[(corner + step) % 4];
    const float length = fmaxf(1e-3f, hypotf(to[0] - from[0], to[1] - from[1]));
    out[0] = (to[0] - from[0]) / length;
    out[1] = (to[1] - from[1]) / length;
}

static struct corners grown(const struct corners *c, float by)
{
    struct corners out;
    for (int i = 0; i < 4; i++) {
        float next[2], before[2];
        direction(next, c, i, 1);
        direction(before, c, i, 3);
        for (int k = 0; k < 2; k++)
            out.at[i][k] = c->at[i][k] - by * (next[k] + before[k]);
    }
    return out;
}

static void add_point(struct strbuf *e, const float from[2], const float to[2], float by)
{
    strbuf_addf(e, " %ld %ld", lrintf(DRAWING * (from[0] + by * to[0])),
                lrintf(DRAWING * (from[1] + by * to[1])));
}

/* The outline with round corners; backwards, it cuts a hole into the one before. */
static void add_outline(struct strbuf *e, const struct corners *c, float radius, bool backwards)
{
    for (int n = 0; n < 4; n++) {
        const int i = backwards ? 3 - n : n;
        float in[2], out[2];
        direction(in, c, i, backwards ? 1 : 3);
        direction(out, c, i, backwards ? 3 : 1);
        strbuf_adds(e, n ? " l" : " m");
        add_point(e, c->at[i], in, radius);
        strbuf_adds(e, " b");
        add_point(e, c->at[i], in, (1 - BEND) * radius);
        add_point(e, c->at[i], out, (1 - BEND) * radius);
        add_point(e, c->at[i], out, radius);
    }
}

static int add_shape(struct show_layout *l, int layer, const char *colour, int alpha,
                     const struct corners *c, float radius, float line, struct error *err)
{
    struct strbuf *e = &l->event;
    strbuf_clear(e);
    strbuf_addf(e, "{\\an7\\pos(0,0)\\p4\\1c&H%s&\\1a&H%02X&}", colour, (unsigned)alpha);
    const struct corners outer = grown(c, line / 2), inner = grown(c, -line / 2);
    add_outline(e, line > 0 ? &outer : c, radius + line / 2, false);
    if (line > 0)
        add_outline(e, &inner, fmaxf(0, radius - line / 2), true);
    return canvas_add(l->canvas, layer, e->data, err);
}

/* A line on a darker and wider one, so that it is seen on any ground. */
static int add_frame(struct show_layout *l, int layer, const char *colour, int alpha,
                     const struct corners *c, float line, struct error *err)
{
    const float side = hypotf(c->at[1][0] - c->at[0][0], c->at[1][1] - c->at[0][1]);
    const float height = hypotf(c->at[3][0] - c->at[0][0], c->at[3][1] - c->at[0][1]);
    if (fminf(side, height) < 4 * line)
        return 0;
    const float radius = fminf(3 * line, fminf(side, height) / 4);
    int rc = add_shape(l, layer, "000000", (alpha + 0x180) / 2 - 0x40, c, radius, 2 * line, err);
    return rc ? rc : add_shape(l, layer, colour, alpha, c, radius, line, err);
}

static int add_number(struct show_layout *l, const struct show_face *f, struct error *err)
{
    const double outline = l->pen;
    strbuf_clear(&l->event);
    strbuf_addf(&l->event, "{\\an1\\pos(%.1f,%.1f)\\fs%.1f\\bord%.1f\\3c&H000000&\\3a&H60&}%d",
                f->box[0] / QUARTERS + l->pen, f->box[1] / QUARTERS - l->pen, l->status, outline,
                f->number);
    return canvas_add(l->canvas, LAYER_FACE, l->event.data, err);
}

static struct corners mouth_corners(const struct show_face *f)
{
    struct corners c;
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++)
            c.at[i][k] = f->mouth[i][k] / QUARTERS;
    return c;
}

static int add_faces(struct show_layout *l, const struct show_span *span,
                     const struct show_faces *faces, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < faces->count; i++) {
        const struct show_face *f = &faces->list[i];
        const struct corners mouth = mouth_corners(f);
        const struct corners box = upright(f->box[0] / QUARTERS, f->box[1] / QUARTERS,
                                           f->box[2] / QUARTERS, f->box[3] / QUARTERS);
        rc = add_frame(l, LAYER_FACE, "FFFFFF", f->guessed ? 0xB0 : 0x60, &box, l->pen / 2, err);
        if (!rc && faces->count > 1)
            rc = add_number(l, f, err);
        if (!rc && is_read(f, span))
            rc = add_frame(l, LAYER_MOUTH, LIPS_COLOUR, f->guessed ? 0x80 : 0x10, &mouth, l->pen,
                           err);
    }
    return rc;
}

/* ---- text ---------------------------------------------------------------------------------- */

static bool is_above(enum place place, bool at_top)
{
    return (place == CAPTION) == at_top;
}

static float line_height(const struct show_layout *l, enum place place)
{
    return place == CAPTION ? l->fitted : l->status;
}

/* Where the text's corner (\an of ASS) stands, and its size. */
static void begin(struct show_layout *l, enum place place, bool at_top)
{
    const float x[PLACES] = {(float)l->width / 2, 3 * l->pad, (float)l->width - 3 * l->pad};
    const int bottom[PLACES] = {2, 1, 3};
    const bool above = is_above(place, at_top);
    strbuf_clear(&l->text[place]);
    strbuf_addf(&l->text[place], "{\\an%d\\pos(%.1f,%.1f)\\fs%.1f}",
                bottom[place] + (above ? 6 : 0), x[place],
                above ? 2 * l->pad : (float)l->height - 2 * l->pad, line_height(l, place));
}

static void add_status(struct strbuf *out, const struct show_span *span)
{
    static const char *const reasons[FALLBACK_COUNT] = {
        [FALLBACK_NO_SOUND] = "no voice heard",
        [FALLBACK_DROWNED] = "sound drowned",
        [FALLBACK_NO_FACE] = "no speaking face",
    };
    const bool hears = task_hears(span->task), sees = task_sees(span->task);
    strbuf_adds(out, hears ? "sound" : "");
    strbuf_adds(out, hears && sees ? " + " : "");
    strbuf_adds(out, sees ? "{\\1c&H" LIPS_COLOUR "&}lips{\\1c&HFFFFFF&}" : "");
    strbuf_addf(out, "  rate %d", hears ? span->audio_rate : span->video_rate);
    if (hears && sees)
        strbuf_addf(out, ",%d", span->video_rate);
    if (reasons[span->fallback])
        strbuf_addf(out, "\\N{\\1c&H" REASON_COLOUR "&}%s", reasons[span->fallback]);
}

static void add_clock(struct strbuf *out, double now)
{
    const long tenths = (long)(10 * fmax(0, now)), minutes = tenths / 600;
    if (minutes < 60)
        strbuf_addf(out, "%ld:", minutes);
    else
        strbuf_addf(out, "%ld:%02ld:", minutes / 60, minutes % 60);
    strbuf_addf(out, "%02ld.%ld", tenths / 10 % 60, tenths % 10);
}

static void write_cue(struct show_layout *l, double now, const struct words *cue, bool at_top)
{
    begin(l, CAPTION, at_top);
    caption_words(&l->text[CAPTION], cue->list, cue->count, now);
}

static void write_texts(struct show_layout *l, double now, const struct words *cue,
                        const struct show_span *span, bool at_top)
{
    for (int i = 0; i < PLACES; i++)
        strbuf_clear(&l->text[i]);
    if (cue)
        write_cue(l, now, cue, at_top);
    if (span) {
        begin(l, STATUS, at_top);
        add_status(&l->text[STATUS], span);
    }
    begin(l, CLOCK, at_top);
    add_clock(&l->text[CLOCK], now);
}

/* The band of a text: as wide as its letters, as high as its lines. */
static int measure(struct show_layout *l, enum place place, bool at_top, struct error *err)
{
    struct band *band = &l->bands[place];
    *band = (struct band){0};
    if (!l->text[place].length)
        return 0;
    int rc = canvas_add(l->canvas, LAYER_TEXT, l->text[place].data, err);
    const struct canvas_box ink = rc ? (struct canvas_box){0} : canvas_covers(l->canvas);
    canvas_clear(l->canvas);
    if (ink.right <= ink.left)
        return rc;
    const float line = line_height(l, place), edge = l->pad;
    const float height = line * ceilf((float)(ink.bottom - ink.top) / line) + 2 * l->pad;
    *band = (struct band){(float)ink.left - 2 * l->pad, edge, (float)ink.right + 2 * l->pad,
                          edge + height};
    if (!is_above(place, at_top)) {
        band->bottom = (float)l->height - edge;
        band->top = band->bottom - height;
    }
    return 0;
}

/* Words that are too long or too many are smaller. */
static int fit(struct show_layout *l, const struct words *cue, bool at_top, struct error *err)
{
    const struct band *b = &l->bands[CAPTION];
    int rc = 0;
    while (!rc && l->fitted > FITTED_LEAST &&
           ((b->left < 0 && b->right > (float)l->width) ||
            b->bottom - b->top > CAPTION_SHARE * (float)l->height)) {
        l->fitted *= FITTED_STEP;
        write_cue(l, -INFINITY, cue, at_top);
        rc = measure(l, CAPTION, at_top, err);
    }
    return rc;
}

/* Bands stay as they are while the words do, whichever is spoken, and through a minute. */
static int measure_all(struct show_layout *l, double now, const struct words *cue,
                       const struct show_span *span, bool at_top, struct error *err)
{
    const float fitted = l->fitted;
    int rc = 0;
    l->fitted = l->caption;
    write_texts(l, 60 * floor(now / 60), cue, span, at_top);
    if (cue)
        write_cue(l, -INFINITY, cue, at_top);
    strbuf_clear(&l->event);
    for (int i = 0; i < PLACES; i++)
        strbuf_addf(&l->event, "%s\n", l->text[i].data);
    if (!strcmp(l->event.data, l->measured.data)) {
        l->fitted = fitted;
        return 0;
    }
    strbuf_clear(&l->measured);
    strbuf_adds(&l->measured, l->event.data);
    for (int i = 0; !rc && i < PLACES; i++)
        rc = measure(l, (enum place)i, at_top, err);
    return rc || !cue ? rc : fit(l, cue, at_top, err);
}

static int add_texts(struct show_layout *l, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < PLACES; i++) {
        const struct band *b = &l->bands[i];
        if (b->right <= b->left)
            continue;
        const struct corners band = upright(b->left, b->top, b->right, b->bottom);
        rc = add_shape(l, LAYER_BAND, "000000", BAND_ALPHA, &band, 2 * l->pad, 0, err);
        rc = rc ? rc : canvas_add(l->canvas, LAYER_TEXT, l->text[i].data, err);
    }
    return rc;
}

/* ---- a picture ----------------------------------------------------------------------------- */

static double common(const struct band *b, const struct show_face *f)
{
    float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            low[k] = fminf(low[k], f->mouth[i][k] / QUARTERS);
            high[k] = fmaxf(high[k], f->mouth[i][k] / QUARTERS);
        }
    const float width = fminf(high[0], b->right) - fmaxf(low[0], b->left);
    const float height = fminf(high[1], b->bottom) - fmaxf(low[1], b->top);
    return width > 0 && height > 0 ? (double)width * height : 0;
}

int show_layout_hides(struct show_layout *l, double hidden[2], const struct words *cue,
                      const struct show_span *span, const struct show_faces *faces,
                      struct error *err)
{
    int rc = 0;
    for (int top = 0; !rc && top < 2; top++) {
        rc = measure_all(l, 0, cue, span, top, err);
        hidden[top] = 0;
        for (int i = 0; !rc && i < faces->count; i++)
            for (int k = 0; k < PLACES; k++)
                if (is_read(&faces->list[i], span) || !span || !span->face)
                    hidden[top] += common(&l->bands[k], &faces->list[i]);
    }
    return rc;
}

int show_layout_draw(struct show_layout *l, uint8_t *rgb, int stride, double now,
                     const struct words *cue, const struct show_span *span, bool at_top,
                     const struct show_faces *faces, struct error *err)
{
    int rc = measure_all(l, now, cue, span, at_top, err);
    write_texts(l, now, cue, span, at_top);
    rc = rc ? rc : add_faces(l, span, faces, err);
    rc = rc ? rc : add_texts(l, err);
    if (!rc)
        canvas_draw(l->canvas, rgb, stride);
    canvas_clear(l->canvas);
    return rc;
}
