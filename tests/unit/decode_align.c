/* Word times: paths through hand-made posteriors, words of tokens, rows that overlap, what is done
   where nothing can be read. */
#include "small_model.h"
#include "decode/align.h"
#include "tensor/ops.h"

enum { MOST = 8 };

/* ---- the path ---- */

/* A letter a row: the column of a token by its place in `tokens`, '-' the blank; it is 0, others
   `low`. */
static int path_of(struct align_rows *path, const char *rows, const char *tokens, float low)
{
    const int count = (int)strlen(tokens), length = (int)strlen(rows);
    float logits[64 * (MOST + 1)];
    int32_t ids[MOST];
    assert_true(length <= 64 && count <= MOST);
    for (int i = 0; i < count; i++)
        ids[i] = tokens[i];
    for (int r = 0; r < length; r++)
        for (int i = 0; i <= count; i++)
            logits[r * (count + 1) + i] = rows[r] == (i < count ? tokens[i] : '-') ? 0 : low;
    return align_path(path, logits, length, ids, count);
}

static void check_path(const char *rows, const char *tokens, const int (*expected)[2])
{
    struct align_rows path[MOST];
    assert_true(path_of(path, rows, tokens, -5));
    for (int i = 0; tokens[i]; i++) {
        assert_int_equal(path[i].first, expected[i][0]);
        assert_int_equal(path[i].last, expected[i][1]);
    }
}

static void test_known_paths(void **state)
{
    (void)state;
    check_path("--aab--cc-", "abc", (const int[][2]){{2, 3}, {4, 4}, {7, 8}});
    check_path("aaa", "a", (const int[][2]){{0, 2}});
    check_path("abc", "abc", (const int[][2]){{0, 0}, {1, 1}, {2, 2}});
    /* a repeated token takes a blank between */
    check_path("-aa-aaa-", "aa", (const int[][2]){{1, 2}, {4, 6}});
    /* one row of b among a's is less wrong than a whole word out of place */
    check_path("--aabaa--bb-", "ab", (const int[][2]){{2, 6}, {9, 10}});
    /* nobody said b: it gets a row all the same, where that costs least */
    struct align_rows path[MOST];
    assert_true(path_of(path, "-aa---cc-", "abc", -5));
    assert_true(path[1].first > path[0].last && path[1].last < path[2].first);
    assert_int_equal(path[0].first, 1);
    assert_int_equal(path[2].last, 7);
}

static void test_too_few_rows(void **state)
{
    (void)state;
    struct align_rows path[MOST];
    assert_false(path_of(path, "ab", "abc", -5));
    assert_false(path_of(path, "", "a", -5));
    assert_false(path_of(path, "aa", "aa", -5)); /* no room for the blank between */
    assert_true(path_of(path, "a-a", "aa", -5));
    assert_true(path_of(path, "--", "", -5));
}

/* ---- words ---- */

static struct small_model model;

static int open_model(void **state)
{
    (void)state;
    struct recognizer_config config;
    small_config(&config);
    small_open(&model, &config);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    small_close(&model);
    return 0;
}

/* The tokens of a text, each with a probability of one half. */
static void spell(struct hypothesis *h, const char *text)
{
    const size_t room = tokenizer_room(model.r->tokenizer, strlen(text));
    *h = (struct hypothesis){.complete = true};
    h->ids = memory_new(room, sizeof *h->ids);
    h->log_probabilities = memory_new(room, sizeof *h->log_probabilities);
    assert_true(h->ids && h->log_probabilities);
    h->count = (int)tokenizer_encode(model.r->tokenizer, h->ids, text, strlen(text), &model.err);
    for (int i = 0; i < h->count; i++)
        h->log_probabilities[i] = logf(0.5F);
}

/* Sound of 4 s, silent in its first and last second, from second 10 of a clip on. */
static void align(struct words *words, const struct ctc_head *ctc, const char *text,
                  struct tensor *states)
{
    static bool sounds[100];
    const struct request q = {.task = TASK_ASR,
                              .audio_rate = 16, /* not what is aligned at */
                              .audio = {0, tensor_rows(states)}};
    const struct align_source source = {.request = &q,
                                        .audio_states = states,
                                        .start = 10,
                                        .end = 14,
                                        .frames = 100,
                                        .sounds = sounds};
    struct hypothesis h;
    for (int i = 0; i < 100; i++)
        sounds[i] = i >= 25 && i < 75;
    spell(&h, text);
    *words = (struct words){0};
    assert_int_equal(align_words(words, model.r, &model.c, ctc, &source, &h, &model.err), 0);
    hypothesis_release(&h);
}

