/*
 * Reading a result's file: a walk over its JSON that checks type, range and length of each thing
 * before it is taken. The first fault is kept (`rc`), and all that follows it gives nothing.
 */
#include "base/file.h"
#include "eval/result.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FILE_LIMIT ((size_t)64 << 20) /* 50 conditions of 2600 clips take 20 MB */
#define MOST 1e15                     /* of any count */
#define MOST_EXPERTS 4096             /* layers, experts of one, conditions */
#define MOST_TOKENS 8192              /* of the similarities */
#define MOST_CLIPS 10000000

struct reader {
    struct result *r;
    const char *file;
    char where[64]; /* "results[3]: ", or "" */
    struct error *err;
    int rc;
};

static void wrong(struct reader *rd, const char *key, const char *expected)
{
    if (!rd->rc)
        rd->rc = error_set(rd->err, ERROR_FORMAT, "%s: %s\"%s\" is not %s", rd->file, rd->where,
                           key, expected);
}

static void enter(struct reader *rd, const char *list, int64_t index)
{
    snprintf(rd->where, sizeof rd->where, "%s[%lld]: ", list, (long long)index);
}

static void leave(struct reader *rd)
{
    rd->where[0] = 0;
}

/* NULL where it is absent or null. */
static json_t *member(struct reader *rd, json_t *object, const char *key)
{
    json_t *value = rd->rc ? NULL : json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static double number_of(struct reader *rd, json_t *value, const char *key, double low, double high)
{
    double x = json_number_value(value);
    if (json_is_number(value) && x >= low && x <= high)
        return x;
    char expected[64];
    snprintf(expected, sizeof expected, "a number from %g to %g", low, high);
    wrong(rd, key, expected);
    return low;
}

static double number(struct reader *rd, json_t *object, const char *key, double low, double high)
{
    json_t *value = member(rd, object, key);
    return value ? number_of(rd, value, key, low, high) : 0;
}

static int64_t integer_of(struct reader *rd, json_t *value, const char *key, double low,
                          double high)
{
    double x = number_of(rd, value, key, low, high);
    if (x != floor(x))
        wrong(rd, key, "a whole number");
    return (int64_t)x;
}

static int64_t integer(struct reader *rd, json_t *object, const char *key, double low, double high)
{
    json_t *value = member(rd, object, key);
    return value ? integer_of(rd, value, key, low, high) : 0;
}

static int64_t needed_integer(struct reader *rd, json_t *object, const char *key, double low,
                              double high)
{
    if (!member(rd, object, key))
        wrong(rd, key, "there");
    return integer(rd, object, key, low, high);
}

/* Of the JSON or, absent, NULL. */
static const char *string(struct reader *rd, json_t *object, const char *key)
{
    json_t *value = member(rd, object, key);
    if (value && !json_is_string(value))
        wrong(rd, key, "a text");
    return json_string_value(value);
}

static const char *text(struct reader *rd, json_t *object, const char *key)
{
    const char *found = string(rd, object, key);
    return found ? result_text(rd->r, found) : "";
}

/* An array of at most `most` elements, *count of them; NULL and 0 where it is absent. */
static json_t *array(struct reader *rd, json_t *object, const char *key, int64_t most,
                     int64_t *count)
{
    char expected[64];
    json_t *value = member(rd, object, key);
    *count = 0;
    if (!value)
        return NULL;
    snprintf(expected, sizeof expected, "a list of at most %lld", (long long)most);
    if (!json_is_array(value) || json_array_size(value) > (size_t)most) {
        wrong(rd, key, expected);
        return NULL;
    }
    *count = (int64_t)json_array_size(value);
    return value;
}

/* Whether a table is whole: no more memory is taken for it than the file itself takes. */
static bool table_whole(json_t *list, const int64_t *count, int dims)
{
    if (!json_is_array(list) || json_array_size(list) != (size_t)count[0])
        return false;
    for (size_t i = 0; dims > 1 && i < json_array_size(list); i++)
        if (!table_whole(json_array_get(list, i), count + 1, dims - 1))
            return false;
    return true;
}

/* Fills numbers from lists in lists, in order; returns the place behind them. */
static double *fill_table(struct reader *rd, double *numbers, json_t *list, const char *key,
                          int dims, double low, double high)
{
    for (size_t i = 0; !rd->rc && i < json_array_size(list); i++) {
        json_t *value = json_array_get(list, i);
        if (dims > 1)
            numbers = fill_table(rd, numbers, value, key, dims - 1, low, high);
        else
            *numbers++ = number_of(rd, value, key, low, high);
    }
    return numbers;
}

/* [count[0]] [count[1]] .. (dims of them); NULL where it is absent, empty or wrong. */
static const double *table(struct reader *rd, json_t *object, const char *key, const int64_t *count,
                           int dims, double low, double high)
{
    json_t *list = member(rd, object, key);
    int64_t all = 1;
    for (int d = 0; d < dims; d++)
        all *= count[d];
    if (!list)
        return NULL;
    if (!table_whole(list, count, dims)) {
        wrong(rd, key, "a table of the size that the rest of the file says");
        return NULL;
    }
    double *numbers = result_array(rd->r, all, sizeof *numbers);
    fill_table(rd, numbers, list, key, dims, low, high);
    return rd->rc ? NULL : numbers;
}

/* ---- the parts --------------------------------------------------------------------------- */

/* chosen: both rates may be absent. */
static void read_task(struct reader *rd, json_t *object, enum task *task, int *audio_rate,
                      int *video_rate, bool chosen)
{
    const char *name = string(rd, object, "task");
    if (!name || !task_from_name(task, name)) {
        wrong(rd, "task", "asr, vsr or avsr");
        return;
    }
    *audio_rate = (int)integer(rd, object, "audio_rate", 1, 1000);
    *video_rate = (int)integer(rd, object, "video_rate", 1, 1000);
    if (chosen && !*audio_rate && !*video_rate)
        return;
    if (task_hears(*task) != (*audio_rate > 0))
        wrong(rd, "audio_rate", "what the task needs");
    if (task_sees(*task) != (*video_rate > 0))
        wrong(rd, "video_rate", "what the task needs");
}

static void read_utterances(struct reader *rd, struct result_row *row, json_t *object)
{
    int64_t count;
    json_t *list = array(rd, object, "utterances", MOST_CLIPS, &count);
    if (list && count && count != row->clips)
        wrong(rd, "utterances", "as long as there are clips");
    struct result_utterance *all = rd->rc ? NULL : result_array(rd->r, count, sizeof *all);
    for (int64_t i = 0; !rd->rc && i < count; i++) {
        json_t *pair = json_array_get(list, (size_t)i);
        if (!json_is_array(pair) || json_array_size(pair) != 2) {
            wrong(rd, "utterances", "a list of pairs of errors and words");
            return;
        }
        all[i].errors = integer_of(rd, json_array_get(pair, 0), "utterances", 0, MOST);
        all[i].words = integer_of(rd, json_array_get(pair, 1), "utterances", 0, MOST);
    }
    row->utterances = all;
    row->utterance_count = count;
}

static void read_row(struct reader *rd, struct result_row *row, json_t *object)
{
    const bool limits = member(rd, object, "held") != NULL;
    read_task(rd, object, &row->task, &row->audio_rate, &row->video_rate, limits);
    row->held = limits ? number(rd, object, "held", 0, 1) : NAN;
    row->snr_db =
        member(rd, object, "snr_db") ? number(rd, object, "snr_db", -1000, 1000) : INFINITY;
    row->seed = integer(rd, object, "seed", 0, MOST);
    row->wer = number(rd, object, "wer", 0, MOST);
    row->wer_low = number(rd, object, "wer_low", 0, MOST);
    row->wer_high = number(rd, object, "wer_high", 0, MOST);
    row->wer_normalised = number(rd, object, "wer_normalised", 0, MOST);
    row->cer = number(rd, object, "cer", 0, MOST);
    row->words = integer(rd, object, "words", 0, MOST);
    row->errors = integer(rd, object, "errors", 0, MOST);
    row->clips = integer(rd, object, "clips", 0, MOST);
    row->failed = integer(rd, object, "failed", 0, MOST);
    row->prompt_tokens = number(rd, object, "prompt_tokens", 0, MOST);
    row->media_tokens = number(rd, object, "media_tokens", 0, MOST);
    row->tflops = number(rd, object, "tflops", 0, MOST);
    row->seconds = number(rd, object, "seconds", 0, MOST);
    row->audio_seconds = number(rd, object, "audio_seconds", 0, MOST);
    row->rtf = number(rd, object, "rtf", 0, MOST);
    read_utterances(rd, row, object);
}

static void read_rows(struct reader *rd, json_t *root)
{
    struct result *r = rd->r;
    int64_t count;
    json_t *list = array(rd, root, "results", RESULT_MAX_ROWS, &count);
    if (!list)
        wrong(rd, "results", "there");
    r->rows = rd->rc ? NULL : result_array(r, count, sizeof *r->rows);
    r->row_count = (int)count;
    for (int i = 0; !rd->rc && i < r->row_count; i++) {
        enter(rd, "results", i);
        read_row(rd, &r->rows[i], json_array_get(list, (size_t)i));
    }
    leave(rd);
}

static void read_clip(struct reader *rd, struct result_clip *clip, json_t *object)
{
    int64_t count;
    if (!json_is_object(object))
        wrong(rd, "clips", "a list of objects");
    clip->path = text(rd, object, "path");
    clip->text = text(rd, object, "text");
    clip->seconds = number(rd, object, "seconds", 0, MOST);
    json_t *list = array(rd, object, "hypotheses", RESULT_MAX_ROWS, &count);
    if (!list || rd->rc)
        return;
    if (count != rd->r->row_count) {
        wrong(rd, "hypotheses", "one for each of the results");
        return;
    }
    const char **all = result_array(rd->r, count, sizeof *all);
    for (int64_t i = 0; i < count; i++) {
        const char *hypothesis = json_string_value(json_array_get(list, (size_t)i));
        if (!hypothesis)
            wrong(rd, "hypotheses", "a list of texts");
        else
            all[i] = result_text(rd->r, hypothesis);
    }
    clip->hypotheses = all;
}

static void read_clips(struct reader *rd, json_t *root)
{
    struct result *r = rd->r;
    int64_t count;
    json_t *list = array(rd, root, "clips", MOST_CLIPS, &count);
    for (int i = 0; count && i < r->row_count; i++)
        if (r->rows[i].utterance_count && r->rows[i].utterance_count != count)
            wrong(rd, "clips", "as long as the results' \"utterances\"");
    r->clips = rd->rc ? NULL : result_array(r, count, sizeof *r->clips);
    r->clip_count = count;
    for (int64_t i = 0; !rd->rc && i < count; i++) {
        enter(rd, "clips", i);
        read_clip(rd, &r->clips[i], json_array_get(list, (size_t)i));
    }
    leave(rd);
}

static void read_experts(struct reader *rd, json_t *root)
{
    struct result_experts *e;
    json_t *object = member(rd, root, "experts");
    int64_t count;
    if (!object)
        return;
    if (!json_is_object(object))
        wrong(rd, "experts", "an object");
    json_t *list = array(rd, object, "conditions", MOST_EXPERTS, &count);
    struct result_expert_condition *all = rd->rc ? NULL : result_array(rd->r, count, sizeof *all);
    for (int64_t i = 0; !rd->rc && i < count; i++) {
        enter(rd, "experts.conditions", i);
        read_task(rd, json_array_get(list, (size_t)i), &all[i].task, &all[i].audio_rate,
                  &all[i].video_rate, false);
    }
    leave(rd);
    if (rd->rc)
        return;
    e = result_array(rd->r, 1, sizeof *e);
    e->layers = (int)needed_integer(rd, object, "layers", 1, MOST_EXPERTS);
    e->routed = (int)needed_integer(rd, object, "routed", 1, MOST_EXPERTS);
    e->active = (int)needed_integer(rd, object, "active", 1, MOST_EXPERTS);
    e->conditions = all;
    e->condition_count = (int)count;
    const int64_t layered[] = {e->layers, count, count};
    e->share = table(rd, object, "share", (int64_t[]){count, e->layers, e->routed}, 3, 0, 1);
    e->agreement = table(rd, object, "agreement", layered + 1, 2, 0, 1);
    e->agreement_by_layer = table(rd, object, "agreement_by_layer", layered, 3, 0, 1);
    if (!e->share)
        wrong(rd, "experts", "complete: it needs conditions, layers, routed and share");
    rd->r->experts = e;
}

static void read_similarity(struct reader *rd, json_t *root)
{
    struct result_similarity *s;
    json_t *object = member(rd, root, "similarity");
    int64_t count;
    if (!object)
        return;
    if (!json_is_object(object))
        wrong(rd, "similarity", "an object");
    json_t *list = array(rd, object, "tokens", MOST_TOKENS, &count);
    struct result_tokens *all = rd->rc ? NULL : result_array(rd->r, count, sizeof *all);
    s = result_array(rd->r, 1, sizeof *s);
    for (int64_t i = 0; !rd->rc && i < count; i++) {
        json_t *one = json_array_get(list, (size_t)i);
        enter(rd, "similarity.tokens", i);
        const char *modality = string(rd, one, "modality");
        if (!modality || (strcmp(modality, "audio") && strcmp(modality, "video")))
            wrong(rd, "modality", "audio or video");
        all[i].video = modality && !strcmp(modality, "video");
        all[i].rate = (int)needed_integer(rd, one, "rate", 1, 1000);
        all[i].count = needed_integer(rd, one, "count", 0, MOST_TOKENS);
        s->total += all[i].count;
    }
    leave(rd);
    if (!rd->rc && s->total > MOST_TOKENS)
        wrong(rd, "similarity", "small enough: too many tokens");
    s->clip = text(rd, object, "clip");
    s->tokens = all;
    s->kinds = (int)count;
    s->matrix = table(rd, object, "matrix", (int64_t[]){s->total, s->total}, 2, -1.001, 1.001);
    if (!s->matrix)
        wrong(rd, "similarity", "complete: it needs tokens and matrix");
    rd->r->similarity = s;
}

static void read_head(struct reader *rd, json_t *root)
{
    struct result *r = rd->r;
    const char *format = string(rd, root, "format");
    if (!format || strcmp(format, "mome-evaluation-1") != 0) {
        wrong(rd, "format", "mome-evaluation-1: mome evaluate --json writes such files");
        return;
    }
    json_t *model = member(rd, root, "model");
    if (model && !json_is_object(model))
        wrong(rd, "model", "an object");
    r->name = text(rd, model, "name");
    r->folder = text(rd, model, "folder");
    r->placement = text(rd, model, "placement");
    r->parameters = integer(rd, model, "parameters", 0, MOST);
    r->adapter_parameters = integer(rd, model, "adapter_parameters", 0, MOST);
    r->active_parameters = integer(rd, model, "active_parameters", 0, MOST);
    r->manifest = text(rd, root, "manifest");
    r->noise = member(rd, root, "noise") ? text(rd, root, "noise") : NULL;
    r->beam = (int)integer(rd, root, "beam", 0, 1 << 20);
    r->peak_memory_bytes = integer(rd, root, "peak_memory_bytes", 0, MOST);
    int64_t count;
    json_t *list = array(rd, root, "seeds", RESULT_MAX_ROWS, &count);
    int64_t *seeds = rd->rc ? NULL : result_array(r, count, sizeof *seeds);
    for (int64_t i = 0; !rd->rc && i < count; i++)
        seeds[i] = integer_of(rd, json_array_get(list, (size_t)i), "seeds", 0, MOST);
    r->seeds = seeds;
    r->seed_count = (int)count;
}

int result_parse(struct result *r, const char *bytes, size_t size, const char *name,
                 struct error *err)
{
    *r = (struct result){0};
    if (size > FILE_LIMIT)
        return error_set(err, ERROR_LIMIT, "%s: larger than %zu MiB", name, FILE_LIMIT >> 20);
    json_error_t where;
    json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return error_set(err, ERROR_FORMAT, "%s:%d: not JSON: %.200s", name, where.line,
                         where.text);
    struct reader rd = {.r = r, .file = name, .err = err};
    rd.rc = result_init(r, err);
    read_head(&rd, root);
    read_rows(&rd, root);
    read_clips(&rd, root);
    read_experts(&rd, root);
    read_similarity(&rd, root);
    json_decref(root);
    if (rd.rc)
        result_release(r);
    return rd.rc;
}

int result_read(struct result *r, const char *path, struct error *err)
{
    char *bytes;
    size_t size;
    *r = (struct result){0};
    int rc = file_read(&bytes, &size, path, FILE_LIMIT, err);
    if (rc)
        return rc;
    rc = result_parse(r, bytes, size, path, err);
    memory_free(bytes);
    return rc;
}
