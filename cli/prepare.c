/* mome prepare DIR -o OUT: train/prepare.h with a live line and a table. */
#include "cli/command.h"
#include "cli/progress.h"
#include "train/prepare.h"

#include <getopt.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#define LEAST_SECONDS 1
#define MOST_SECONDS 600

static const char help_text[] =
    "usage: mome prepare DIR -o OUT [OPTIONS]\n\n"
    "Makes a data set ready for mome train and mome evaluate: finds the mouths and the sound of\n"
    "every clip once, and writes OUT/manifest.tsv (and a list for each split), the prepared clips\n"
    "(small .mkv files that any player shows), and OUT/dropped.tsv: what was left out, and why.\n\n"
    "  mome prepare lrs3 -o lrs3-ready\n"
    "  mome prepare my-clips/train.tsv -o ready --max-seconds 16\n"
    "  mome prepare lrs3 -o lrs3-ready --shard 2/8        on the second of eight machines\n\n"
    "DIR holds clips with their text in one of these layouts, or is a list itself (.tsv, .csv):\n"
    "  folder   clip.mp4 with clip.txt beside it, at any depth; or manifest.tsv (path, text)\n"
    "  lrs      LRS2, LRS3: ID/00001.mp4 and .txt (\"Text:  ...\"), train.txt, val.txt, test.txt\n"
    "  csv      auto_avsr's labels: dataset,path,frames,token ids,text\n"
    "  grid     GRID: s1/bbaf3s.mpg, with s1/align/bbaf3s.align where that is there\n\n"
    "The same command again goes on where it was stopped, and does what is new or changed.\n\n"
    "  -o, --output OUT   folder for the results\n"
    "  --format F         auto (default), folder, lrs, csv or grid\n"
    "  --split NAME       only that split (a list's or a label file's name: train, test ...)\n"
    "  --streams S        both (default): clips need a face and sound; sound: for sound alone;\n"
    "                     lips: for pictures alone\n"
    "  --max-seconds N    longer clips are cut between words where word times are known (LRS's\n"
    "                     pretrain), or left out (default 24)\n"
    "  --shard I/N        do every N-th clip, from the I-th; the last to end writes the lists\n"
    "  --jobs N           clips at a time (default: all cores)\n"
    "  --quiet            no progress line\n";

static int report(void *arg, int64_t done, int64_t total, int64_t left_out)
{
    struct progress *p = arg;
    char detail[64];
    snprintf(detail, sizeof detail, "%lld left out", (long long)left_out);
    progress_update(p, done, total, -1, detail);
    return interrupted();
}

static void print_summary(const struct prepare_summary *s, const struct prepare_options *o)
{
    printf("%-20s %8lld  layout: %s\n", "clips", (long long)s->clips,
           import_format_name(s->format));
    printf("%-20s %8lld  %lld files, %.2f hours\n", "kept", (long long)s->kept, (long long)s->files,
           s->hours);
    for (int i = 1; i < DROPS; i++)
        if (s->dropped[i])
            printf("%-20s %8lld\n", drop_name((enum drop)i), (long long)s->dropped[i]);
    if (s->pieces_dropped)
        printf("%-20s %8lld  parts of clips that were cut, left out\n", "pieces",
               (long long)s->pieces_dropped);
    if (s->without_words)
        printf("%-20s %8lld  word times reach beyond the end: text only\n", "without times",
               (long long)s->without_words);
    if (s->waiting)
        printf("%-20s %8lld  of other shards; the last one to end writes the lists\n", "to do",
               (long long)s->waiting);
    if (s->waiting)
        fprintf(stderr, "done: shard %d of %d\n", o->shard, o->shards);
    else
        fprintf(stderr, "done: %s/manifest.tsv\n", o->output);
}

static bool read_shard(struct prepare_options *o, const char *text)
{
    char end;
    return sscanf(text, "%6d/%6d%c", &o->shard, &o->shards, &end) == 2 && o->shards >= 1 &&
           o->shards <= 4096 && o->shard >= 1 && o->shard <= o->shards;
}

static bool read_streams(struct prepare_options *o, const char *name)
{
    static const char *const names[] = {
        [PREPARE_BOTH] = "both", [PREPARE_SOUND] = "sound", [PREPARE_LIPS] = "lips"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            o->streams = (enum prepare_streams)i;
            return true;
        }
    return false;
}

/* NULL, or what is wrong with the option's value. */
static const char *read_value(struct prepare_options *o, int option, const char *value)
{
    double seconds;
    switch (option) {
    case 'f':
        return import_format_find(&o->format, value)
                   ? NULL
                   : "--format takes auto, folder, lrs, csv or grid, not";
    case 's':
        return read_shard(o, value) ? NULL : "--shard takes I/N, such as 2/8, not";
    case 't':
        return read_streams(o, value) ? NULL : "--streams takes both, sound or lips, not";
    case 'm':
        if (option_number(&seconds, value) || seconds < LEAST_SECONDS || seconds > MOST_SECONDS)
            return "--max-seconds takes 1 to 600, not";
        o->most_ms = (int32_t)lrint(seconds * 25) * 40; /* whole pictures */
        return NULL;
    default:
        return option_integer(&o->jobs, value, 1, 1024) ? "--jobs takes 1 to 1024, not" : NULL;
    }
}

int command_prepare(int argc, char **argv)
{
    enum { SPLIT = 256, QUIET, HELP };
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"format", required_argument, NULL, 'f'},
                                            {"split", required_argument, NULL, SPLIT},
                                            {"streams", required_argument, NULL, 't'},
                                            {"max-seconds", required_argument, NULL, 'm'},
                                            {"shard", required_argument, NULL, 's'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, QUIET},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    struct progress progress;
    struct prepare_options how = {.most_ms = 24000, .shard = 1, .shards = 1, .report = report};
    struct prepare_summary summary;
    struct error err = {0};
    bool quiet = false;
    int option;
    how.jobs = omp_get_max_threads();
    while ((option = getopt_long(argc, argv, ":ho:q", options, NULL)) != -1) {
        const bool has_value =
            option == 'f' || option == 's' || option == 't' || option == 'm' || option == 'j';
        const char *fault = has_value ? read_value(&how, option, optarg) : NULL;
        if (fault)
            return command_usage("prepare", fault, optarg);
        if (option == HELP || option == 'h') {
            fputs(help_text, stdout);
            return EXIT_GOOD;
        }
        if (option == 'o')
            how.output = optarg;
        else if (option == SPLIT)
            how.split = optarg;
        else if (option == QUIET || option == 'q')
            quiet = true;
        else if (!has_value)
            return command_bad_option("prepare", option, argv);
    }
    if (argc - optind != 1 || !how.output)
        return command_usage("prepare", "takes one folder and -o OUT", NULL);
    how.source = argv[optind];
    how.arg = &progress;
    progress_start(&progress, "preparing", quiet);
    interrupt_install();
    int rc = prepare(&summary, &how, &err);
    progress_end(&progress);
    if (rc)
        return command_failed(&err);
    print_summary(&summary, &how);
    return EXIT_GOOD;
}
