#include "eval/plot_panel.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TICK_PX 4.0
#define MARKER_PX 7.5

static double or_zero(double value)
{
    return isfinite(value) ? value : 0;
}

void plot_axis_plain(struct plot_axis *a, const char *label, double low, double high)
{
    low = or_zero(low);
    high = or_zero(high);
    *a = (struct plot_axis){.label = label, .low = low, .high = high > low ? high : low + 1};
}

void plot_axis_tick(struct plot_axis *a, double at, const char *label, const char *below)
{
    if (a->tick_count >= PLOT_MAX_TICKS)
        return;
    struct plot_tick *tick = &a->ticks[a->tick_count++];
    tick->at = at;
    snprintf(tick->label, sizeof tick->label, "%s", label);
    snprintf(tick->below, sizeof tick->below, "%s", below);
}

/* With a true minus sign. */
static void number_tick(struct plot_axis *a, double at, int decimals)
{
    char text[PLOT_TICK_BYTES];
    snprintf(text, sizeof text, "%s%.*f", at < 0 ? "\xe2\x88\x92" : "", decimals, fabs(at));
    plot_axis_tick(a, at, text, "");
}

static double round_step(double least)
{
    static const double steps[] = {1, 2, 2.5, 5, 10};
    double unit = pow(10, floor(log10(least)));
    int i = 0;
    while (i < 4 && steps[i] * unit < least * (1 - 1e-9))
        i++;
    return steps[i] * unit;
}

/* How many digits after the point say `step` exactly. */
static int step_decimals(double step)
{
    int decimals = 0;
    while (decimals < 9 && fabs(step - round(step)) > 1e-6 * step) {
        step *= 10;
        decimals++;
    }
    return decimals;
}

void plot_axis_linear(struct plot_axis *a, const char *label, double low, double high, int most)
{
    low = or_zero(low);
    high = or_zero(high);
    if (high - low <= 1e-9 * (fabs(low) + fabs(high)) + 1e-12)
        high = low + (fabs(low) > 0 ? fabs(low) / 10 : 1);
    double step = round_step((high - low) / most), first, last;
    for (;; step = round_step(step * 1.01)) {
        first = floor(low / step + 1e-9);
        last = ceil(high / step - 1e-9);
        if (last - first <= most)
            break;
    }
    plot_axis_plain(a, label, first * step, last * step);
    for (double i = first; i <= last && a->tick_count < PLOT_MAX_TICKS; i++)
        number_tick(a, i * step, step_decimals(step));
}

static void log_ticks(struct plot_axis *a, int from, double low, double high)
{
    static const int usual[] = {1, 2, 5};
    const int count = high / low < 300 ? 3 : 1;
    for (int e = from; e <= log10(high); e++)
        for (int i = 0; i < count; i++) {
            double at = usual[i] * pow(10, e);
            if (at >= low && at <= high)
                number_tick(a, at, e < 0 ? -e : 0);
        }
}

void plot_axis_log(struct plot_axis *a, const char *label, double low, double high)
{
    low = isfinite(low) && low > 1e-12 ? low : 1e-12;
    high = isfinite(high) && high > low ? fmin(high, 1e12) : low;
    const double margin = fmax(1.06, pow(high / low, 0.08));
    low /= margin;
    high *= margin;
    plot_axis_plain(a, label, low, high);
    a->high = high;
    a->log = true;
    const double step = round_step((high - low) / 6);
    if (high / low > 6)
        log_ticks(a, (int)floor(log10(low)), low, high);
    else /* too narrow for 1, 2, 5 */
        for (double i = ceil(low / step); i * step <= high; i++)
            number_tick(a, i * step, step_decimals(step));
}

static double along(const struct plot_axis *a, double value)
{
    if (a->log)
        return log(value / a->low) / log(a->high / a->low);
    return (value - a->low) / (a->high - a->low);
}

double plot_panel_x(const struct plot_panel *panel, double value)
{
    return panel->x + panel->width * along(&panel->across, value);
}

double plot_panel_y(const struct plot_panel *panel, double value)
{
    return panel->y + panel->height * (1 - along(&panel->up, value));
}

double plot_panel_margin(const struct plot_axis *up)
{
    double widest = 0;
    for (int i = 0; i < up->tick_count && !up->bare; i++)
        widest = fmax(widest, plot_text_width(up->ticks[i].label, PLOT_SMALL_PX));
    return TICK_PX + 4 + widest + (up->label ? PLOT_TEXT_PX + 8 : 0);
}

