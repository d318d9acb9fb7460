/* Subtitles: the rules of text/subtitle.h as properties of what random speech becomes, and where
   some sentences are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/strbuf.h"
#include "text/subtitle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What came out: a line for each cue, "/" between its lines, and all its words one after the other.
 */
struct taken {
    struct strbuf cues, words;
    int count;
    double end;         /* of the last cue */
    bool hurried;       /* it ends before it could be read */
    double worst_speed; /* characters a second */
    double latest;      /* most that a cue came later than its first word */
    int speakers[8];    /* of the first cues */
};

/* Words are ASCII here but for U+00E9. */
static int width(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static int line_width(const struct cue *cue, int from, int to)
{
    int n = to - from - 1;
    for (int i = from; i < to; i++)
        n += width(cue->words[i].text);
    return n;
}

static int take(void *arg, const struct cue *cue, struct error *err)
{
    struct taken *t = arg;
    (void)err;
    assert_in_range(cue->first_line, 1, cue->count);
    const int first = line_width(cue, 0, cue->first_line);
    const int second = line_width(cue, cue->first_line, cue->count);
    const int all = line_width(cue, 0, cue->count);
    assert_true(first <= SUBTITLE_LINE || cue->first_line == 1);
    assert_true(second <= SUBTITLE_LINE || cue->count - cue->first_line == 1);
    assert_true(all > SUBTITLE_LINE || cue->first_line == cue->count);
    const double seconds = cue->end - cue->start;
    assert_true(seconds >= SUBTITLE_SHORTEST - 1e-6 && seconds <= SUBTITLE_LONGEST + 1e-6);
    if (t->count)
        assert_true(cue->start >= t->end + SUBTITLE_GAP - 1e-6);
    if (t->hurried) /* only because the next one had to come */
        assert_true(cue->start <= t->end + SUBTITLE_GAP + 1e-6);
    assert_true(cue->start >= cue->words[0].start - 1e-6);
    t->hurried = all > SUBTITLE_SPEED * seconds + 1e-6 && seconds < SUBTITLE_LONGEST - 1e-6;
    t->worst_speed = fmax(t->worst_speed, all / seconds);
    t->latest = fmax(t->latest, cue->start - cue->words[0].start);
    for (int i = 0; i < cue->count; i++) {
        strbuf_addf(&t->cues, "%s%s", i ? i == cue->first_line ? "/" : " " : "",
                    cue->words[i].text);
        strbuf_addf(&t->words, "%s ", cue->words[i].text);
        assert_true(i == 0 || cue->words[i].start - cue->words[i - 1].end < 1);
    }
    strbuf_adds(&t->cues, "\n");
    if (t->count < 8)
        t->speakers[t->count] = cue->speaker;
    t->count++;
    t->end = cue->end;
    return 0;
}

static void taken_init(struct taken *t)
{
    *t = (struct taken){0};
    strbuf_init(&t->cues, 1 << 24);
    strbuf_init(&t->words, 1 << 24);
}

static void taken_release(struct taken *t)
{
    strbuf_release(&t->cues);
    strbuf_release(&t->words);
}

/* A word, "12.345aaaa,": of utterance 12; a long one now and then. */
static void make_word(char text[128], struct random *r, int utterance, int number, double long_word)
{
    static const char *const ends[] = {"", "", "", "", "", ",", ".", "?\"", "\xc3\xa9", "-"};
    int length = (int)(random_uniform(r) * 9);
    if (random_uniform(r) < long_word)
        length = 40 + (int)(random_uniform(r) * 20);
    snprintf(text, 128, "%d.%d%.*s%s", utterance, number, length,
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
             ends[(int)(random_uniform(r) * 10)]);
}

struct speech {
    double rate;      /* characters a second, at most */
    double pauses;    /* share of words with one in front of them */
    double long_word; /* share of words that are longer than a line */
    int most;         /* words of an utterance */
};

/* Random utterances through a subtitler; every word must come out once, in order. */
static void run(struct taken *t, const struct speech *speech, uint64_t seed, int utterances)
{
    struct error err = {0};
    struct random r;
    struct strbuf said;
    struct subtitler s;
    struct words w = {0};
    double now = 0;
    random_seed(&r, seed);
    taken_init(t);
    strbuf_init(&said, 1 << 24);
    subtitler_init(&s, take, t);
    for (int u = 0; u < utterances; u++) {
        words_clear(&w);
        for (int i = (int)(random_uniform(&r) * speech->most); i >= 0; i--) {
            char text[128];
            make_word(text, &r, u, i, speech->long_word);
            double seconds = (width(text) + 1) / speech->rate * (1 + random_uniform(&r));
            if (random_uniform(&r) < speech->pauses)
                now += 2 * random_uniform(&r);
            assert_int_equal(words_add(&w, text, strlen(text), now, now + 0.9 * seconds, 1, &err),
                             0);
            strbuf_addf(&said, "%s ", text);
            now += seconds;
        }
        assert_int_equal(subtitler_push(&s, &w, 0, &err), 0);
        /* only the last cue waits, and only for the utterance after its own */
        if (s.words.count)
            assert_true(atoi(s.words.list[0].text) >= u - 1);
    }
    assert_int_equal(subtitler_finish(&s, &err), 0);
    assert_string_equal(t->words.data, said.data);
    subtitler_release(&s);
    words_release(&w);
    strbuf_release(&said);
}

static void test_rules(void **state)
{
    static const struct speech kinds[] = {
        {15, 0.1, 0, 60},     {15, 0.1, 0.05, 60}, {12, 0.5, 0, 3},
        {40, 0.05, 0.02, 80}, {19, 0, 0, 100},     {60, 0.3, 0.3, 5},
        {3, 0, 0, 20},        {2000, 0, 0, 40},    {0.5, 0.2, 0.2, 4},
    };
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (uint64_t seed = 1; seed <= 30; seed++) {
            struct taken t;
            run(&t, &kinds[k], seed, 20);
            taken_release(&t);
        }
}

/* Speech that can be read as fast as it is heard makes cues that can. */
static void test_speed(void **state)
{
    static const struct speech slow = {18, 0.1, 0, 60};
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct taken t;
        run(&t, &slow, seed, 20);
        assert_true(t.worst_speed <= SUBTITLE_SPEED + 1e-6);
        assert_true(t.latest < 0.5);
        taken_release(&t);
    }
}

