#include "train/augment.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "decode/transcriber.h"
#include "text/token_words.h"
#include "train/augment_pictures.h"
#include "train/excerpt.h"
#include "train/schedule.h"

#include <math.h>
#include <string.h>

static double symmetric(struct random *random, double size)
{
    return size * (2 * random_uniform(random) - 1);
}

static void add_noise(struct excerpt *x, const struct augment *augment,
                      const struct stage_config *stage, int64_t step, struct random *random)
{
    double low = schedule_snr_low(stage, step);
    double snr = low + (stage->snr_high - low) * random_uniform(random);
    bool noisy = random_uniform(random) < schedule_noise_share(stage, step);
    uint64_t seed = random_next(random);
    if (noisy && augment->noise)
        noise_mix(x->pcm, x->frames * FRAME_SAMPLES, augment->noise, snr, seed);
    float gain = (float)pow(10, symmetric(random, stage->augment.gain_db) / 20);
    for (int64_t i = 0; i < x->frames * FRAME_SAMPLES; i++)
        x->pcm[i] *= gain;
}

/* A smooth curve over mels from 5 random points, added to every frame: another microphone. */
static void equalise(float *mel, int64_t rows, int mels, double deviation, struct random *random)
{
    enum { POINTS = 5 };
    double point[POINTS + 1];
    for (int i = 0; i < POINTS; i++)
        point[i] = deviation * random_normal(random) / 4; /* log-mel is (log10 + 4) / 4 */
    point[POINTS] = point[POINTS - 1];
    for (int m = 0; m < mels; m++) {
        double position = (double)m * (POINTS - 1) / (mels > 1 ? mels - 1 : 1);
        int i = (int)position;
        double t = 0.5 - 0.5 * cos(3.14159265358979 * (position - i));
        float value = (float)(point[i] + t * (point[i + 1] - point[i]));
        for (int64_t r = 0; r < rows; r++)
            mel[r * mels + m] += value;
    }
}

static void fill_block(float *mel, int mels, int64_t row, int64_t rows, int64_t column,
                       int64_t columns, float value)
{
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t m = column; m < column + columns; m++)
            mel[r * mels + m] = value;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void mask_mel(float *mel, int64_t rows, int mels, const struct augment_config *a,
                     struct random *random)
{
    double sum = 0;
    for (int64_t i = 0; i < rows * mels; i++)
        sum += mel[i];
    float mean = (float)(sum / (double)(rows * mels));
    int masks = (int)random_below(random, a->mel_masks + 1);
    for (int i = 0; i < masks; i++) {
        int64_t start = random_below(random, mels);
        int64_t width = random_below(random, a->mel_mask_width + 1);
        fill_block(mel, mels, 0, rows, start, smaller(width, mels - start), mean);
    }
    masks = (int)random_below(random, a->time_masks + 1);
    for (int i = 0; i < masks; i++) {
        int64_t start = random_below(random, rows);
        int64_t length = 4 * random_below(random, a->time_mask_frames + 1);
        fill_block(mel, mels, start, smaller(length, rows - start), 0, mels, mean);
    }
}

/* Masks and the microphone's curve are for the sound, not for the silence behind it. */
static int make_mel(struct example *e, struct excerpt *x, const struct augment *augment,
                    const struct stage_config *stage, int64_t step, struct random *random,
                    struct error *err)
{
    const struct whisper_config *audio = &augment->config->model.audio;
    int64_t rows = x->frames * (FRAME_SAMPLES / LOGMEL_HOP);
    add_noise(x, augment, stage, step, random);
    e->mel_rows = audio->exact_window ? 2 * (int64_t)audio->positions : rows;
    e->mel = memory_new((size_t)(e->mel_rows * augment->mels), sizeof(float));
    if (!e->mel)
        return error_set(err, ERROR_MEMORY, "out of memory");
    int rc = logmel_compute(augment->logmel, e->mel, e->mel_rows, x->pcm, x->frames * FRAME_SAMPLES,
                            err);
    if (!rc && stage->augment.equalise > 0)
        equalise(e->mel, rows, augment->mels, stage->augment.equalise, random);
    if (!rc)
        mask_mel(e->mel, rows, augment->mels, &stage->augment, random);
    return rc;
}

/* labels[i]: the word at the centre of each of `count` intervals of `interval_ms`. */
static void label_frames(int32_t *labels, int64_t count, int interval_ms, const struct excerpt *x)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t ms = i * interval_ms + interval_ms / 2;
        labels[i] = x->word_count ? 0 : -1;
        for (int w = 0; w < x->word_count; w++)
            if (ms >= x->words[w].start_ms && ms < x->words[w].end_ms)
                labels[i] = x->words[w].label;
    }
}

/* The tokens of a word share its time evenly. Nothing is known where the tokens do not decode to
   the excerpt's words. */
