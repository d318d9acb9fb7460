/* Of one model: which experts its rates choose, and how alike its tokens are. */
#include "eval/plot_heat.h"
#include "eval/plot_panel.h"
#include "eval/report_figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct report_rate rate_of(const struct result_experts *e, int condition)
{
    const struct result_expert_condition *k = &e->conditions[condition];
    return (struct report_rate){k->task, k->audio_rate, k->video_rate};
}

/* Names without the task, where there is only one. */
static void condition_name(char name[REPORT_NAME], const struct result_experts *e, int condition)
{
    const struct report_rate rate = rate_of(e, condition);
    bool mixed = false;
    for (int i = 0; i < e->condition_count; i++)
        mixed = mixed || e->conditions[i].task != rate.task;
    if (mixed)
        report_rate_title(name, &rate);
    else
        report_rate_name(name, &rate);
}

static const double *shares(const struct result_experts *e, int condition, int layer)
{
    return e->share + ((size_t)condition * (size_t)e->layers + (size_t)layer) * (size_t)e->routed;
}

static double apart(const double *a, const double *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += fabs(a[i] - b[i]);
    return sum / 2;
}

double report_rates_apart(const struct result_experts *e, int layer)
{
    const int from = layer < 0 ? 0 : layer, to = layer < 0 ? e->layers : layer + 1;
    double sum = 0;
    int64_t pairs = 0;
    for (int l = from; l < to; l++)
        for (int a = 0; a < e->condition_count; a++)
            for (int b = 0; b < a; b++, pairs++)
                sum += apart(shares(e, a, l), shares(e, b, l), e->routed);
    return pairs ? sum / (double)pairs : 0;
}

double report_layers_apart(const struct result_experts *e)
{
    double sum = 0;
    int64_t pairs = 0;
    for (int k = 0; k < e->condition_count; k++)
        for (int a = 0; a < e->layers; a++)
            for (int b = 0; b < a; b++, pairs++)
                sum += apart(shares(e, k, a), shares(e, k, b), e->routed);
    return pairs ? sum / (double)pairs : 0;
}

/* ---- shares ---- */

static double highest_share(const struct result_experts *e)
{
    const size_t count = (size_t)e->condition_count * (size_t)e->layers * (size_t)e->routed;
    double highest = 0;
    for (size_t i = 0; i < count; i++)
        highest = fmax(highest, e->share[i]);
    return highest;
}

static void expert_axis(struct plot_axis *a, const char *label, int routed)
{
    const int step = routed <= 8 ? 1 : routed <= 30 ? 5 : routed <= 70 ? 10 : routed / 40 * 10 + 10;
    plot_axis_plain(a, label, 0.5, routed + 0.5);
    for (int i = 1; i <= routed; i = i == 1 && step > 1 ? step : i + step) {
        char name[PLOT_TICK_BYTES];
        snprintf(name, sizeof name, "%d", i);
        plot_axis_tick(a, i, name, "");
    }
}

static void share_curve(struct plot *p, const struct plot_panel *panel,
                        const struct result_experts *e, int condition, int layer)
{
    struct plot_point *points = memory_new((size_t)e->routed, sizeof *points);
    const double *share = shares(e, condition, layer);
    if (!points) {
        p->svg.failed = true;
        return;
    }
    for (int i = 0; i < e->routed; i++)
        points[i] = (struct plot_point){.x = i + 1, .y = 100 * share[i], .low = NAN, .high = NAN};
    const struct plot_series series = {
        .number = condition, .points = points, .count = e->routed, .no_markers = true};
    plot_panel_series(p, panel, &series);
    memory_free(points);
}

/* names: [condition_count], memory for the series' names. */
static void condition_series(struct plot_series *series, char (*names)[REPORT_NAME],
                             const struct result_experts *e)
{
    for (int i = 0; i < e->condition_count; i++) {
        condition_name(names[i], e, i);
        series[i] = (struct plot_series){.name = names[i], .number = i, .no_markers = true};
    }
}

struct share_layout {
    int columns, rows;
    double left, top, width, height, gap, row;
};

static struct share_layout lay_out_shares(int layers, double legend)
{
    const int rows = layers <= 5 ? 1 : layers <= 10 ? 2 : (layers + 5) / 6;
    struct share_layout l = {.rows = rows, .columns = (layers + rows - 1) / rows};
    l.left = 58;
    l.gap = 16;
    l.top = legend + 34;
    l.width = fmin(300, (REPORT_WIDTH_PX - l.left - 6) / l.columns - l.gap);
    l.height = l.columns > 4 ? 110 : 150;
    l.row = l.height + 54;
    return l;
}

