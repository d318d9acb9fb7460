#include "train/learner.h"
#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer.h"
#include "train/activations.h"
#include "train/schedule.h"

#include <math.h>
#include <string.h>

/* ---- data and model ---------------------------------------------------------------------- */

static int write_texts(const char *path, const struct train_config *config,
                       const char *const *texts, int64_t count, struct error *err)
{
    struct file_writer w;
    int rc = file_writer_open(&w, path, err);
    if (rc)
        return rc;
    for (int64_t i = 0; i < count; i++)
        fprintf(w.stream, "%s\n", texts[i]);
    for (int task = 0; task < TASK_COUNT; task++) /* twice: a pair that occurs once is not joined */
        fprintf(w.stream, "%s\n%s\n", config->model.prompts[task], config->model.prompts[task]);
    return file_writer_commit(&w, err);
}

int learner_make_tokenizer(struct tokenizer **tokenizer, const struct train_config *config,
                           const char *const *texts, int64_t count, const char *folder,
                           struct error *err)
{
    const struct tokenizer_options options = {.vocabulary = config->vocabulary,
                                              .prefix_space = true};
    char *path = file_join(folder, "tokenizer.json");
    char *texts_path = file_join(folder, "transcripts.txt");
    int rc = path && texts_path ? write_texts(texts_path, config, texts, count, err)
                                : error_set(err, ERROR_MEMORY, "out of memory");
    if (!rc)
        rc = tokenizer_train(tokenizer, texts_path, &options, err);
    if (!rc)
        rc = tokenizer_save(*tokenizer, path, err);
    memory_free(path);
    memory_free(texts_path);
    return rc;
}

static int learn_tokenizer(struct tokenizer **tokenizer, const struct learner *l,
                           const char *folder, struct error *err)
{
    const char **texts = memory_new((size_t)l->dataset.count, sizeof *texts);
    if (!texts)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; i < l->dataset.count; i++)
        texts[i] = l->dataset.samples[i].text;
    int rc = learner_make_tokenizer(tokenizer, l->config, texts, l->dataset.count, folder, err);
    memory_free(texts);
    return rc;
}

static int load_tokenizer(struct tokenizer **tokenizer, const char *folder, struct error *err)
{
    char *path = file_join(folder, "tokenizer.json");
    int rc =
        path ? tokenizer_load(tokenizer, path, err) : error_set(err, ERROR_MEMORY, "out of memory");
    memory_free(path);
    return rc;
}

static int load_data(struct learner *l, const struct dataset_progress *progress, struct error *err)
{
    const struct train_config *c = l->config;
    int rc = dataset_load(&l->dataset, c, progress, err);
    for (int s = 0; !rc && s < c->stage_count; s++)
        if (train_config_frames_only(&c->stages[s]) && l->dataset.label_count < 2)
            rc = error_set(err, ERROR_FORMAT,
                           "stage %s has a frame loss alone, but no manifest has words_ms",
                           c->stages[s].name);
    if (!rc && c->noise)
        rc = noise_load(&l->noise, c->noise, err);
    if (!rc && c->model.has_audio)
        rc = logmel_new(&l->logmel, c->model.audio.mels, err);
    return rc;
}

static int new_model(struct learner *l, const char *folder, bool resume, struct error *err)
{
    struct tokenizer *tokenizer = NULL;
    struct recognizer_config model = l->config->model;
    model.llm.vocab = 0; /* as many as the tokenizer has */
    int rc = resume ? load_tokenizer(&tokenizer, folder, err)
                    : learn_tokenizer(&tokenizer, l, folder, err);
    if (rc) {
        tokenizer_free(tokenizer);
        return rc;
    }
    return recognizer_new(&l->recognizer, &model, tokenizer, l->config->seed, err);
}

unsigned learner_part(const struct param_entry *p)
{
    static const struct {
        unsigned part;
        const char *prefix;
    } names[] = {
        {TRAIN_AUDIO, "audio."},
        {TRAIN_AUDIO, "audio_head."},
        {TRAIN_VIDEO, "video."},
        {TRAIN_VIDEO, "video_head."},
        {TRAIN_PROJECTORS, "projector.audio."},
        {TRAIN_PROJECTORS, "projector.video."},
        {TRAIN_LLM, "llm."},
        {TRAIN_LLM, "projector.tokens."},
        {TRAIN_MOME, "mome."},
        {TRAIN_LORA, "lora."},
        {TRAIN_LORA, "video_lora."},
    };
    for (size_t i = 0; param_trains(p->kind) && i < sizeof names / sizeof *names; i++)
        if (!strncmp(p->name, names[i].prefix, strlen(names[i].prefix)))
            return names[i].part;
    return 0;
}

