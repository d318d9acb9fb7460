#include "eval/plot.h"
#include "text/normalize.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FAMILY                                                                                     \
    "font-family=\"Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif\""

/* Its bytes; one byte that is none is U+FFFD. */
static size_t next_character(int32_t *code, const char *text, size_t length)
{
    size_t bytes = normalize_character(code, text, length);
    if (!bytes)
        *code = 0xfffd;
    return bytes ? bytes : 1;
}

void plot_escape(struct strbuf *out, const char *text)
{
    size_t length = strlen(text);
    while (length) {
        int32_t code;
        size_t bytes = next_character(&code, text, length);
        bool fits = code != 0xfffd && (code >= 0x20 || code == '\t' || code == '\n') &&
                    code != 0x7f && code != 0xfffe && code != 0xffff;
        if (!fits)
            strbuf_adds(out, "\xef\xbf\xbd");
        else if (code == '&')
            strbuf_adds(out, "&amp;");
        else if (code == '<')
            strbuf_adds(out, "&lt;");
        else if (code == '>')
            strbuf_adds(out, "&gt;");
        else if (code == '"')
            strbuf_adds(out, "&quot;");
        else if (code == '\'')
            strbuf_adds(out, "&#39;");
        else
            strbuf_add(out, text, bytes);
        text += bytes;
        length -= bytes;
    }
}

void plot_begin(struct plot *p, double width, double height, const char *title, const char *about)
{
    *p = (struct plot){.width = width, .height = height};
    strbuf_init(&p->svg, PLOT_LIMIT);
    strbuf_addf(&p->svg,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"%.0f\" "
                "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" " FAMILY ">\n<title>",
                width, height, width, height);
    plot_escape(&p->svg, title);
    strbuf_adds(&p->svg, "</title>\n<desc>");
    plot_escape(&p->svg, about);
    strbuf_adds(&p->svg, "</desc>\n");
    plot_rect(p, 0, 0, width, height, "#ffffff", PLOT_NONE);
}

void plot_end(struct plot *p)
{
    strbuf_adds(&p->svg, "</svg>\n");
}

void plot_release(struct plot *p)
{
    strbuf_release(&p->svg);
}

void plot_text(struct plot *p, double x, double y, const struct plot_font *font, const char *text)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    strbuf_addf(&p->svg, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"%g\" fill=\"%s\"", x, y,
                font->size, font->colour ? font->colour : PLOT_INK);
    if (font->anchor != PLOT_START)
        strbuf_addf(&p->svg, " text-anchor=\"%s\"", anchors[font->anchor]);
    if (font->bold)
        strbuf_adds(&p->svg, " font-weight=\"bold\"");
    if (font->halo)
        strbuf_adds(&p->svg, " stroke=\"#ffffff\" stroke-width=\"2.5\" stroke-linejoin=\"round\" "
                             "paint-order=\"stroke\"");
    if (font->turn != 0)
        strbuf_addf(&p->svg, " transform=\"rotate(%g %.2f %.2f)\"", font->turn, x, y);
    strbuf_adds(&p->svg, ">");
    plot_escape(&p->svg, text);
    strbuf_adds(&p->svg, "</text>\n");
}

/* DejaVu Sans, ' ' .. '~', thousandths of the size. */
static const int16_t advances[95] = {
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 999, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838};

static double advance(int32_t code)
{
    if (code >= ' ' && code <= '~')
        return advances[code - ' '] / 1000.0;
    if (code >= 0x2000 && code < 0x2e80)
        return 1;                      /* punctuation and symbols */
    return code < 0x1100 ? 0.8 : 1.05; /* wide scripts and ideographs */
}

double plot_text_width(const char *text, double size)
{
    double width = 0;
    for (size_t length = strlen(text); length;) {
        int32_t code;
        size_t bytes = next_character(&code, text, length);
        width += advance(code);
        text += bytes;
        length -= bytes;
    }
    return width * size;
}

void plot_text_fit(struct plot *p, double x, double y, const struct plot_font *font,
                   const char *text, double width)
{
    if (plot_text_width(text, font->size) <= width) {
        plot_text(p, x, y, font, text);
        return;
    }
    char cut[256];
    double used = font->size; /* of the "…" */
    size_t kept = 0;
    for (size_t length = strlen(text); length && kept < sizeof cut - 8;) {
        int32_t code;
        size_t bytes = next_character(&code, text + kept, length);
        used += advance(code) * font->size;
        if (used > width)
            break;
        memcpy(cut + kept, text + kept, bytes);
        kept += bytes;
        length -= bytes;
    }
    memcpy(cut + kept, "\xe2\x80\xa6", 4);
    plot_text(p, x, y, font, cut);
}

