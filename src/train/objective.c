#include "train/objective.h"
#include "base/hash.h"
#include "tensor/ops.h"
#include "train/schedule.h"

#include <stdlib.h>
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

/* States that are there already, packed without padding. */
static void gather_states(struct encoded *out, struct compute *c, const struct batch *b, bool audio,
                          int64_t d)
{
    int64_t rows = 0;
    out->spans = arena_alloc(c->arena, (size_t)b->count * sizeof *out->spans);
    for (int i = 0; i < b->count; i++) {
        const struct example *e = &b->examples[i];
        bool has = audio ? e->audio_states : e->video_states;
        out->spans[i] = (struct span){rows, has ? e->frames * (audio ? 2 : 1) : 0};
        rows += out->spans[i].length;
    }
    if (!rows)
        return;
    out->states = tensor_new(c, TENSOR_SHAPE(rows, d));
    for (int i = 0; i < b->count; i++) {
        const struct span s = out->spans[i];
        if (s.length)
            memcpy(out->states->data + s.start * d,
                   audio ? b->examples[i].audio_states : b->examples[i].video_states,
                   (size_t)(s.length * d) * sizeof(float));
    }
}

/* A frozen encoder records nothing and uses running statistics; its dropout stays on, so that what
   is trained on its states sees them as unsure for training clips as they are for new ones. */
static void encode(struct encoded *out, struct recognizer *r, struct compute *c,
                   const struct batch *b, bool audio, const struct stage_config *stage)
{
    struct input in = input_of(b, audio, audio ? r->config.audio.mels : PIXELS);
    *out = (struct encoded){0};
    if (!in.items)
        gather_states(out, c, b, audio, audio ? r->config.audio.d : r->config.video.d);
    if (!in.items)
        return;
    int64_t *lengths = arena_alloc(c->arena, (size_t)in.items * sizeof *lengths);
    struct tensor *x = gather_input(out, c, b, &in, lengths);
    struct compute how = *c;
    how.training = stage->parts & (audio ? TRAIN_AUDIO : TRAIN_VIDEO);
    if (!(stage->parts & train_config_through(&r->config, audio)))
        how.tape = NULL;
    out->states = audio ? recognizer_encode_audio(r, &how, x, lengths)
                        : recognizer_encode_video(r, &how, x, lengths);
}

static double count_right(const struct tensor *logits, const int32_t *labels)
{
    int64_t rows = tensor_rows(logits), width = tensor_width(logits), right = 0;
    for (int64_t r = 0; r < rows; r++) {
        if (labels[r] < 0)
            continue;
        const float *row = logits->data + r * width;
        int64_t best = 0;
        for (int64_t k = 1; k < width; k++)
            if (row[k] > row[best])
                best = k;
        right += best == labels[r];
    }
    return (double)right;
}

static int64_t count_known(const int32_t *labels, int64_t count)
{
    int64_t known = 0;
    for (int64_t i = 0; i < count; i++)
        known += labels[i] >= 0;
    return known;
}

/* The mean over this part's labels; *share: of them in the step's. */
static struct tensor *frame_loss(struct recognizer *r, struct compute *c, const struct encoded *e,
                                 bool audio, const struct totals *totals, double *share,
                                 double *accuracy)
{
    int64_t known = e->states ? count_known(e->labels, tensor_rows(e->states)) : 0;
    if (!known)
        return NULL;
    double all = totals->of[TOTAL_LABELS + !audio];
    struct tensor *logits =
        audio ? recognizer_audio_head(r, c, e->states) : recognizer_video_head(r, c, e->states);
    *accuracy = count_right(logits, e->labels) / all;
    *share = (double)known / all;
    return op_cross_entropy(c, logits, e->labels, NULL, 0);
}

static int by_rates(const void *a, const void *b)
{
    const struct request *x = a, *y = b;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    if (x->audio_rate != y->audio_rate)
        return x->audio_rate < y->audio_rate ? -1 : 1;
    if (x->video_rate != y->video_rate)
        return x->video_rate < y->video_rate ? -1 : 1;
    int64_t a_start = task_hears(x->task) ? x->audio.start : x->video.start; /* one a clip */
    int64_t b_start = task_hears(y->task) ? y->audio.start : y->video.start;
    return a_start < b_start ? -1 : a_start > b_start;
}

/* The transcript of an example with `noise` of its tokens swapped for any, the same ones whichever
   part of the step it is in. */