bool report_figure_share(struct plot *p, const struct result_experts *e)
{
    struct plot_series series[REPORT_MAX_RATES];
    char names[REPORT_MAX_RATES][REPORT_NAME];
    if (!e || !e->share || e->condition_count < 1 || e->condition_count > REPORT_MAX_RATES)
        return false;
    condition_series(series, names, e);
    struct share_layout l = lay_out_shares(e->layers, 0);
    const double total = fmax(l.left + l.columns * (l.width + l.gap), 360);
    l = lay_out_shares(e->layers,
                       plot_legend(NULL, 0, 0, total - l.left, series, e->condition_count));
    plot_begin(p, total, l.top + l.rows * l.row - 4, "Share of token slots by expert",
               "A panel a layer, one curve a rate; the dashed level is an even share.");
    plot_legend(p, l.left, 4, total - l.left, series, e->condition_count);
    const double highest = 100 * highest_share(e);
    for (int layer = 0; layer < e->layers; layer++) {
        const int column = layer % l.columns, row = layer / l.columns;
        const bool lowest = layer + l.columns >= e->layers;
        char title[32];
        struct plot_panel panel = {.x = l.left + column * (l.width + l.gap),
                                   .y = l.top + row * l.row,
                                   .width = l.width,
                                   .height = l.height,
                                   .title = title};
        snprintf(title, sizeof title, "layer %d", layer + 1);
        plot_axis_linear(&panel.up, column ? NULL : "share (%)", 0, highest,
                         l.height > 120 ? 6 : 4);
        panel.up.bare = column != 0;
        expert_axis(&panel.across, lowest ? "expert" : NULL, e->routed);
        plot_panel_frame(p, &panel);
        plot_panel_level(p, &panel, 100.0 / e->routed, "3 3");
        for (int i = 0; i < e->condition_count; i++)
            share_curve(p, &panel, e, i, layer);
    }
    plot_end(p);
    return true;
}

/* ---- agreement ---- */

/* Names beside the rows and, level where they fit, above the columns. */
static void heat_names(struct plot *p, const struct plot_heat *heat, char (*names)[REPORT_NAME])
{
    const struct plot_font rows = {.size = PLOT_SMALL_PX, .anchor = PLOT_END};
    const struct plot_font level = {.size = PLOT_SMALL_PX, .anchor = PLOT_MIDDLE};
    const struct plot_font slanted = {.size = PLOT_SMALL_PX, .turn = -40};
    double widest = 0;
    for (int i = 0; i < heat->columns; i++)
        widest = fmax(widest, plot_text_width(names[i], PLOT_SMALL_PX));
    for (int i = 0; i < heat->rows; i++)
        plot_text(p, heat->x - 6, heat->y + (i + 0.5) * heat->cell + 4, &rows, names[i]);
    for (int i = 0; i < heat->columns; i++) {
        bool fits = widest < heat->cell - 4;
        plot_text(p, heat->x + (i + 0.5) * heat->cell, heat->y - (fits ? 7 : 5),
                  fits ? &level : &slanted, names[i]);
    }
}

static double widest_name(char (*names)[REPORT_NAME], int count)
{
    double widest = 0;
    for (int i = 0; i < count; i++)
        widest = fmax(widest, plot_text_width(names[i], PLOT_SMALL_PX));
    return widest;
}

/* Mean over the pairs of different conditions. */
static double mean_of_pairs(const double *matrix, int count)
{
    double sum = 0;
    for (int a = 0; a < count; a++)
        for (int b = 0; b < count; b++)
            sum += a == b ? 0 : matrix[a * count + b];
    return count > 1 ? sum / ((double)count * (count - 1)) : 1;
}