static void stroke(struct plot *p, const char *colour, double width, const char *dash)
{
    strbuf_addf(&p->svg, " stroke=\"%s\" stroke-width=\"%g\"", colour, width);
    if (dash)
        strbuf_addf(&p->svg, " stroke-dasharray=\"%s\"", dash);
    strbuf_adds(&p->svg, "/>\n");
}

void plot_line(struct plot *p, double x1, double y1, double x2, double y2, const char *colour,
               double width, const char *dash)
{
    strbuf_addf(&p->svg, "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"", x1, y1, x2, y2);
    stroke(p, colour, width, dash);
}

void plot_rect(struct plot *p, double x, double y, double width, double height, const char *fill,
               const char *stroke_colour)
{
    strbuf_addf(&p->svg,
                "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\" "
                "stroke=\"%s\"/>\n",
                x, y, width, height, fill, stroke_colour);
}

void plot_path_begin(struct plot *p)
{
    strbuf_adds(&p->svg, "<path fill=\"none\" stroke-linejoin=\"round\" d=\"");
}

void plot_path_to(struct plot *p, double x, double y, bool jump)
{
    strbuf_addf(&p->svg, "%c%.2f %.2f", jump ? 'M' : 'L', x, y);
}

void plot_path_end(struct plot *p, const char *colour, double width, const char *dash)
{
    strbuf_adds(&p->svg, "\"");
    stroke(p, colour, width, dash);
}

enum { COLOURS = 7, MARKERS = 8 };

/* Without Okabe and Ito's yellow, which is too light for lines on white. */
static const char *const colours[COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#a8568a",
                                             "#000000", "#e69f00", "#56b4e9"};
static const char *const dashes[MARKERS] = {NULL,   "7 3",     "2 2.5", "9 3 2 3",
                                            "14 3", "4 2 1 2", "5 5",   "10 3 2 3 2 3"};

const char *plot_colour(int number)
{
    return colours[number % COLOURS];
}

const char *plot_dash(int number)
{
    return dashes[number % MARKERS];
}

/* Corners on the unit circle's square, "M x y L ... Z"; NULL for the circle. */
static const char *const shapes[MARKERS] = {
    NULL,
    "M-.88-.88H.88V.88H-.88Z",
    "M0-1.2L1.1.8H-1.1Z",
    "M0-1.25L1.1 0L0 1.25L-1.1 0Z",
    "M0 1.2L1.1-.8H-1.1Z",
    "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
    "M0-1.2L1.15-.37L.71.97H-.71L-1.15-.37Z",
    "M-1-.4L-.4-1L0-.6L.4-1L1-.4L.6 0L1 .4L.4 1L0 .6L-.4 1L-1 .4L-.6 0Z",
};

/* Every other one is hollow: in grey that is seen before the shape is. */
void plot_marker(struct plot *p, int number, double x, double y, double size)
{
    const char *colour = plot_colour(number), *shape = shapes[number % MARKERS];
    const char *fill = number % 2 ? "#ffffff" : colour;
    double radius = size / 2;
    if (shape)
        strbuf_addf(&p->svg,
                    "<path d=\"%s\" transform=\"translate(%.2f %.2f) scale(%g)\" fill=\"%s\" "
                    "stroke=\"%s\" stroke-width=\"%g\"/>\n",
                    shape, x, y, radius, fill, colour, 1.3 / radius);
    else
        strbuf_addf(&p->svg,
                    "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%g\" fill=\"%s\" stroke=\"%s\" "
                    "stroke-width=\"1.3\"/>\n",
                    x, y, radius, fill, colour);
}

/* sRGB; CIE lightness 98, 88, 76, 62, 48, 34, 20. */
static const unsigned char ramp[][3] = {{248, 250, 247}, {205, 227, 225}, {152, 198, 207},
                                        {90, 160, 187},  {50, 121, 163},  {34, 83, 130},
                                        {24, 47, 86}};

void plot_ramp(char colour[8], double share)
{
    const int steps = (int)(sizeof ramp / sizeof ramp[0]) - 1;
    double at = share > 0 ? (share < 1 ? share : 1) * steps : 0; /* what is no number: 0 */
    int step = at < steps ? (int)at : steps - 1;
    double part = at - step;
    int rgb[3];
    for (int i = 0; i < 3; i++)
        rgb[i] = (int)lround(ramp[step][i] + part * (ramp[step + 1][i] - ramp[step][i]));
    snprintf(colour, 8, "#%02x%02x%02x", rgb[0] & 255, rgb[1] & 255, rgb[2] & 255);
}

const char *plot_ramp_ink(double share)
{
    return share > 0.62 ? "#ffffff" : PLOT_INK;
}
