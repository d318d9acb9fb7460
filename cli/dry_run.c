#include "cli/dry_run.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "train/dry_run.h"

#include <stdio.h>
#include <string.h>

/* "12.3 MB" */
static const char *size_text(char text[16], double bytes)
{
    static const char units[] = "kMGTP";
    int unit = 0;
    double x = bytes / 1000;
    for (; x >= 999.5 && unit < 4; unit++)
        x /= 1000;
    snprintf(text, 16, x < 99.5 ? "%.1f %cB" : "%.0f %cB", x, units[unit]);
    return text;
}

static const char *count_text(char text[16], double count)
{
    if (count < 1e4)
        snprintf(text, 16, "%.0f", count);
    else if (count < 999.5e3)
        snprintf(text, 16, "%.1f k", count / 1e3);
    else
        snprintf(text, 16, count < 999.5e6 ? "%.2f M" : "%.3f G",
                 count / (count < 999.5e6 ? 1e6 : 1e9));
    return text;
}

static const char *time_text(char text[16], double seconds)
{
    if (seconds < 99.5)
        snprintf(text, 16, "%.3g s", seconds);
    else if (seconds < 99.5 * 60)
        snprintf(text, 16, "%.0f min", seconds / 60);
    else
        snprintf(text, 16, "%.1f h", seconds / 3600);
    return text;
}

static void print_parts(const struct dry_run *r)
{
    char a[16], b[16];
    printf("%-28s %12s %10s   trained in\n", "part", "parameters", "memory");
    for (int i = 0; i < r->part_count; i++) {
        const struct dry_part *p = &r->parts[i];
        int stages = 0;
        printf("%-28s %12s %10s   ", p->name, count_text(a, (double)p->parameters),
               size_text(b, p->bytes));
        for (int s = 0; s < r->stage_count; s++)
            if (r->stages[s].parts & p->part)
                printf("%s%s", stages++ ? ", " : "", r->stages[s].name);
        printf("%s\n", stages ? "" : "frozen");
    }
}

static void print_clips(const struct dry_run *r)
{
    char a[16];
    printf("\n%lld clips of %.1f s (mean of %d that were read); %s in memory\n",
           (long long)r->clips, r->clip_seconds, r->probed, size_text(a, r->clips_bytes));
    printf("\n%-8s %5s %14s %14s\n", "tokens", "rate", "a clip", "a second");
    for (int i = 0; i < r->rate_count; i++)
        printf("%-8s %5d %14.1f %14.2f\n", r->rates[i].video ? "video" : "audio", r->rates[i].rate,
               r->rates[i].tokens, r->rates[i].tokens / r->clip_seconds);
    printf("%-14s %14.1f\n%-14s %14.1f\n", "around them", r->prompt_tokens, "transcript",
           r->text_tokens);
}

static const char *plain_text(char text[16], double x)
{
    snprintf(text, 16, "%.3g", x);
    return text;
}

static const char *percent_text(char text[16], double share)
{
    snprintf(text, 16, "%.0f %%", 100 * share);
    return text;
}

/* The rows of the table of stages; stage_values has their numbers in the same order. */
static const struct {
    const char *title;
    const char *(*text)(char text[16], double value);
} rows[] = {{"parameters trained", count_text},
            {"memory: weights", size_text},
            {"  gradients", size_text},
            {"  optimiser", size_text},
            {"  activations (measured)", size_text},
            {"  all, with the clips", size_text},
            {"  steps with layers twice", percent_text},
            {"clips a step", plain_text},
            {"LLM tokens a step", count_text},
            {"GFLOP a step", plain_text},
            {"TFLOP an epoch", plain_text},
            {"time a step (measured)", time_text},
            {"  that is, GFLOP/s", plain_text},
            {"time an epoch", time_text},
            {"steps", count_text},
            {"  that is, epochs", plain_text},
            {"features of frozen parts", time_text},
            {"time", time_text}};

enum { ROWS = sizeof rows / sizeof *rows };

static double stage_seconds(const struct dry_stage *s)
{
    return s->features_seconds + s->seconds * (double)s->steps;
}

static void stage_values(double values[ROWS], const struct dry_run *r, const struct dry_stage *s)
{
    double weights = 0;
    for (int i = 0; i < r->part_count; i++)
        weights += r->parts[i].bytes;
    const double all = weights + s->gradient_bytes + s->moment_bytes + s->activation_bytes;
    const double in_order[ROWS] = {(double)s->trained,
                                   weights,
                                   s->gradient_bytes,
                                   s->moment_bytes,
                                   s->activation_bytes,
                                   all + r->clips_bytes,
                                   s->recomputed,
                                   s->clips,
                                   s->rows,
                                   s->flops / 1e9,
                                   s->flops * s->steps_an_epoch / 1e12,
                                   s->seconds,
                                   s->flops / s->seconds / 1e9,
                                   s->seconds * s->steps_an_epoch,
                                   (double)s->steps,
                                   (double)s->steps / s->steps_an_epoch,
                                   s->features_seconds,
                                   stage_seconds(s)};
    memcpy(values, in_order, sizeof in_order);
}

static void print_stages(const struct dry_run *r)
{
    double values[TRAIN_MAX_STAGES][ROWS];
    char text[16];
    printf("\n%-26s", "stage");
    for (int s = 0; s < r->stage_count; s++) {
        stage_values(values[s], r, &r->stages[s]);
        printf(" %12.12s", r->stages[s].name);
    }
    for (int i = 0; i < ROWS; i++) {
        printf("\n%-26s", rows[i].title);
        for (int s = 0; s < r->stage_count; s++)
            printf(" %12s", rows[i].text(text, values[s][i]));
    }
    putchar('\n');
}

static void print_totals(const struct dry_run *r)
{
    char a[16], b[16], c[16], d[16];
    double seconds = 0, features = 0;
    for (int i = 0; i < r->stage_count; i++) {
        const struct dry_stage *s = &r->stages[i];
        seconds += stage_seconds(s);
        features += s->features_bytes;
    }
    printf("\ntime in all, without validation: %s\n", time_text(a, seconds));
    printf("disk: clips %s, features %s, checkpoint %s, model %s\n", size_text(a, r->clips_bytes),
           size_text(b, features), size_text(c, r->checkpoint_bytes), size_text(d, r->model_bytes));
    printf("memory of this dry run at its peak: %s\n", size_text(a, r->peak_bytes));
}

static int on_progress(void *arg, int done, int total, const char *text)
{
    if (text)
        progress_note(arg, text);
    else
        progress_update(arg, done, total, -1, NULL);
    return interrupted();
}

int dry_run_print(const struct train_config *config, bool quiet)
{
    struct dry_run report;
    struct progress line;
    struct error err = {0};
    const struct dataset_progress progress = {on_progress, &line};
    progress_start(&line, "trying some steps", quiet);
    interrupt_install();
    int rc = dry_run(&report, config, &progress, &err);
    progress_end(&line);
    if (rc)
        return command_failed(&err);
    print_parts(&report);
    print_clips(&report);
    print_stages(&report);
    print_totals(&report);
    return EXIT_GOOD;
}
