#include "train/trainer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "eval/evaluate.h"
#include "train/average.h"
#include "train/learner.h"
#include "train/train_checkpoint.h"
#include "train/train_log.h"

#include <math.h>
#include <sys/stat.h>

#define MAX_BAD_STEPS 20 /* in a row, with a gradient that is not finite */
#define MAX_CONDITIONS 64

struct trainer {
    const struct train_config *config;
    const struct train_options *options;
    struct distributed *distributed;
    struct distributed alone; /* where the options name none */
    struct learner learner;
    struct manifest validation;
    struct train_log log;
    struct train_position position;
    char *checkpoint_path, *log_path, *best_path, *average_path;
    double last_save;
    int64_t steps_done; /* in this call */
    int bad_steps;
};

static int load_progress(void *arg, int done, int total, const char *text)
{
    const struct train_options *o = arg;
    return o->load ? o->load(o->arg, done, total, text) : 0;
}

static int encode_progress(void *arg, int done, int total, const char *text)
{
    const struct train_options *o = arg;
    return o->encode ? o->encode(o->arg, done, total, text) : 0;
}

static void remark(void *arg, const char *text)
{
    load_progress((void *)((struct trainer *)arg)->options, 0, 0, text);
}

static bool leads(const struct trainer *t)
{
    return t->distributed->rank == 0;
}

/* Rank 0 alone writes; what a killed run left half written goes. */
static int make_paths(struct trainer *t, struct error *err)
{
    const char *folder = t->config->output;
    t->checkpoint_path = file_join(folder, "checkpoint.safetensors");
    t->log_path = file_join(folder, "log.jsonl");
    t->best_path = file_join(folder, "best");
    t->average_path = file_join(folder, "average");
    if (!t->checkpoint_path || !t->log_path || !t->best_path || !t->average_path)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (!leads(t))
        return 0;
    int rc = file_make_folder(folder, err);
    file_remove_temporaries(folder);
    file_remove_temporaries(t->best_path);
    file_remove_temporaries(t->average_path);
    return rc;
}

static int trainer_init(struct trainer *t, bool resume, struct error *err)
{
    const struct dataset_progress progress = {load_progress, (void *)t->options};
    const struct train_config *c = t->config;
    int rc = learner_init(&t->learner, c, t->distributed, c->output, resume, &progress, err);
    if (!rc && c->validation)
        rc = manifest_load(&t->validation, c->validation, remark, t, err);
    if (!rc && leads(t))
        rc = train_log_open(&t->log, t->log_path, resume, t->position.stage, t->position.step, err);
    t->last_save = clock_seconds();
    return distributed_agree(t->distributed, rc, err);
}

static void trainer_release(struct trainer *t)
{
    train_log_close(&t->log);
    learner_release(&t->learner);
    manifest_release(&t->validation);
    memory_free(t->checkpoint_path);
    memory_free(t->log_path);
    memory_free(t->best_path);
    memory_free(t->average_path);
}

static int one_step(struct trainer *t, struct train_report *report, struct error *err)
{
    struct step_report step;
    int rc = learner_step(&t->learner, t->position.step, &step, err);
    if (rc)
        return rc;
    report->measures = step.measures;
    report->gradient_norm = step.gradient_norm;
    report->rate = step.rate;
    report->clips = step.clips;
    t->bad_steps = isfinite(step.gradient_norm) ? 0 : t->bad_steps + 1;
    if (t->bad_steps > MAX_BAD_STEPS)
        return error_set(err, ERROR_FORMAT, "stage %s diverged: lower its learning rate",
                         t->learner.stage->name);
    return 0;
}

/* ---- what rank 0 writes ------------------------------------------------------------------ */

static int save(struct trainer *t, struct error *err)
{
    t->last_save = clock_seconds();
    return train_checkpoint_save(t->checkpoint_path, &t->learner.params, &t->learner.adamw,
                                 &t->position, err);
}

static int tell(struct trainer *t, const struct train_report *report, struct error *err)
{
    int rc = train_log_step(&t->log, report, err);
    if (!rc && t->options->step && t->options->step(t->options->arg, report))
        rc = error_set(err, ERROR_CANCELLED, "stopped; go on with --resume");
    return rc;
}

static int save_best(struct trainer *t, struct error *err)
{
    return recognizer_save(t->learner.recognizer, t->best_path, true, err);
}

/* ---- validation -------------------------------------------------------------------------- */