/* What any stage trains is the model's own, whatever file it came from. */
static int own_parts(struct learner *l, struct error *err)
{
    unsigned parts = 0;
    int rc = 0;
    for (int s = 0; s < l->config->stage_count; s++)
        parts |= l->config->stages[s].parts;
    for (int64_t i = 0; !rc && i < l->params.count; i++)
        if (parts & learner_part(&l->params.entries[i]))
            rc = parameter_own(l->params.entries[i].tensor, err);
    return rc;
}

static int make_model(struct learner *l, const char *folder, bool resume, struct error *err)
{
    const struct train_config *config = l->config;
    int rc = config->start ? recognizer_open_changed(&l->recognizer, config->start, &config->model,
                                                     config->seed, err)
                           : new_model(l, folder, resume, err);
    if (rc)
        return rc;
    int labels = l->dataset.label_count;
    rc = recognizer_add_heads(l->recognizer, labels, labels, config->seed + 1, err);
    if (rc)
        return rc;
    param_list_init(&l->params, err);
    recognizer_params(l->recognizer, &l->params.visitor);
    recognizer_head_params(l->recognizer, &l->params.visitor);
    return l->params.code ? l->params.code : own_parts(l, err);
}

static int make_room(struct learner *l, struct error *err)
{
    int most = 1;
    for (int s = 0; s < l->config->stage_count; s++)
        if (l->config->stages[s].batch > most)
            most = l->config->stages[s].batch;
    l->examples = memory_new((size_t)most, sizeof *l->examples);
    l->draws = memory_new((size_t)most, sizeof *l->draws);
    if (!l->examples || !l->draws)
        return error_set(err, ERROR_MEMORY, "out of memory");
    return arena_init(&l->arena, ARENA_DEFAULT_LIMIT, err);
}

int learner_init(struct learner *l, const struct train_config *config,
                 struct distributed *distributed, const char *folder, bool resume,
                 const struct dataset_progress *progress, struct error *err)
{
    *l = (struct learner){.config = config, .distributed = distributed};
    int rc = load_data(l, progress, err);
    if (!rc)
        rc = make_room(l, err);
    /* rank 0 writes the tokenizer, then the others read it */
    if (!rc && distributed->rank == 0)
        rc = make_model(l, folder, resume, err);
    rc = distributed_agree(distributed, rc, err);
    if (!rc && distributed->rank > 0)
        rc = make_model(l, folder, true, err);
    rc = distributed_agree(distributed, rc, err);
    if (rc)
        return rc;
    l->augment = (struct augment){
        .dataset = &l->dataset,
        .config = config,
        .tokenizer = l->recognizer->tokenizer,
        .logmel = l->logmel,
        .noise = l->noise.pcm ? &l->noise : NULL,
        .mels = config->model.audio.mels,
    };
    l->compute = (struct compute){
        .device = &device_cpu,
        .arena = &l->arena,
        .tape = &l->tape,
        .precision = config->bf16 ? PRECISION_BF16 : PRECISION_F32,
        .training = true,
        .random = &l->random,
    };
    return 0;
}

void learner_release(struct learner *l)
{
    adamw_release(&l->adamw);
    gradients_release(&l->gradients);
    features_cache_release(&l->features);
    alignment_release(&l->alignment);
    param_list_release(&l->params);
    recognizer_free(l->recognizer);
    tape_release(&l->tape);
    arena_release(&l->arena);
    logmel_free(l->logmel);
    noise_release(&l->noise);
    dataset_release(&l->dataset);
    memory_free(l->draws);
    memory_free(l->examples);
    *l = (struct learner){0};
}

/* ---- a stage ----------------------------------------------------------------------------- */

/* Weights, and of each trained number a gradient and two moments. */
static double held_bytes(const struct param_list *params)
{
    double sum = 0;
    for (int64_t i = 0; i < params->count; i++) {
        const struct tensor *t = params->entries[i].tensor;
        int64_t count = tensor_count(t);
        sum += (double)dtype_bytes(t->stored ? t->dtype : DTYPE_F32, count);
        sum += t->grad ? 12.0 * (double)count : 0;
    }
    return sum;
}

