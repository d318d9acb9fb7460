#include "eval/report_figures.h"
#include "eval/plot_panel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WER_LABEL "word error rate (%)"

/* All series of a panel: a model each, those without a point left out. */
struct lines {
    struct plot_point *points; /* [models, columns] */
    struct plot_series series[REPORT_MAX_MODELS];
    int count;
    double least, most; /* of x */
    double top;         /* of y and its bars */
    double unit;        /* of the cost, in TFLOPs */
};

static int lines_init(struct lines *l, const struct report_data *d, int columns)
{
    *l = (struct lines){.least = INFINITY, .most = -INFINITY};
    l->points = memory_new((size_t)d->model_count * (size_t)columns, sizeof *l->points);
    return l->points ? 0 : -1;
}

static void lines_release(struct lines *l)
{
    memory_free(l->points);
}

static struct plot_point missing(double x)
{
    return (struct plot_point){.x = x, .y = NAN, .low = NAN, .high = NAN};
}

static struct plot_point point_of(struct lines *l, double x, const struct report_cell *cell)
{
    const double bar = isfinite(cell->high) ? cell->high : cell->wer;
    l->top = fmax(l->top, 100 * fmax(bar, cell->wer));
    l->least = fmin(l->least, x);
    l->most = fmax(l->most, x);
    return (struct plot_point){
        .x = x, .y = 100 * cell->wer, .low = 100 * cell->low, .high = 100 * cell->high};
}

static void lines_add(struct lines *l, const struct report_data *d, int model,
                      const struct plot_point *points, int count)
{
    bool any = false;
    for (int i = 0; i < count; i++)
        any = any || isfinite(points[i].y);
    if (any)
        l->series[l->count++] = (struct plot_series){
            .name = d->models[model].name, .number = model, .points = points, .count = count};
}

static void draw_lines(struct plot *p, const struct plot_panel *panel, const struct lines *l)
{
    plot_panel_frame(p, panel);
    for (int i = 0; i < l->count; i++)
        plot_panel_series(p, panel, &l->series[i]);
}

static double legend(struct plot *p, const struct report_data *d, double x, double y, double width)
{
    struct plot_series series[REPORT_MAX_MODELS];
    for (int i = 0; i < d->model_count; i++)
        series[i] = (struct plot_series){.name = d->models[i].name, .number = i};
    return plot_legend(p, x, y, width, series, d->model_count);
}

/* Rates of one task: from..from + count; those of a task stand together. */
struct group {
    int from, count;
};

static int groups_of(struct group groups[TASK_COUNT], const struct report_data *d)
{
    int count = 0;
    for (int i = 0; i < d->rate_count; i++) {
        if (!i || d->rates[i].task != d->rates[i - 1].task)
            groups[count++] = (struct group){i, 0};
        groups[count - 1].count++;
    }
    return count;
}

static bool has_clean(const struct report_data *d)
{
    return d->snr_count && !isfinite(d->snrs[d->snr_count - 1]);
}

/* ---- against the rate ---- */

static int rate_lines(struct lines *l, const struct report_data *d, struct group group)
{
    if (lines_init(l, d, group.count))
        return -1;
    const double apart = fmin(0.08, 0.5 / d->model_count); /* so that bars stand side by side */
    for (int model = 0; model < d->model_count; model++) {
        struct plot_point *points = l->points + model * group.count;
        for (int i = 0; i < group.count; i++) {
            struct report_cell cell;
            double x = i + apart * (model - (d->model_count - 1) / 2.0);
            points[i] = missing(x);
            if (report_cell(&cell, d, model, &d->rates[group.from + i], INFINITY))
                points[i] = point_of(l, x, &cell);
        }
        lines_add(l, d, model, points, group.count);
    }
    return 0;
}