static int make_times(struct example *e, const struct excerpt *x, const struct tokenizer *tokenizer,
                      struct error *err)
{
    struct token_word *words;
    struct strbuf bytes;
    strbuf_init(&bytes, 1 << 16);
    int count = token_words(&words, &bytes, tokenizer, e->ids, e->id_count, err);
    if (count > 0 && count == x->word_count) {
        e->times = memory_new((size_t)e->id_count, sizeof *e->times);
        count = e->times ? count : error_set(err, ERROR_MEMORY, "out of memory");
    }
    for (int i = 0; e->times && i < count; i++) {
        const struct timed_word *word = &x->words[i];
        const int tokens = words[i].last - words[i].first + 1;
        const double each = (double)(word->end_ms - word->start_ms) / tokens;
        for (int k = 0; k < tokens; k++)
            e->times[words[i].first + k] =
                (struct token_time){word->start_ms + k * each, word->start_ms + (k + 1) * each};
    }
    memory_free(words);
    strbuf_release(&bytes);
    return count < 0 ? count : 0;
}

/* The tokens of the excerpt: the sample's own, or, after splicing, those of the words it holds. */
static int make_ids(struct example *e, const struct excerpt *x, const struct augment *augment,
                    const struct sample *sample, struct error *err)
{
    struct strbuf text;
    strbuf_init(&text, 1 << 16);
    for (int i = 0; i < x->word_count; i++)
        strbuf_addf(&text, "%s%s", i ? " " : "", x->words[i].text);
    const char *words = x->word_count ? text.data : sample->text;
    size_t length = strlen(words);
    int rc = 0;
    e->ids = memory_new(tokenizer_room(augment->tokenizer, length), sizeof *e->ids);
    if (!e->ids || text.failed) {
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    } else {
        int64_t n = tokenizer_encode(augment->tokenizer, e->ids, words, length, err);
        rc = n < 0 ? (int)n : 0;
        e->id_count = n < 0 ? 0 : (int)n;
    }
    if (!rc && x->word_count)
        rc = make_times(e, x, augment->tokenizer, err);
    strbuf_release(&text);
    return rc;
}

/* Words of other clips may make it longer than the encoders take: then it is made without them, and
   played fast enough. */
static int make_excerpt(struct excerpt *x, const struct augment *augment,
                        const struct sample *sample, unsigned streams,
                        const struct augment_config *a, struct random *random, struct error *err)
{
    int64_t most = transcriber_window(&augment->config->model);
    double splice = augment->config->sources[sample->source].splice;
    int rc = excerpt_make(x, augment->dataset, sample, streams, splice, a, random, err);
    double speed = 1 + symmetric(random, a->speed);
    if (!rc && x->frames > most) {
        excerpt_release(x);
        rc = excerpt_make(x, augment->dataset, sample, streams, 0, a, random, err);
    }
    if (rc)
        return rc;
    return excerpt_change_speed(x, fmax(speed, (double)x->frames / (double)most), err);
}

int augment_example(struct example *e, const struct augment *augment, const struct sample *sample,
                    unsigned streams, const struct stage_config *stage, int64_t step,
                    struct random *random, struct error *err)
{
    struct excerpt x;
    const struct augment_config *a = &stage->augment;
    *e = (struct example){0};
    int rc = make_excerpt(&x, augment, sample, streams, a, random, err);
    if (rc)
        goto out;
    e->frames = x.frames;
    if (x.pcm)
        rc = make_mel(e, &x, augment, stage, step, random, err);
    if (!rc)
        rc = make_ids(e, &x, augment, sample, err);
    e->audio_label = memory_new((size_t)x.frames * 2, sizeof(int32_t));
    e->video_label = memory_new((size_t)x.frames, sizeof(int32_t));
    if (x.mouth)
        e->pictures = memory_new((size_t)x.frames * 88 * 88, sizeof(float));
    if (!rc && (!e->audio_label || !e->video_label || (x.mouth && !e->pictures)))
        rc = error_set(err, ERROR_MEMORY, "out of memory");
    if (rc)
        goto out;
    label_frames(e->audio_label, x.frames * 2, FRAME_MS / 2, &x);
    label_frames(e->video_label, x.frames, FRAME_MS, &x);
    if (x.mouth)
        augment_pictures(e->pictures, x.mouth, x.frames, a, random);
out:
    excerpt_release(&x);
    if (rc)
        example_release(e);
    return rc;
}

void example_release(struct example *e)
{
    memory_free(e->mel);
    memory_free(e->pictures);
    memory_free(e->audio_states);
    memory_free(e->video_states);
    memory_free(e->audio_label);
    memory_free(e->video_label);
    memory_free(e->ids);
    memory_free(e->times);
    *e = (struct example){0};
}
