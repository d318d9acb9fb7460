#include "eval/plot_heat.h"
#include "eval/plot_panel.h"

#include <math.h>
#include <stdio.h>

enum { LEVELS = 64 };

static double share_of(const struct plot_heat *heat, double value)
{
    double share = (value - heat->low) / (heat->high - heat->low);
    return share > 0 ? fmin(share, 1) : 0;
}

/* -1: no colour. */
static int level_of(const struct plot_heat *heat, int row, int column)
{
    double value = heat->values[(size_t)row * (size_t)heat->columns + (size_t)column];
    return isfinite(value) ? (int)lround(share_of(heat, value) * (LEVELS - 1)) : -1;
}

static void add_row(struct plot *p, const struct plot_heat *heat, int row, int level)
{
    for (int column = 0, run; column < heat->columns; column += run) {
        run = 1;
        if (level_of(heat, row, column) != level)
            continue;
        while (column + run < heat->columns && level_of(heat, row, column + run) == level)
            run++;
        strbuf_addf(&p->svg, "M%d %dh%dv1h-%dz", column, row, run, run);
    }
}

void plot_heat_cells(struct plot *p, const struct plot_heat *heat)
{
    char colour[8];
    strbuf_addf(&p->svg,
                "<g shape-rendering=\"crispEdges\" transform=\"translate(%.2f %.2f) scale(%g)\">\n",
                heat->x, heat->y, heat->cell);
    for (int level = 0; level < LEVELS; level++) {
        plot_ramp(colour, (double)level / (LEVELS - 1));
        strbuf_addf(&p->svg, "<path fill=\"%s\" d=\"", colour);
        for (int row = 0; row < heat->rows; row++)
            add_row(p, heat, row, level);
        strbuf_adds(&p->svg, "\"/>\n");
    }
    strbuf_adds(&p->svg, "</g>\n");
    plot_rect(p, heat->x, heat->y, heat->columns * heat->cell, heat->rows * heat->cell, PLOT_NONE,
              PLOT_INK);
}

void plot_heat_numbers(struct plot *p, const struct plot_heat *heat, int decimals)
{
    for (int row = 0; row < heat->rows; row++)
        for (int column = 0; column < heat->columns; column++) {
            double value = heat->values[row * heat->columns + column];
            const struct plot_font font = {.size = PLOT_SMALL_PX,
                                           .anchor = PLOT_MIDDLE,
                                           .colour = plot_ramp_ink(share_of(heat, value))};
            char text[32];
            snprintf(text, sizeof text, "%.*f", decimals, value);
            if (isfinite(value))
                plot_text(p, heat->x + (column + 0.5) * heat->cell,
                          heat->y + (row + 0.5) * heat->cell + 4, &font, text);
        }
}

void plot_heat_scale(struct plot *p, const struct plot_heat *heat, double x, double y,
                     double height, const char *label)
{
    enum { WIDTH = 13 };
    struct plot_axis axis;
    char colour[8];
    plot_axis_linear(&axis, NULL, heat->low, heat->high, 5);
    for (int i = 0; i < LEVELS; i++) {
        plot_ramp(colour, (i + 0.5) / LEVELS);
        strbuf_addf(&p->svg,
                    "<rect x=\"%.2f\" y=\"%.2f\" width=\"%d\" height=\"%.2f\" fill=\"%s\" "
                    "shape-rendering=\"crispEdges\"/>\n",
                    x, y + height * (LEVELS - 1 - i) / LEVELS, WIDTH, height / LEVELS + 0.5,
                    colour);
    }
    plot_rect(p, x, y, WIDTH, height, PLOT_NONE, PLOT_INK);
    const struct plot_font font = {.size = PLOT_SMALL_PX};
    for (int i = 0; i < axis.tick_count; i++) {
        double at = (axis.ticks[i].at - heat->low) / (heat->high - heat->low);
        if (at < -1e-6 || at > 1 + 1e-6)
            continue;
        plot_line(p, x + WIDTH, y + height * (1 - at), x + WIDTH + 4, y + height * (1 - at),
                  PLOT_INK, 1, NULL);
        plot_text(p, x + WIDTH + 7, y + height * (1 - at) + 4, &font, axis.ticks[i].label);
    }
    const struct plot_font title = {.size = PLOT_TEXT_PX, .anchor = PLOT_MIDDLE, .turn = 90};
    plot_text(p, x + WIDTH + 42, y + height / 2, &title, label);
}
