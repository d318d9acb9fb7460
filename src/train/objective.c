#include "train/objective.h"
#include "tensor/ops.h"
#include "train/schedule.h"

#include <string.h>

#define PIXELS (88 * 88)

/* One encoder's part of a batch: the examples that have this modality, padded to one length. */
struct encoded {
    struct tensor *states; /* [items * rows_per_item, d] or NULL: no example has it */
    struct span *spans;    /* [batch] rows of each example; length 0: has none */
    int32_t *labels;       /* [rows]; -1: padding or unknown */
};

static bool has_modality(const struct example *e, bool audio)
{
    return audio ? e->mel != NULL : e->pictures != NULL;
}

/* One encoder's input: `rows` of each item, which make so many states. */
struct input {
    bool audio;
    int items;
    int64_t rows, width, states;
    int64_t per_frame; /* states in the time of a picture */
};

static int64_t example_rows(const struct example *e, bool audio)
{
    return audio ? e->mel_rows : e->frames;
}

static struct input input_of(const struct batch *b, bool audio, int64_t width)
{
    struct input in = {.audio = audio, .width = width, .per_frame = audio ? 2 : 1};
    for (int i = 0; i < b->count; i++) {
        int64_t rows = example_rows(&b->examples[i], audio);
        if (!has_modality(&b->examples[i], audio))
            continue;
        in.items++;
        in.rows = rows > in.rows ? rows : in.rows;
    }
    in.states = audio ? whisper_frames(in.rows) : in.rows;
    return in;
}

/* Rows `used` .. `all` repeat the last one: a still end, so that batch norm sees real pictures. */
static void pad_rows(float *rows, int64_t used, int64_t all, int64_t width)
{
    for (int64_t r = used; r < all; r++)
        memcpy(rows + r * width, rows + (used - 1) * width, (size_t)width * sizeof(float));
}

/* Input [items, rows, width] and the label of each of the states. */
static struct tensor *gather_input(struct encoded *out, struct compute *c, const struct batch *b,
                                   const struct input *in, int64_t *lengths)
{
    struct tensor *x = in->audio ? tensor_new(c, TENSOR_SHAPE(in->items, in->rows, in->width))
                                 : tensor_new(c, TENSOR_SHAPE(in->items, in->rows, 88, 88, 1));
    out->spans = arena_alloc(c->arena, (size_t)b->count * sizeof *out->spans);
    out->labels = arena_alloc(c->arena, (size_t)(in->items * in->states) * sizeof(int32_t));
    int item = 0;
    for (int i = 0; i < b->count; i++) {
        const struct example *e = &b->examples[i];
        out->spans[i] = (struct span){0, 0};
        if (!has_modality(e, in->audio))
            continue;
        int64_t rows = example_rows(e, in->audio), states = e->frames * in->per_frame;
        float *to = x->data + item * in->rows * in->width;
        memcpy(to, in->audio ? e->mel : e->pictures, (size_t)(rows * in->width) * sizeof(float));
        pad_rows(to, rows, in->rows, in->width);
        int32_t *labels = out->labels + item * in->states;
        memcpy(labels, in->audio ? e->audio_label : e->video_label,
               (size_t)states * sizeof(int32_t));
        for (int64_t s = states; s < in->states; s++)
            labels[s] = -1;
        out->spans[i] = (struct span){item * in->states, states};
        lengths[item++] = rows;
    }
    return x;
}

/* A frozen encoder records nothing and uses running statistics; its dropout stays on, so that what
   is trained on its states sees them as unsure for training clips as they are for new ones. */
static void encode(struct encoded *out, struct recognizer *r, struct compute *c,
                   const struct batch *b, bool audio, bool trained)
{
    struct input in = input_of(b, audio, audio ? r->config.audio.mels : PIXELS);
    *out = (struct encoded){0};
    if (!in.items)
        return;
    int64_t *lengths = arena_alloc(c->arena, (size_t)in.items * sizeof *lengths);
    struct tensor *x = gather_input(out, c, b, &in, lengths);
    struct compute frozen = *c;
    frozen.tape = NULL;
    frozen.training = false;
    struct compute *how = trained ? c : &frozen;
    out->states = audio ? recognizer_encode_audio(r, how, x, lengths)
                        : recognizer_encode_video(r, how, x, lengths);
}

static double accuracy(const struct tensor *logits, const int32_t *labels)
{
    int64_t rows = tensor_rows(logits), width = tensor_width(logits), right = 0, known = 0;
    for (int64_t r = 0; r < rows; r++) {
        if (labels[r] < 0)
            continue;
        const float *row = logits->data + r * width;
        int64_t best = 0;
        for (int64_t k = 1; k < width; k++)
            if (row[k] > row[best])
                best = k;
        known++;
        right += best == labels[r];
    }
    return known ? (double)right / (double)known : -1;
}

static bool any_label(const struct encoded *e)
{
    int64_t rows = tensor_rows(e->states);
    for (int64_t r = 0; r < rows; r++)
        if (e->labels[r] >= 0)
            return true;
    return false;
}

static struct tensor *frame_loss(struct recognizer *r, struct compute *c, const struct encoded *e,
                                 bool audio, double *loss, double *right)
{
    if (!e->states || !any_label(e))
        return NULL;
    struct tensor *logits =
        audio ? recognizer_audio_head(r, c, e->states) : recognizer_video_head(r, c, e->states);
    struct tensor *ce = op_cross_entropy(c, logits, e->labels, NULL, 0);
    *loss = ce->data[0];
    *right = accuracy(logits, e->labels);
    return ce;
}