static void agreement_by_layer(struct plot *p, const struct result_experts *e, double x, double y,
                               double width, double height)
{
    const int count = e->condition_count;
    const struct plot_font note = {
        .size = PLOT_SMALL_PX, .anchor = PLOT_END, .colour = PLOT_QUIET, .halo = true};
    struct plot_panel panel = {.x = x, .y = y, .width = width, .height = height};
    struct plot_point *points = memory_new((size_t)e->layers, sizeof *points);
    if (!points) {
        p->svg.failed = true;
        return;
    }
    plot_axis_linear(&panel.up, "mean overlap of two rates", 0, 1, 5);
    expert_axis(&panel.across, "layer", e->layers);
    plot_panel_frame(p, &panel);
    const double chance = (double)e->active / e->routed;
    plot_panel_level(p, &panel, chance, "3 3");
    plot_text(p, x + width, plot_panel_y(&panel, chance) - 5, &note, "chance, K/Nr");
    for (int i = 0; i < e->layers; i++)
        points[i] = (struct plot_point){
            .x = i + 1,
            .y = mean_of_pairs(e->agreement_by_layer + (size_t)i * (size_t)(count * count), count),
            .low = NAN,
            .high = NAN};
    const struct plot_series series = {.points = points, .count = e->layers};
    plot_panel_series(p, &panel, &series);
    memory_free(points);
}

bool report_figure_agreement(struct plot *p, const struct result_experts *e)
{
    char names[REPORT_MAX_RATES][REPORT_NAME];
    if (!e || !e->agreement || e->condition_count < 2 || e->condition_count > REPORT_MAX_RATES)
        return false;
    const int count = e->condition_count;
    for (int i = 0; i < count; i++)
        condition_name(names[i], e, i);
    const double widest = widest_name(names, count), scale = 80;
    struct plot_heat heat = {.x = widest + 14,
                             .rows = count,
                             .columns = count,
                             .values = e->agreement,
                             .low = 0,
                             .high = 1};
    heat.cell = fmax(count <= 12 ? 30 : 8, fmin(52, 420.0 / count));
    heat.y = widest < heat.cell - 4 ? 26 : widest * 0.65 + 22;
    const double side = heat.cell * count, right = heat.x + side;
    const bool layers = e->agreement_by_layer && e->layers > 1;
    const double by_layer = layers ? fmin(460, 120 + 12.0 * e->layers) : 0;
    plot_begin(
        p, right + 24 + scale + (layers ? by_layer + 72 : 0), heat.y + fmax(side, 150) + 54,
        "Agreement of the routers between rates",
        "Overlap of the experts chosen for the same moment at two rates, 0 to 1; the mean of "
        "all layers, and of all pairs of different rates by layer.");
    plot_heat_cells(p, &heat);
    if (count <= 12)
        plot_heat_numbers(p, &heat, 2);
    heat_names(p, &heat, names);
    plot_heat_scale(p, &heat, right + 20, heat.y, fmax(side, 120), "overlap of experts");
    if (layers)
        agreement_by_layer(p, e, right + 20 + scale + 56, heat.y, by_layer, fmax(side, 150));
    plot_end(p);
    return true;
}

/* ---- similarity ---- */

enum { MOST_CELLS = 360, MAX_KINDS = 64 };

/* The matrix with each kind's tokens in groups of `fold`, and the means by kind. */
struct folded {
    int counts[MAX_KINDS], total;
    double *cells; /* [total, total] */
    double means[MAX_KINDS * MAX_KINDS];
};

static double mean_of_block(const struct result_similarity *s, int64_t row, int64_t rows,
                            int64_t column, int64_t columns)
{
    double sum = 0;
    for (int64_t i = row; i < row + rows; i++)
        for (int64_t k = column; k < column + columns; k++)
            sum += s->matrix[i * s->total + k];
    return rows && columns ? sum / (double)(rows * columns) : NAN;
}

/* Of what stands at cell `at`: the first token and how many. */
static int64_t tokens_at(int64_t *first, const struct result_similarity *s, const struct folded *f,
                         int64_t fold, int at)
{
    int kind = 0;
    int64_t before = 0;
    while (at >= f->counts[kind]) {
        at -= f->counts[kind];
        before += s->tokens[kind++].count;
    }
    *first = before + at * fold;
    const int64_t left = s->tokens[kind].count - at * fold;
    return left < fold ? left : fold;
}

static int fold_matrix(struct folded *f, const struct result_similarity *s)
{
    const int64_t fold = (s->total + MOST_CELLS - 1) / MOST_CELLS;
    f->total = 0;
    for (int i = 0; i < s->kinds; i++)
        f->total += f->counts[i] = (int)((s->tokens[i].count + fold - 1) / fold);
    f->cells = memory_new((size_t)f->total * (size_t)f->total, sizeof *f->cells);
    for (int i = 0; f->cells && i < f->total; i++)
        for (int k = 0; k < f->total; k++) {
            int64_t row, column;
            int64_t rows = tokens_at(&row, s, f, fold, i);
            int64_t columns = tokens_at(&column, s, f, fold, k);
            f->cells[i * f->total + k] = mean_of_block(s, row, rows, column, columns);
        }
    int64_t row = 0;
    for (int i = 0; i < s->kinds; row += s->tokens[i++].count) {
        int64_t column = 0;
        for (int k = 0; k < s->kinds; column += s->tokens[k++].count)
            f->means[i * s->kinds + k] =
                mean_of_block(s, row, s->tokens[i].count, column, s->tokens[k].count);
    }
    return f->cells ? 0 : -1;
}