static void rate_panel(struct plot *p, const struct report_data *d, struct group group,
                       struct plot_panel *panel, bool first)
{
    const enum task task = d->rates[group.from].task;
    struct lines lines;
    if (rate_lines(&lines, d, group)) {
        p->svg.failed = true;
        return;
    }
    panel->title = report_task(task);
    plot_axis_linear(&panel->up, first ? WER_LABEL : NULL, 0, lines.top, 6);
    plot_axis_plain(&panel->across,
                    task == TASK_AVSR  ? "compression rates (sound, pictures)"
                    : task == TASK_ASR ? "compression rate (sound)"
                                       : "compression rate (pictures)",
                    -0.5, group.count - 0.5);
    for (int i = 0; i < group.count; i++) {
        char name[REPORT_NAME], below[PLOT_TICK_BYTES] = "";
        struct report_cell cell;
        report_rate_name(name, &d->rates[group.from + i]);
        for (int model = 0; model < d->model_count && !below[0]; model++)
            if (report_cell(&cell, d, model, &d->rates[group.from + i], INFINITY) &&
                cell.media_tokens > 0)
                snprintf(below, sizeof below, "%.0f tok.", cell.media_tokens);
        plot_axis_tick(&panel->across, i, name, below);
    }
    draw_lines(p, panel, &lines);
    lines_release(&lines);
}

bool report_figure_rates(struct plot *p, const struct report_data *d)
{
    enum { LEFT = 62, GAP = 44, HEIGHT = 270, BELOW = 66 };
    struct group groups[TASK_COUNT];
    const int count = groups_of(groups, d);
    double widths[TASK_COUNT], total = LEFT + 16;
    if (!count || !has_clean(d))
        return false;
    for (int i = 0; i < count; i++) {
        widths[i] = fmin(fmax(78 * groups[i].count, 170), 420);
        total += widths[i] + (i ? GAP : 0);
    }
    const double scale = fmin(1, (REPORT_WIDTH_PX - LEFT - 16) / (total - LEFT - 16));
    total = fmin(fmax(total, 360), REPORT_WIDTH_PX);
    const double top = legend(NULL, d, LEFT, 6, total - LEFT - 8) + 38;
    plot_begin(p, total, top + HEIGHT + BELOW, "Word error rate against compression rate",
               "One line a model, one panel a task; clean sound. The numbers are in the table.");
    legend(p, d, LEFT, 6, total - LEFT - 8);
    double x = LEFT;
    for (int i = 0; i < count; i++) {
        struct plot_panel panel = {.x = x, .y = top, .width = widths[i] * scale, .height = HEIGHT};
        rate_panel(p, d, groups[i], &panel, i == 0);
        x += (widths[i] + GAP) * scale;
    }
    plot_end(p);
    return true;
}

/* ---- against noise ---- */

static int finite_snrs(const struct report_data *d)
{
    return d->snr_count - has_clean(d);
}

/* Where clean sound stands on the axis of SNR. */
static double clean_at(const struct report_data *d)
{
    const double low = d->snrs[0], high = d->snrs[finite_snrs(d) - 1];
    return high + fmax(5, 0.22 * (high - low));
}

static double snr_at(const struct report_data *d, int i)
{
    return isfinite(d->snrs[i]) ? d->snrs[i] : clean_at(d);
}

static int noise_lines(struct lines *l, const struct report_data *d, const struct report_rate *rate)
{
    if (lines_init(l, d, d->snr_count))
        return -1;
    for (int model = 0; model < d->model_count; model++) {
        struct plot_point *points = l->points + model * d->snr_count;
        int count = 0; /* not every model has been at every level: what it has is joined */
        for (int i = 0; i < d->snr_count; i++) {
            struct report_cell cell;
            if (report_cell(&cell, d, model, rate, d->snrs[i]))
                points[count++] = point_of(l, snr_at(d, i), &cell);
        }
        lines_add(l, d, model, points, count);
    }
    return 0;
}

static void noise_axis(struct plot_axis *a, const char *label, const struct report_data *d)
{
    const double low = d->snrs[0], high = snr_at(d, d->snr_count - 1);
    const double margin = 0.04 * (high - low);
    plot_axis_plain(a, label, low - margin, high + margin);
    for (int i = 0; i < d->snr_count; i++) {
        char name[REPORT_NAME];
        report_snr_name(name, d->snrs[i]);
        name[isfinite(d->snrs[i]) ? strlen(name) - strlen("\xc2\xa0"
                                                          "dB")
                                  : strlen(name)] = 0;
        plot_axis_tick(a, snr_at(d, i), name, "");
    }
    a->broken = has_clean(d);
    a->broken_at = (d->snrs[finite_snrs(d) - 1] + clean_at(d)) / 2;
}

