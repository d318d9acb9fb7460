/* mome train CONFIG.json: train/trainer.h with a live line. */
#include "cli/command.h"
#include "cli/dry_run.h"
#include "cli/progress.h"
#include "train/distributed.h"
#include "train/trainer.h"

#include <getopt.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

static const char help_text[] =
    "usage: mome train CONFIG.json [--resume | --dry-run] [--threads N] [--quiet]\n\n"
    "Trains a model: the stages of the configuration one after the other (configs/tiny.json makes\n"
    "the model in models/tiny). The output folder that it names receives log.jsonl, a checkpoint\n"
    "every five minutes, and best/, the model folder with the lowest validation WER.\n\n"
    "  --resume      go on from the checkpoint in the output folder, to the same numbers as\n"
    "                without the break; starts anew where there is none (and without this option:\n"
    "                what the folder holds is written over)\n"
    "  --dry-run     trains nothing: tables of the model's parts, memory, tokens, arithmetic,\n"
    "                time and disk of each stage, from a few steps on a few clips\n"
    "  --threads N   default: all cores\n"
    "  --quiet       no progress line\n\n"
    "With MPI several processes, on one machine or many, share each batch, to the same losses:\n"
    "  mpirun -n 4 mome train CONFIG.json       one core each; --bind-to none --map-by node and\n"
    "                                           --threads N: one each machine, all its cores\n"
    "They must see the same files under the same names.\n\n"
    "\"memory_gb\": N in the configuration limits the memory of weights, gradients, optimiser and\n"
    "activations: steps that would take more keep less, and run each layer twice, to the same\n"
    "numbers. --dry-run says how many steps those are.\n\n"
    "Ctrl-C saves a checkpoint and ends.\n";

struct view {
    struct progress loading, encoding, training;
    bool encodes; /* that line has begun */
    int stage;    /* that the line is of; -1: none yet */
    bool quiet, dry;
    bool follows; /* not rank 0, which speaks for all */
};

static int on_load(void *arg, int done, int total, const char *text)
{
    struct view *v = arg;
    if (text && !v->follows)
        progress_note(&v->loading, text);
    else if (!text)
        progress_update(&v->loading, done, total, -1, NULL);
    return interrupted();
}

static int on_encode(void *arg, int done, int total, const char *text)
{
    struct view *v = arg;
    (void)text;
    if (!v->encodes) {
        progress_end(&v->loading);
        progress_start(&v->encoding, "encoding clips", v->quiet);
        v->encodes = true;
    }
    progress_update(&v->encoding, done, total, -1, NULL);
    return interrupted();
}

/* " NAME 87%", or nothing where it was not measured. */
static void add_share(char *text, size_t size, const char *name, double share)
{
    size_t n = strlen(text);
    if (share >= 0)
        snprintf(text + n, size - n, "  %s %.0f%%", name, 100 * share);
}

static int on_step(void *arg, const struct train_report *r)
{
    struct view *v = arg;
    char detail[256];
    if (v->stage != r->stage_index) {
        progress_end(v->encodes ? &v->encoding : &v->loading);
        v->encodes = false;
        progress_start(&v->training, r->stage, v->quiet);
        v->stage = r->stage_index;
    }
    const struct measures *m = &r->measures;
    if (r->validation_wer >= 0) {
        snprintf(detail, sizeof detail, "%s: step %lld: validation WER %.1f %% (best %.1f %%)",
                 r->stage, (long long)r->step, 100 * r->validation_wer,
                 100 * (r->best_wer < 0 ? r->validation_wer : r->best_wer));
        progress_note(&v->training, detail);
        return interrupted();
    }
    char frames[64] = "";
    add_share(frames, sizeof frames, "sound", m->audio_accuracy);
    add_share(frames, sizeof frames, "lips", m->video_accuracy);
    snprintf(detail, sizeof detail, "loss %.3f  text %.3f%s  |g| %.2f  lr %.1e  %.1f clips/s",
             m->loss, m->text, frames, r->gradient_norm, r->rate, r->clips_per_second);
    progress_update(&v->training, r->step, r->steps, r->seconds_left, detail);
    return interrupted();
}

static int train_all(struct distributed *d, struct train_options *how,
                     const struct train_config *config, struct error *err)
{
    struct view *view = how->arg;
    progress_start(&view->loading, "reading clips", view->quiet);
    interrupt_install();
    how->distributed = d;
    int rc = train(config, how, err);
    progress_end(view->encodes ? &view->encoding : &view->loading);
    progress_end(&view->training);
    if (!rc && d->rank == 0)
        fprintf(stderr, "done: %s/best\n", config->output);
    return rc;
}

/* Every rank comes by with its outcome; the first says what went wrong, for all. */
static int run(struct distributed *d, struct train_options *how, const char *path)
{
    const struct view *view = how->arg;
    struct train_config config;
    struct error err = {0};
    int code = EXIT_GOOD, read = train_config_read(&config, path, &err);
    int rc = distributed_agree(d, read, &err);
    if (!rc && view->dry)
        code = d->rank == 0 ? dry_run_print(&config, view->quiet) : EXIT_GOOD;
    else if (!rc)
        rc = train_all(d, how, &config, &err);
    if (!read)
        train_config_release(&config);
    if (rc)
        code = d->rank == 0 ? command_failed(&err) : EXIT_FAILED;
    return code;
}

int command_train(int argc, char **argv)
{
    enum { RESUME = 256, DRY_RUN, THREADS, QUIET, HELP };
    static const struct option options[] = {{"resume", no_argument, NULL, RESUME},
                                            {"dry-run", no_argument, NULL, DRY_RUN},
                                            {"threads", required_argument, NULL, THREADS},
                                            {"quiet", no_argument, NULL, QUIET},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    struct train_options how = {.step = on_step, .load = on_load, .encode = on_encode};
    struct view view = {.stage = -1};
    int option, threads;
    while ((option = getopt_long(argc, argv, ":hq", options, NULL)) != -1) {
        if (option == RESUME) {
            how.resume = true;
        } else if (option == DRY_RUN) {
            view.dry = true;
        } else if (option == QUIET || option == 'q') {
            view.quiet = true;
        } else if (option == HELP || option == 'h') {
            fputs(help_text, stdout);
            return EXIT_GOOD;
        } else if (option == THREADS) {
            if (option_integer(&threads, optarg, 1, 1024))
                return command_usage("train", "--threads takes 1 to 1024, not", optarg);
            omp_set_num_threads(threads);
        } else {
            return command_bad_option("train", option, argv);
        }
    }
    if (argc - optind != 1)
        return command_usage("train", "takes one configuration file", NULL);
    struct distributed distributed;
    struct error err = {0};
    if (distributed_open(&distributed, &err))
        return command_failed(&err);
    view.follows = distributed.rank > 0;
    view.quiet = view.quiet || view.follows;
    how.arg = &view;
    int code = run(&distributed, &how, argv[optind]);
    distributed_close(&distributed);
    return code;
}