int learner_choose(struct learner *l, int stage, struct error *err)
{
    l->stage = &l->config->stages[stage];
    l->stage_index = stage;
    adamw_release(&l->adamw);
    gradients_release(&l->gradients);
    int rc = 0;
    for (int64_t i = 0; !rc && i < l->params.count; i++) {
        const struct param_entry *p = &l->params.entries[i];
        rc = parameter_train(p->tensor, l->stage->parts & learner_part(p), err);
        parameter_changed(p->tensor);
    }
    l->held_bytes = held_bytes(&l->params);
    if (!rc)
        rc = gradients_init(&l->gradients, &l->params, l->distributed, err);
    if (!rc)
        rc = adamw_init(&l->adamw, &l->params, err);
    return distributed_agree(l->distributed, rc, err);
}

void learner_share(struct learner *l)
{
    struct distributed *d = l->distributed;
    distributed_share(d, &l->adamw.step, sizeof l->adamw.step);
    for (int64_t i = 0; i < l->params.count; i++) {
        struct tensor *t = l->params.entries[i].tensor;
        const struct moments *m = &l->adamw.moments[i];
        size_t bytes = (size_t)tensor_count(t) * sizeof *t->data;
        if (t->borrowed) /* every rank has the file */
            continue;
        distributed_share(d, t->data, bytes);
        parameter_changed(t);
        if (m->m) {
            distributed_share(d, m->m, bytes);
            distributed_share(d, m->v, bytes);
        }
    }
}

static int fill_features(struct learner *l, const struct dataset_progress *progress,
                         struct error *err)
{
    int rc = features_cache_init(&l->features, l->recognizer, &l->augment, l->stage,
                                 l->compute.precision, err);
    return rc ? rc : features_cache_fill(&l->features, l->recognizer, &l->compute, progress, err);
}

int learner_prepare(struct learner *l, const struct dataset_progress *progress, struct error *err)
{
    const struct stage_config *stage = l->stage;
    int rc = 0;
    features_cache_release(&l->features);
    alignment_release(&l->alignment);
    if (l->distributed->rank == 0)
        rc = fill_features(l, progress, err);
    rc = distributed_agree(l->distributed, rc, err);
    if (!rc && l->distributed->rank > 0) /* finds all there */
        rc = fill_features(l, progress, err);
    if (!rc && (stage->align_weight[0] > 0 || stage->align_weight[1] > 0))
        rc = alignment_init(&l->alignment, l->recognizer, &l->dataset, err);
    return distributed_agree(l->distributed, rc, err);
}

/* ---- a step ------------------------------------------------------------------------------ */

/* Items of a step have numbers below SLICES, from 1; slices the others. */
enum { SLICES = 1 << 11 };
_Static_assert(TRAIN_MAX_BATCH < SLICES, "items and slices of a step have seeds of their own");

static void seed_step(struct random *random, const struct learner *l, int64_t step, int item)
{
    uint64_t place = ((uint64_t)l->stage_index << 50) + ((uint64_t)step << 12);
    random_seed(random, l->config->seed * 0x9e3779b97f4a7c15u + place + (uint64_t)item);
}

/* Clips [first, first + count) of the step. */
struct slice {
    int first, count;
};

static struct slice slice_of(const struct learner *l, int clips, int part)
{
    const struct distributed *d = l->distributed;
    int parts = l->stage->accumulate;
    int from = clips * part / parts, to = clips * (part + 1) / parts, n = to - from;
    int first = from + n * d->rank / d->ranks;
    return (struct slice){first, from + n * (d->rank + 1) / d->ranks - first};
}

static bool is_ours(const struct learner *l, int clips, int clip)
{
    for (int part = 0; part < l->stage->accumulate; part++) {
        struct slice s = slice_of(l, clips, part);
        if (clip >= s.first && clip < s.first + s.count)
            return true;
    }
    return false;
}

/* Streams that are read from the cache are not made. */
static int make_example(struct learner *l, struct example *e, const struct draw *d, int item,
                        int64_t step, struct error *err)
{
    struct random random;
    const struct stage_config *stage = l->stage;
    if (stage->copies) {
        features_cache_seed(&random, d);
        step = stage->steps - 1;
    } else {
        seed_step(&random, l, step, item + 1);
    }
    unsigned streams = ~l->features.streams;
    int rc = augment_example(e, &l->augment, d->sample, streams, stage, step, &random, err);
    return rc ? rc : features_cache_read(&l->features, e, d, err);
}

static void release_examples(struct learner *l, int clips)
{
    for (int i = 0; i < clips; i++)
        if (is_ours(l, clips, i))
            example_release(&l->examples[i]);
}