/* The rates that were heard with noise; returns how many, and the highest value of all. */
static int noisy_rates(int chosen[REPORT_MAX_RATES], double *top, const struct report_data *d)
{
    int count = 0;
    for (int i = 0; i < d->rate_count; i++) {
        struct report_cell cell;
        bool noisy = false;
        for (int model = 0; model < d->model_count; model++)
            for (int k = 0; k < d->snr_count; k++)
                if (report_cell(&cell, d, model, &d->rates[i], d->snrs[k])) {
                    noisy = noisy || isfinite(d->snrs[k]);
                    *top = fmax(*top, isfinite(cell.high) ? cell.high : cell.wer);
                }
        if (noisy)
            chosen[count++] = i;
    }
    return count;
}

bool report_figure_noise(struct plot *p, const struct report_data *d)
{
    enum { LEFT = 62, GAP = 22, HEIGHT = 190, ROW = HEIGHT + 84 };
    int rates[REPORT_MAX_RATES];
    double highest = 0;
    const int count = noisy_rates(rates, &highest, d);
    if (!count)
        return false;
    const int columns = count < 4 ? count : 4, rows = (count + columns - 1) / columns;
    const double width = count < 3 ? 300 : (REPORT_WIDTH_PX - LEFT - 12) / columns - GAP;
    const double total = LEFT + columns * (width + GAP);
    const double top = legend(NULL, d, LEFT, 6, total - LEFT - 8) + 38;
    plot_begin(p, total, top + rows * ROW - 26, "Word error rate against noise",
               "A panel a rate, one line a model; clean sound is at the right end.");
    legend(p, d, LEFT, 6, total - LEFT - 8);
    for (int i = 0; i < count; i++) {
        char title[REPORT_NAME];
        struct lines lines;
        struct plot_panel panel = {.x = LEFT + i % columns * (width + GAP),
                                   .y = top + (double)(i / columns) * ROW,
                                   .width = width,
                                   .height = HEIGHT,
                                   .title = title};
        report_rate_title(title, &d->rates[rates[i]]);
        plot_axis_linear(&panel.up, i % columns ? NULL : WER_LABEL, 0, 100 * highest, 6);
        panel.up.bare = i % columns != 0;
        noise_axis(&panel.across, "signal-to-noise ratio (dB)", d);
        if (noise_lines(&lines, d, &d->rates[rates[i]]))
            p->svg.failed = true;
        else
            draw_lines(p, &panel, &lines);
        lines_release(&lines);
    }
    plot_end(p);
    return true;
}

/* ---- against the cost ---- */

static int by_x(const void *left, const void *right)
{
    const struct plot_point *a = left, *b = right;
    return (a->x > b->x) - (a->x < b->x);
}

static double highest_cost(const struct report_data *d)
{
    struct report_cell cell;
    double highest = 0;
    for (int model = 0; model < d->model_count; model++)
        for (int i = 0; i < d->rate_count; i++)
            if (report_cell(&cell, d, model, &d->rates[i], INFINITY))
                highest = fmax(highest, cell.tflops);
    return highest;
}

static int cost_lines(struct lines *l, const struct report_data *d, struct group group)
{
    if (lines_init(l, d, group.count))
        return -1;
    l->unit = highest_cost(d) < 0.05 ? 1e-3 : 1;
    for (int model = 0; model < d->model_count; model++) {
        struct plot_point *points = l->points + model * group.count;
        int count = 0;
        for (int i = 0; i < group.count; i++) {
            const struct report_rate *rate = &d->rates[group.from + i];
            struct report_cell cell;
            char name[REPORT_NAME];
            if (!report_cell(&cell, d, model, rate, INFINITY) || !(cell.tflops > 0))
                continue;
            points[count] = point_of(l, cell.tflops / l->unit, &cell);
            report_rate_name(name, rate);
            snprintf(points[count].label, sizeof points[count].label, "%.20s", name);
            count++;
        }
        qsort(points, (size_t)count, sizeof *points, by_x);
        lines_add(l, d, model, points, count);
    }
    return 0;
}

