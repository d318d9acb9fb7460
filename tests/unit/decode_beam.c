/* Beam search on a small random model, against what can be had without beams and without a cache:
   whole sequences through recognizer_prefill. */
#include "base/memory.h"
#include "small_model.h"
#include "decode/beam.h"
#include "decode/ctc_prefix.h"

enum { STEPS = 3 };

static struct small_model model;
static struct tensor *audio, *video;

static int open_model(void **state)
{
    (void)state;
    struct recognizer_config config;
    small_config(&config);
    small_open(&model, &config);
    small_shake(model.r, &model.err);
    for (int64_t i = 0; i < tensor_count(&model.r->llm.embed); i++)
        model.r->llm.embed.data[i] *= 8; /* surer of itself: tokens differ more */
    parameter_changed(&model.r->llm.embed);
    audio = small_audio(&model, 1);
    video = small_video(&model, 1);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    small_close(&model);
    return 0;
}

static struct request request_of(enum task task)
{
    return (struct request){
        .task = task, .audio_rate = 4, .video_rate = 5, .audio = {0, 50}, .video = {0, 25}};
}

/* log P(token | ids) of every token, without a cache. */
static void next_log_probabilities(double *out, enum task task, const int32_t *ids, int count)
{
    struct request q = request_of(task);
    struct prefilled filled;
    size_t mark = arena_mark(&model.arena);
    q.text = ids;
    q.text_count = count;
    recognizer_prefill(model.r, &model.c, audio, video, &q, 1, NULL, &filled);
    int64_t vocab = tensor_width(filled.logits);
    const float *row = filled.logits->data + count * vocab;
    double sum = 0;
    for (int64_t t = 0; t < vocab; t++)
        sum += exp((double)row[t]);
    for (int64_t t = 0; t < vocab; t++)
        out[t] = row[t] - log(sum);
    arena_rewind(&model.arena, mark);
}

static int search(struct hypothesis *h, enum task task, struct beam_options options)
{
    struct request q = request_of(task);
    struct found found;
    int64_t media;
    if (beam_search(&found, model.r, &model.c, audio, video, &q, 1, NULL, &options, &model.err))
        fail_msg("%s", model.err.message);
    assert_int_equal(found.prompt_tokens, recognizer_request_rows(model.r, &q, &media));
    const int count = found.count;
    memcpy(h, found.hypotheses, (size_t)count * sizeof *h);
    found.count = 0; /* what they hold is h's now */
    found_release(&found);
    return count;
}

static void test_beam_of_one_is_greedy(void **state)
{
    (void)state;
    double p[512];
    const int64_t vocab = model.r->config.llm.vocab;
    assert_true(vocab <= 512);
    for (int task = 0; task < TASK_COUNT; task++) {
        int32_t ids[11];
        int count = 0;
        double sum = 0;
        bool ended = false;
        while (!ended && count < 11) {
            int64_t best = 0;
            next_log_probabilities(p, task, ids, count);
            for (int64_t t = 1; t < vocab; t++)
                best = p[t] > p[best] ? t : best;
            sum += p[best];
            ended = best == model.r->tokens.eos;
            if (!ended)
                ids[count++] = (int32_t)best;
        }
        struct hypothesis h;
        struct beam_options options = {.beam = 1, .n_best = 1, .max_tokens = 11};
        assert_int_equal(search(&h, task, options), 1);
        assert_int_equal(h.count, count);
        assert_memory_equal(h.ids, ids, (size_t)count * sizeof *ids);
        assert_int_equal(h.complete, ended);
        assert_float_equal(h.log_probability, sum, 1e-3);
        hypothesis_release(&h);
    }
}

/* Whether the last tokens are 3 or more rounds of the same `period`, 12 tokens or more in all. */
static bool goes_round(const int32_t *ids, int count, int period)
{
    int same = 0;
    while (same + period < count && ids[count - 1 - same] == ids[count - 1 - same - period])
        same++;
    return same + period >= 12 && (same + period) / period >= 3 &&
           (same + period) / period * period >= 12;
}

