/* Reports: what several files of a model add up to, which figures and tables a page gets, and that
   nothing from outside reaches it as markup. Files are made up. */
#include "base/file.h"
#include "base/memory.h"
#include "eval/report.h"
#include "eval/report_data.h"
#include "eval/report_figures.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ROW(rate, snr, seed, wer)                                                                  \
    "{\"task\": \"avsr\", \"audio_rate\": " rate ", \"video_rate\": 2, \"snr_db\": " snr           \
    ", \"seed\": " seed ", \"wer\": " wer ", \"wer_low\": 0.01, \"wer_high\": 0.9, "               \
    "\"tflops\": 0.2, \"media_tokens\": 50}"
#define FILE_OF(name, rows)                                                                        \
    "{\"format\": \"mome-evaluation-1\", \"model\": {\"name\": \"" name                            \
    "\", \"active_parameters\": 1000000}, \"results\": [" rows "]}"

static void parse(struct result *r, const char *text)
{
    struct error err = {0};
    int rc = result_parse(r, text, strlen(text), "made up", &err);
    if (rc)
        fail_msg("%s", err.message);
}

static struct report_cell cell_of(const struct report_data *d, int model, int rate, double snr)
{
    struct report_cell cell;
    assert_true(report_cell(&cell, d, model, &d->rates[rate], snr));
    return cell;
}

/* A file's noise seeds are averaged, then the files; the spread is that of files. */
static void test_cells(void **state)
{
    (void)state;
    struct result r[3];
    struct report_data d;
    struct error err = {0};
    struct report_cell cell;
    parse(&r[0],
          FILE_OF("a", ROW("16", "null", "1", "0.3") "," ROW("4", "null", "1", "0.1") "," ROW(
                           "4", "null", "2", "0.1") "," ROW("4", "-5", "1",
                                                            "0.4") "," ROW("4", "-5", "2", "0.6")));
    parse(&r[1], FILE_OF("b", ROW("4", "5", "1", "0.7")));
    parse(&r[2], FILE_OF("a", ROW("4", "null", "1", "0.2") "," ROW("4", "-5", "1", "0.8")));
    assert_int_equal(report_data_init(&d, r, 3, &err), 0);
    assert_int_equal(d.model_count, 2);
    assert_int_equal(d.models[0].files, 2);
    assert_int_equal(d.rate_count, 2);
    assert_int_equal(d.rates[0].audio_rate, 4);
    assert_int_equal(d.snr_count, 3);
    assert_true(d.snrs[0] == -5 && d.snrs[1] == 5 && !isfinite(d.snrs[2]));

    cell = cell_of(&d, 0, 0, INFINITY);
    assert_int_equal(cell.runs, 2);
    assert_true(fabs(cell.wer - 0.15) < 1e-12 && cell.low == 0.1 && cell.high == 0.2);
    cell = cell_of(&d, 0, 0, -5);
    assert_int_equal(cell.runs, 2);
    assert_true(fabs(cell.wer - 0.65) < 1e-12 && cell.low == 0.5 && cell.high == 0.8);
    cell = cell_of(&d, 1, 0, 5); /* a single run: the bootstrap's interval */
    assert_true(cell.wer == 0.7 && cell.low == 0.01 && cell.high == 0.9);
    assert_false(report_cell(&cell, &d, 1, &d.rates[0], -5));
    assert_false(report_cell(&cell, &d, 1, &d.rates[1], INFINITY));
    for (int i = 0; i < 3; i++)
        result_release(&r[i]);
}

static const char experts[] =
    ", \"experts\": {\"layers\": 2, \"routed\": 2, \"active\": 1, \"conditions\": ["
    "{\"task\": \"avsr\", \"audio_rate\": 4, \"video_rate\": 2}, "
    "{\"task\": \"avsr\", \"audio_rate\": 16, \"video_rate\": 2}], "
    "\"share\": [[[0.5, 0.5], [0.25, 0.75]], [[0.5, 0.5], [0.75, 0.25]]], "
    "\"agreement\": [[1, 0.75], [0.75, 1]], "
    "\"agreement_by_layer\": [[[1, 1], [1, 1]], [[1, 0.5], [0.5, 1]]]}";
static const char similarity[] = ", \"similarity\": {\"clip\": \"a<b.mp4\", \"tokens\": ["
                                 "{\"modality\": \"audio\", \"rate\": 4, \"count\": 2}, "
                                 "{\"modality\": \"video\", \"rate\": 2, \"count\": 1}], "
                                 "\"matrix\": [[1, 0.5, -0.25], [0.5, 1, 0.25], [-0.25, 0.25, 1]]}";
static const char clips[] =
    ", \"clips\": [{\"path\": \"<i>x</i>\", \"seconds\": 2, \"text\": \"one TWO three\", "
    "\"hypotheses\": [\"one two three\"]}, {\"path\": \"bad\", \"seconds\": 2, "
    "\"text\": \"set blue <b>now</b>\", \"hypotheses\": [\"set red white &\"]}, "
    "{\"path\": \"less bad\", \"seconds\": 2, \"text\": \"a b c d e\", "
    "\"hypotheses\": [\"a b c d\"]}]";

/* base is a file's text without its last brace. */
static char *with(const char *base, const char *const *more, int count)
{
    size_t size = strlen(base) + 2;
    for (int i = 0; i < count; i++)
        size += strlen(more[i]);
    char *text = memory_new(size, 1);
    assert_non_null(text);
    memcpy(text, base, strlen(base) - 1);
    for (int i = 0; i < count; i++)
        strcat(text, more[i]);
    return strcat(text, "}");
}

