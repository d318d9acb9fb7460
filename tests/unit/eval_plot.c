/* Figures: round ticks, escaping, colours that survive a grey print, labels that stay apart. */
#include "base/memory.h"
#include "eval/plot_heat.h"
#include "eval/plot_panel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_round(double step)
{
    double unit = pow(10, floor(log10(step) + 1e-9)), first = step / unit;
    return fabs(first - 1) < 1e-6 || fabs(first - 2) < 1e-6 || fabs(first - 2.5) < 1e-6 ||
           fabs(first - 5) < 1e-6;
}

/* 1000 ranges of all sizes: covered, few round steps, labels that say the tick's value. */
static void test_linear_ticks(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct plot_axis a;
        double low = (i % 7 - 3) * pow(10, i % 11 - 5) * 1.37, high = low + pow(1.033, i - 300);
        plot_axis_linear(&a, NULL, low, high, 3 + i % 6);
        const double slack = 1e-6 * (high - low);
        assert_true(a.low <= low + slack && a.high >= high - slack);
        assert_true(a.tick_count >= 2 && a.tick_count <= 3 + i % 6 + 1);
        double step = a.ticks[1].at - a.ticks[0].at;
        if (step > 1e-7 * fabs(low)) /* else the difference is rounding */
            assert_true(is_round(step));
        for (int k = 0; k < a.tick_count && step > 1e-6 && fabs(a.high) < 1e6; k++) {
            const char *label = a.ticks[k].label;
            double sign = label[0] == '\xe2' ? -1 : 1; /* the true minus */
            double value = sign * atof(label + (sign < 0 ? 3 : 0));
            assert_true(fabs(value - a.ticks[k].at) < 1e-6 * (step + fabs(value)));
        }
    }
}

static void test_what_is_no_range(void **state)
{
    (void)state;
    const double odd[][2] = {{0, 0}, {5, 5}, {-3, -3}, {NAN, NAN}, {INFINITY, 1}, {2, -2}};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct plot_axis a, b;
        plot_axis_linear(&a, NULL, odd[i][0], odd[i][1], 5);
        plot_axis_log(&b, NULL, odd[i][0], odd[i][1]);
        assert_true(a.high > a.low && isfinite(a.high - a.low) && a.tick_count >= 2);
        assert_true(b.high > b.low && b.low > 0 && isfinite(b.high));
    }
}

static void test_log_ticks(void **state)
{
    (void)state;
    const double ranges[][2] = {{0.1, 0.12}, {0.12, 0.23}, {0.03, 4}, {1, 30000}, {7, 7}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct plot_axis a;
        plot_axis_log(&a, NULL, ranges[i][0], ranges[i][1]);
        assert_true(a.low < ranges[i][0] && a.high > ranges[i][1]);
        assert_true(a.tick_count >= 3 && a.tick_count <= 12);
        for (int k = 0; k < a.tick_count; k++) {
            assert_true(a.ticks[k].at >= a.low && a.ticks[k].at <= a.high);
            assert_true(fabs(atof(a.ticks[k].label) / a.ticks[k].at - 1) < 1e-6);
        }
    }
}

static void test_escape(void **state)
{
    (void)state;
    struct strbuf out;
    strbuf_init(&out, 1 << 16);
    plot_escape(&out, "<a href=\"x\">&'\x01\xff\xc3\xbc\xed\xa0\x80\xef\xbf\xbe|");
    assert_string_equal(out.data, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\xef\xbf\xbd\xef\xbf\xbd"
                                  "\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|");
    strbuf_release(&out);
}

static void test_text_fits(void **state)
{
    (void)state;
    const char *texts[] = {
        "a long name of a model that fits nowhere",
        "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5",
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    const struct plot_font font = {.size = 12};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct plot p;
        plot_begin(&p, 100, 100, "", "");
        strbuf_clear(&p.svg);
        plot_text_fit(&p, 0, 0, &font, texts[i], 60);
        char *shown = strchr(p.svg.data, '>') + 1;
        *strchr(shown, '<') = 0;
        assert_true(plot_text_width(texts[i], 12) > 60);
        assert_true(plot_text_width(shown, 12) <= 60 && strlen(shown) > 3);
        assert_string_equal(shown + strlen(shown) - 3, "\xe2\x80\xa6");
        plot_release(&p);
    }
}

