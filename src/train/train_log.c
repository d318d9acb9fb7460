#include "train/train_log.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Copies the lines of steps that are done: a killed run may have logged some that are not saved. */
static int keep_done(const char *path, int stage, int64_t step, struct error *err)
{
    char *text, *line, *rest;
    size_t size;
    struct file_writer w;
    int rc = file_read(&text, &size, path, (size_t)1 << 30, err);
    if (rc)
        return rc;
    rc = file_writer_open(&w, path, err);
    for (line = text; !rc && (rest = strchr(line, '\n')); line = rest + 1) {
        json_t *json = json_loadb(line, (size_t)(rest - line), 0, NULL);
        json_int_t at = json_integer_value(json_object_get(json, "stage_index"));
        json_int_t done = json_integer_value(json_object_get(json, "step"));
        if (json && (at < stage || (at == stage && done <= step)))
            fwrite(line, 1, (size_t)(rest + 1 - line), w.stream);
        json_decref(json);
    }
    memory_free(text);
    return rc ? rc : file_writer_commit(&w, err);
}

int train_log_open(struct train_log *log, const char *path, bool resume, int stage, int64_t step,
                   struct error *err)
{
    int rc = resume ? keep_done(path, stage, step, err) : 0;
    *log = (struct train_log){.path = path};
    if (rc)
        return rc;
    log->stream = fopen(path, resume ? "ae" : "we");
    return log->stream ? 0 : error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
}

/* JSON has no infinity: null. */
static void add_number(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

int train_log_step(struct train_log *log, const struct train_report *r, struct error *err)
{
    const struct measures *m = &r->measures;
    json_t *line = json_pack("{s:s, s:i, s:I}", "stage", r->stage, "stage_index", r->stage_index,
                             "step", (json_int_t)r->step);
    if (r->validation_wer >= 0) {
        add_number(line, "validation_wer", r->validation_wer);
    } else {
        add_number(line, "loss", m->loss);
        add_number(line, "text", m->text);
        add_number(line, "audio_frames", m->audio_frames);
        add_number(line, "video_frames", m->video_frames);
        add_number(line, "audio_accuracy", m->audio_accuracy);
        add_number(line, "video_accuracy", m->video_accuracy);
        add_number(line, "balance", m->balance);
        add_number(line, "align", m->align);
        add_number(line, "gradient_norm", r->gradient_norm);
        add_number(line, "rate", r->rate);
        add_number(line, "clips_per_second", r->clips_per_second);
    }
    bool bad = !line || json_dumpf(line, log->stream, JSON_REAL_PRECISION(9)) ||
               fputc('\n', log->stream) == EOF || fflush(log->stream);
    json_decref(line);
    return bad ? error_set(err, ERROR_IO, "%s: cannot write: %s", log->path, strerror(errno)) : 0;
}

void train_log_close(struct train_log *log)
{
    if (log->stream)
        fclose(log->stream);
    log->stream = NULL;
}