/* Lines between the kinds, and their names, moved apart where kinds are narrow. */
static void draw_kinds(struct plot *p, const struct plot_heat *heat, const int *counts, int kinds,
                       char (*names)[REPORT_NAME])
{
    const struct plot_font rows = {.size = PLOT_SMALL_PX, .anchor = PLOT_END};
    const struct plot_font columns = {.size = PLOT_SMALL_PX, .turn = -40};
    const double side = heat->rows * heat->cell, apart = 14;
    double from = 0, last = -apart;
    for (int i = 0; i < kinds; i++) {
        const double height = counts[i] * heat->cell,
                     middle = fmax(from + height / 2, last + apart);
        if (i) {
            plot_line(p, heat->x, heat->y + from, heat->x + side, heat->y + from, "#ffffff", 1.5,
                      NULL);
            plot_line(p, heat->x + from, heat->y, heat->x + from, heat->y + side, "#ffffff", 1.5,
                      NULL);
            plot_line(p, heat->x - 10, heat->y + from, heat->x, heat->y + from, PLOT_INK, 1, NULL);
            plot_line(p, heat->x + from, heat->y - 10, heat->x + from, heat->y, PLOT_INK, 1, NULL);
        }
        plot_text(p, heat->x - 8, heat->y + middle + 4, &rows, names[i]);
        plot_text(p, heat->x + middle + 3, heat->y - 7, &columns, names[i]);
        from += height;
        last = middle;
    }
}

static double lowest_of(const double *values, size_t count)
{
    double low = 1;
    for (size_t i = 0; i < count; i++)
        low = isfinite(values[i]) ? fmin(low, values[i]) : low;
    return low;
}

static void draw_similarity(struct plot *p, const struct result_similarity *s,
                            const struct folded *f)
{
    enum { SIDE = 460, SCALE = 84, BETWEEN = 20 };
    char names[MAX_KINDS][REPORT_NAME];
    for (int i = 0; i < s->kinds; i++)
        snprintf(names[i], REPORT_NAME, "%s, rate %d", s->tokens[i].video ? "pictures" : "sound",
                 s->tokens[i].rate);
    const double widest = widest_name(names, s->kinds), left = widest + 16;
    struct plot_heat heat = {.x = left,
                             .y = widest * 0.65 + 24,
                             .cell = (double)SIDE / f->total,
                             .rows = f->total,
                             .columns = f->total,
                             .values = f->cells,
                             .high = 1};
    heat.low = floor(10 * lowest_of(f->cells, (size_t)f->total * (size_t)f->total)) / 10;
    heat.low = heat.low < heat.high ? heat.low : 0;
    struct plot_heat means = heat;
    means.values = f->means;
    means.rows = means.columns = s->kinds;
    means.cell = fmin(44, 320.0 / s->kinds);
    means.x = left + SIDE + SCALE + BETWEEN + left;
    const bool numbers = means.cell >= 30;
    plot_begin(p, means.x + means.cell * s->kinds + widest * 0.8 + 8, heat.y + SIDE + 16,
               "Similarity of tokens",
               "Cosines between all tokens of one clip, at all rates of sound and pictures, in the "
               "order of time within each; and their means by rate.");
    plot_heat_cells(p, &heat);
    draw_kinds(p, &heat, f->counts, s->kinds, names);
    plot_heat_scale(p, &heat, left + SIDE + 18, heat.y, SIDE, "cosine");
    plot_heat_cells(p, &means);
    if (numbers)
        plot_heat_numbers(p, &means, 2);
    heat_names(p, &means, names);
    plot_end(p);
}

bool report_figure_similarity(struct plot *p, const struct result_similarity *s)
{
    struct folded folded = {0};
    if (!s || !s->matrix || s->total < 1 || s->kinds < 1 || s->kinds > MAX_KINDS)
        return false;
    if (fold_matrix(&folded, s))
        p->svg.failed = true;
    else
        draw_similarity(p, s, &folded);
    memory_free(folded.cells);
    return true;
}