/* Utterances of words a third of a second long; "|" is a pause of 0.6 s; cues as take writes them.
 */
static void check(const char *const *utterances, const char *wanted)
{
    struct error err = {0};
    struct subtitler s;
    struct taken t;
    double now = 0;
    taken_init(&t);
    subtitler_init(&s, take, &t);
    for (; *utterances; utterances++) {
        struct words w = {0};
        for (const char *at = *utterances; *at; at += strspn(at, " ")) {
            size_t n = strcspn(at, " ");
            if (*at == '|')
                now += 0.6;
            else
                assert_int_equal(words_add(&w, at, n, now, now + 0.3, 1, &err), 0);
            now += *at == '|' ? 0 : 1.0 / 3;
            at += n;
        }
        assert_int_equal(subtitler_push(&s, &w, 0, &err), 0);
        words_release(&w);
    }
    assert_int_equal(subtitler_finish(&s, &err), 0);
    assert_string_equal(t.cues.data, wanted);
    subtitler_release(&s);
    taken_release(&t);
}

#define CHECK(wanted, ...) check((const char *const[]){__VA_ARGS__, NULL}, wanted)

static void test_cuts(void **state)
{
    (void)state;
    CHECK("", "");
    CHECK("yes\n", "yes");
    /* what fits in a line is one; two are balanced, and end behind punctuation */
    CHECK("a line of no more than forty-two letters.\n",
          "a line of no more than forty-two letters.");
    CHECK("the cue that is longer than this one/is cut somewhere in its very middle\n",
          "the cue that is longer than this one is cut somewhere in its very middle");
    CHECK("there was a man who had some money,/and a dog who had none at all\n",
          "there was a man who had some money, and a dog who had none at all");
    /* a pause ends a cue before punctuation or length do */
    CHECK("we went to the house by the river\nand saw that nobody was there any more\n",
          "we went to the house by the river | and saw that nobody was there any more");
    /* utterances without a pause are one text; with one, two */
    CHECK("we went to the house\n", "we went", "to the house");
    CHECK("we went\nto the house\n", "we went | |", "to the house");
    /* a word that is longer than a line is not cut */
    CHECK("a\n"
          "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/c\n",
          "a bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c");
}