static void test_distances(void **state)
{
    (void)state;
    const char *more[] = {experts};
    char *text = with(FILE_OF("a", ROW("4", "null", "1", "0.1")), more, 1);
    struct result r;
    parse(&r, text);
    assert_true(fabs(report_rates_apart(r.experts, 0)) < 1e-12);
    assert_true(fabs(report_rates_apart(r.experts, 1) - 0.5) < 1e-12);
    assert_true(fabs(report_rates_apart(r.experts, -1) - 0.25) < 1e-12);
    assert_true(fabs(report_layers_apart(r.experts) - 0.25) < 1e-12);
    result_release(&r);
    memory_free(text);
}

/* The page of one file, which the caller frees. */
static char *page_of(const char *text, int worst)
{
    char path[] = "/tmp/mome-report-XXXXXX", *page;
    const struct report_options options = {.title = "a & b", .worst_clips = worst};
    struct error err = {0};
    struct result r;
    size_t size;
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    parse(&r, text);
    assert_int_equal(report_write(path, &r, 1, &options, &err), 0);
    assert_int_equal(file_read(&page, &size, path, 1 << 26, &err), 0);
    assert_int_equal(size, strlen(page));
    unlink(path);
    result_release(&r);
    return page;
}

static int count_of(const char *page, const char *what)
{
    int count = 0;
    for (; (page = strstr(page, what)); page++)
        count++;
    return count;
}

/* Every figure that the file has data for, and no other. */
static void test_figures(void **state)
{
    (void)state;
    const char *all[] = {experts, similarity, clips};
    char *text = with(FILE_OF("a", ROW("4", "null", "1", "0.1")), all, 3);
    char *page = page_of(text, 5);
    assert_int_equal(count_of(page, "<figure "), 5); /* rates, cost, shares, agreement, cosines */
    assert_int_equal(count_of(page, "</svg>"), 5);
    assert_non_null(strstr(page, "no results with noise"));
    memory_free(page);
    memory_free(text);

    page = page_of(FILE_OF("a", ROW("4", "null", "1", "0.1") "," ROW("4", "0", "1", "0.3")), 5);
    assert_int_equal(count_of(page, "<figure "), 3);
    assert_null(strstr(page, "Worst clips"));
    memory_free(page);

    page = page_of(FILE_OF("a", ""), 5); /* nothing at all */
    assert_int_equal(count_of(page, "<figure "), 0);
    assert_non_null(strstr(page, "</html>"));
    assert_null(strstr(page, "nan"));
    memory_free(page);
}

static void test_escaped(void **state)
{
    (void)state;
    const char *all[] = {similarity, clips};
    char *text = with(FILE_OF("<script>m</script>\\u0001", ROW("4", "null", "1", "0.1")), all, 2);
    char *page = page_of(text, 5);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "\x01"));
    assert_non_null(strstr(page, "&lt;script&gt;m&lt;/script&gt;\xef\xbf\xbd"));
    assert_non_null(strstr(page, "a&lt;b.mp4"));
    assert_non_null(strstr(page, "<h1>a &amp; b</h1>"));
    memory_free(page);
    memory_free(text);
}

/* Worst first, good ones not at all, each word by its edit. */
static void test_worst_clips(void **state)
{
    (void)state;
    const char *all[] = {clips};
    char *text = with(FILE_OF("a", ROW("4", "null", "1", "0.1")), all, 1);
    char *page = page_of(text, 5);
    const char *bad =
        strstr(page, "<p>bad (2.0 s), AVSR (4,2): 3 errors on 3 words (2 substituted, "
                     "0 deleted, 1 inserted)");
    const char *less = strstr(page, "<p>less bad (2.0 s), AVSR (4,2): 1 error on 5 words");
    assert_true(bad && less && bad < less);
    assert_null(strstr(page, "&lt;i&gt;x"));
    assert_int_equal(count_of(page, "<span class=\"w s\">"), 2);
    assert_int_equal(count_of(page, "<span class=\"w i\">"), 1);
    assert_int_equal(count_of(page, "<span class=\"w d\"><span>e</span><span>***</span>"), 1);
    memory_free(page);
    page = page_of(text, 1);
    assert_non_null(strstr(page, "<p>bad "));
    assert_null(strstr(page, "<p>less bad "));
    memory_free(page);
    page = page_of(text, 0);
    assert_null(strstr(page, "Worst clips"));
    memory_free(page);
    memory_free(text);
}

static void test_limits_and_paths(void **state)
{
    (void)state;
    const struct report_options options = {.title = ""};
    struct error err = {0};
    struct result r[REPORT_MAX_MODELS + 1];
    for (int i = 0; i <= REPORT_MAX_MODELS; i++) {
        char text[512];
        snprintf(text, sizeof text, FILE_OF("m%d", ROW("4", "null", "1", "0.1")), i);
        parse(&r[i], text);
    }
    assert_int_equal(report_write("/nowhere/x.html", r, 1, &options, &err), ERROR_IO);
    assert_non_null(strstr(err.message, "/nowhere/x.html"));
    err = (struct error){0};
    assert_int_equal(report_write("/nowhere/x.html", r, REPORT_MAX_MODELS, &options, &err),
                     ERROR_IO);
    err = (struct error){0};
    assert_int_equal(report_write("/nowhere/x.html", r, REPORT_MAX_MODELS + 1, &options, &err),
                     ERROR_LIMIT);
    for (int i = 0; i <= REPORT_MAX_MODELS; i++)
        result_release(&r[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),       cmocka_unit_test(test_distances),
        cmocka_unit_test(test_figures),     cmocka_unit_test(test_escaped),
        cmocka_unit_test(test_worst_clips), cmocka_unit_test(test_limits_and_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