static void test_circles_are_cut(void **state)
{
    (void)state;
    enum { MOST = 80 };
    double p[512];
    int cut = 0;
    for (int task = 0; task < TASK_COUNT; task++) {
        int32_t ids[MOST];
        int count = 0, period = 0;
        bool ended = false;
        while (!ended && !period && count < MOST) {
            int64_t best = 0;
            next_log_probabilities(p, task, ids, count);
            for (int64_t t = 1; t < model.r->config.llm.vocab; t++)
                best = p[t] > p[best] ? t : best;
            ended = best == model.r->tokens.eos;
            if (!ended)
                ids[count++] = (int32_t)best;
            for (int k = 1; !period && k <= count / 3; k++)
                period = goes_round(ids, count, k) ? k : 0;
        }
        struct hypothesis h;
        struct beam_options options = {.beam = 1, .n_best = 1, .max_tokens = MOST};
        assert_int_equal(search(&h, task, options), 1);
        if (period) {
            int rounds = (12 + period - 1) / period;
            count -= period * ((rounds > 3 ? rounds : 3) - 1);
            cut++;
        }
        assert_int_equal(h.count, count);
        assert_memory_equal(h.ids, ids, (size_t)count * sizeof *ids);
        assert_int_equal(h.complete, ended);
        hypothesis_release(&h);
    }
    assert_true(cut > 0); /* or this says nothing */
}

/* The best of all sequences over the tokens 0 .. 2 and EOS, of at most STEPS tokens. */
struct best {
    int32_t ids[STEPS];
    int count;
    double log_probability;
};

static void try_all(struct best *best, int32_t *ids, int count, double log_probability)
{
    double p[512];
    if (count == STEPS) { /* cut: EOS is not asked for */
        if (log_probability > best->log_probability) {
            *best = (struct best){.count = count, .log_probability = log_probability};
            memcpy(best->ids, ids, (size_t)count * sizeof *ids);
        }
        return;
    }
    next_log_probabilities(p, TASK_AVSR, ids, count);
    double ended = log_probability + p[model.r->tokens.eos];
    if (ended > best->log_probability) {
        *best = (struct best){.count = count, .log_probability = ended};
        memcpy(best->ids, ids, (size_t)count * sizeof *ids);
    }
    for (int32_t t = 0; t < 3; t++) {
        ids[count] = t;
        try_all(best, ids, count + 1, log_probability + p[t]);
    }
}

/* With an untied head whose rows are large for three tokens and EOS and almost nothing for the
   others, the best sequence is made of those four, and can be found by trying all. */
static void test_wide_beam_is_exhaustive(void **state)
{
    (void)state;
    struct small_model tied = model;
    struct recognizer_config config;
    struct tensor *tied_audio = audio, *tied_video = video;
    small_config(&config);
    config.llm.tied = false;
    small_open(&model, &config);
    small_shake(model.r, &model.err);
    audio = small_audio(&model, 1);
    video = small_video(&model, 1);
    struct tensor *head = &model.r->llm.head;
    const int64_t d = config.llm.d, vocab = model.r->config.llm.vocab;
    for (int64_t t = 0; t < vocab; t++)
        for (int64_t i = 0; i < d; i++)
            head->data[t * d + i] *= t < 3 || t == model.r->tokens.eos ? 10 : 1e-3f;
    parameter_changed(head);
    int32_t ids[STEPS];
    struct best best = {.log_probability = -INFINITY};
    try_all(&best, ids, 0, 0);
    struct hypothesis h[64];
    int count =
        search(h, TASK_AVSR, (struct beam_options){.beam = 64, .n_best = 64, .max_tokens = STEPS});
    assert_int_equal(count, 64);
    assert_true(h[0].log_probability >= best.log_probability - 1e-4);
    bool small = true; /* of the three tokens alone: then it must be the very best */
    for (int i = 0; i < h[0].count; i++)
        small &= h[0].ids[i] < 3;
    assert_true(small);
    assert_int_equal(h[0].count, best.count);
    assert_memory_equal(h[0].ids, best.ids, (size_t)best.count * sizeof *ids);
    assert_float_equal(h[0].log_probability, best.log_probability, 1e-3);
    for (int i = 0; i < count; i++)
        hypothesis_release(&h[i]);
    small_close(&model);
    model = tied;
    audio = tied_audio;
    video = tied_video;
}

