/* Transcripts in every format, to the byte, with texts that hold what the formats take for signs of
   their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "decode/transcript_file.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int second_face; /* 0: nobody's */

/* Two utterances: words of 0.4 s from 1 s on, of the first face, and from 3700 s on. */
static void make(struct utterance u[2], const char *first, const char *second)
{
    const char *const texts[] = {first, second};
    struct error err = {0};
    for (int i = 0; i < 2; i++) {
        double now = i ? 3700 : 1;
        u[i] = (struct utterance){.start = now,
                                  .task = i ? TASK_ASR : TASK_AVSR,
                                  .fallback = i ? FALLBACK_NO_FACE : FALLBACK_NONE,
                                  .audio_rate = 4,
                                  .video_rate = i ? 0 : 2,
                                  .face = i ? second_face : 1,
                                  .media_tokens = 76,
                                  .encode_seconds = 0.25,
                                  .decode_seconds = 0.125};
        for (const char *at = texts[i]; *at; at += strspn(at, " ")) {
            size_t n = strcspn(at, " ");
            assert_int_equal(words_add(&u[i].words, at, n, now, now + 0.4, 0.9, &err), 0);
            now += 0.5;
            at += n;
        }
        u[i].end = now;
    }
    assert_int_equal(expert_slots_init(&u[0].experts, 2, 3, &err), 0);
    expert_slots_choose(&u[0].experts, (const int32_t[]){0, 0, 1, 2, 2, 2}, 3, 1,
                        (struct span){0, 3});
    u[0].n_best = memory_new(2, sizeof *u[0].n_best);
    u[0].n_best[0] = (struct alternative){memory_strdup("one"), -0.5};
    u[0].n_best[1] = (struct alternative){memory_strdup("\xff"), -INFINITY};
    u[0].n_best_count = 2;
}

/* Freed by free. */
static char *write(enum transcript_format format, const char *media, const char *first,
                   const char *second)
{
    struct error err = {0};
    struct utterance u[2];
    struct transcript_file f;
    char *text;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    make(u, first, second);
    transcript_file_begin(&f, format, to, media);
    for (int i = 0; i < 2; i++) {
        if (*first)
            assert_int_equal(transcript_file_add(&f, &u[i], &err), 0);
        utterance_release(&u[i]);
    }
    assert_int_equal(transcript_file_end(&f, &err), 0);
    transcript_file_release(&f);
    fclose(to);
    return text;
}

static void check(enum transcript_format format, const char *first, const char *second,
                  const char *wanted)
{
    char *text = write(format, "a.mp4", first, second);
    assert_string_equal(text, wanted);
    free(text);
}

static void test_plain(void **state)
{
    (void)state;
    check(TRANSCRIPT_TXT, "one two", "three", "one two\nthree\n");
    check(TRANSCRIPT_SRT, "one two", "three",
          "1\n00:00:01,000 --> 00:00:02,400\none two\n\n"
          "2\n01:01:40,000 --> 01:01:40,900\nthree\n\n");
    check(TRANSCRIPT_VTT, "one two", "three",
          "WEBVTT\n\n00:00:01.000 --> 00:00:02.400\none two\n\n"
          "01:01:40.000 --> 01:01:40.900\nthree\n\n");
    check(TRANSCRIPT_TSV, "one two", "three",
          "start\tend\ttext\n1000\t2400\tone two\n3700000\t3700900\tthree\n");
    check(TRANSCRIPT_LRC, "one two", "three", "[00:01.00]one two\n[61:40.00]three\n");
}

/* Whose face it is, is said as soon as there are several. */
static void test_faces(void **state)
{
    (void)state;
    second_face = 2;
    check(TRANSCRIPT_VTT, "one two", "three",
          "WEBVTT\n\n00:00:01.000 --> 00:00:02.400\n<v Face 1>one two\n\n"
          "01:01:40.000 --> 01:01:40.900\n<v Face 2>three\n\n");
    check(TRANSCRIPT_SRT, "one two", "three",
          "1\n00:00:01,000 --> 00:00:02,400\none two\n\n"
          "2\n01:01:40,000 --> 01:01:40,900\nFace\xc2\xa0"
          "2: three\n\n");
    check(TRANSCRIPT_TXT, "one two", "three", "one two\nthree\n");
    check(TRANSCRIPT_TSV, "one two", "three",
          "start\tend\ttext\n1000\t2400\tone two\n3700000\t3700900\tthree\n");
    second_face = 0;
}

static void test_lines(void **state)
{
    static const char text[] = "a sentence of more than forty-two letters, which needs two lines";
    (void)state;
    check(TRANSCRIPT_SRT, text, "x",
          "1\n00:00:01,000 --> 00:00:06,900\n"
          "a sentence of more than forty-two letters,\nwhich needs two lines\n\n"
          "2\n01:01:40,000 --> 01:01:40,900\nx\n\n");
    check(TRANSCRIPT_LRC, text, "x",
          "[00:01.00]a sentence of more than forty-two letters, which needs two lines\n"
          "[61:40.00]x\n");
}

static void test_nothing(void **state)
{
    (void)state;
    check(TRANSCRIPT_TXT, "", "", "");
    check(TRANSCRIPT_SRT, "", "", "");
    check(TRANSCRIPT_VTT, "", "", "WEBVTT\n\n");
    check(TRANSCRIPT_TSV, "", "", "start\tend\ttext\n");
    check(TRANSCRIPT_LRC, "", "", "");
    check(TRANSCRIPT_JSON, "", "", "{\"file\": \"a.mp4\", \"utterances\": [\n]}\n");
}