static double luminance(const char *colour)
{
    double sum = 0;
    const double weights[3] = {0.2126, 0.7152, 0.0722};
    for (int i = 0; i < 3; i++) {
        char byte[3] = {colour[1 + 2 * i], colour[2 + 2 * i], 0};
        double v = (double)strtol(byte, NULL, 16) / 255;
        sum += weights[i] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    return sum;
}

/* Lightness falls by the same step everywhere, so grey prints rank values as colours do; numbers
   on cells have a contrast of at least 3.7 (4.5 but near the change of ink). */
static void test_ramp_in_grey(void **state)
{
    (void)state;
    double before = 200;
    for (int i = 0; i <= 20; i++) {
        char colour[8];
        plot_ramp(colour, i / 20.0);
        double y = luminance(colour), lightness = 116 * cbrt(y) - 16;
        assert_true(lightness < before - 2 && (!i || lightness > before - 6));
        before = lightness;
        double ink = luminance(plot_ramp_ink(i / 20.0));
        assert_true((fmax(ink, y) + 0.05) / (fmin(ink, y) + 0.05) > 3.7);
    }
    char low[8], none[8];
    plot_ramp(low, -3);
    plot_ramp(none, NAN);
    assert_string_equal(low, none);
}

static void marker_of(char *out, size_t size, int number)
{
    struct plot p;
    plot_begin(&p, 10, 10, "", "");
    strbuf_clear(&p.svg);
    plot_marker(&p, number, 0, 0, 7);
    snprintf(out, size, "%s", p.svg.data);
    char *fill = strstr(out, " fill=");
    if (fill)
        *fill = 0;
    plot_release(&p);
}

/* Without colours: markers and dashes of eight series differ; with them, of 56. */
static void test_series_differ(void **state)
{
    (void)state;
    for (int a = 0; a < 56; a++)
        for (int b = 0; b < a; b++) {
            char first[512], second[512];
            marker_of(first, sizeof first, a);
            marker_of(second, sizeof second, b);
            bool shape = strcmp(first, second) != 0;
            const char *x = plot_dash(a), *y = plot_dash(b);
            bool dash = (!x != !y) || (x && strcmp(x, y) != 0);
            if (a < 8)
                assert_true(shape && dash);
            assert_true((shape && dash) || strcmp(plot_colour(a), plot_colour(b)));
        }
}

static struct plot_panel made_panel(void)
{
    struct plot_panel panel = {.x = 60, .y = 20, .width = 300, .height = 200};
    plot_axis_linear(&panel.up, "up (%)", 0, 10, 5);
    plot_axis_log(&panel.across, "across", 0.1, 10);
    return panel;
}

/* Twelve points in three heaps: no label stands on another one (by half a pixel). */
static void test_labels_stay_apart(void **state)
{
    (void)state;
    struct plot_panel panel = made_panel();
    struct plot_point points[12];
    struct plot p;
    for (int i = 0; i < 12; i++) {
        points[i] = (struct plot_point){
            .x = 0.3 * (1 + i / 4), .y = 5 + 0.1 * (i % 4), .low = NAN, .high = NAN};
        snprintf(points[i].label, sizeof points[i].label, "(16,%d)", i);
    }
    const struct plot_series series = {.points = points, .count = 12};
    plot_begin(&p, 400, 300, "", "");
    plot_panel_labels(&p, &panel, &series, 1);
    double x[12], y[12], width[12], size = PLOT_SMALL_PX - 1;
    int count = 0;
    for (const char *at = p.svg.data; (at = strstr(at, "<text x=")); at++, count++) {
        assert_int_equal(sscanf(at, "<text x=\"%lf\" y=\"%lf\"", &x[count], &y[count]), 2);
        width[count] = plot_text_width(points[count].label, size);
        for (int i = 0; i < count; i++)
            assert_true(x[i] + width[i] <= x[count] + 0.5 ||
                        x[count] + width[count] <= x[i] + 0.5 ||
                        fabs(y[i] - y[count]) >= size - 0.5);
    }
    assert_int_equal(count, 12);
    plot_release(&p);
}

/* What is missing or not a number never gets into the file. */
static void test_missing_points(void **state)
{
    (void)state;
    struct plot_panel panel = made_panel();
    const struct plot_point points[] = {{1, 2, NAN, NAN, "a"},   {2, NAN, NAN, NAN, "b"},
                                        {3, 4, 3, INFINITY, ""}, {-1, 5, 4, 6, "c"},
                                        {4, INFINITY, 1, 2, ""}, {5, 6, 5, 7, ""}};
    const struct plot_series series = {.name = "n", .points = points, .count = 6};
    struct plot p;
    plot_begin(&p, 400, 300, "", "");
    plot_panel_frame(&p, &panel);
    plot_panel_series(&p, &panel, &series);
    plot_panel_labels(&p, &panel, &series, 1);
    plot_end(&p);
    assert_null(strstr(p.svg.data, "nan"));
    assert_null(strstr(p.svg.data, "inf"));
    int markers = 0;
    for (const char *at = p.svg.data; (at = strstr(at, "<circle")); at++)
        markers++;
    assert_int_equal(markers, 3);
    plot_release(&p);
}

/* Every finite cell is covered once, in the level its value has. */
static void test_heat_cells(void **state)
{
    (void)state;
    enum { N = 17 };
    double values[N * N];
    int covered = 0;
    for (int i = 0; i < N * N; i++)
        values[i] = i % 13 == 5 ? NAN : (i * 7919 % 101) / 100.0;
    const struct plot_heat heat = {
        .cell = 5, .rows = N, .columns = N, .values = values, .low = 0, .high = 1};
    struct plot p;
    plot_begin(&p, 100, 100, "", "");
    plot_heat_cells(&p, &heat);
    int level = -1;
    for (const char *at = p.svg.data; *at; at++) {
        int column, row, run, used = 0;
        if (!strncmp(at, "<path", 5))
            level++;
        if (*at != 'M' || sscanf(at, "M%d %dh%dv1%n", &column, &row, &run, &used) != 3 || !used)
            continue;
        for (int i = 0; i < run; i++, covered++)
            assert_true(fabs(values[row * N + column + i] * 63 - level) <= 0.5 + 1e-9);
    }
    int finite_cells = 0;
    for (int i = 0; i < N * N; i++)
        finite_cells += isfinite(values[i]) != 0;
    assert_int_equal(covered, finite_cells);
    plot_heat_numbers(&p, &heat, 2);
    plot_heat_scale(&p, &heat, 0, 0, 100, "label");
    assert_null(strstr(p.svg.data, "nan"));
    plot_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_ticks),   cmocka_unit_test(test_what_is_no_range),
        cmocka_unit_test(test_log_ticks),      cmocka_unit_test(test_escape),
        cmocka_unit_test(test_text_fits),      cmocka_unit_test(test_ramp_in_grey),
        cmocka_unit_test(test_series_differ),  cmocka_unit_test(test_labels_stay_apart),
        cmocka_unit_test(test_missing_points), cmocka_unit_test(test_heat_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