static void test_best_first_and_all_different(void **state)
{
    (void)state;
    struct hypothesis h[5];
    struct beam_options options = {.beam = 6, .n_best = 5, .max_tokens = 4};
    assert_int_equal(search(h, TASK_ASR, options), 5);
    for (int i = 0; i < 5; i++) {
        double sum = 0, p[512];
        for (int k = 0; k < h[i].count + h[i].complete; k++) { /* each score from scratch */
            next_log_probabilities(p, TASK_ASR, h[i].ids, k);
            sum += p[k < h[i].count ? h[i].ids[k] : model.r->tokens.eos];
        }
        assert_float_equal(h[i].log_probability, sum, 1e-3);
        assert_float_equal(h[i].score, h[i].log_probability, 1e-9); /* penalty 0 */
        assert_true(h[i].count <= 4);
        for (int k = 0; k < i; k++) {
            assert_true(h[k].score >= h[i].score);
            assert_false(h[k].count == h[i].count &&
                         !memcmp(h[k].ids, h[i].ids, (size_t)h[i].count * sizeof *h[i].ids));
        }
    }
    for (int i = 0; i < 5; i++)
        hypothesis_release(&h[i]);
}

static void test_length_penalty(void **state)
{
    (void)state;
    struct hypothesis h[4];
    int lengths[2];
    const double penalties[] = {-1, 2};
    for (int k = 0; k < 2; k++) {
        struct beam_options options = {
            .beam = 4, .n_best = 4, .max_tokens = 6, .length_penalty = penalties[k]};
        int count = search(h, TASK_AVSR, options);
        lengths[k] = h[0].count;
        for (int i = 0; i < count; i++) {
            double tokens = h[i].count + 1;
            assert_float_equal(h[i].score, h[i].log_probability / pow(tokens, penalties[k]), 1e-9);
            hypothesis_release(&h[i]);
        }
    }
    assert_true(lengths[0] <= lengths[1]);
}

/* Requests of all tasks and rates at once find what each finds alone, though they end at different
   steps: the same tokens, and scores that differ by nothing but the order of sums. */
static void test_batch_is_single(void **state)
{
    (void)state;
    enum { REQUESTS = 11, BEAM = 5 };
    static const struct beam_options options[] = {
        {.beam = 1, .n_best = 1, .max_tokens = 12},
        {.beam = BEAM, .n_best = BEAM, .max_tokens = 9, .length_penalty = 0.5},
    };
    struct request q[REQUESTS];
    int lengths = 0;
    for (int i = 0; i < REQUESTS; i++) {
        q[i] = request_of((enum task)(i % TASK_COUNT));
        q[i].audio_rate = i % 2 ? 4 : 16;
        q[i].video_rate = i % 4 < 2 ? 2 : 5;
        q[i].audio = (struct span){i, 50 - i};
        q[i].video = (struct span){0, 25 - i};
    }
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        struct found all[REQUESTS], one;
        assert_int_equal(beam_search(all, model.r, &model.c, audio, video, q, REQUESTS, NULL,
                                     &options[k], &model.err),
                         0);
        for (int i = 0; i < REQUESTS; i++) {
            assert_int_equal(beam_search(&one, model.r, &model.c, audio, video, &q[i], 1, NULL,
                                         &options[k], &model.err),
                             0);
            assert_int_equal(all[i].count, one.count);
            assert_int_equal(all[i].prompt_tokens, one.prompt_tokens);
            assert_int_equal(all[i].step_rows, one.step_rows);
            assert_int_equal(all[i].step_keys, one.step_keys);
            for (int h = 0; h < one.count; h++) {
                const struct hypothesis *a = &all[i].hypotheses[h], *b = &one.hypotheses[h];
                assert_int_equal(a->count, b->count);
                assert_memory_equal(a->ids, b->ids, (size_t)b->count * sizeof *b->ids);
                assert_true(a->complete == b->complete);
                assert_float_equal(a->score, b->score, 1e-5 * fabs(b->score));
            }
            lengths |= 1 << one.hypotheses[0].count;
            found_release(&one);
            found_release(&all[i]);
        }
    }
    assert_true((lengths & (lengths - 1)) != 0); /* or nothing ends before the others */
}