/* Mean WER over every task and rate of the model, clean, greedy; each rank decodes some of them. */
static int validate(struct trainer *t, double *wer, struct error *err)
{
    struct condition conditions[MAX_CONDITIONS];
    struct score scores[MAX_CONDITIONS];
    struct transcriber transcriber;
    struct learner *l = &t->learner;
    const double clean = INFINITY;
    const struct evaluate_options options = {
        .seed = t->config->seed,
        .most_clips = t->config->validation_clips,
        .cache = t->config->cache,
        .beam = {.beam = 1,
                 .n_best = 1,
                 .max_tokens = 64,
                 .ctc_weight = l->recognizer->config.ctc_weight},
    };
    int count = 0;
    for (int task = 0; count >= 0 && task < TASK_COUNT; task++)
        if (transcriber_can(l->recognizer, task))
            count = conditions_add(conditions, count, MAX_CONDITIONS, l->recognizer, task, 0, 0,
                                   &clean, 1, err);
    if (count < 0)
        return count;
    int first = count * t->distributed->rank / t->distributed->ranks;
    int mine = count * (t->distributed->rank + 1) / t->distributed->ranks - first;
    *wer = 0;
    if (!mine)
        return 0;
    int rc =
        transcriber_init(&transcriber, l->recognizer, l->compute.device, l->compute.precision, err);
    if (rc)
        return rc;
    rc = evaluate(scores, conditions + first, mine, &transcriber, &t->validation, &options, err);
    transcriber_release(&transcriber);
    for (int i = 0; !rc && i < mine; i++) {
        *wer += wer_rate(&scores[i].words) / count;
        score_release(&scores[i]);
    }
    return rc;
}

/* The best model of the last stage is kept: only then are all its parts trained. Without validation
   it is the one at the end. */
static int validate_and_keep(struct trainer *t, struct train_report *report, struct error *err)
{
    const struct stage_config *stage = t->learner.stage;
    bool last = t->position.stage == t->config->stage_count - 1;
    if (!t->validation.count || stage->text_weight <= 0) {
        bool end = t->position.step == stage->steps;
        int rc = last && end && leads(t) ? save_best(t, err) : 0;
        return distributed_agree(t->distributed, rc, err);
    }
    double wer;
    int rc = distributed_agree(t->distributed, validate(t, &wer, err), err);
    if (rc)
        return rc;
    distributed_sum(t->distributed, &wer, 1);
    report->validation_wer = wer;
    if (last && (t->position.best_wer < 0 || wer < t->position.best_wer)) {
        t->position.best_wer = wer;
        rc = leads(t) ? save_best(t, err) : 0;
    }
    report->best_wer = t->position.best_wer;
    if (!rc && leads(t))
        rc = tell(t, report, err);
    return distributed_agree(t->distributed, rc, err);
}

/* ---- stages ------------------------------------------------------------------------------ */

static bool is_due(int64_t step, int64_t every, int64_t steps)
{
    return step == steps || (every && step % every == 0);
}

/* What is due after a step. */
static int validate_if_due(struct trainer *t, struct train_report *report, struct error *err)
{
    const struct stage_config *stage = t->learner.stage;
    if (!is_due(report->step, stage->validate_every, stage->steps))
        return 0;
    int rc = 0;
    if (stage->average && leads(t))
        rc = average_keep(t->average_path, &t->learner.params, report->step, stage->average, err);
    rc = distributed_agree(t->distributed, rc, err);
    return rc ? rc : validate_and_keep(t, report, err);
}

static int save_if_due(struct trainer *t, int rc, struct error *err)
{
    struct error ignored;
    if (!leads(t))
        return rc;
    if (rc == ERROR_CANCELLED && save(t, &ignored))
        return error_set(err, ERROR_IO, "stopped, but nothing saved: %s", ignored.message);
    if (!rc && clock_seconds() - t->last_save > t->config->save_seconds)
        return save(t, err);
    return rc;
}

static int run_steps(struct trainer *t, struct train_report *report, struct error *err)
{
    const struct stage_config *stage = t->learner.stage;
    double pace = 0, clips = 0; /* seconds a step and clips a step, smoothed */
    int rc = 0;
    while (!rc && t->position.step < stage->steps) {
        double begin = clock_seconds();
        rc = one_step(t, report, err);
        if (rc)
            return rc;
        double seconds = clock_seconds() - begin;
        pace = pace > 0 ? 0.95 * pace + 0.05 * seconds : seconds;
        report->step = ++t->position.step;
        clips = clips > 0 ? 0.95 * clips + 0.05 * report->clips : report->clips;
        report->clips_per_second = clips / pace;
        report->seconds_left = pace * (double)(stage->steps - report->step);
        report->validation_wer = -1;
        report->best_wer = t->position.best_wer;
        rc = distributed_agree(t->distributed, leads(t) ? tell(t, report, err) : 0, err);
        if (!rc || rc == ERROR_CANCELLED) { /* a resumed run would not come back to it */
            int validated = validate_if_due(t, report, err);
            rc = validated ? validated : rc;
        }
        if (!rc && ++t->steps_done == t->options->most_steps)
            rc = error_set(err, ERROR_CANCELLED, "stopped after %lld steps; go on with --resume",
                           (long long)t->steps_done);
        rc = distributed_agree(t->distributed, save_if_due(t, rc, err), err);
    }
    return rc;
}

