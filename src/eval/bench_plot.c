/* The figure of a benchmark: error rate against time. */
#include "base/memory.h"
#include "eval/bench.h"
#include "eval/plot_panel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEFT = 62, WIDTH = 560, HEIGHT = 320, CAP = 3 };

struct figure {
    struct plot_point *points;  /* [rows], series by series, by time */
    struct plot_series *series; /* [series_count] of them; at most one a row */
    char (*names)[32];          /* theirs */
    int series_count;
    double longest, top;
};

static int by_x(const void *left, const void *right)
{
    const struct plot_point *a = left, *b = right;
    return (a->x > b->x) - (a->x < b->x);
}

static struct plot_point point_of(const struct bench_row *row)
{
    struct plot_point p = {.x = 1e3 * row->total.mean,
                           .y = 100 * row->wer,
                           .low = 100 * row->wer_low,
                           .high = 100 * row->wer_high};
    snprintf(p.label, sizeof p.label, row->audio_rate && row->video_rate ? "(%d,%d)" : "%d",
             row->audio_rate ? row->audio_rate : row->video_rate, row->video_rate);
    return p;
}

/* One series: all rows of row i's task and beams. */
static void add_series(struct figure *f, const struct bench_row *rows, int count, int i, int from)
{
    struct plot_series *s = &f->series[f->series_count];
    char *name = f->names[f->series_count];
    struct plot_point *points = f->points + from;
    int n = 0;
    for (int k = i; k < count; k++) {
        if (rows[k].task != rows[i].task || rows[k].beam != rows[i].beam || isnan(rows[k].wer))
            continue;
        points[n++] = point_of(&rows[k]);
        f->longest = fmax(f->longest, 1e3 * (rows[k].total.mean + rows[k].total.deviation));
        f->top = fmax(f->top, 100 * rows[k].wer_high);
    }
    qsort(points, (size_t)n, sizeof *points, by_x);
    snprintf(name, sizeof f->names[0], "%s, beam %d", task_name(rows[i].task), rows[i].beam);
    *s =
        (struct plot_series){.name = name, .number = f->series_count, .points = points, .count = n};
    f->series_count++;
}

static void group(struct figure *f, const struct bench_row *rows, int count)
{
    int from = 0;
    for (int i = 0; i < count; i++) {
        bool seen = isnan(rows[i].wer);
        for (int k = 0; k < i; k++)
            seen = seen || (!isnan(rows[k].wer) && rows[k].task == rows[i].task &&
                            rows[k].beam == rows[i].beam);
        if (seen)
            continue;
        add_series(f, rows, count, i, from);
        from += f->series[f->series_count - 1].count;
    }
}

/* One deviation of the time to either side. */
static void draw_deviations(struct plot *p, const struct plot_panel *panel,
                            const struct bench_row *rows, int count)
{
    for (int i = 0; i < count; i++) {
        const struct bench_number *n = &rows[i].total;
        if (isnan(rows[i].wer))
            continue;
        double left = plot_panel_x(panel, 1e3 * fmax(0, n->mean - n->deviation));
        double right = plot_panel_x(panel, 1e3 * (n->mean + n->deviation));
        double y = plot_panel_y(panel, 100 * rows[i].wer);
        plot_line(p, left, y, right, y, PLOT_QUIET, 1, NULL);
        plot_line(p, left, y - CAP, left, y + CAP, PLOT_QUIET, 1, NULL);
        plot_line(p, right, y - CAP, right, y + CAP, PLOT_QUIET, 1, NULL);
    }
}

static void draw(struct plot *p, const struct figure *f, const struct bench_row *rows, int count)
{
    const double legend = plot_legend(NULL, LEFT, 6, WIDTH, f->series, f->series_count);
    struct plot_panel panel = {.x = LEFT, .y = legend + 20, .width = WIDTH, .height = HEIGHT};
    plot_axis_linear(&panel.across, "time a clip, from decoded media to text (ms)", 0, f->longest,
                     8);
    plot_axis_linear(&panel.up, "word error rate (%)", 0, f->top, 6);
    plot_begin(
        p, LEFT + WIDTH + 20, panel.y + HEIGHT + 54, "Word error rate against time",
        "A line a task and number of beams, a point a rate. Bars: 95 % interval of the error "
        "rate, one deviation of the time.");
    plot_legend(p, LEFT, 6, WIDTH, f->series, f->series_count);
    plot_panel_frame(p, &panel);
    draw_deviations(p, &panel, rows, count);
    for (int i = 0; i < f->series_count; i++)
        plot_panel_series(p, &panel, &f->series[i]);
    plot_panel_labels(p, &panel, f->series, f->series_count);
    plot_end(p);
}

int bench_plot(struct strbuf *svg, const struct bench_row *rows, int count, struct error *err)
{
    struct figure f = {0};
    struct plot plot;
    int rc = 0;
    f.points = memory_new((size_t)count, sizeof *f.points);
    f.series = memory_new((size_t)count, sizeof *f.series);
    f.names = memory_new((size_t)count, sizeof *f.names);
    if (!f.points || !f.series || !f.names)
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    if (!rc)
        group(&f, rows, count);
    if (!rc && !f.series_count)
        rc = error_set(err, ERROR_USAGE,
                       "--plot draws error rates: name a --manifest, which says what was said");
    if (!rc) {
        draw(&plot, &f, rows, count);
        strbuf_add(svg, plot.svg.data, plot.svg.length);
        if (plot.svg.failed || svg->failed)
            rc = error_set(err, ERROR_MEMORY, "out of memory for the figure");
        plot_release(&plot);
    }
    memory_free(f.points);
    memory_free(f.series);
    memory_free(f.names);
    return rc;
}