/* Appends the requests of one example and one task, one for each rate (pair) of the model. */
static int add_requests(struct request *requests, int count, const struct recognizer *r,
                        enum task task, const struct example *e, struct span audio,
                        struct span video)
{
    const struct projector_config *p = &r->config.projector;
    int audio_rates = task_hears(task) ? p->audio_rate_count : 1;
    int video_rates = task_sees(task) ? p->video_rate_count : 1;
    for (int i = 0; i < audio_rates; i++)
        for (int j = 0; j < video_rates; j++)
            requests[count++] = (struct request){.task = task,
                                                 .audio_rate = p->audio_rates[i],
                                                 .video_rate = p->video_rates[j],
                                                 .audio = audio,
                                                 .video = video,
                                                 .text = e->ids,
                                                 .text_count = e->id_count};
    return count;
}

static int make_requests(struct request *requests, const struct recognizer *r,
                         const struct batch *b, const struct encoded *audio,
                         const struct encoded *video, const struct stage_config *stage,
                         struct random *random)
{
    int count = 0;
    for (int i = 0; i < b->count; i++) {
        struct span a = audio->states ? audio->spans[i] : (struct span){0, 0};
        struct span v = video->states ? video->spans[i] : (struct span){0, 0};
        for (int task = 0; task < TASK_COUNT; task++) {
            bool drawn = random_uniform(random) < stage->task_share[task];
            bool possible = (!task_hears(task) || a.length) && (!task_sees(task) || v.length);
            if (drawn && possible)
                count = add_requests(requests, count, r, task, &b->examples[i], a, v);
        }
    }
    return count;
}

static struct tensor *text_loss(struct recognizer *r, struct compute *c, const struct batch *b,
                                const struct encoded *audio, const struct encoded *video,
                                const struct stage_config *stage, struct random *random,
                                struct prefilled *out)
{
    const struct projector_config *p = &r->config.projector;
    int most =
        p->audio_rate_count + p->video_rate_count + p->audio_rate_count * p->video_rate_count;
    struct request *requests = arena_alloc(c->arena, (size_t)(most * b->count) * sizeof *requests);
    int count = make_requests(requests, r, b, audio, video, stage, random);
    if (!count)
        return NULL;
    recognizer_prefill(r, c, audio->states, video->states, requests, count, NULL, out);
    double sum = 0;
    for (int q = 0; q < count; q++)
        sum += stage->task_weight[requests[q].task];
    float *weight = arena_alloc(c->arena, (size_t)tensor_rows(out->logits) * sizeof *weight);
    for (int q = 0; q < count; q++)
        for (int64_t i = 0; i < out->spans[q].length; i++)
            weight[out->spans[q].start + i] =
                (float)(stage->task_weight[requests[q].task] / sum / (double)out->spans[q].length);
    return op_cross_entropy(c, out->logits, out->targets, weight, (float)stage->smoothing);
}

struct tensor *objective(struct recognizer *r, struct compute *c, const struct batch *b,
                         const struct stage_config *stage, int64_t step, struct random *random,
                         struct measures *m)
{
    enum { MAX_TERMS = 4 };
    struct tensor *terms[MAX_TERMS];
    float factors[MAX_TERMS];
    int count = 0;
    struct encoded audio = {0}, video = {0};
    struct prefilled filled = {0};
    const bool text = stage->text_weight > 0;
    double frame_weight = schedule_frame_weight(stage, step);
    *m = (struct measures){.audio_accuracy = -1, .video_accuracy = -1};

    if (text || stage->parts & PART_AUDIO)
        encode(&audio, r, c, b, true, stage->parts & PART_AUDIO);
    if (text || stage->parts & PART_VIDEO)
        encode(&video, r, c, b, false, stage->parts & PART_VIDEO);
    for (int i = 0; i < 2 && frame_weight > 0; i++) {
        bool trained = stage->parts & (i ? PART_VIDEO : PART_AUDIO);
        struct tensor *ce =
            !trained ? NULL
            : i == 0 ? frame_loss(r, c, &audio, true, &m->audio_frames, &m->audio_accuracy)
                     : frame_loss(r, c, &video, false, &m->video_frames, &m->video_accuracy);
        if (ce) {
            factors[count] = (float)frame_weight;
            terms[count++] = ce;
        }
    }
    struct tensor *ce = text ? text_loss(r, c, b, &audio, &video, stage, random, &filled) : NULL;
    if (ce) {
        m->text = ce->data[0];
        m->tokens = filled.tokens;
        factors[count] = (float)stage->text_weight;
        terms[count++] = ce;
    }
    if (filled.balance_count && stage->parts & PART_MOME && stage->load_balance > 0) {
        float *mean = arena_alloc(c->arena, (size_t)filled.balance_count * sizeof *mean);
        for (int i = 0; i < filled.balance_count; i++)
            mean[i] = 1.0f / (float)filled.balance_count;
        struct tensor *balance = op_weighted_sum(c, filled.balance, mean, filled.balance_count);
        m->balance = balance->data[0];
        factors[count] = (float)stage->load_balance;
        terms[count++] = balance;
    }
    if (!count)
        return NULL;
    struct tensor *loss = op_weighted_sum(c, terms, factors, count);
    m->loss = loss->data[0];
    return loss;
}