static void check_word(const struct words *words, int i, const char *text, double start, double end,
                       int tokens)
{
    assert_true(i < words->count);
    const struct word *w = &words->list[i];
    assert_string_equal(w->text, text);
    assert_float_equal(w->start, start, 1e-6);
    assert_float_equal(w->end, end, 1e-6);
    assert_float_equal(w->confidence, pow(0.5, tokens), 1e-6);
}

static int tokens_of(const char *text)
{
    struct hypothesis h;
    spell(&h, text);
    const int count = h.count;
    hypothesis_release(&h);
    return count;
}

/* By letters over the two seconds that are not silent. */
static void test_spread_over_sound(void **state)
{
    (void)state;
    struct words words;
    struct tensor *states = small_audio(&model, 4);
    align(&words, NULL, "xyzw a  zzz\n", states);
    assert_int_equal(words.count, 3);
    check_word(&words, 0, "xyzw", 11, 12, tokens_of("xyzw"));
    check_word(&words, 1, "a", 12, 12.25, tokens_of("a"));
    check_word(&words, 2, "zzz", 12.25, 13, tokens_of("zzz") + 1);
    words_release(&words);
    align(&words, NULL, "", states);
    assert_int_equal(words.count, 0);
    words_release(&words);
    align(&words, NULL, "d\303\274nn \342\202\254", states); /* letters, not bytes */
    assert_int_equal(words.count, 2);
    assert_string_equal(words.list[1].text, "\342\202\254");
    assert_float_equal(words.list[1].start, 12.6, 1e-6);
    words_release(&words);
    align(&words, NULL, "\200 \200", states); /* no text at all */
    assert_int_equal(words.count, 2);
    assert_float_equal(words.list[1].start, 12, 1e-6);
    words_release(&words);
}

/* The projector made to say the token that a state's first numbers name: states of the same kind
   say one token, so a word of several tokens has its states' time. */
static void test_rows_that_overlap(void **state)
{
    (void)state;
    enum { ROWS = 200, FROM = 60, EACH = 20 };
    struct words words;
    struct ctc_head ctc;
    struct hypothesis h;
    const int64_t d = model.r->config.llm.d;
    struct projector *p = recognizer_projector(model.r, false, 4);
    spell(&h, "xyz a");
    assert_true(h.count > 2 && h.count < model.r->config.audio.d);
    assert_int_equal(ctc_head_init(&ctc, model.r, &model.err), 0);
    struct tensor *states = tensor_new(&model.c, TENSOR_SHAPE(ROWS, model.r->config.audio.d));
    memset(states->data, 0, sizeof(float) * (size_t)tensor_count(states));
    memset(p->in.weight.data, 0, sizeof(float) * (size_t)tensor_count(&p->in.weight));
    memset(p->out.weight.data, 0, sizeof(float) * (size_t)tensor_count(&p->out.weight));
    int32_t ids[MOST + 8];
    memcpy(ids, h.ids, sizeof *ids * (size_t)h.count);
    ids[h.count] = ctc.blank;
    const struct tensor *e = llama_embed(&model.r->llm, &model.c, ids, h.count + 1);
    for (int k = 0; k <= h.count; k++) { /* hidden k is state k, and makes embedding k */
        p->in.weight.data[k * model.r->config.audio.d + k] = 1;
        for (int64_t i = 0; i < d; i++)
            p->out.weight.data[i * model.r->config.projector.hidden + k] = e->data[k * d + i];
    }
    for (int r = 0; r < ROWS; r++) {
        int token = (r - FROM) / EACH;
        token = r < FROM || token >= h.count ? h.count : token;
        states->data[(int64_t)r * model.r->config.audio.d + token] = 1;
    }
    parameter_changed(&p->in.weight);
    parameter_changed(&p->out.weight);
    align(&words, &ctc, "xyz a", states);
    const int xyz = h.count - tokens_of("a");
    assert_int_equal(words.count, 2);
    const double at = 10 + 0.02 * FROM, middle = at + 0.02 * EACH * xyz;
    const double end = at + 0.02 * EACH * h.count;
    assert_float_equal(words.list[0].start, at, 0.0201);
    assert_float_equal(words.list[0].end, middle, 0.0201);
    assert_float_equal(words.list[1].start, middle, 0.0201);
    assert_float_equal(words.list[1].end, end, 0.0201);
    words_release(&words);
    /* fewer rows than tokens: spread */
    struct tensor *few = tensor_new(&model.c, TENSOR_SHAPE(5, model.r->config.audio.d));
    memset(few->data, 0, sizeof(float) * (size_t)tensor_count(few));
    align(&words, &ctc, "xyz a", few);
    check_word(&words, 0, "xyz", 11, 12.5, xyz);
    words_release(&words);
    hypothesis_release(&h);
    ctc_head_release(&ctc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_paths),
        cmocka_unit_test(test_too_few_rows),
        cmocka_unit_test(test_spread_over_sound),
        cmocka_unit_test(test_rows_that_overlap),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