/* What would be one cue of one speaker is one for each. */
static void test_speakers(void **state)
{
    static const int speakers[] = {1, 1, 2, 2, 0, 1};
    struct error err = {0};
    struct subtitler s;
    struct taken t;
    struct words w = {0};
    (void)state;
    taken_init(&t);
    subtitler_init(&s, take, &t);
    for (int i = 0; i < 6; i++) {
        words_clear(&w);
        assert_int_equal(words_add(&w, "word", 4, 0.4 * i, 0.4 * i + 0.4, 1, &err), 0);
        assert_int_equal(subtitler_push(&s, &w, speakers[i], &err), 0);
    }
    assert_int_equal(subtitler_finish(&s, &err), 0);
    assert_string_equal(t.cues.data, "word word\nword word\nword\nword\n");
    for (int i = 0; i < 4; i++)
        assert_int_equal(t.speakers[i], ((const int[]){1, 2, 0, 1})[i]);
    subtitler_release(&s);
    words_release(&w);
    taken_release(&t);
}

static int take_lines(void *arg, const struct cue *cue, struct error *err)
{
    (void)err;
    *(int *)arg += cue->first_line == cue->count ? 1 : 2;
    return 0;
}

/* A character is what a reader takes for one: with its accents, an emoji with what is joined to it,
   or a byte that is wrong; 42 of each fit in a line. */
static void test_characters(void **state)
{
    static const char *const letters[] = {"a", "\xc3\xa9", "e\xcc\x81", "\xff",
                                          "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80"};
    (void)state;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        for (int count = 42; count <= 43; count++) {
            struct error err = {0};
            struct strbuf word;
            struct subtitler s;
            struct words w = {0};
            int lines = 0;
            strbuf_init(&word, 1 << 10);
            for (int k = 0; k < count - 2; k++)
                strbuf_adds(&word, letters[i]);
            assert_int_equal(words_add(&w, word.data, word.length, 0, 3, 1, &err), 0);
            assert_int_equal(words_add(&w, "a", 1, 3, 3.5, 1, &err), 0);
            subtitler_init(&s, take_lines, &lines);
            assert_int_equal(subtitler_push(&s, &w, 0, &err), 0);
            assert_int_equal(subtitler_finish(&s, &err), 0);
            assert_int_equal(lines, count == 42 ? 1 : 2);
            subtitler_release(&s);
            strbuf_release(&word);
            words_release(&w);
        }
    }
}

/* Times that make no sense, and no words, come through it too. */
static void test_wrong_times(void **state)
{
    static const double times[] = {NAN, -5, INFINITY, 3, 1, -INFINITY, 1e6};
    struct error err = {0};
    struct subtitler s;
    struct taken t;
    struct words w = {0};
    (void)state;
    taken_init(&t);
    subtitler_init(&s, take, &t);
    assert_int_equal(subtitler_push(&s, &w, 0, &err), 0);
    for (int i = 0; i < 49; i++)
        assert_int_equal(words_add(&w, "word", i % 3 ? 4 : 0, times[i % 7], times[i / 7], 1, &err),
                         0);
    assert_int_equal(subtitler_push(&s, &w, 0, &err), 0);
    assert_int_equal(subtitler_push(&s, &w, 0, &err), 0);
    assert_int_equal(subtitler_finish(&s, &err), 0);
    assert_int_equal(t.words.length, 2 * 32 * strlen("word "));
    assert_int_equal(subtitler_finish(&s, &err), 0);
    subtitler_release(&s);
    words_release(&w);
    taken_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_speed),
        cmocka_unit_test(test_cuts),        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_wrong_times), cmocka_unit_test(test_speakers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