static void draw_up_axis(struct plot *p, const struct plot_panel *panel)
{
    const struct plot_axis *a = &panel->up;
    const struct plot_font font = {.size = PLOT_SMALL_PX, .anchor = PLOT_END};
    for (int i = 0; i < a->tick_count; i++) {
        double y = plot_panel_y(panel, a->ticks[i].at);
        if (a->ticks[i].at > a->low)
            plot_line(p, panel->x, y, panel->x + panel->width, y, PLOT_GRID, 1, NULL);
        plot_line(p, panel->x - TICK_PX, y, panel->x, y, PLOT_INK, 1, NULL);
        if (!a->bare)
            plot_text(p, panel->x - TICK_PX - 4, y + 4, &font, a->ticks[i].label);
    }
    plot_line(p, panel->x, panel->y, panel->x, panel->y + panel->height, PLOT_INK, 1, NULL);
    const struct plot_font title = {.size = PLOT_TEXT_PX, .anchor = PLOT_MIDDLE, .turn = -90};
    if (a->label)
        plot_text(p, panel->x - plot_panel_margin(a) + PLOT_TEXT_PX - 2,
                  panel->y + panel->height / 2, &title, a->label);
}

static void draw_break(struct plot *p, double x, double y)
{
    plot_line(p, x - 4, y, x + 4, y, "#ffffff", 3, NULL);
    for (int i = -1; i <= 1; i += 2)
        plot_line(p, x + 3 * i - 2.5, y + 5, x + 3 * i + 2.5, y - 5, PLOT_INK, 1, NULL);
}

/* Where the label of tick i (-1: the last one) begins (side -1) or ends (side 1). */
static double label_side(const struct plot_panel *panel, int i, int side)
{
    const struct plot_tick *tick = &panel->across.ticks[i < 0 ? panel->across.tick_count - 1 : i];
    double width = fmax(plot_text_width(tick->label, PLOT_SMALL_PX),
                        plot_text_width(tick->below, PLOT_SMALL_PX - 1));
    return plot_panel_x(panel, tick->at) + side * width / 2;
}

/* A label that would run into the one before it, or into the last, is left out. */
static void draw_across_axis(struct plot *p, const struct plot_panel *panel)
{
    const struct plot_axis *a = &panel->across;
    const double bottom = panel->y + panel->height;
    const struct plot_font font = {.size = PLOT_SMALL_PX, .anchor = PLOT_MIDDLE};
    const struct plot_font second = {
        .size = PLOT_SMALL_PX - 1, .anchor = PLOT_MIDDLE, .colour = PLOT_QUIET};
    double depth = bottom + TICK_PX + 12, free = -INFINITY;
    plot_line(p, panel->x, bottom, panel->x + panel->width, bottom, PLOT_INK, 1, NULL);
    for (int i = 0; i < a->tick_count; i++) {
        double x = plot_panel_x(panel, a->ticks[i].at);
        plot_line(p, x, bottom, x, bottom + TICK_PX, PLOT_INK, 1, NULL);
        bool last = i == a->tick_count - 1;
        if (a->bare || (!last && (label_side(panel, i, -1) < free ||
                                  label_side(panel, i, 1) > label_side(panel, -1, -1))))
            continue;
        free = label_side(panel, i, 1) + 4;
        plot_text(p, x, bottom + TICK_PX + 12, &font, a->ticks[i].label);
        if (!a->ticks[i].below[0])
            continue;
        plot_text(p, x, bottom + TICK_PX + 25, &second, a->ticks[i].below);
        depth = bottom + TICK_PX + 25;
    }
    if (a->broken)
        draw_break(p, plot_panel_x(panel, a->broken_at), bottom);
    const struct plot_font title = {.size = PLOT_TEXT_PX, .anchor = PLOT_MIDDLE};
    if (a->label)
        plot_text(p, panel->x + panel->width / 2, depth + 19, &title, a->label);
}

void plot_panel_frame(struct plot *p, const struct plot_panel *panel)
{
    const struct plot_font font = {.size = PLOT_TEXT_PX, .anchor = PLOT_MIDDLE, .bold = true};
    draw_up_axis(p, panel);
    draw_across_axis(p, panel);
    if (panel->title)
        plot_text_fit(p, panel->x + panel->width / 2, panel->y - 9, &font, panel->title,
                      panel->width + 20);
}

