#include "train/train_log.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <jansson.h>
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
    *log = (struct train_log){0};
    if (rc)
        return rc;
    log->stream = fopen(path, resume ? "ae" : "we");
    return log->stream ? 0 : error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
}

int train_log_step(struct train_log *log, const struct train_report *r, struct error *err)
{
    const struct measures *m = &r->measures;
    int n;
    if (r->validation_wer >= 0)
        n = fprintf(log->stream,
                    "{\"stage\": \"%s\", \"stage_index\": %d, \"step\": %lld, "
                    "\"validation_wer\": %.5f}\n",
                    r->stage, r->stage_index, (long long)r->step, r->validation_wer);
    else
        n = fprintf(log->stream,
                    "{\"stage\": \"%s\", \"stage_index\": %d, \"step\": %lld, \"loss\": %.6g, "
                    "\"text\": %.6g, \"audio_frames\": %.6g, \"video_frames\": %.6g, "
                    "\"audio_accuracy\": %.4f, \"video_accuracy\": %.4f, \"balance\": %.5g, "
                    "\"gradient_norm\": %.5g, \"rate\": %.5g, \"clips_per_second\": %.3g}\n",
                    r->stage, r->stage_index, (long long)r->step, m->loss, m->text, m->audio_frames,
                    m->video_frames, m->audio_accuracy, m->video_accuracy, m->balance,
                    r->gradient_norm, r->rate, r->clips_per_second);
    if (n < 0 || fflush(log->stream))
        return error_set(err, ERROR_IO, "log.jsonl: cannot write: %s", strerror(errno));
    return 0;
}

void train_log_close(struct train_log *log)
{
    if (log->stream)
        fclose(log->stream);
    log->stream = NULL;
}