/* Logged and validated as if it were one step more. */
static int take_average(struct trainer *t, struct train_report *report, struct error *err)
{
    struct learner *l = &t->learner;
    int rc = leads(t) ? average_take(t->average_path, &l->params, NULL, err) : 0;
    rc = distributed_agree(t->distributed, rc, err);
    if (rc)
        return rc;
    learner_share(l);
    report->step = l->stage->steps + 1;
    report->best_wer = t->position.best_wer;
    return validate_and_keep(t, report, err);
}

static int run_stage(struct trainer *t, struct error *err)
{
    const struct stage_config *stage = t->learner.stage;
    struct train_report report = {.stage = stage->name,
                                  .stage_index = t->position.stage,
                                  .stage_count = t->config->stage_count,
                                  .steps = stage->steps};
    int rc = 0;
    if (stage->average && t->position.step == 0 && leads(t))
        rc = average_start(t->average_path, err);
    rc = distributed_agree(t->distributed, rc, err);
    if (!rc)
        rc = run_steps(t, &report, err);
    return !rc && stage->average ? take_average(t, &report, err) : rc;
}

static int begin_stage(struct trainer *t, bool resume, struct error *err)
{
    const struct dataset_progress progress = {encode_progress, (void *)t->options};
    struct learner *l = &t->learner;
    int rc = learner_choose(l, t->position.stage, err);
    if (!rc && resume) {
        rc = leads(t) ? train_checkpoint_load(t->checkpoint_path, &l->params, &l->adamw, err) : 0;
        rc = distributed_agree(t->distributed, rc, err);
    }
    if (rc)
        return rc;
    learner_share(l); /* ranks on different processors may have drifted apart */
    return learner_prepare(l, &progress, err);
}

static int run_stages(struct trainer *t, bool resume, struct error *err)
{
    int rc = 0;
    for (; !rc && t->position.stage < t->config->stage_count; t->position.stage++) {
        rc = begin_stage(t, resume, err);
        resume = false;
        if (!rc)
            rc = run_stage(t, err);
        if (rc)
            return rc;
        /* saved as the next stage's start, without moments */
        struct train_position next = {t->position.stage + 1, 0, t->position.best_wer,
                                      t->position.seed};
        if (leads(t))
            rc = train_checkpoint_save(t->checkpoint_path, &t->learner.params, NULL, &next, err);
        rc = distributed_agree(t->distributed, rc, err);
        t->position.step = 0;
    }
    return rc;
}

/* Where to go on, as rank 0 finds it. */
static int find_position(struct trainer *t, bool *resume, struct error *err)
{
    const struct train_config *config = t->config;
    struct stat st;
    int rc = 0;
    t->position = (struct train_position){.best_wer = -1, .seed = config->seed};
    *resume = t->options->resume && leads(t) && stat(t->checkpoint_path, &st) == 0;
    if (*resume)
        rc = train_checkpoint_position(&t->position, t->checkpoint_path, err);
    if (!rc && t->position.seed != config->seed)
        rc = error_set(err, ERROR_USAGE,
                       "%s was trained with seed %llu, the configuration says %llu",
                       t->checkpoint_path, (unsigned long long)t->position.seed,
                       (unsigned long long)config->seed);
    rc = distributed_agree(t->distributed, rc, err);
    distributed_share(t->distributed, resume, sizeof *resume);
    distributed_share(t->distributed, &t->position, sizeof t->position);
    return rc;
}

int train(const struct train_config *config, const struct train_options *options, struct error *err)
{
    struct trainer t = {.config = config, .options = options, .alone = {.ranks = 1}};
    bool resume = false;
    t.distributed = options->distributed ? options->distributed : &t.alone;
    int rc = distributed_agree(t.distributed, make_paths(&t, err), err);
    if (!rc)
        rc = find_position(&t, &resume, err);
    if (!rc)
        rc = trainer_init(&t, resume, err);
    if (!rc)
        rc = run_stages(&t, resume, err);
    trainer_release(&t);
    return rc;
}