static int make_examples(struct learner *l, int clips, int64_t step, struct error *err)
{
    int failed = 0;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < clips; i++) {
        struct error mine = {0};
        int rc = is_ours(l, clips, i)
                     ? make_example(l, &l->examples[i], &l->draws[i], i, step, &mine)
                     : 0;
        if (rc) {
#pragma omp critical
            {
                failed = rc;
                *err = mine;
            }
        }
    }
    failed = distributed_agree(l->distributed, failed, err);
    if (failed)
        release_examples(l, clips);
    return failed;
}

static void add_up(struct totals *totals, struct learner *l, int clips)
{
    *totals = (struct totals){0};
    for (int part = 0; part < l->stage->accumulate; part++) {
        struct slice s = slice_of(l, clips, part);
        totals_add(totals, l->draws + s.first, l->examples + s.first, s.count);
    }
    distributed_sum(l->distributed, totals->of, TOTAL_COUNT);
}

/* Running statistics of batch norm follow each rank's own clips. */
static void average_statistics(struct learner *l)
{
    struct distributed *d = l->distributed;
    if (d->ranks < 2 || !(l->stage->parts & (TRAIN_AUDIO | TRAIN_VIDEO)))
        return;
    for (int64_t i = 0; i < l->params.count; i++) {
        const struct param_entry *p = &l->params.entries[i];
        struct tensor *t = p->tensor;
        if ((p->kind != PARAM_MEAN && p->kind != PARAM_VARIANCE) || t->borrowed)
            continue;
        distributed_sum_floats(d, t->data, tensor_count(t));
        l->compute.device->scale(t->data, t->data, 1 / (float)d->ranks, tensor_count(t));
        parameter_changed(t);
    }
}

/* A part's share of the step, over all ranks. */
static double share_of(const struct learner *l, int clips, int part)
{
    const int parts = l->stage->accumulate;
    int from = clips * part / parts, to = clips * (part + 1) / parts;
    double all = draw_weight(l->draws, clips);
    return all > 0 ? draw_weight(l->draws + from, to - from) / all : 1.0 / parts;
}

/* Numbers are the same in any case, so ranks may decide differently. */
static bool must_recompute(const struct learner *l, const struct batch *batch)
{
    double limit = l->config->memory_gb * 1e9;
    return limit > 0 &&
           activations_bytes(l->recognizer, l->stage, batch, false) > limit - l->held_bytes;
}

/* Forward and backward of one part on this rank. */
static void learn_part(struct learner *l, int clips, int part, int64_t step,
                       const struct totals *totals, struct measures *measures)
{
    struct slice s = slice_of(l, clips, part);
    bool last = part == l->stage->accumulate - 1;
    const struct batch batch = {.draws = l->draws + s.first,
                                .examples = l->examples + s.first,
                                .count = s.count,
                                .totals = totals,
                                .part = share_of(l, clips, part),
                                .distributed = l->distributed};
    if (s.first > 0) /* dropout of its own */
        seed_step(&l->random, l, step, SLICES + s.first);
    l->compute.recompute = must_recompute(l, &batch);
    if (last)
        gradients_watch(&l->gradients, &l->tape);
    struct tensor *loss = objective(l->recognizer, &l->compute, &batch, l->stage, step,
                                    l->alignment.table.dims ? &l->alignment : NULL, measures);
    if (last)
        gradients_expect(&l->gradients, &l->tape);
    if (loss)
        tape_backward(&l->compute, loss, 1);
    tape_clear(&l->tape);
    arena_rewind(&l->arena, 0);
}

int learner_step(struct learner *l, int64_t step, struct step_report *report, struct error *err)
{
    const struct stage_config *stage = l->stage;
    struct totals totals;
    *report = (struct step_report){.rate = schedule_rate(stage, step)};
    seed_step(&l->random, l, step, 0);
    int clips = draw_step(l->draws, &l->dataset, l->config, stage, &l->random);
    int rc = make_examples(l, clips, step, err);
    if (rc)
        return rc;
    add_up(&totals, l, clips);
    adamw_clear(&l->adamw, l->compute.device);
    for (int part = 0; part < stage->accumulate; part++) {
        struct measures measures;
        learn_part(l, clips, part, step, &totals, &measures);
        measures_add(&report->measures, &measures);
        report->recomputed += l->compute.recompute / (double)stage->accumulate;
    }
    release_examples(l, clips);
    gradients_finish(&l->gradients, &l->tape);
    measures_finish(&report->measures, &totals, stage, l->distributed);
    average_statistics(l);
    report->clips = clips;
    if (report->measures.losses > 0)
        report->gradient_norm = adamw_update(&l->adamw, l->compute.device, stage, report->rate);
    return 0;
}