/* What a search that reads CTC too says of its hypotheses, from both parts anew; and of the head's
   scores, from the distances to the embeddings. */
static void test_ctc_is_weighed_in(void **state)
{
    (void)state;
    enum { ROWS = 12 };
    const int64_t vocab = model.r->config.llm.vocab, d = model.r->config.llm.d;
    struct ctc_head head;
    assert_int_equal(ctc_head_init(&head, model.r, &model.err), 0);
    size_t mark = arena_mark(&model.arena);
    const struct span span = {0, 50};
    struct tensor *z =
        projector_forward(recognizer_projector(model.r, false, 4), &model.c, audio, &span, 1, 4);
    const struct tensor *scores = ctc_head_scores(&head, model.r, &model.c, z);
    assert_int_equal(tensor_rows(scores), ROWS);
    int32_t ids[2] = {1, head.blank};
    const struct tensor *e = llama_embed(&model.r->llm, &model.c, ids, 2);
    for (int r = 0; r < ROWS; r++) { /* of a token and the blank, differences of distances */
        double far[2] = {0, 0};
        for (int k = 0; k < 2; k++)
            for (int64_t i = 0; i < d; i++)
                far[k] += pow((double)z->data[r * d + i] - e->data[k * d + i], 2);
        const float *row = scores->data + r * (vocab + 1);
        assert_float_equal(row[1] - row[vocab], head.sharpness * (far[1] - far[0]) / 2, 1e-2);
    }
    struct ctc_table table;
    assert_int_equal(ctc_table_init(&table, scores->data, ROWS, vocab, &model.err), 0);

    struct request q = request_of(TASK_ASR);
    struct found found;
    double p[512];
    struct beam_options options = {.beam = 4, .n_best = 4, .max_tokens = 6, .ctc_weight = 0.4};
    assert_int_equal(
        beam_search(&found, model.r, &model.c, audio, video, &q, 1, &head, &options, &model.err),
        0);
    assert_int_equal(found.ctc_rows, ROWS);
    for (int i = 0; i < found.count; i++) {
        const struct hypothesis *h = &found.hypotheses[i];
        float token[2][ROWS], blank[2][ROWS], ctc = 0;
        struct ctc_prefix prefix[2] = {{token[0], blank[0], -1}, {token[1], blank[1], -1}};
        double llm = 0;
        ctc_prefix_start(&prefix[0], &table);
        for (int k = 0; k < h->count; k++) {
            next_log_probabilities(p, TASK_ASR, h->ids, k);
            llm += p[h->ids[k]];
            ctc = ctc_prefix_extend(&prefix[(k + 1) % 2], &prefix[k % 2], &table, h->ids[k]);
        }
        if (h->complete) {
            next_log_probabilities(p, TASK_ASR, h->ids, h->count);
            llm += p[model.r->tokens.eos];
            ctc = ctc_prefix_end(&prefix[h->count % 2], &table);
        }
        assert_float_equal(h->log_probability, 0.6 * llm + 0.4 * ctc, 1e-2);
    }
    found_release(&found);
    ctc_table_release(&table);
    ctc_head_release(&head);
    arena_rewind(&model.arena, mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beam_of_one_is_greedy),
        cmocka_unit_test(test_circles_are_cut),
        cmocka_unit_test(test_wide_beam_is_exhaustive),
        cmocka_unit_test(test_best_first_and_all_different),
        cmocka_unit_test(test_length_penalty),
        cmocka_unit_test(test_batch_is_single),
        cmocka_unit_test(test_ctc_is_weighed_in),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
