#include "train/excerpt.h"
#include "base/memory.h"
#include "features/mouth.h"

#include <math.h>
#include <string.h>

/* One run of frames of one sample. */
struct piece {
    const struct sample *from;
    int64_t start, end; /* frames */
    int word;           /* index of the word of `from` that it holds, or -1 */
};

static int64_t nearest_frame(int ms)
{
    return (ms + FRAME_MS / 2) / FRAME_MS;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

static int64_t draw_margin(const struct augment_config *a, bool whole, int64_t available,
                           struct random *random)
{
    int64_t margin = whole ? available : random_below(random, a->margin + 1);
    return margin < available ? margin : available;
}

/* Word i of the excerpt from the sample itself or a donor; `previous` joins without a jump where
   both words are neighbours in the same clip. Returns the number of pieces. */
static int plan(struct piece *pieces, const struct dataset *d, const struct sample *sample,
                double splice, const struct augment_config *a, struct random *random)
{
    int64_t total = sample_frames(sample);
    bool whole = a->margin < 0 || random_uniform(random) < a->whole;
    if (!sample->word_count) {
        pieces[0] = (struct piece){sample, 0, total, -1};
        return 1;
    }
    int n = 0;
    int64_t first = clamp(nearest_frame(sample->words[0].start_ms), 0, total);
    int64_t lead = draw_margin(a, whole, first, random);
    pieces[n++] = (struct piece){sample, first - lead, first, -1};
    for (int i = 0; i < sample->word_count; i++) {
        const struct sample *from = sample;
        if (random_uniform(random) < splice)
            from = dataset_draw_like(d, sample, random);
        int64_t limit = sample_frames(from);
        int64_t start = clamp(nearest_frame(from->words[i].start_ms), 0, limit);
        int64_t end = clamp(nearest_frame(from->words[i].end_ms), start, limit);
        const struct piece *last = &pieces[n - 1];
        if (last->from == from) /* the pause between two words of one clip stays, once */
            start = last->end < end ? last->end : end;
        pieces[n++] = (struct piece){from, start, end, i};
    }
    const struct piece *last = &pieces[n - 1];
    int64_t rest = sample_frames(last->from) - last->end;
    int64_t tail = draw_margin(a, whole, rest, random);
    pieces[n] = (struct piece){last->from, last->end, last->end + tail, -1};
    return n + 1;
}

/* Short linear fades at the joints, so that a cut is not a click. */
static void soften_joint(float *pcm, int64_t at, int64_t total)
{
    enum { FADE = 40 };
    for (int i = 0; i < FADE; i++) {
        float gain = (float)(i + 1) / (FADE + 1);
        if (at + i < total)
            pcm[at + i] *= gain;
        if (at - 1 - i >= 0)
            pcm[at - 1 - i] *= gain;
    }
}

static void copy_piece(struct excerpt *x, int64_t at, const struct piece *p)
{
    int64_t frames = p->end - p->start;
    if (x->pcm)
        memcpy(x->pcm + at * FRAME_SAMPLES, p->from->clip.pcm + p->start * FRAME_SAMPLES,
               (size_t)(frames * FRAME_SAMPLES) * sizeof(float));
    if (x->mouth)
        memcpy(x->mouth + at * MOUTH_PIXELS, p->from->clip.mouth + p->start * MOUTH_PIXELS,
               (size_t)(frames * MOUTH_PIXELS));
    if (p->word < 0)
        return;
    const struct timed_word *word = &p->from->words[p->word];
    int shift = (int)((at - p->start) * FRAME_MS);
    x->words[x->word_count++] =
        (struct timed_word){word->start_ms + shift, word->end_ms + shift, word->label, word->text};
}

int excerpt_make(struct excerpt *x, const struct dataset *d, const struct sample *sample,
                 unsigned streams, double splice, const struct augment_config *augment,
                 struct random *random, struct error *err)
{
    const bool sound = sample->clip.has_sound && streams & EXCERPT_SOUND;
    const bool pictures = sample->clip.has_face && streams & EXCERPT_PICTURES;
    *x = (struct excerpt){0};
    struct piece *pieces = memory_new((size_t)sample->word_count + 2, sizeof *pieces);
    if (!pieces)
        goto no_memory;
    int count = plan(pieces, d, sample, splice, augment, random);
    for (int i = 0; i < count; i++)
        x->frames += pieces[i].end - pieces[i].start;
    if (x->frames < 1) { /* words of no length, without margins: the whole clip */
        x->frames = sample_frames(sample);
        pieces[0] = (struct piece){sample, 0, x->frames, -1};
        count = 1;
    }
    if (sound)
        x->pcm = memory_new((size_t)(x->frames * FRAME_SAMPLES), sizeof(float));
    if (pictures)
        x->mouth = memory_new((size_t)(x->frames * MOUTH_PIXELS), 1);
    x->words = memory_new((size_t)sample->word_count + 1, sizeof *x->words);
    if ((sound && !x->pcm) || (pictures && !x->mouth) || !x->words)
        goto no_memory;
    int64_t at = 0;
    for (int i = 0; i < count; i++) {
        copy_piece(x, at, &pieces[i]);
        bool joint = i && (pieces[i].from != pieces[i - 1].from);
        if (joint && x->pcm)
            soften_joint(x->pcm, at * FRAME_SAMPLES, x->frames * FRAME_SAMPLES);
        at += pieces[i].end - pieces[i].start;
    }
    memory_free(pieces);
    return 0;
no_memory:
    memory_free(pieces);
    excerpt_release(x);
    return error_set(err, ERROR_MEMORY, "%s: out of memory", sample->path);
}

static float cubic(const float *x, int64_t count, double position)
{
    int64_t i = (int64_t)floor(position);
    float t = (float)(position - (double)i);
    float a = x[clamp(i - 1, 0, count - 1)], b = x[clamp(i, 0, count - 1)];
    float c = x[clamp(i + 1, 0, count - 1)], d = x[clamp(i + 2, 0, count - 1)];
    return b + 0.5f * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

int excerpt_change_speed(struct excerpt *x, double factor, struct error *err)
{
    int64_t frames = (int64_t)((double)x->frames / factor);
    if (factor == 1 || frames < 1)
        return 0;
    float *pcm = x->pcm ? memory_new((size_t)(frames * FRAME_SAMPLES), sizeof(float)) : NULL;
    uint8_t *mouth = x->mouth ? memory_new((size_t)(frames * MOUTH_PIXELS), 1) : NULL;
    if ((x->pcm && !pcm) || (x->mouth && !mouth)) {
        memory_free(pcm);
        memory_free(mouth);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    for (int64_t i = 0; pcm && i < frames * FRAME_SAMPLES; i++)
        pcm[i] = cubic(x->pcm, x->frames * FRAME_SAMPLES, (double)i * factor);
    for (int64_t i = 0; mouth && i < frames; i++) {
        int64_t from = clamp((int64_t)(((double)i + 0.5) * factor), 0, x->frames - 1);
        memcpy(mouth + i * MOUTH_PIXELS, x->mouth + from * MOUTH_PIXELS, MOUTH_PIXELS);
    }
    for (int i = 0; i < x->word_count; i++) {
        x->words[i].start_ms = (int)(x->words[i].start_ms / factor);
        x->words[i].end_ms = (int)(x->words[i].end_ms / factor);
    }
    memory_free(x->pcm);
    memory_free(x->mouth);
    x->pcm = pcm;
    x->mouth = mouth;
    x->frames = frames;
    return 0;
}

void excerpt_release(struct excerpt *x)
{
    memory_free(x->pcm);
    memory_free(x->mouth);
    memory_free(x->words);
    *x = (struct excerpt){0};
}
