#include "train/trainer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "eval/evaluate.h"
#include "text/tokenizer.h"
#include "train/adamw.h"
#include "train/features_cache.h"
#include "train/schedule.h"
#include "train/train_checkpoint.h"
#include "train/train_log.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_BAD_STEPS 20 /* in a row, with a gradient that is not finite */
#define MAX_CONDITIONS 64

struct trainer {
    const struct train_config *config;
    const struct train_options *options;
    struct dataset dataset;
    struct noise noise;
    struct logmel *logmel;
    struct manifest validation;
    struct recognizer *recognizer;
    struct param_list params;
    struct adamw adamw;
    struct arena arena;
    struct tape tape;
    struct compute compute;
    struct random random;     /* of the step: tasks, dropout */
    struct draw *draws;       /* [largest batch] */
    struct example *examples; /* [largest batch] */
    struct augment augment;
    struct features_cache features; /* of the stage */
    struct alignment alignment;     /* of the stage; table undeclared: it has none */
    struct train_log log;
    struct train_position position;
    char *checkpoint_path, *tokenizer_path, *log_path, *texts_path, *best_path;
    double last_save;
    int64_t steps_done; /* in this call */
    int bad_steps;
};

static int load_progress(void *arg, int done, int total, const char *text)
{
    const struct train_options *o = arg;
    return o->load ? o->load(o->arg, done, total, text) : 0;
}

static void remark(void *arg, const char *text)
{
    load_progress((void *)((struct trainer *)arg)->options, 0, 0, text);
}

static int make_paths(struct trainer *t, struct error *err)
{
    const char *folder = t->config->output;
    t->checkpoint_path = file_join(folder, "checkpoint.safetensors");
    t->tokenizer_path = file_join(folder, "tokenizer.json");
    t->texts_path = file_join(folder, "transcripts.txt");
    t->log_path = file_join(folder, "log.jsonl");
    t->best_path = file_join(folder, "best");
    if (!t->checkpoint_path || !t->tokenizer_path || !t->texts_path || !t->log_path ||
        !t->best_path)
        return error_set(err, ERROR_MEMORY, "out of memory");
    return file_make_folder(folder, err);
}

/* The tokenizer learns from the transcripts of all training clips and the instructions. */
static int make_tokenizer(struct trainer *t, bool resume, struct tokenizer **tokenizer,
                          struct error *err)
{
    struct file_writer w;
    if (resume)
        return tokenizer_load(tokenizer, t->tokenizer_path, err);
    int rc = file_writer_open(&w, t->texts_path, err);
    if (rc)
        return rc;
    for (int i = 0; i < t->dataset.count; i++)
        fprintf(w.stream, "%s\n", t->dataset.samples[i].text);
    for (int task = 0; task < TASK_COUNT; task++) /* twice: a pair that occurs once is not joined */
        fprintf(w.stream, "%s\n%s\n", t->config->model.prompts[task],
                t->config->model.prompts[task]);
    rc = file_writer_commit(&w, err);
    const struct tokenizer_options options = {.vocabulary = t->config->vocabulary,
                                              .prefix_space = true};
    if (!rc)
        rc = tokenizer_train(tokenizer, t->texts_path, &options, err);
    return rc ? rc : tokenizer_save(*tokenizer, t->tokenizer_path, err);
}

static int load_data(struct trainer *t, struct error *err)
{
    const struct train_config *c = t->config;
    const struct dataset_progress progress = {load_progress, (void *)t->options};
    int rc = dataset_load(&t->dataset, c, &progress, err);
    for (int s = 0; !rc && s < c->stage_count; s++)
        if (train_config_frames_only(&c->stages[s]) && t->dataset.label_count < 2)
            rc = error_set(err, ERROR_FORMAT,
                           "stage %s has a frame loss alone, but no manifest has words_ms",
                           c->stages[s].name);
    if (!rc && c->noise)
        rc = noise_load(&t->noise, c->noise, err);
    if (!rc && c->validation)
        rc = manifest_load(&t->validation, c->validation, remark, t, err);
    if (!rc && c->model.has_audio)
        rc = logmel_new(&t->logmel, c->model.audio.mels, err);
    return rc;
}

static int new_model(struct trainer *t, bool resume, struct error *err)
{
    struct tokenizer *tokenizer = NULL;
    struct recognizer_config model = t->config->model;
    model.llm.vocab = 0; /* as many as the tokenizer has */
    int rc = make_tokenizer(t, resume, &tokenizer, err);
    if (rc) {
        tokenizer_free(tokenizer);
        return rc;
    }
    return recognizer_new(&t->recognizer, &model, tokenizer, t->config->seed, err);
}

