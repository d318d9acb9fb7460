/* Clips longer than the embedded model takes: sample clips joined to a minute, with silence between
   them or none but their own, must give the words that they give one by one. */
#include "decode/transcriber.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "eval/wer.h"
#include "models/recognizer.h"
#include "text/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { CLIPS = 6, TIMES = 3, PAUSE_FRAMES = 5 };

static struct recognizer *model;
static struct transcriber transcriber;
static struct manifest manifest;
static struct clip clips[CLIPS];
static bool faces;
static struct error err;

static void must(int rc)
{
    if (rc)
        fail_msg("%s", err.message);
}

static int open_all(void **state)
{
    (void)state;
    must(recognizer_open(&model, "models/tiny", &err));
    must(transcriber_init(&transcriber, model, &device_cpu, PRECISION_BF16, &err));
    must(manifest_load(&manifest, "samples/manifest.tsv", NULL, NULL, &err));
    assert_int_equal(manifest.count, CLIPS);
    faces = true;
    for (int i = 0; i < CLIPS; i++) {
        const struct clip_options deaf = {.no_pictures = true};
        int rc = faces ? clip_load(&clips[i], manifest.entries[i].path, NULL, &err) : 1;
        if (rc) /* no landmark file on this machine */
            must(clip_load(&clips[i], manifest.entries[i].path, &deaf, &err));
        faces = faces && !rc;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < CLIPS; i++)
        clip_release(&clips[i]);
    manifest_release(&manifest);
    transcriber_release(&transcriber);
    recognizer_free(model);
    return 0;
}

/* Frames from, .. to - 1 of a clip go behind `all`; its sound cut or padded to its pictures. */
static void append(struct clip *all, const struct clip *clip, int64_t from, int64_t to, bool sees)
{
    for (int64_t f = from; f < to; f++, all->frames++) {
        for (int64_t i = f * FRAME_SAMPLES; i < (f + 1) * FRAME_SAMPLES; i++)
            all->pcm[all->samples++] = i < clip->samples ? clip->pcm[i] : 0;
        if (sees)
            memcpy(all->mouth + all->frames * MOUTH_PIXELS,
                   clip->mouth + (f < clip->frames ? f : clip->frames - 1) * MOUTH_PIXELS,
                   MOUTH_PIXELS);
    }
}

/* All clips TIMES over; pauses: with silence and a still picture behind each. */
static void join_clips(struct clip *all, bool pauses, bool sees)
{
    const int64_t room = (int64_t)CLIPS * TIMES * 90;
    *all = (struct clip){.has_sound = true, .has_pictures = sees, .has_face = sees};
    all->pcm = memory_new((size_t)(room * FRAME_SAMPLES), sizeof *all->pcm);
    all->mouth = memory_new((size_t)room, MOUTH_PIXELS);
    assert_true(all->pcm && all->mouth);
    for (int i = 0; i < CLIPS * TIMES; i++) {
        const struct clip *clip = &clips[i % CLIPS];
        append(all, clip, 0, clip->samples / FRAME_SAMPLES, sees);
        const struct clip silence = {.mouth = all->mouth, .frames = all->frames};
        if (pauses)
            append(all, &silence, all->frames, all->frames + PAUSE_FRAMES, sees);
    }
    assert_true(all->frames <= room);
    if (!sees)
        all->frames = 0;
}

static double error_rate(const struct clip *clip, enum task task, const char *reference)
{
    const struct beam_options options = {.beam = 1, .n_best = 1, .max_tokens = 128};
    struct transcript out;
    struct wer wer;
    must(transcriber_load(&transcriber, clip, task, &err));
    must(transcriber_run(&transcriber, &out, task, 4, 2, &options, &err));
    must(wer_align(&wer, NULL, NULL, reference, out.text, WER_WORDS, &err));
    transcript_release(&out);
    return wer_rate(&wer);
}

static double one_by_one(enum task task)
{
    double sum = 0;
    for (int i = 0; i < CLIPS; i++)
        sum += error_rate(&clips[i], task, manifest.entries[i].text);
    return sum / CLIPS;
}

static double joined(enum task task, bool pauses, int *segments, double *seconds)
{
    struct strbuf text;
    struct clip all;
    strbuf_init(&text, 1 << 16);
    for (int i = 0; i < CLIPS * TIMES; i++)
        strbuf_addf(&text, "%s%s", i ? " " : "", manifest.entries[i % CLIPS].text);
    join_clips(&all, pauses, task_sees(task));
    double rate = error_rate(&all, task, text.data);
    *segments = transcriber.loaded->segments;
    *seconds = (double)all.samples / 16000;
    for (int i = 0; i < transcriber.loaded->segments; i++)
        assert_int_equal(transcriber.loaded->segment[i].overlap, 0);
    clip_release(&all);
    strbuf_release(&text);
    return rate;
}

static void check(enum task task)
{
    double single = one_by_one(task);
    for (int pauses = 0; pauses < 2; pauses++) {
        int segments;
        double seconds, rate = joined(task, pauses, &segments, &seconds);
        print_message("%s: WER one by one %.3f; %.0f s in %d segments %.3f\n", task_name(task),
                      single, seconds, segments, rate);
        assert_true(seconds >= 45 && seconds <= 70);
        assert_true(rate <= single + 0.06);
    }
}

static void sound(void **state)
{
    (void)state;
    check(TASK_ASR);
}

static void both(void **state)
{
    (void)state;
    if (!faces)
        skip();
    check(TASK_AVSR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sound), cmocka_unit_test(both)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
