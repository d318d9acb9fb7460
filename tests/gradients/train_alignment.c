/*
 * The alignment loss by finite differences, through the projectors into the encoders' states: where
 * words have times (the known path), where they have none (CTC), and both in one batch; and the
 * known path's value, by hand.
 */
#include "check.h"
#include "unit/small_model.h"

#include "train/alignment.h"

enum { CLIPS = 2, STATES = 40 };

static struct small_model model;
static struct alignment alignment;
static struct example examples[CLIPS];
static int32_t ids[CLIPS][64];
static struct token_time times[CLIPS][64];
static struct sample samples[CLIPS] = {{.text = "bin at"}, {.text = "set"}};

/* What of each clip's times is known. */
struct setting {
    const char *name;
    bool known[CLIPS];
};

static int open_model(void **state)
{
    (void)state;
    struct recognizer_config config;
    const struct dataset dataset = {.samples = samples, .count = CLIPS};
    small_config(&config);
    config.projector.norm = true;
    small_open(&model, &config);
    small_shake(model.r, &model.err);
    for (int i = 0; i < CLIPS; i++) {
        const char *text = samples[i].text;
        examples[i].frames = STATES / 2;
        examples[i].ids = ids[i];
        examples[i].id_count =
            (int)tokenizer_encode(model.r->tokenizer, ids[i], text, strlen(text), &model.err);
        assert_in_range(examples[i].id_count, 1, 5);
        for (int k = 0; k < examples[i].id_count; k++) /* from 100 ms on, 120 ms each */
            times[i][k] = (struct token_time){100 + 120 * k, 220 + 120 * k};
    }
    return alignment_init(&alignment, model.r, &dataset, &model.err);
}

static int close_model(void **state)
{
    (void)state;
    alignment_release(&alignment);
    small_close(&model);
    return 0;
}

static struct tensor *loss(struct compute *c, struct tensor **in, const void *arg)
{
    const struct setting *s = arg;
    static const struct span audio[CLIPS] = {{0, STATES}, {STATES, STATES}};
    static const struct span video[CLIPS] = {{0, STATES / 2}, {STATES / 2, STATES / 2}};
    static const double clips[2] = {CLIPS, CLIPS};
    for (int i = 0; i < CLIPS; i++)
        examples[i].times = s->known[i] ? times[i] : NULL;
    const struct alignment_batch batch = {.examples = examples,
                                          .count = CLIPS,
                                          .audio = in[0],
                                          .audio_spans = audio,
                                          .video = in[1],
                                          .video_spans = video,
                                          .clips = clips};
    return alignment_loss(&alignment, model.r, c, &batch);
}

static void make_states(struct tensor *t, int64_t rows, int64_t width)
{
    assert_int_equal(parameter_init(t, TENSOR_SHAPE(rows, width), &model.err), 0);
    assert_int_equal(parameter_train(t, true, &model.err), 0);
    for (int64_t i = 0; i < tensor_count(t); i++)
        t->data[i] = (float)random_normal(&model.random);
}

static void test_gradients(void **state)
{
    (void)state;
    static const struct setting settings[] = {
        {"known paths", {true, true}}, {"CTC", {false, false}}, {"both", {false, true}}};
    struct tensor states[2];
    struct tensor *in[2] = {&states[0], &states[1]};
    make_states(in[0], CLIPS * STATES, model.r->config.audio.d);
    make_states(in[1], CLIPS * STATES / 2, model.r->config.video.d);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        check_gradients(&(struct check){.name = settings[i].name,
                                        .device = &device_reference,
                                        .function = loss,
                                        .arg = &settings[i],
                                        .in = in,
                                        .count = 2,
                                        .tolerance = 5e-2 /* ReLU's kinks */});
    parameter_release(in[0]);
    parameter_release(in[1]);
}

/* -log P of the token in each row's middle, or the blank, at the rates that are fine enough. */
static double by_hand(struct projector *p, struct tensor *states, int clip, int state_ms)
{
    const struct example *e = &examples[clip];
    const int64_t rows = tensor_rows(states) / CLIPS / p->rate;
    const struct span span = {clip * tensor_rows(states) / CLIPS, rows * p->rate};
    struct tensor *z = projector_forward(p, &model.c, states, &span, 1, p->rate);
    const int64_t d = tensor_width(z), columns = tensor_rows(&alignment.table);
    double sum = 0;
    int saying = 0;
    for (int64_t i = 0; i < rows; i++) {
        const double ms = ((double)i + 0.5) * p->rate * state_ms;
        const int token = ms < 100 ? -1 : (int)((ms - 100) / 120);
        const int64_t column =
            token < 0 || token >= e->id_count ? 0 : alignment.column[e->ids[token]];
        double all = 0, mine = 0;
        for (int64_t k = 0; k < columns; k++) {
            double logit = alignment.bias.data[k];
            for (int64_t j = 0; j < d; j++)
                logit += (double)alignment.sharpness * z->data[i * d + j] *
                         alignment.table.data[k * d + j];
            all += exp(logit);
            mine = k == column ? logit : mine;
        }
        sum += log(all) - mine;
        saying += column > 0;
    }
    return saying < e->id_count ? 0 : sum / e->id_count;
}

static void test_known_path_by_hand(void **state)
{
    (void)state;
    static const struct setting known = {"", {true, true}};
    struct tensor *in[2] = {small_random(&model, TENSOR_SHAPE(CLIPS * STATES, 16)),
                            small_random(&model, TENSOR_SHAPE(CLIPS * STATES / 2, 16))};
    double sum = 0;
    for (int m = 0; m < 2; m++)
        for (int k = 0; k < 2; k++)
            for (int clip = 0; clip < CLIPS; clip++)
                sum += by_hand(m ? &model.r->video_projectors[k] : &model.r->audio_projectors[k],
                               in[m], clip, m ? 40 : 20) /
                       CLIPS / 4;
    assert_true(sum > 0);
    assert_float_equal(loss(&model.c, in, &known)->data[0], sum, 1e-3 * sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_known_path_by_hand),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