/* The part of the network that a parameter belongs to: one of enum train_part, 0: always frozen. */
static unsigned part_of(const struct param_entry *p)
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
static int own_parts(struct trainer *t, struct error *err)
{
    unsigned parts = 0;
    int rc = 0;
    for (int s = 0; s < t->config->stage_count; s++)
        parts |= t->config->stages[s].parts;
    for (int64_t i = 0; !rc && i < t->params.count; i++)
        if (parts & part_of(&t->params.entries[i]))
            rc = parameter_own(t->params.entries[i].tensor, err);
    return rc;
}

static int make_model(struct trainer *t, bool resume, struct error *err)
{
    const struct train_config *config = t->config;
    int rc = config->start ? recognizer_open_changed(&t->recognizer, config->start, &config->model,
                                                     config->seed, err)
                           : new_model(t, resume, err);
    if (rc)
        return rc;
    int labels = t->dataset.label_count;
    rc = recognizer_add_heads(t->recognizer, labels, labels, t->config->seed + 1, err);
    if (rc)
        return rc;
    param_list_init(&t->params, err);
    recognizer_params(t->recognizer, &t->params.visitor);
    recognizer_head_params(t->recognizer, &t->params.visitor);
    return t->params.code ? t->params.code : own_parts(t, err);
}

static int trainer_init(struct trainer *t, bool resume, struct error *err)
{
    int rc = load_data(t, err);
    if (!rc)
        rc = make_model(t, resume, err);
    if (!rc)
        rc = arena_init(&t->arena, ARENA_DEFAULT_LIMIT, err);
    int most = 1;
    for (int s = 0; s < t->config->stage_count; s++)
        if (t->config->stages[s].batch > most)
            most = t->config->stages[s].batch;
    t->examples = memory_new((size_t)most, sizeof *t->examples);
    t->draws = memory_new((size_t)most, sizeof *t->draws);
    if (!rc && (!t->examples || !t->draws))
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    if (rc)
        return rc;
    t->augment = (struct augment){
        .dataset = &t->dataset,
        .config = t->config,
        .tokenizer = t->recognizer->tokenizer,
        .logmel = t->logmel,
        .noise = t->noise.pcm ? &t->noise : NULL,
        .mels = t->config->model.audio.mels,
    };
    t->compute = (struct compute){
        .device = &device_cpu,
        .arena = &t->arena,
        .tape = &t->tape,
        .precision = t->config->bf16 ? PRECISION_BF16 : PRECISION_F32,
        .training = true,
        .random = &t->random,
    };
    t->last_save = clock_seconds();
    return 0;
}

static void trainer_release(struct trainer *t)
{
    train_log_close(&t->log);
    adamw_release(&t->adamw);
    features_cache_release(&t->features);
    alignment_release(&t->alignment);
    param_list_release(&t->params);
    recognizer_free(t->recognizer);
    tape_release(&t->tape);
    arena_release(&t->arena);
    logmel_free(t->logmel);
    manifest_release(&t->validation);
    noise_release(&t->noise);
    dataset_release(&t->dataset);
    memory_free(t->draws);
    memory_free(t->examples);
    memory_free(t->checkpoint_path);
    memory_free(t->tokenizer_path);
    memory_free(t->texts_path);
    memory_free(t->log_path);
    memory_free(t->best_path);
}

/* The parameters of the stage's parts get gradients, all others lose them. */
static int choose_parts(struct trainer *t, unsigned parts, struct error *err)
{
    for (int64_t i = 0; i < t->params.count; i++) {
        const struct param_entry *p = &t->params.entries[i];
        int rc = parameter_train(p->tensor, parts & part_of(p), err);
        if (rc)
            return rc;
        parameter_changed(p->tensor);
    }
    return 0;
}

static void seed_step(struct random *random, const struct trainer *t, int item)
{
    uint64_t place = ((uint64_t)t->position.stage << 50) + ((uint64_t)t->position.step << 12);
    random_seed(random, t->config->seed * 0x9e3779b97f4a7c15u + place + (uint64_t)item);
}

/* Streams that are read from the cache are not made. */
static int make_example(struct trainer *t, struct example *e, const struct draw *d, int item,
                        const struct stage_config *stage, struct error *err)
{
    struct random random;
    int64_t step = t->position.step;
    if (stage->copies) {
        features_cache_seed(&random, d->index, d->copy);
        step = stage->steps - 1;
    } else {
        seed_step(&random, t, item + 1);
    }
    unsigned streams = ~t->features.streams;
    int rc = augment_example(e, &t->augment, d->sample, streams, stage, step, &random, err);
    return rc ? rc : features_cache_read(&t->features, e, d, err);
}

