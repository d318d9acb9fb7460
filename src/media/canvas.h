/*
 * Text and shapes drawn into pictures, by libass: what is on the canvas are events in the language
 * of ASS subtitles (http://www.tcax.org/docs/ass-specs.htm, libass' extensions of it), in pixels of
 * the picture, all seen at once. Glyphs come from the system's fonts, whichever has them.
 *
 *     canvas_add(c, layer, "{\\pos(8,8)}words", err);   ...   the higher layer covers the lower
 *     canvas_draw(c, rgb, stride);
 *     canvas_clear(c);
 */
#ifndef MEDIA_CANVAS_H
#define MEDIA_CANVAS_H

#include "base/error.h"

#include <stdint.h>

struct canvas; /* opaque */

struct canvas_box { /* pixels; right and bottom lie behind the last; empty where right <= left */
    int left, top, right, bottom;
};

/* Lines are `font_size` high and wrap where `margin` is left at either side. ERROR_UNSUPPORTED:
   there is no font. */
int canvas_open(struct canvas **c, int width, int height, double font_size, int margin,
                struct error *err);
int canvas_add(struct canvas *c, int layer, const char *event, struct error *err);
void canvas_clear(struct canvas *c);
struct canvas_box canvas_covers(struct canvas *c); /* what would be drawn into */
/* rgb [height, stride] bytes, a row holds [width, 3]. */
void canvas_draw(struct canvas *c, uint8_t *rgb, int stride);
void canvas_close(struct canvas *c); /* NULL is fine */

#endif
