/*
 * What is drawn into one picture of a shown transcript, by media/canvas:
 *
 *     sound + lips  rate 4,2          0:01.2     how the utterance is read; when
 *     no voice heard                             what it had to do without
 *          +--------+
 *          |  face  |                            thin; numbered where there are several
 *          | [lips] |                            the mouth that is read, bold
 *          +--------+
 *        the words of the cue                    see text/caption
 *
 * Text stands on dark bands that let the picture through. Where the caption would hide a mouth,
 * it changes sides with what stands at the top. Sizes follow the picture's.
 */
#ifndef DECODE_SHOW_LAYOUT_H
#define DECODE_SHOW_LAYOUT_H

#include "decode/utterance.h"
#include "features/faces.h"
#include "media/canvas.h"

/* A face in few bytes: quarters of pixels. */
struct show_face {
    int16_t mouth[4][2]; /* corners, clockwise */
    int16_t box[4];      /* left, top, right, bottom */
    uint8_t number;
    uint8_t guessed; /* not measured in this picture */
};

struct show_faces {
    uint8_t count;
    struct show_face list[FACES_MOST];
};

/* How an utterance was read. */
struct show_span {
    double start, end; /* seconds */
    enum task task;
    enum fallback fallback;
    int audio_rate, video_rate; /* 0: not used */
    int face;                   /* number of the one whose lips are read; 0: nobody's */
};

struct show_layout; /* opaque */

int show_layout_open(struct show_layout **l, int width, int height, struct error *err);
void show_layout_close(struct show_layout *l); /* NULL is fine */

void show_faces_pack(struct show_faces *out, const struct faces_picture *faces);

/* How much of the mouths that are read (of all, where nobody's is) the text would hide, in pixels:
   with the cue at the bottom, and at the top. span NULL: nothing is said. */
int show_layout_hides(struct show_layout *l, double hidden[2], const struct words *cue,
                      const struct show_span *span, const struct show_faces *faces,
                      struct error *err);

/* rgb [height, stride]. cue NULL: no words are seen. */
int show_layout_draw(struct show_layout *l, uint8_t *rgb, int stride, double now,
                     const struct words *cue, const struct show_span *span, bool at_top,
                     const struct show_faces *faces, struct error *err);

#endif