/* Steps through the points that none beats at their cost or less. */
static void draw_frontier(struct plot *p, const struct plot_panel *panel, const struct lines *l)
{
    double x = -INFINITY, best = INFINITY;
    plot_path_begin(p);
    for (bool jump = true;;) {
        const struct plot_point *next = NULL;
        for (int i = 0; i < l->count; i++)
            for (int k = 0; k < l->series[i].count; k++) {
                const struct plot_point *at = &l->series[i].points[k];
                bool better = at->x >= x && at->y < best;
                if (better && (!next || at->x < next->x || (at->x == next->x && at->y < next->y)))
                    next = at;
            }
        if (!next)
            break;
        double y = jump ? panel->y : plot_panel_y(panel, best);
        plot_path_to(p, plot_panel_x(panel, next->x), y, jump);
        plot_path_to(p, plot_panel_x(panel, next->x), plot_panel_y(panel, next->y), false);
        x = next->x;
        best = next->y;
        jump = false;
    }
    plot_path_to(p, panel->x + panel->width, plot_panel_y(panel, fmin(best, panel->up.high)),
                 !isfinite(best));
    plot_path_end(p, "#b4b4b4", 3.5, NULL);
}

static void cost_panel(struct plot *p, const struct report_data *d, struct group group,
                       struct plot_panel *panel, bool first)
{
    struct lines lines;
    if (cost_lines(&lines, d, group)) {
        p->svg.failed = true;
        return;
    }
    panel->title = report_task(d->rates[group.from].task);
    plot_axis_linear(&panel->up, first ? WER_LABEL : NULL, 0, lines.top, 6);
    plot_axis_log(&panel->across,
                  lines.unit < 1 ? "computation (GFLOPs a clip)" : "computation (TFLOPs a clip)",
                  lines.least, lines.most);
    plot_panel_frame(p, panel);
    draw_frontier(p, panel, &lines);
    for (int i = 0; i < lines.count; i++)
        plot_panel_series(p, panel, &lines.series[i]);
    plot_panel_labels(p, panel, lines.series, lines.count);
    lines_release(&lines);
}

/* Drops the tasks whose files do not tell the cost. */
static int costed_groups(struct group groups[TASK_COUNT], const struct report_data *d)
{
    int count = 0;
    for (int i = 0, all = groups_of(groups, d); i < all; i++) {
        struct lines lines;
        bool any = !cost_lines(&lines, d, groups[i]) && lines.count;
        lines_release(&lines);
        if (any)
            groups[count++] = groups[i];
    }
    return count;
}

bool report_figure_cost(struct plot *p, const struct report_data *d)
{
    enum { LEFT = 62, GAP = 52, HEIGHT = 330, BELOW = 54, RIGHT = 34 };
    struct group groups[TASK_COUNT];
    const int count = costed_groups(groups, d);
    if (!count)
        return false;
    const double width = count == 1 ? 520 : (REPORT_WIDTH_PX - LEFT - RIGHT + GAP) / count - GAP;
    const double total = LEFT + count * (width + GAP) - GAP + RIGHT;
    const double top = legend(NULL, d, LEFT, 6, total - LEFT - 8) + 38;
    plot_begin(p, total, top + HEIGHT + BELOW, "Word error rate against computation",
               "One line a model, points labelled with their rates; clean sound. The broad line is "
               "the frontier.");
    legend(p, d, LEFT, 6, total - LEFT - 8);
    for (int i = 0; i < count; i++) {
        struct plot_panel panel = {
            .x = LEFT + i * (width + GAP), .y = top, .width = width, .height = HEIGHT};
        cost_panel(p, d, groups[i], &panel, i == 0);
    }
    plot_end(p);
    return true;
}