static int make_examples(struct trainer *t, int count, const struct stage_config *stage,
                         struct error *err)
{
    int failed = 0;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count; i++) {
        struct error mine = {0};
        int rc = make_example(t, &t->examples[i], &t->draws[i], i, stage, &mine);
        if (rc) {
#pragma omp critical
            {
                failed = rc;
                *err = mine;
            }
        }
    }
    for (int i = 0; failed && i < count; i++)
        example_release(&t->examples[i]);
    return failed;
}

static int one_step(struct trainer *t, const struct stage_config *stage,
                    struct train_report *report, struct error *err)
{
    const struct device *device = t->compute.device;
    seed_step(&t->random, t, 0);
    int count = draw_step(t->draws, &t->dataset, t->config, stage, &t->random);
    int rc = make_examples(t, count, stage, err);
    if (rc)
        return rc;
    const struct batch batch = {t->draws, t->examples, count, draw_weight(t->draws, count)};
    adamw_clear(&t->adamw, device);
    struct tensor *loss =
        objective(t->recognizer, &t->compute, &batch, stage, t->position.step,
                  t->alignment.table.dims ? &t->alignment : NULL, &report->measures);
    report->rate = schedule_rate(stage, t->position.step);
    report->gradient_norm = 0;
    report->clips = count;
    if (loss) {
        tape_backward(&t->compute, loss, 1);
        report->gradient_norm = adamw_update(&t->adamw, device, stage, report->rate);
    }
    tape_clear(&t->tape);
    arena_rewind(&t->arena, 0);
    for (int i = 0; i < count; i++)
        example_release(&t->examples[i]);
    t->bad_steps = isfinite(report->gradient_norm) ? 0 : t->bad_steps + 1;
    if (t->bad_steps > MAX_BAD_STEPS)
        return error_set(err, ERROR_FORMAT, "stage %s diverged: lower its learning rate",
                         stage->name);
    return 0;
}

static int save(struct trainer *t, struct error *err)
{
    t->last_save = clock_seconds();
    return train_checkpoint_save(t->checkpoint_path, &t->params, &t->adamw, &t->position, err);
}

/* Mean WER over every task and rate of the model, clean, greedy. */
static int validate(struct trainer *t, double *wer, struct error *err)
{
    struct condition conditions[MAX_CONDITIONS];
    struct score scores[MAX_CONDITIONS];
    struct transcriber transcriber;
    const double clean = INFINITY;
    const struct evaluate_options options = {
        .seed = t->config->seed,
        .most_clips = t->config->validation_clips,
        .cache = t->config->cache,
        .beam = {.beam = 1, .n_best = 1, .max_tokens = 64},
    };
    int count = 0;
    for (int task = 0; count >= 0 && task < TASK_COUNT; task++)
        if (transcriber_can(t->recognizer, task))
            count = conditions_add(conditions, count, MAX_CONDITIONS, t->recognizer, task, 0, 0,
                                   &clean, 1, err);
    if (count < 0)
        return count;
    int rc =
        transcriber_init(&transcriber, t->recognizer, t->compute.device, t->compute.precision, err);
    if (rc)
        return rc;
    rc = evaluate(scores, conditions, count, &transcriber, &t->validation, &options, err);
    transcriber_release(&transcriber);
    *wer = 0;
    for (int i = 0; !rc && i < count; i++) {
        *wer += wer_rate(&scores[i].words) / count;
        score_release(&scores[i]);
    }
    return rc;
}

/* The best model of the last stage is kept: only then are all its parts trained. Without validation
   it is the one at the end. */
static int validate_and_keep(struct trainer *t, const struct stage_config *stage,
                             struct train_report *report, struct error *err)
{
    bool last = t->position.stage == t->config->stage_count - 1;
    if (!t->validation.count || stage->text_weight <= 0) {
        bool end = t->position.step == stage->steps;
        return last && end ? recognizer_save(t->recognizer, t->best_path, true, err) : 0;
    }
    int rc = validate(t, &report->validation_wer, err);
    bool better = t->position.best_wer < 0 || report->validation_wer < t->position.best_wer;
    if (!rc && last && better) {
        t->position.best_wer = report->validation_wer;
        rc = recognizer_save(t->recognizer, t->best_path, true, err);
    }
    report->best_wer = t->position.best_wer;
    return rc;
}

static int tell(struct trainer *t, const struct train_report *report, struct error *err)
{
    int rc = train_log_step(&t->log, report, err);
    if (!rc && t->options->step && t->options->step(t->options->arg, report))
        rc = error_set(err, ERROR_CANCELLED, "stopped; go on with --resume");
    return rc;
}

static bool is_due(int64_t step, int64_t every, int64_t steps)
{
    return step == steps || (every && step % every == 0);
}

