/* What `mome transcribe` does with a clip as a whole: several tasks, rates or noise levels as a
   table or as JSON rows, rates that choose themselves, a video of what the model sees. */
#include "base/memory.h"
#include "cli/command.h"
#include "cli/transcribe.h"
#include "media/media.h"
#include "text/text_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void say_task(const struct transcribe *t, const char *path, const struct clip *clip,
                     enum task task)
{
    const struct recognizer_config *model = &t->session.recognizer->config;
    if (!model->has_audio || !model->has_video)
        return; /* no choice was made */
    if (task == TASK_ASR)
        transcribe_remark(t, path,
                          clip->has_face       ? "the lips do not move: using the sound alone (asr)"
                          : clip->has_pictures ? "no face found: using the sound alone (asr)"
                                               : "no pictures: using the sound alone (asr)");
    else if (task == TASK_VSR)
        transcribe_remark(t, path, "no sound: using the lips alone (vsr)");
}

static void say_face(const struct transcribe *t, const char *path, const struct clip *clip)
{
    char text[128];
    if (clip->faces < 2 || !clip->face)
        return;
    snprintf(text, sizeof text, "%d faces: reading the lips of face %d%s", clip->faces, clip->face,
             t->face           ? ""
             : clip->lips_move ? ", who speaks (--face N reads another's)"
                               : "; no lips move");
    transcribe_remark(t, path, text);
}

static json_t *hypotheses_json(const struct transcript *out)
{
    json_t *list = json_array();
    for (int i = 0; i < out->count; i++)
        json_array_append_new(list, json_pack("{s:o, s:f, s:f}", "text", text_json(out->texts[i]),
                                              "score", out->hypotheses[i].score, "log_probability",
                                              out->hypotheses[i].log_probability));
    return list;
}

static void print_row(const struct transcribe *t, const char *path, enum task task,
                      const int rates[2], double snr, double seconds, const struct transcript *out)
{
    char rate[SESSION_NAME], noise[SESSION_NAME];
    session_rate_name(rate, rates[0], rates[1]);
    session_noise_name(noise, snr);
    printf("%-*s  %-4s  %-5s  %-7s  %6lld  %7.1f  %s\n", t->name, path, task_name(task), rate,
           noise, (long long)out->prompt_tokens, 1e3 * seconds, out->text);
}

static json_t *rate_json(int rate)
{
    return rate ? json_integer(rate) : json_null();
}

static json_t *segments_json(const struct paced *paced)
{
    json_t *list = json_array();
    for (int i = 0; i < paced->count; i++) {
        const struct segment *s = &paced->segments[i].segment;
        const struct pace_plan *plan = &paced->segments[i].plan;
        json_array_append_new(
            list, json_pack("{s:f, s:f, s:s, s:o, s:o, s:i}", "start", (double)s->start / MEDIA_FPS,
                            "end", (double)(s->start + s->count) / MEDIA_FPS, "task",
                            task_name(plan->task), "audio_rate", rate_json(plan->audio_rate),
                            "video_rate", rate_json(plan->video_rate), "beam", plan->beam));
    }
    return list;
}

static json_t *row_json(const char *path, const struct clip *clip, enum task task,
                        const int rates[2], double snr, double encode, const struct transcript *out)
{
    json_t *o =
        json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "file", text_json(path), "task",
                  task_name(task), "audio_rate", rate_json(rates[0]), "video_rate",
                  rate_json(rates[1]), "snr_db", isfinite(snr) ? json_real(snr) : json_null(),
                  "text", text_json(out->text), "words", words_json(&out->words));
    json_object_update_new(o, json_pack("{s:f, s:I, s:I, s:f, s:f, s:o}", "score", out->score,
                                        "prompt_tokens", (json_int_t)out->prompt_tokens,
                                        "media_tokens", (json_int_t)out->media_tokens,
                                        "encode_seconds", encode, "decode_seconds",
                                        out->decode_seconds, "n_best", hypotheses_json(out)));
    json_object_update_new(o, json_pack("{s:i, s:o, s:b}", "faces", clip->faces, "face",
                                        rate_json(clip->face), "lips_move", clip->lips_move));
    return o;
}

/* paced: NULL at a fixed rate. */
static void print_one(struct transcribe *t, const char *path, const struct clip *clip,
                      enum task task, const int rates[2], double snr, double encode,
                      const struct transcript *out, const struct paced *paced)
{
    progress_end(&t->progress);
    if (t->json) {
        json_t *o = row_json(path, clip, task, rates, snr, encode, out);
        if (paced)
            json_object_update_new(o,
                                   json_pack("{s:f, s:b, s:o}", "seconds", paced->seconds, "late",
                                             paced->late, "segments", segments_json(paced)));
        json_array_append_new(t->json, o);
        return;
    }
    if (t->table)
        print_row(t, path, task, rates, snr, encode + out->decode_seconds, out);
    else
        transcribe_print(t, path, out->text);
    for (int i = 0; t->session.beam.n_best > 1 && i < out->count; i++)
        printf("  %8.3f  %s\n", out->hypotheses[i].score, out->texts[i]);
}