static const int32_t *swap_tokens(struct compute *c, const struct example *e, const struct draw *d,
                                  int ask, double noise, int64_t step, int64_t vocab)
{
    const uint64_t key[] = {(uint64_t)step, d->sample->sound_hash, d->sample->mouth_hash,
                            (uint64_t)ask};
    struct random random;
    random_seed(&random, hash_bytes(0, key, sizeof key));
    int32_t *ids = arena_alloc(c->arena, (size_t)(e->id_count + 1) * sizeof *ids);
    for (int i = 0; i < e->id_count; i++)
        ids[i] =
            random_uniform(&random) < noise ? (int32_t)random_below(&random, vocab) : e->ids[i];
    return ids;
}

static struct request *make_requests(int *count, struct compute *c, const struct batch *b,
                                     const struct encoded *audio, const struct encoded *video,
                                     double noise, int64_t step, int64_t vocab)
{
    int most = 0;
    for (int i = 0; i < b->count; i++)
        most += b->draws[i].ask_count;
    struct request *requests = arena_alloc(c->arena, (size_t)most * sizeof *requests);
    *count = 0;
    for (int i = 0; i < b->count; i++)
        for (int k = 0; k < b->draws[i].ask_count; k++) {
            const struct ask *ask = &b->draws[i].asks[k];
            struct request q = {.task = ask->task,
                                .audio_rate = ask->audio_rate,
                                .video_rate = ask->video_rate,
                                .text = b->examples[i].ids,
                                .text_count = b->examples[i].id_count,
                                .weight = (float)ask->weight};
            if (noise > 0)
                q.given = swap_tokens(c, &b->examples[i], &b->draws[i], k, noise, step, vocab);
            if (task_hears(ask->task))
                q.audio = audio->spans[i];
            if (task_sees(ask->task))
                q.video = video->spans[i];
            requests[(*count)++] = q;
        }
    qsort(requests, (size_t)*count, sizeof *requests, by_rates);
    return requests;
}

static struct tensor *text_loss(struct recognizer *r, struct compute *c, const struct batch *b,
                                const struct encoded *audio, const struct encoded *video,
                                const struct stage_config *stage, int64_t step,
                                struct prefilled *out)
{
    int count;
    struct request *requests =
        make_requests(&count, c, b, audio, video, stage->text_noise, step, r->config.llm.vocab);
    double all = b->totals->of[TOTAL_WEIGHT];
    if (!count || all <= 0)
        return NULL;
    recognizer_prefill(r, c, audio->states, video->states, requests, count, NULL, out);
    float *weight = arena_alloc(c->arena, (size_t)tensor_rows(out->logits) * sizeof *weight);
    for (int q = 0; q < count; q++)
        for (int64_t i = 0; i < out->spans[q].length; i++)
            weight[out->spans[q].start + i] =
                (float)(requests[q].weight / all / (double)out->spans[q].length);
    return op_cross_entropy(c, out->logits, out->targets, weight, (float)stage->smoothing);
}

struct terms {
    struct tensor *terms[8];
    float factors[8];
    int count;
};

/* share: the step's loss is the sum of the parts' times their shares. */
static void add_term(struct terms *t, struct tensor *loss, double weight, double share,
                     double *measure)
{
    if (!loss)
        return;
    *measure = loss->data[0] * share;
    t->terms[t->count] = loss;
    t->factors[t->count++] = (float)(weight * share);
}

static struct tensor *mean(struct compute *c, struct tensor *const *terms, int count)
{
    float *share = arena_alloc(c->arena, (size_t)count * sizeof *share);
    for (int i = 0; i < count; i++)
        share[i] = 1.0f / (float)count;
    return op_weighted_sum(c, terms, share, count);
}

/* L_B of this rank's rows, f_n over those of all ranks; *share: of the former in the latter. */
static struct tensor *balance_loss(const struct recognizer *r, struct compute *c,
                                   const struct batch *b, const struct prefilled *filled,
                                   double *share)
{
    int layers = r->mome.count, routed = r->config.mome.routed, count = layers * routed;
    if (!count)
        return NULL;
    float *sums = arena_alloc(c->arena, (size_t)(count + 1) * sizeof *sums);
    float rows = (float)filled->tokens;
    for (int i = 0; i < count; i++)
        sums[i] = rows > 0 ? filled->expert_share[i] * rows : 0;
    sums[count] = rows;
    distributed_sum_floats(b->distributed, sums, count + 1);
    if (rows == 0)
        return NULL;
    for (int i = 0; i < count; i++)
        sums[i] /= sums[count];
    *share = rows / sums[count];
    struct tensor **terms = arena_alloc(c->arena, (size_t)layers * sizeof *terms);
    for (int i = 0; i < layers; i++)
        terms[i] = op_load_balance(c, filled->scores[i], sums + i * routed);
    return mean(c, terms, layers);
}