static int run_stage(struct trainer *t, struct error *err)
{
    const struct stage_config *stage = &t->config->stages[t->position.stage];
    struct train_report report = {.stage = stage->name,
                                  .stage_index = t->position.stage,
                                  .stage_count = t->config->stage_count,
                                  .steps = stage->steps};
    double pace = 0, clips = 0; /* seconds a step and clips a step, smoothed */
    int rc = 0;
    while (!rc && t->position.step < stage->steps) {
        double begin = clock_seconds();
        rc = one_step(t, stage, &report, err);
        if (rc)
            return rc;
        double seconds = clock_seconds() - begin;
        pace = pace > 0 ? 0.95 * pace + 0.05 * seconds : seconds;
        report.step = ++t->position.step;
        clips = clips > 0 ? 0.95 * clips + 0.05 * report.clips : report.clips;
        report.clips_per_second = clips / pace;
        report.seconds_left = pace * (double)(stage->steps - report.step);
        report.validation_wer = -1;
        report.best_wer = t->position.best_wer;
        rc = tell(t, &report, err);
        bool due = is_due(report.step, stage->validate_every, stage->steps);
        if (due && (!rc || rc == ERROR_CANCELLED)) { /* a resumed run would not come back to it */
            int validated = validate_and_keep(t, stage, &report, err);
            if (!validated && report.validation_wer >= 0)
                validated = tell(t, &report, err);
            rc = validated ? validated : rc;
        }
        if (!rc && ++t->steps_done == t->options->most_steps)
            rc = error_set(err, ERROR_CANCELLED, "stopped after %lld steps; go on with --resume",
                           (long long)t->steps_done);
        struct error ignored;
        if (rc == ERROR_CANCELLED && save(t, &ignored))
            rc = error_set(err, ERROR_IO, "stopped, but nothing saved: %s", ignored.message);
        if (!rc && clock_seconds() - t->last_save > t->config->save_seconds)
            rc = save(t, err);
    }
    return rc;
}

/* What a stage needs besides the parameters: the features of frozen encoders, the alignment's
   table. Both are of the weights as they are now. */
static int prepare_stage(struct trainer *t, const struct stage_config *stage, struct error *err)
{
    const struct dataset_progress progress = {load_progress, (void *)t->options};
    features_cache_release(&t->features);
    alignment_release(&t->alignment);
    int rc = features_cache_init(&t->features, t->recognizer, &t->augment, stage,
                                 t->compute.precision, err);
    if (!rc)
        rc = features_cache_fill(&t->features, t->recognizer, &t->compute, &progress, err);
    if (!rc && (stage->align_weight[0] > 0 || stage->align_weight[1] > 0))
        rc = alignment_init(&t->alignment, t->recognizer, &t->dataset, err);
    return rc;
}

static int run_stages(struct trainer *t, bool resume, struct error *err)
{
    int rc = 0;
    for (; !rc && t->position.stage < t->config->stage_count; t->position.stage++) {
        adamw_release(&t->adamw);
        rc = choose_parts(t, t->config->stages[t->position.stage].parts, err);
        if (!rc)
            rc = adamw_init(&t->adamw, &t->params, err);
        if (!rc && resume)
            rc = train_checkpoint_load(t->checkpoint_path, &t->params, &t->adamw, err);
        resume = false;
        if (!rc)
            rc = prepare_stage(t, &t->config->stages[t->position.stage], err);
        if (!rc)
            rc = run_stage(t, err);
        if (rc)
            return rc;
        /* saved as the next stage's start, without moments */
        struct train_position next = {t->position.stage + 1, 0, t->position.best_wer,
                                      t->position.seed};
        rc = train_checkpoint_save(t->checkpoint_path, &t->params, NULL, &next, err);
        t->position.step = 0;
    }
    return rc;
}

int train(const struct train_config *config, const struct train_options *options, struct error *err)
{
    struct trainer t = {.config = config, .options = options};
    struct stat st;
    int rc = make_paths(&t, err);
    bool resume = !rc && options->resume && stat(t.checkpoint_path, &st) == 0;
    t.position = (struct train_position){.best_wer = -1, .seed = config->seed};
    if (!rc && resume)
        rc = train_checkpoint_position(&t.position, t.checkpoint_path, err);
    if (!rc && t.position.seed != config->seed)
        rc = error_set(err, ERROR_USAGE,
                       "%s was trained with seed %llu, the configuration says %llu",
                       t.checkpoint_path, (unsigned long long)t.position.seed,
                       (unsigned long long)config->seed);
    if (!rc)
        rc = trainer_init(&t, resume, err);
    if (!rc)
        rc = train_log_open(&t.log, t.log_path, resume, t.position.stage, t.position.step, err);
    if (!rc)
        rc = run_stages(&t, resume, err);
    trainer_release(&t);
    return rc;
}