/* At rates that choose themselves. */
static int run_paced(struct transcribe *t, const char *path, const struct clip *clip,
                     enum task task, double snr, struct error *err)
{
    struct session *s = &t->session;
    const struct pace_request request = session_request(s, task);
    struct paced paced;
    int rc = pace_run(&s->pace, &paced, &s->transcriber, clip, &request, err);
    if (rc)
        return rc;
    const struct pace_plan *first = paced.count ? &paced.segments[0].plan : NULL;
    int rates[2] = {first ? first->audio_rate : 0, first ? first->video_rate : 0};
    task = first ? first->task : task;
    for (int i = 1; i < paced.count; i++) {
        const struct pace_plan *plan = &paced.segments[i].plan;
        if (plan->audio_rate != rates[0] || plan->video_rate != rates[1])
            rates[0] = rates[1] = 0;
        if (task_sees(plan->task))
            task = plan->task;
    }
    print_one(t, path, clip, task, rates, snr, paced.encode_seconds, &paced.transcript, &paced);
    transcribe_say_pace(t, path, task_name(task), rates, paced.seconds, paced.late);
    paced_release(&paced);
    return 0;
}

static int run_pair(struct transcribe *t, const char *path, const struct clip *clip, enum task task,
                    const int rates[2], double snr, struct error *err)
{
    const struct loaded *x = t->session.transcriber.loaded;
    struct transcript out;
    if (interrupted())
        return error_set(err, ERROR_CANCELLED, "stopped");
    int rc = transcriber_run(&t->session.transcriber, &out, task, rates[0], rates[1],
                             &t->session.beam, err);
    if (rc)
        return rc;
    print_one(t, path, clip, task, rates, snr,
              (task_hears(task) ? x->audio_seconds : 0) + (task_sees(task) ? x->video_seconds : 0),
              &out, NULL);
    transcript_release(&out);
    return 0;
}

static int run_task(struct transcribe *t, const char *path, const struct clip *clip, enum task task,
                    double snr, struct error *err)
{
    int pairs[SESSION_MAX_RUNS][2];
    if (t->session.auto_rate)
        return run_paced(t, path, clip, task, snr, err);
    int count = session_rates(&t->session, task, pairs, err);
    int rc = count < 0 ? count : transcriber_load(&t->session.transcriber, clip, task, err);
    for (int i = 0; !rc && i < count; i++)
        rc = run_pair(t, path, clip, task, pairs[i], snr, err);
    return rc;
}

/* At every noise level; noise goes into the clean sound, which is put back behind each. */
static int run_levels(struct transcribe *t, const char *path, struct clip *clip, enum task task,
                      struct error *err)
{
    const struct session *s = &t->session;
    const size_t size = (size_t)clip->samples * sizeof *clip->pcm;
    int levels = task_hears(task) ? s->snr_count : 1, rc = 0;
    float *clean = clip->pcm;
    float *noisy = memory_new((size_t)clip->samples + 1, sizeof *noisy);
    if (!noisy)
        return error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; !rc && i < levels; i++) {
        double snr = task_hears(task) ? s->snrs[i] : INFINITY;
        if (isfinite(snr) && size) {
            memcpy(noisy, clean, size);
            noise_mix(noisy, clip->samples, &s->noise, snr, 1);
            clip->pcm = noisy;
        }
        rc = run_task(t, path, clip, task, snr, err);
        clip->pcm = clean;
    }
    memory_free(noisy);
    return rc;
}

static int run_tasks(struct transcribe *t, const char *path, struct clip *clip, struct error *err)
{
    const struct session *s = &t->session;
    int rc = 0;
    say_face(t, path, clip);
    if (s->automatic) {
        enum task task = transcriber_task(clip, s->recognizer);
        say_task(t, path, clip, task);
        return run_levels(t, path, clip, task, err);
    }
    for (int task = 0; !rc && task < TASK_COUNT; task++)
        if (s->tasks[task])
            rc = run_levels(t, path, clip, (enum task)task, err);
    return rc;
}

int transcribe_clip(struct transcribe *t, const char *path, struct error *err)
{
    const struct session *s = &t->session;
    bool sees = s->automatic || s->tasks[TASK_VSR] || s->tasks[TASK_AVSR];
    const struct clip_options options = {.no_pictures = !sees || !s->recognizer->config.has_video,
                                         .face = t->face,
                                         .finder = t->finder,
                                         .debug_mouth = t->debug_mouth};
    struct clip clip;
    int rc = clip_load(&clip, path, &options, err);
    if (rc == ERROR_NO_STREAM && !sees)
        rc = error_set(err, rc, "%s: no sound in it, which asr needs: try --task vsr", path);
    if (!rc)
        rc = run_tasks(t, path, &clip, err);
    if (rc && !strstr(err->message, path))
        error_prefix(err, "%s", path);
    clip_release(&clip);
    return rc;
}