struct tensor *objective(struct recognizer *r, struct compute *c, const struct batch *b,
                         const struct stage_config *stage, int64_t step,
                         const struct alignment *alignment, struct measures *m)
{
    struct encoded audio = {0}, video = {0};
    struct prefilled filled = {0};
    struct terms t = {.count = 0};
    const bool text = stage->text_weight > 0;
    double frame_weight = schedule_frame_weight(stage, step);
    double align_weight = alignment ? schedule_align_weight(stage, step) : 0;
    double share = 0;
    *m = (struct measures){0};

    if (text || align_weight > 0 || stage->parts & TRAIN_AUDIO)
        encode(&audio, r, c, b, true, stage);
    if (text || align_weight > 0 || stage->parts & TRAIN_VIDEO)
        encode(&video, r, c, b, false, stage);
    if (frame_weight > 0 && stage->parts & TRAIN_AUDIO) {
        struct tensor *ce = frame_loss(r, c, &audio, true, b->totals, &share, &m->audio_accuracy);
        add_term(&t, ce, frame_weight, share, &m->audio_frames);
    }
    if (frame_weight > 0 && stage->parts & TRAIN_VIDEO) {
        struct tensor *ce = frame_loss(r, c, &video, false, b->totals, &share, &m->video_accuracy);
        add_term(&t, ce, frame_weight, share, &m->video_frames);
    }
    if (align_weight > 0) {
        const struct alignment_batch batch = {.examples = b->examples,
                                              .count = b->count,
                                              .audio = audio.states,
                                              .audio_spans = audio.spans,
                                              .video = video.states,
                                              .video_spans = video.spans,
                                              .clips = b->totals->of + TOTAL_ALIGNED};
        add_term(&t, alignment_loss(alignment, r, c, &batch), align_weight, 1, &m->align);
    }
    if (text)
        add_term(&t, text_loss(r, c, b, &audio, &video, stage, step, &filled), stage->text_weight,
                 1, &m->text);
    m->tokens = (double)filled.tokens;
    if (text && stage->parts & TRAIN_MOME && stage->load_balance > 0) {
        struct tensor *balance = balance_loss(r, c, b, &filled, &share);
        add_term(&t, balance, stage->load_balance, share * b->part, &m->balance);
    }
    m->losses = t.count;
    if (!t.count)
        return NULL;
    struct tensor *loss = op_weighted_sum(c, t.terms, t.factors, t.count);
    m->loss = loss->data[0];
    return loss;
}

static bool is_aligned(const struct example *e, bool audio)
{
    return e->id_count && (audio ? e->mel || e->audio_states : e->pictures || e->video_states);
}

void totals_add(struct totals *totals, const struct draw *draws, const struct example *examples,
                int count)
{
    totals->of[TOTAL_WEIGHT] += draw_weight(draws, count);
    for (int i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        for (int m = 0; m < 2; m++)
            totals->of[TOTAL_ALIGNED + m] += is_aligned(e, m == 0);
        if (e->mel)
            totals->of[TOTAL_LABELS] += (double)count_known(e->audio_label, 2 * e->frames);
        if (e->pictures)
            totals->of[TOTAL_LABELS + 1] += (double)count_known(e->video_label, e->frames);
    }
}

void measures_add(struct measures *sum, const struct measures *part)
{
    sum->loss += part->loss;
    sum->text += part->text;
    sum->audio_frames += part->audio_frames;
    sum->video_frames += part->video_frames;
    sum->balance += part->balance;
    sum->align += part->align;
    sum->audio_accuracy += part->audio_accuracy;
    sum->video_accuracy += part->video_accuracy;
    sum->tokens += part->tokens;
    sum->losses += part->losses;
}

void measures_finish(struct measures *m, const struct totals *totals,
                     const struct stage_config *stage, struct distributed *distributed)
{
    double *all[] = {&m->loss,    &m->text,  &m->audio_frames,   &m->video_frames,
                     &m->balance, &m->align, &m->audio_accuracy, &m->video_accuracy,
                     &m->tokens,  &m->losses};
    enum { COUNT = sizeof all / sizeof *all };
    double sums[COUNT];
    bool frames = stage->frame_weight[0] > 0 || stage->frame_weight[1] > 0;
    for (int i = 0; i < COUNT; i++)
        sums[i] = *all[i];
    distributed_sum(distributed, sums, COUNT);
    for (int i = 0; i < COUNT; i++)
        *all[i] = sums[i];
    if (!frames || !(stage->parts & TRAIN_AUDIO) || totals->of[TOTAL_LABELS] == 0)
        m->audio_accuracy = -1;
    if (!frames || !(stage->parts & TRAIN_VIDEO) || totals->of[TOTAL_LABELS + 1] == 0)
        m->video_accuracy = -1;
}