void plot_panel_level(struct plot *p, const struct plot_panel *panel, double up, const char *dash)
{
    double y = plot_panel_y(panel, up);
    if (up >= panel->up.low && up <= panel->up.high)
        plot_line(p, panel->x, y, panel->x + panel->width, y, PLOT_QUIET, 1, dash);
}

/* A point's place; false: it is missing. */
static bool place(double xy[2], const struct plot_panel *panel, const struct plot_point *point)
{
    xy[0] = plot_panel_x(panel, point->x);
    xy[1] = plot_panel_y(panel, point->y);
    return isfinite(xy[0]) && isfinite(xy[1]);
}

static bool over_break(const struct plot_axis *across, const struct plot_point *a,
                       const struct plot_point *b)
{
    return across->broken && (a->x < across->broken_at) != (b->x < across->broken_at);
}

/* In pieces between missing points; over a break a thin line. */
static void draw_lines(struct plot *p, const struct plot_panel *panel, const struct plot_series *s)
{
    const char *colour = plot_colour(s->number);
    const struct plot_axis *across = &panel->across;
    double to[2], from[2];
    bool jump = true;
    plot_path_begin(p);
    for (int i = 0; i < s->count; i++) {
        bool there = place(to, panel, &s->points[i]);
        if (there)
            plot_path_to(p, to[0], to[1],
                         jump || over_break(across, &s->points[i - 1], &s->points[i]));
        jump = !there;
    }
    plot_path_end(p, colour, 1.6, plot_dash(s->number));
    for (int i = 1; i < s->count; i++)
        if (over_break(across, &s->points[i - 1], &s->points[i]) &&
            place(from, panel, &s->points[i - 1]) && place(to, panel, &s->points[i]))
            plot_line(p, from[0], from[1], to[0], to[1], colour, 0.6, NULL);
}

static void draw_bar(struct plot *p, const struct plot_panel *panel, const struct plot_series *s,
                     const struct plot_point *point)
{
    const char *colour = plot_colour(s->number);
    if (!isfinite(point->low) || !isfinite(point->high))
        return;
    double x = plot_panel_x(panel, point->x);
    double low = plot_panel_y(panel, fmax(point->low, panel->up.low));
    double high = plot_panel_y(panel, fmin(point->high, panel->up.high));
    if (!isfinite(low) || !isfinite(high) || !isfinite(x) || low - high < 0.5)
        return;
    plot_line(p, x, low, x, high, colour, 1, NULL);
    plot_line(p, x - 3, low, x + 3, low, colour, 1, NULL);
    plot_line(p, x - 3, high, x + 3, high, colour, 1, NULL);
}

void plot_panel_series(struct plot *p, const struct plot_panel *panel, const struct plot_series *s)
{
    draw_lines(p, panel, s);
    for (int i = 0; i < s->count && !s->no_markers; i++)
        draw_bar(p, panel, s, &s->points[i]);
    double xy[2];
    for (int i = 0; i < s->count && !s->no_markers; i++)
        if (place(xy, panel, &s->points[i]))
            plot_marker(p, s->number, xy[0], xy[1], MARKER_PX);
}

/* weight: how bad it is to cover it */
struct box {
    double x1, y1, x2, y2, weight;
};

static double overlap(const struct box *a, const struct box *b)
{
    double width = fmin(a->x2, b->x2) - fmax(a->x1, b->x1);
    double height = fmin(a->y2, b->y2) - fmax(a->y1, b->y1);
    return width > 0 && height > 0 ? width * height : 0;
}

enum { MAX_BOXES = 4096 };

struct boxes {
    struct box box[MAX_BOXES];
    int count;
};

static void add_box(struct boxes *all, struct box box)
{
    if (all->count < MAX_BOXES)
        all->box[all->count++] = box;
}

/* How much of what is there already a label at `box` would cover. */
static double covers(const struct boxes *all, const struct plot_panel *panel, const struct box *box)
{
    double sum = 0;
    for (int i = 0; i < all->count; i++)
        sum += all->box[i].weight * overlap(&all->box[i], box);
    const struct box inside = {panel->x, panel->y - 4, panel->x + panel->width + 24,
                               panel->y + panel->height - 1, 1};
    double area = (box->x2 - box->x1) * (box->y2 - box->y1);
    return sum + 4 * (area - overlap(&inside, box));
}

