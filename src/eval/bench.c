#include "eval/bench.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/resident.h"
#include "eval/wer.h"
#include "media/media.h"
#include "text/normalize.h"

#include <math.h>
#include <string.h>

/* Times of one pass, added up over the clips. */
struct pass {
    double encode, prefill, search;
};

struct bench {
    struct bench_row *row;
    struct transcriber *t;
    const struct bench_options *options;
    struct wer *utterances; /* of the clips whose text is known */
    int64_t known;
    double seconds; /* of the clips that were read */
};

static int score(struct bench *b, const char *text, const char *hypothesis, struct error *err)
{
    struct strbuf reference, folded;
    strbuf_init(&reference, 1 << 22);
    strbuf_init(&folded, 1 << 22);
    normalize_fold(&reference, text, strlen(text));
    normalize_fold(&folded, hypothesis, strlen(hypothesis));
    int rc = reference.failed || folded.failed
                 ? error_set(err, ERROR_MEMORY, "out of memory")
                 : wer_align(&b->utterances[b->known], NULL, NULL, reference.data, folded.data,
                             WER_WORDS, err);
    b->known += !rc;
    strbuf_release(&reference);
    strbuf_release(&folded);
    return rc;
}

static int run_clip(struct bench *b, struct pass *pass, const struct bench_clip *clip, bool first,
                    struct error *err)
{
    struct bench_row *row = b->row;
    struct beam_options o = b->options->beam;
    struct transcript out;
    o.beam = row->beam;
    o.n_best = 1;
    const double begin = clock_seconds();
    int rc = transcriber_load(b->t, &clip->clip, row->task, err);
    const double encoded = clock_seconds();
    if (!rc)
        rc = transcriber_run(b->t, &out, row->task, row->audio_rate, row->video_rate, &o, err);
    if (rc)
        return rc;
    pass->encode += encoded - begin;
    pass->prefill += out.prefill_seconds;
    pass->search += clock_seconds() - encoded - out.prefill_seconds;
    if (first) {
        row->clips++;
        row->prompt_tokens += (double)out.prompt_tokens;
        row->media_tokens += (double)out.media_tokens;
        b->seconds += clip_seconds(clip->clip.samples, clip->clip.frames);
        rc = clip->text ? score(b, clip->text, out.text, err) : 0;
    }
    transcript_release(&out);
    return rc;
}

static int run_pass(struct bench *b, struct pass *pass, const struct bench_clip *clips,
                    int64_t count, bool first, struct error *err)
{
    struct error none;
    int rc = 0;
    *pass = (struct pass){0};
    for (int64_t i = 0; !rc && i < count; i++) {
        if (transcriber_check(&clips[i].clip, b->row->task, &none) == 0)
            rc = run_clip(b, pass, &clips[i], first, err);
        if (!rc && b->options->report && b->options->report(b->options->arg))
            rc = error_set(err, ERROR_CANCELLED, "stopped");
    }
    return rc;
}

static struct bench_number number_of(const double *values, int count)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++)
        sum += values[i];
    for (int i = 0; i < count; i++)
        squares += pow(values[i] - sum / count, 2);
    return (struct bench_number){sum / count, count > 1 ? sqrt(squares / (count - 1)) : 0};
}

/* Times a clip, out of all passes'. */
static void summarise(struct bench *b, const struct pass *passes)
{
    struct bench_row *row = b->row;
    const int count = b->options->repetitions;
    const double clips = (double)row->clips;
    double encode[BENCH_MAX_REPETITIONS], prefill[BENCH_MAX_REPETITIONS],
        search[BENCH_MAX_REPETITIONS], total[BENCH_MAX_REPETITIONS], rtf[BENCH_MAX_REPETITIONS];
    for (int i = 0; i < count; i++) {
        encode[i] = passes[i].encode / clips;
        prefill[i] = passes[i].prefill / clips;
        search[i] = passes[i].search / clips;
        total[i] = encode[i] + prefill[i] + search[i];
        rtf[i] = total[i] * clips / b->seconds;
    }
    row->encode = number_of(encode, count);
    row->prefill = number_of(prefill, count);
    row->search = number_of(search, count);
    row->total = number_of(total, count);
    row->rtf = number_of(rtf, count);
    row->prompt_tokens /= clips;
    row->media_tokens /= clips;
}

static int rate_errors(struct bench *b, struct error *err)
{
    struct bench_row *row = b->row;
    struct wer_interval interval;
    struct wer all = {0};
    if (!b->known)
        return 0;
    for (int64_t i = 0; i < b->known; i++)
        wer_add(&all, &b->utterances[i]);
    int rc = wer_bootstrap(&interval, b->utterances, b->known, 1, err);
    if (rc)
        return rc;
    row->words = all.length;
    row->errors = wer_errors(&all);
    row->wer = wer_rate(&all);
    row->wer_low = interval.low;
    row->wer_high = interval.high;
    return 0;
}

int bench_run(struct bench_row *row, struct transcriber *t, const struct bench_clip *clips,
              int64_t count, const struct bench_options *options, struct error *err)
{
    struct bench b = {.row = row, .t = t, .options = options};
    struct pass *passes = memory_new((size_t)options->repetitions, sizeof *passes), warm;
    *row = (struct bench_row){.task = row->task,
                              .audio_rate = row->audio_rate,
                              .video_rate = row->video_rate,
                              .beam = row->beam,
                              .wer = NAN,
                              .wer_low = NAN,
                              .wer_high = NAN};
    b.utterances = memory_new((size_t)count, sizeof *b.utterances);
    int rc = passes && b.utterances ? transcriber_shrink(t, err)
                                    : error_set(err, ERROR_MEMORY, "out of memory");
    if (!rc) {
        resident_peak_reset();
        rc = run_pass(&b, &warm, clips, count, true, err);
    }
    for (int i = 0; !rc && i < options->repetitions; i++)
        rc = run_pass(&b, &passes[i], clips, count, false, err);
    row->peak_bytes = resident_peak_bytes();
    if (!rc && row->clips) {
        summarise(&b, passes);
        rc = rate_errors(&b, err);
    }
    memory_free(b.utterances);
    memory_free(passes);
    return rc;
}
