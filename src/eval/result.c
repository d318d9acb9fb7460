/* The result's memory, and writing its file. */
#include "eval/result.h"
#include "base/file.h"
#include "text/normalize.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_LIMIT ((size_t)8 << 30) /* address space; more than RESULT_FILE_LIMIT can fill */
#define TEXT_LIMIT ((size_t)1 << 24)

int result_init(struct result *r, struct error *err)
{
    *r = (struct result){.name = "", .folder = "", .placement = "", .manifest = ""};
    return arena_init(&r->memory, MEMORY_LIMIT, err);
}

void result_release(struct result *r)
{
    arena_release(&r->memory);
    *r = (struct result){0};
}

void *result_array(struct result *r, int64_t count, size_t size)
{
    if (count <= 0)
        return NULL;
    void *p = arena_alloc(&r->memory, (size_t)count * size);
    return memset(p, 0, (size_t)count * size);
}

const char *result_text(struct result *r, const char *text)
{
    size_t length = strlen(text);
    struct strbuf valid;
    strbuf_init(&valid, TEXT_LIMIT);
    if (normalize_valid(text, length) != length) {
        normalize_utf8(&valid, text, length);
        text = valid.data;
        length = valid.length;
    }
    char *copy = arena_alloc(&r->memory, length + 1);
    memcpy(copy, text, length + 1);
    strbuf_release(&valid);
    return copy;
}

/* ---- to JSON ----------------------------------------------------------------------------- */

static json_t *rate_json(int rate)
{
    return rate ? json_integer(rate) : json_null();
}

static json_t *snr_json(double snr_db)
{
    return isfinite(snr_db) ? json_real(snr_db) : json_null();
}

/* A share or cosine needs no more than 5 digits behind the point, and there are many of them. */
static json_t *fraction_json(double x)
{
    return json_real(round(x * 1e5) / 1e5);
}

/* [count0][count1] .. of dims, row-major. */
static json_t *table_json(const double *numbers, const int64_t *count, int dims)
{
    json_t *list = json_array();
    int64_t step = 1;
    for (int d = 1; d < dims; d++)
        step *= count[d];
    for (int64_t i = 0; i < count[0]; i++)
        json_array_append_new(list, dims == 1
                                        ? fraction_json(numbers[i])
                                        : table_json(numbers + i * step, count + 1, dims - 1));
    return list;
}

static json_t *row_json(const struct result_row *row)
{
    json_t *utterances = json_array();
    for (int64_t i = 0; i < row->utterance_count; i++)
        json_array_append_new(utterances, json_pack("[I, I]", (json_int_t)row->utterances[i].errors,
                                                    (json_int_t)row->utterances[i].words));
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:f, "
        "s:f, s:f, s:f, s:o, s:o}",
        "task", task_name(row->task), "audio_rate", rate_json(row->audio_rate), "video_rate",
        rate_json(row->video_rate), "snr_db", snr_json(row->snr_db), "seed", (json_int_t)row->seed,
        "wer", row->wer, "wer_low", row->wer_low, "wer_high", row->wer_high, "wer_normalised",
        row->wer_normalised, "cer", row->cer, "words", (json_int_t)row->words, "errors",
        (json_int_t)row->errors, "clips", (json_int_t)row->clips, "failed", (json_int_t)row->failed,
        "prompt_tokens", row->prompt_tokens, "media_tokens", row->media_tokens, "tflops",
        row->tflops, "seconds", row->seconds, "audio_seconds", row->audio_seconds, "rtf", row->rtf,
        "held", isnan(row->held) ? json_null() : json_real(row->held), "utterances", utterances);
}

static json_t *clip_json(const struct result_clip *clip, int rows)
{
    json_t *json = json_pack("{s:s, s:f, s:s}", "path", clip->path, "seconds", clip->seconds,
                             "text", clip->text);
    json_t *hypotheses = clip->hypotheses ? json_array() : NULL;
    for (int i = 0; hypotheses && i < rows; i++)
        json_array_append_new(hypotheses, json_string(clip->hypotheses[i]));
    if (hypotheses)
        json_object_set_new(json, "hypotheses", hypotheses);
    return json;
}

static json_t *experts_json(const struct result_experts *e)
{
    if (!e)
        return json_null();
    const int64_t count = e->condition_count;
    json_t *conditions = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(conditions,
                              json_pack("{s:s, s:o, s:o}", "task", task_name(e->conditions[i].task),
                                        "audio_rate", rate_json(e->conditions[i].audio_rate),
                                        "video_rate", rate_json(e->conditions[i].video_rate)));
    json_t *json = json_pack("{s:i, s:i, s:i, s:o, s:o}", "layers", e->layers, "routed", e->routed,
                             "active", e->active, "conditions", conditions, "share",
                             table_json(e->share, (int64_t[]){count, e->layers, e->routed}, 3));
    if (e->agreement)
        json_object_set_new(json, "agreement",
                            table_json(e->agreement, (int64_t[]){count, count}, 2));
    if (e->agreement_by_layer)
        json_object_set_new(
            json, "agreement_by_layer",
            table_json(e->agreement_by_layer, (int64_t[]){e->layers, count, count}, 3));
    return json;
}

static json_t *similarity_json(const struct result_similarity *s)
{
    if (!s)
        return json_null();
    json_t *tokens = json_array();
    for (int i = 0; i < s->kinds; i++)
        json_array_append_new(
            tokens, json_pack("{s:s, s:i, s:I}", "modality", s->tokens[i].video ? "video" : "audio",
                              "rate", s->tokens[i].rate, "count", (json_int_t)s->tokens[i].count));
    return json_pack("{s:s, s:o, s:o}", "clip", s->clip, "tokens", tokens, "matrix",
                     table_json(s->matrix, (int64_t[]){s->total, s->total}, 2));
}

static json_t *result_json(const struct result *r)
{
    json_t *seeds = json_array(), *rows = json_array(), *clips = json_array();
    for (int i = 0; i < r->seed_count; i++)
        json_array_append_new(seeds, json_integer(r->seeds[i]));
    for (int i = 0; i < r->row_count; i++)
        json_array_append_new(rows, row_json(&r->rows[i]));
    for (int64_t i = 0; i < r->clip_count; i++)
        json_array_append_new(clips, clip_json(&r->clips[i], r->row_count));
    json_t *model = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:s}", "name", r->name, "folder", r->folder, "parameters",
        (json_int_t)r->parameters, "adapter_parameters", (json_int_t)r->adapter_parameters,
        "active_parameters", (json_int_t)r->active_parameters, "placement", r->placement);
    return json_pack("{s:s, s:o, s:s, s:i, s:s?, s:o, s:I, s:o, s:o, s:o, s:o}", "format",
                     "mome-evaluation-1", "model", model, "manifest", r->manifest, "beam", r->beam,
                     "noise", r->noise, "seeds", seeds, "peak_memory_bytes",
                     (json_int_t)r->peak_memory_bytes, "results", rows, "clips", clips, "experts",
                     experts_json(r->experts), "similarity", similarity_json(r->similarity));
}

int result_write(const struct result *r, const char *path, struct error *err)
{
    json_t *root = result_json(r);
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    int rc = text ? file_write(path, text, strlen(text), err)
                  : error_set(err, ERROR_MEMORY, "%s: no memory to write it", path);
    free(text);
    json_decref(root);
    return rc;
}
