/* The result's file: all of it comes back, and what is wrong with one is said with its place. */
#include "base/file.h"
#include "eval/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHOLE "tests/fuzz/corpus/eval_result/whole.json"

static void check(const struct result *r)
{
    assert_string_equal(r->name, "tiny");
    assert_string_equal(r->placement, "layer");
    assert_string_equal(r->noise, "babble.flac");
    assert_int_equal(r->parameters, 7000000);
    assert_int_equal(r->active_parameters, 500);
    assert_int_equal(r->seed_count, 2);
    assert_int_equal(r->seeds[1], 2);
    assert_int_equal(r->row_count, 2);
    assert_int_equal(r->rows[0].task, TASK_ASR);
    assert_int_equal(r->rows[0].audio_rate, 4);
    assert_int_equal(r->rows[0].video_rate, 0);
    assert_true(isinf(r->rows[0].snr_db));
    assert_true(r->rows[1].snr_db == -5 && r->rows[1].wer == 1.5 && r->rows[0].cer == 0.125);
    assert_true(r->rows[0].tflops == 0.125 && r->rows[0].prompt_tokens == 40.5);
    assert_int_equal(r->rows[1].utterance_count, 2);
    assert_int_equal(r->rows[1].utterances[1].errors, 3);
    assert_int_equal(r->rows[1].utterances[1].words, 2);
    assert_int_equal(r->clip_count, 2);
    assert_string_equal(r->clips[1].text, "set red");
    assert_string_equal(r->clips[0].hypotheses[1], "b\xc3\xa9n");
    const struct result_experts *e = r->experts;
    assert_true(e->layers == 2 && e->routed == 3 && e->condition_count == 2);
    assert_true(e->share[5] == 0 && e->share[10] == 1 && e->agreement[1] == 0.5);
    assert_true(e->agreement_by_layer[1] == 0 && e->agreement_by_layer[7] == 1);
    const struct result_similarity *s = r->similarity;
    assert_true(s->total == 2 && s->tokens[1].video && s->matrix[1] == -0.5);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct result r, again;
    struct error err;
    char path[] = "/tmp/mome-result-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(result_read(&r, WHOLE, &err), 0);
    check(&r);
    assert_int_equal(result_write(&r, path, &err), 0);
    assert_int_equal(result_read(&again, path, &err), 0);
    check(&again);
    result_release(&r);
    result_release(&again);
    unlink(path);
}

/* One place of the whole file is replaced; the message must hold `told`. */
static const struct wrong_field {
    const char *from, *to, *told;
} wrong_fields[] = {
    {"mome-evaluation-1", "mome-evaluation-9", "\"format\" is not mome-evaluation-1"},
    {"\"results\"", "\"result\"", "\"results\" is not there"},
    {"\"task\": \"asr\"", "\"task\": \"tts\"", "results[0]: \"task\""},
    {"\"audio_rate\": 4", "\"audio_rate\": null", "results[0]: \"audio_rate\""},
    {"\"wer\": 0.5", "\"wer\": -1", "results[0]: \"wer\" is not a number from 0"},
    {"\"words\": 4", "\"words\": 4.5", "\"words\" is not a whole number"},
    {"\"words\": 4", "\"words\": \"4\"", "\"words\" is not a number"},
    {"[3, 2], [3, 2]", "[3, 2], [3]", "results[1]: \"utterances\""},
    {"[3, 2], [3, 2]", "[3, 2]", "\"utterances\" is not as long as"},
    {"\"set red\"", "7", "clips[1]: \"text\" is not a text"},
    {"[\"set\", \"\"]", "[\"set\"]", "clips[1]: \"hypotheses\""},
    {"\"routed\": 3", "\"routed\": 4", "\"share\" is not a table"},
    {"[0, 1, 0]]]", "[0, 1]]]", "\"share\" is not a table"},
    {"[[1, 0.5], [0.5, 1]]", "[[1, 0.5]]", "\"agreement\" is not a table"},
    {"\"count\": 1}]", "\"count\": 2}]", "\"matrix\" is not a table"},
    {"\"count\": 1}]", "\"count\": 9000}]", "\"count\" is not a number"},
    {"-0.5]", "-1.5]", "\"matrix\" is not a number"},
    {"\"seeds\": [1, 2]", "\"seeds\": [1, -2]", "\"seeds\""},
    {"\"beam\": 1", "\"beam\": 1, \"beam\": 2", "not JSON"},
};

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    char *whole, copy[8192];
    size_t size;
    struct error err;
    struct result r;
    assert_int_equal(file_read(&whole, &size, WHOLE, sizeof copy / 2, &err), 0);
    for (size_t i = 0; i < sizeof wrong_fields / sizeof *wrong_fields; i++) {
        const struct wrong_field *w = &wrong_fields[i];
        const char *at = strstr(whole, w->from);
        assert_non_null(at);
        int n = snprintf(copy, sizeof copy, "%.*s%s%s", (int)(at - whole), whole, w->to,
                         at + strlen(w->from));
        assert_int_equal(result_parse(&r, copy, (size_t)n, "r.json", &err), ERROR_FORMAT);
        if (!strstr(err.message, w->told) || strncmp(err.message, "r.json", 6) != 0)
            fail_msg("%s: %s", w->to, err.message);
        assert_null(r.memory.base);
    }
    for (size_t cut = 0; cut < size - 2; cut += 7) /* what is left of it is never a whole */
        assert_int_equal(result_parse(&r, whole, cut, "r.json", &err), ERROR_FORMAT);
    memory_free(whole);
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    struct result r;
    struct error err;
    assert_int_equal(result_init(&r, &err), 0);
    assert_string_equal(result_text(&r, "a\xff.mp4"), "a\xef\xbf\xbd.mp4");
    assert_string_equal(result_text(&r, ""), "");
    assert_null(result_array(&r, 0, 8));
    result_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_bytes_that_are_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
