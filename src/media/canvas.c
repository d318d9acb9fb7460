#include "media/canvas.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include <ass/ass.h>

enum {
    GLYPHS_KEPT = 1000,
    BITMAPS_MEGABYTES = 64, /* in libass' caches */
    PROBE = 64,             /* pixels a side, in which a letter is looked for */
};

struct canvas {
    int width, height;
    ASS_Library *library;
    ASS_Renderer *renderer;
    ASS_Track *track;
};

static void say_nothing(int level, const char *format, va_list arguments, void *data)
{
    (void)level, (void)format, (void)arguments, (void)data;
}

static int set_style(ASS_Track *track, double font_size, int margin)
{
    const int id = ass_alloc_style(track);
    if (id < 0)
        return -1;
    ASS_Style *style = &track->styles[id];
    style->Name = strdup("Default");
    style->FontName = strdup("sans-serif");
    style->FontSize = font_size;
    style->PrimaryColour = 0xffffff00; /* RGBA, of which A is how much can be seen through */
    style->Bold = 1;
    style->ScaleX = style->ScaleY = 1;
    style->BorderStyle = 1;
    style->Alignment = VALIGN_TOP | HALIGN_LEFT;
    style->MarginL = style->MarginR = margin;
    track->default_style = id;
    return style->Name && style->FontName ? 0 : -1;
}

int canvas_add(struct canvas *c, int layer, const char *event, struct error *err)
{
    const int id = ass_alloc_event(c->track);
    if (id < 0)
        return error_set(err, ERROR_MEMORY, "out of memory");
    ASS_Event *e = &c->track->events[id];
    e->Duration = 1;
    e->ReadOrder = id;
    e->Layer = layer;
    e->Style = c->track->default_style;
    e->Text = strdup(event);
    return e->Text ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
}

void canvas_clear(struct canvas *c)
{
    ass_flush_events(c->track);
}

/* Masks have margins, in which nothing is. */
static void add_covered(struct canvas_box *box, const ASS_Image *image)
{
    for (int y = 0; y < image->h; y++)
        for (int x = 0; x < image->w; x++) {
            const int u = image->dst_x + x, v = image->dst_y + y;
            if (!image->bitmap[(ptrdiff_t)y * image->stride + x])
                continue;
            box->left = u < box->left ? u : box->left;
            box->top = v < box->top ? v : box->top;
            box->right = u >= box->right ? u + 1 : box->right;
            box->bottom = v >= box->bottom ? v + 1 : box->bottom;
        }
}

struct canvas_box canvas_covers(struct canvas *c)
{
    struct canvas_box box = {c->width, c->height, 0, 0};
    for (ASS_Image *i = ass_render_frame(c->renderer, c->track, 0, NULL); i; i = i->next)
        add_covered(&box, i);
    return box;
}

/* One colour through a mask; libass keeps masks inside the picture. */
static void blend(uint8_t *rgb, int stride, const ASS_Image *image)
{
    const uint32_t opaque = 255 - (image->color & 255);
    const uint32_t colour[3] = {image->color >> 24, image->color >> 16 & 255,
                                image->color >> 8 & 255};
    for (int y = 0; y < image->h; y++) {
        const uint8_t *mask = image->bitmap + (ptrdiff_t)y * image->stride;
        uint8_t *to = rgb + (ptrdiff_t)(image->dst_y + y) * stride + 3 * image->dst_x;
        for (int x = 0; x < image->w; x++, to += 3) {
            const uint32_t a = mask[x] * opaque; /* of 255 * 255 */
            for (int k = 0; a && k < 3; k++)
                to[k] = (uint8_t)((colour[k] * a + to[k] * (65025 - a) + 32512) / 65025);
        }
    }
}

void canvas_draw(struct canvas *c, uint8_t *rgb, int stride)
{
    for (ASS_Image *i = ass_render_frame(c->renderer, c->track, 0, NULL); i; i = i->next)
        blend(rgb, stride, i);
}

static void set_size(struct canvas *c, int width, int height)
{
    c->width = c->track->PlayResX = width;
    c->height = c->track->PlayResY = height;
    ass_set_storage_size(c->renderer, width, height);
    ass_set_frame_size(c->renderer, width, height);
}

/* libass draws nothing where it finds no font, and says nothing. */
static int check_font(struct canvas *c, struct error *err)
{
    set_size(c, PROBE, PROBE);
    int rc = canvas_add(c, 0, "{\\pos(0,0)\\fs32}0", err);
    const struct canvas_box box = canvas_covers(c);
    canvas_clear(c);
    return rc || box.right > box.left
               ? rc
               : error_set(err, ERROR_UNSUPPORTED,
                           "no font is installed to write words with: fonts-dejavu-core is one");
}

static int set_up(struct canvas *c, double font_size, int margin, struct error *err)
{
    c->library = ass_library_init();
    if (c->library)
        ass_set_message_cb(c->library, say_nothing, NULL);
    c->renderer = c->library ? ass_renderer_init(c->library) : NULL;
    c->track = c->library ? ass_new_track(c->library) : NULL;
    if (!c->renderer || !c->track || set_style(c->track, font_size, margin))
        return error_set(err, ERROR_MEMORY, "out of memory");
    c->track->track_type = TRACK_TYPE_ASS;
    c->track->ScaledBorderAndShadow = 1;
    ass_set_cache_limits(c->renderer, GLYPHS_KEPT, BITMAPS_MEGABYTES);
    ass_set_fonts(c->renderer, NULL, "sans-serif", ASS_FONTPROVIDER_AUTODETECT, NULL, 1);
    return check_font(c, err);
}

int canvas_open(struct canvas **out, int width, int height, double font_size, int margin,
                struct error *err)
{
    struct canvas *c = *out = memory_new(1, sizeof *c);
    int rc = c ? set_up(c, font_size, margin, err) : error_set(err, ERROR_MEMORY, "out of memory");
    if (!rc)
        set_size(c, width, height);
    else {
        canvas_close(c);
        *out = NULL;
    }
    return rc;
}

void canvas_close(struct canvas *c)
{
    if (!c)
        return;
    if (c->track)
        ass_free_track(c->track);
    if (c->renderer)
        ass_renderer_done(c->renderer);
    if (c->library)
        ass_library_done(c->library);
    memory_free(c);
}
