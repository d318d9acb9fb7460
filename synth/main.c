/*
 * mome-synth: makes talking clips whose words and phones are known to the millisecond.
 * Clips are made by `--jobs` processes (flite is one speaker at a time per process): worker j makes
 * clips j, j + jobs, ... and writes one line about each into its pipe; the parent reads the pipes
 * in turn, so the manifest is in order and the same for any number of jobs.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "clip.h"
#include "film.h"
#include "grammar.h"
#include "options.h"
#include "speech.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_LIMIT 65536

struct worker {
    pid_t id;
    FILE *lines;
};

/* Plan of clip i of the job: its own seed, its own text. */
static struct clip_plan plan_clip(char text[64], const struct options *o, int64_t i)
{
    struct clip_plan plan = {
        .text = o->grammar ? text : o->texts[i % o->text_count],
        .seed = o->seed * 1000003u + (uint64_t)i,
        .voice = o->voice,
        .pitch = o->pitch,
        .rate = o->rate,
        .sound_only = o->sound_only,
    };
    plan.face_seed = o->has_face_seed ? o->face_seed : plan.seed;
    if (o->grammar)
        grammar_sentence(text, 64, o->seed, i);
    return plan;
}

static void work(const struct options *o, int worker, FILE *lines)
{
    struct strbuf line;
    strbuf_init(&line, LINE_LIMIT);
    for (int64_t i = worker; i < o->count; i += o->jobs) {
        struct error err = {0};
        char text[64], name[32];
        struct clip_plan plan = plan_clip(text, o, i);
        snprintf(name, sizeof name, "%06lld.%s", (long long)i, o->sound_only ? "wav" : "mp4");
        char *path = file_join(o->output, name);
        strbuf_clear(&line);
        strbuf_addf(&line, "%s\t", name);
        if (path && clip_make(&line, &plan, path, &err) == 0 && !line.failed)
            fprintf(lines, "+%s\n", line.data);
        else
            fprintf(lines, "-clip %lld: %s\n", (long long)i, err.message);
        memory_free(path);
        if (fflush(lines) != 0)
            break;
    }
    strbuf_release(&line);
}

static int start_workers(struct worker *workers, const struct options *o, struct error *err)
{
    for (int j = 0; j < o->jobs; j++) {
        int ends[2];
        fflush(NULL);
        if (pipe(ends) != 0 || (workers[j].id = fork()) < 0)
            return error_set(err, ERROR_IO, "cannot start process %d of %d", j + 1, o->jobs);
        if (workers[j].id == 0) {
            close(ends[0]);
            work(o, j, fdopen(ends[1], "w"));
            _exit(0);
        }
        close(ends[1]);
        workers[j].lines = fdopen(ends[0], "r");
    }
    return 0;
}

static void show_progress(int64_t done, int64_t count, double since)
{
    if (!isatty(STDERR_FILENO) && done < count)
        return;
    char bar[31];
    double seconds = clock_seconds() - since;
    int filled = (int)(30 * done / count);
    memset(bar, '#', 30);
    memset(bar + filled, '.', (size_t)(30 - filled));
    bar[30] = '\0';
    fprintf(stderr, "\r[%s] %lld/%lld clips, %.1f a second, %.0f s left  ", bar, (long long)done,
            (long long)count, (double)done / (seconds + 1e-9),
            seconds / (double)done * (double)(count - done));
    if (done == count)
        fprintf(stderr, "\n");
}

/* Reads what the workers say about clips 0 .. count-1, in order; the good ones go to the manifest.
   Returns how many failed. */
static int64_t collect(FILE *manifest, struct worker *workers, const struct options *o)
{
    static const char dead[] = "-its process ended early\n";
    double since = clock_seconds();
    char *line = NULL;
    size_t capacity = 0;
    int64_t failed = 0;
    for (int64_t i = 0; i < o->count; i++) {
        bool said = getline(&line, &capacity, workers[i % o->jobs].lines) > 0;
        if (said && line[0] == '+')
            fputs(line + 1, manifest);
        else
            fprintf(stderr, "\nmome-synth: %s", (said ? line : dead) + 1), failed++;
        show_progress(i + 1, o->count, since);
    }
    free(line);
    return failed;
}

static int make_folder(const struct options *o, struct error *err)
{
    struct worker workers[OPTIONS_JOBS_LIMIT] = {0};
    struct file_writer manifest = {0};
    int64_t failed = 0;
    int rc = file_make_folder(o->output, err);
    char *path = file_join(o->output, "manifest.tsv");
    if (rc == 0)
        rc = file_writer_open(&manifest, path, err);
    if (rc != 0)
        goto out;
    fprintf(manifest.stream, "path\ttext\twords_ms\tphones_ms\n");
    rc = start_workers(workers, o, err);
    if (rc == 0)
        failed = collect(manifest.stream, workers, o);
    for (int j = 0; j < o->jobs; j++) {
        if (workers[j].lines)
            fclose(workers[j].lines);
        if (workers[j].id > 0)
            waitpid(workers[j].id, NULL, 0);
    }
    if (rc == 0)
        rc = file_writer_commit(&manifest, err);
    else
        file_writer_abandon(&manifest);
    if (rc == 0 && failed > 0)
        rc = error_set(err, ERROR_IO, "%lld of %lld clips failed; the others are in %s",
                       (long long)failed, (long long)o->count, o->output);
out:
    memory_free(path);
    return rc;
}

static int make_one(const struct options *o, struct error *err)
{
    struct strbuf line;
    struct clip_plan plan = {.text = o->texts[0],
                             .seed = o->seed,
                             .face_seed = o->has_face_seed ? o->face_seed : o->seed,
                             .voice = o->voice,
                             .pitch = o->pitch,
                             .rate = o->rate,
                             .sound_only = o->sound_only};
    strbuf_init(&line, LINE_LIMIT);
    int rc = clip_make(&line, &plan, o->output, err);
    if (rc == 0)
        printf("%s\t%s\n", o->output, line.data);
    strbuf_release(&line);
    return rc;
}

int main(int count, char **words)
{
    struct error err = {0};
    struct options o;
    int rc = options_read(&o, count, words, &err);
    if (rc == 0 && o.mode == OPTIONS_HELP)
        options_help();
    else if (rc == 0 && o.mode == OPTIONS_SHEET)
        rc = film_sheet(o.output, o.seed, 4, (int)((o.count + 3) / 4), &err);
    else if (rc == 0 && o.mode == OPTIONS_BABBLE)
        rc = clip_babble(o.output, o.seconds, o.seed, (const char *const *)o.texts, o.text_count,
                         &err);
    else if (rc == 0)
        rc = o.mode == OPTIONS_ONE ? make_one(&o, &err) : make_folder(&o, &err);
    options_release(&o);
    if (rc != 0)
        fprintf(stderr, "mome-synth: %s\n", err.message);
    return rc == 0 ? 0 : rc == ERROR_USAGE ? 2 : 1;
}