/* Of one utterance, the text behind the times. */
static void check_text(enum transcript_format format, const char *text, const char *wanted)
{
    static const char times[] = "00:00:01,000 --> 00:00:02,000\n";
    char *all = write(format, "", text, "x");
    char *at = format == TRANSCRIPT_SRT   ? strchr(strchr(all, '\n') + 1, '\n') + 1
               : format == TRANSCRIPT_VTT ? all + strlen("WEBVTT\n\n") + strlen(times)
               : format == TRANSCRIPT_LRC ? all + strlen("[00:01.00]")
               : format == TRANSCRIPT_TSV ? strrchr(all, '\t')
                                          : all;
    if (format == TRANSCRIPT_TSV) /* the second line's third column */
        at = strchr(strchr(strchr(all, '\n') + 1, '\t') + 1, '\t') + 1;
    assert_int_equal(strncmp(at, wanted, strlen(wanted)), 0);
    assert_int_equal(at[strlen(wanted)], '\n');
    free(all);
}

static void test_signs(void **state)
{
    (void)state;
    check_text(TRANSCRIPT_VTT, "a-->b <i>&c", "a--&gt;b &lt;i&gt;&amp;c");
    check_text(TRANSCRIPT_SRT, "a--->b <i> </i> {\\an8} <3 {x} &",
               "a-\xe2\x86\x92"
               "b <\xe2\x81\xa0i> <\xe2\x81\xa0/i> {\xe2\x81\xa0\\an8} <3 {x} &");
    check_text(TRANSCRIPT_LRC, "[00:02.00] <00:03.00> a", "(00:02.00) (00:03.00) a");
    for (int format = 0; format < TRANSCRIPT_JSON; format++) {
        check_text((enum transcript_format)format, "a\nb\r\tc\x1b\x7f", "a b  c  ");
        check_text((enum transcript_format)format, "a\xe2\x80\xa8\xc2\x85\xff", "a  \xef\xbf\xbd");
        check_text((enum transcript_format)format, "\xc3\xa9\xe6\x97\xa5", "\xc3\xa9\xe6\x97\xa5");
    }
}

static void test_json(void **state)
{
    char *text = write(TRANSCRIPT_JSON, "a \"\xff\".mp4", "one \"two\n\xff", "three");
    json_t *root = json_loads(text, 0, NULL), *list, *u;
    (void)state;
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "file")), "a \"\xef\xbf\xbd\".mp4");
    list = json_object_get(root, "utterances");
    assert_int_equal(json_array_size(list), 2);
    u = json_array_get(list, 0);
    const char *task, *said, *word;
    double start, end, from, to, confidence, encode, decode, score;
    double a, b, c, d, e, f;
    int audio, video, face, tokens;
    json_t *fallback, *second;
    assert_int_equal(
        json_unpack(u,
                    "{s:f, s:f, s:s, s:o, s:i, s:i, s:i, s:s, s:[{s:s, s:f, s:f, s:f}], "
                    "s:[{s:f}, {s:o}], s:i, s:f, s:f, s:[[f, f, f!], [f, f, f!]]!}",
                    "start", &start, "end", &end, "task", &task, "fallback", &fallback,
                    "audio_rate", &audio, "video_rate", &video, "face", &face, "text", &said,
                    "words", "word", &word, "start", &from, "end", &to, "confidence", &confidence,
                    "n_best", "score", &score, "score", &second, "media_tokens", &tokens,
                    "encode_seconds", &encode, "decode_seconds", &decode, "expert_share", &a, &b,
                    &c, &d, &e, &f),
        0);
    assert_true(start == 1 && end == 2 && from == 1 && to == 1.4 && confidence == 0.9);
    assert_true(encode == 0.25 && decode == 0.125 && score == -0.5 && json_is_null(second));
    assert_true(audio == 4 && video == 2 && face == 1 && tokens == 76 && json_is_null(fallback));
    assert_true(a == 0.6667 && b == 0.3333 && c == 0 && d == 0 && e == 0 && f == 1);
    assert_string_equal(task, "avsr");
    assert_string_equal(said, "one \"two\n\xef\xbf\xbd");
    assert_string_equal(word, "one");
    u = json_array_get(list, 1);
    assert_string_equal(json_string_value(json_object_get(u, "fallback")), "no_face");
    assert_true(json_is_null(json_object_get(u, "video_rate")));
    assert_true(json_is_null(json_object_get(u, "face")));
    assert_true(json_is_null(json_object_get(u, "expert_share")));
    assert_int_equal(json_array_size(json_object_get(u, "n_best")), 0);
    json_decref(root);
    free(text);
}

static void test_names(void **state)
{
    enum transcript_format found;
    (void)state;
    for (int i = 0; i < TRANSCRIPT_FORMATS; i++) {
        const enum transcript_format format = (enum transcript_format)i;
        assert_true(transcript_format_find(&found, transcript_format_name(format)));
        assert_int_equal(found, format);
    }
    assert_false(transcript_format_find(&found, "doc"));
    assert_false(transcript_format_find(&found, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),   cmocka_unit_test(test_faces), cmocka_unit_test(test_lines),
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_signs), cmocka_unit_test(test_json),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