/* A line as small boxes along it. */
static void add_line(struct boxes *all, const double from[2], const double to[2])
{
    const double length = hypot(to[0] - from[0], to[1] - from[1]), side = 1.5, apart = 6;
    for (double at = apart; at < length; at += apart) {
        double x = from[0] + (to[0] - from[0]) * at / length;
        double y = from[1] + (to[1] - from[1]) * at / length;
        add_box(all, (struct box){x - side, y - side, x + side, y + side, 0.5});
    }
}

/* Markers, bars as thin boxes, and the lines. */
static void add_points(struct boxes *all, const struct plot_panel *panel,
                       const struct plot_series *s)
{
    const double r = MARKER_PX / 2 + 1;
    double xy[2], before[2];
    for (int i = 0; i < s->count; i++) {
        if (!place(xy, panel, &s->points[i]))
            continue;
        if (i && place(before, panel, &s->points[i - 1]))
            add_line(all, before, xy);
        add_box(all, (struct box){xy[0] - r, xy[1] - r, xy[0] + r, xy[1] + r, 2});
        double low = plot_panel_y(panel, s->points[i].low);
        double high = plot_panel_y(panel, s->points[i].high);
        if (isfinite(low) && isfinite(high))
            add_box(all, (struct box){xy[0] - 1, high, xy[0] + 1, low, 0.5});
    }
}

static void draw_label(struct plot *p, struct boxes *all, const struct plot_panel *panel,
                       const double xy[2], const char *label)
{
    /* of the label's nearest edge or corner, in directions from right to lower left */
    static const double sides[8][2] = {{1, 0}, {1, -1},  {0, -1}, {1, 1},
                                       {0, 1}, {-1, -1}, {-1, 0}, {-1, 1}};
    const struct plot_font font = {.size = PLOT_SMALL_PX - 1, .halo = true};
    const double width = plot_text_width(label, font.size), height = font.size;
    struct box best = {0};
    double least = INFINITY;
    for (int i = 0; i < 48 && least > 0; i++) {
        double gap = (sides[i % 8][0] != 0 && sides[i % 8][1] != 0 ? 3.5 : 6) + 9 * (i / 8);
        double x = xy[0] + sides[i % 8][0] * gap + (sides[i % 8][0] - 1) / 2 * width;
        double y = xy[1] + sides[i % 8][1] * gap + (sides[i % 8][1] - 1) / 2 * height;
        struct box box = {x, y, x + width, y + height, 50};
        double cost = covers(all, panel, &box) + 30 * (i / 8);
        if (cost < least) {
            least = cost;
            best = box;
        }
    }
    plot_text(p, best.x1, best.y2 - 1.5, &font, label);
    add_box(all, best);
}

void plot_panel_labels(struct plot *p, const struct plot_panel *panel,
                       const struct plot_series *series, int count)
{
    struct boxes all = {.count = 0};
    double xy[2];
    for (int i = 0; i < count; i++)
        add_points(&all, panel, &series[i]);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < series[i].count; k++)
            if (series[i].points[k].label[0] && place(xy, panel, &series[i].points[k]))
                draw_label(p, &all, panel, xy, series[i].points[k].label);
}

double plot_legend(struct plot *p, double x, double y, double width,
                   const struct plot_series *series, int count)
{
    enum { ROW_PX = 18, SAMPLE_PX = 34, BETWEEN_PX = 18, WIDEST_PX = 320 };
    const struct plot_font font = {.size = PLOT_TEXT_PX};
    double at = 0, row = 0;
    for (int i = 0; i < count; i++) {
        double name = fmin(plot_text_width(series[i].name, font.size) + 2, WIDEST_PX);
        if (at > 0 && at + SAMPLE_PX + 6 + name > width) {
            at = 0;
            row++;
        }
        double left = x + at, middle = y + row * ROW_PX + ROW_PX / 2.0;
        at += SAMPLE_PX + 6 + name + BETWEEN_PX;
        if (!p)
            continue;
        plot_line(p, left, middle, left + SAMPLE_PX, middle, plot_colour(series[i].number), 1.6,
                  plot_dash(series[i].number));
        if (!series[i].no_markers)
            plot_marker(p, series[i].number, left + SAMPLE_PX / 2.0, middle, MARKER_PX);
        plot_text_fit(p, left + SAMPLE_PX + 6, middle + 4, &font, series[i].name, name);
    }
    return count ? (row + 1) * ROW_PX : 0;
}
