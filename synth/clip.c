/*
 * Timeline of a clip, as GRID's: 3 s = 75 pictures; silence, speech from 0.3 .. 0.9 s on, silence.
 * A sentence that does not fit makes the clip longer, by whole pictures.
 */
#include "clip.h"

#include "acoustics.h"
#include "base/memory.h"
#include "base/random.h"
#include "film.h"
#include "grammar.h"
#include "media/writer.h"
#include "speech.h"

#include <math.h>
#include <string.h>

#define CLIP_S 3.0
#define TAIL_S 0.22
#define PICTURE_SAMPLES (SPEECH_HZ / CLIP_FPS)
#define BABBLE_STREAMS 10

struct recording {
    float *pcm;
    int64_t samples; /* a whole number of pictures */
    int lead_ms;     /* where the first phone starts */
};

static int record(struct recording *out, const struct speech *speech, const struct speaker *s,
                  struct random *r, struct error *err)
{
    double said = (double)speech->samples / SPEECH_HZ;
    double lead = 0.3 + 0.55 * random_uniform(r) * random_uniform(r) + 0.05 * random_uniform(r);
    lead = fmax(0.25, fmin(lead, CLIP_S - TAIL_S - said));
    out->lead_ms = (int)lround(lead * 1000);
    int64_t start = (int64_t)out->lead_ms * (SPEECH_HZ / 1000);
    int64_t needed = start + speech->samples + (int64_t)(TAIL_S * SPEECH_HZ);
    int64_t pictures = (needed + PICTURE_SAMPLES - 1) / PICTURE_SAMPLES;
    if (pictures < (int64_t)(CLIP_S * CLIP_FPS))
        pictures = (int64_t)(CLIP_S * CLIP_FPS);
    out->samples = pictures * PICTURE_SAMPLES;
    out->pcm = memory_new((size_t)out->samples, sizeof *out->pcm);
    if (!out->pcm)
        return error_set(err, ERROR_MEMORY, "out of memory for %lld samples",
                         (long long)out->samples);
    memcpy(out->pcm + start, speech->pcm, (size_t)speech->samples * sizeof *speech->pcm);
    acoustics_tilt(out->pcm, out->samples, s->tilt);
    if (s->room_gain > 0)
        acoustics_room(out->pcm, out->samples, s->room_ms, s->room_gain, r);
    acoustics_level(out->pcm, out->samples, start, start + speech->samples, s->level_db);
    acoustics_hiss(out->pcm, out->samples, s->hiss_db, r);
    return 0;
}

static int write_clip(const struct recording *sound, const struct speech *speech,
                      const struct clip_plan *plan, const char *path, struct error *err)
{
    struct writer_options options = {.sample_rate = SPEECH_HZ};
    struct film *film = NULL;
    struct writer *w = NULL;
    int rc = 0, pictures = (int)(sound->samples / PICTURE_SAMPLES);
    if (!plan->sound_only) {
        options.width = CLIP_WIDTH, options.height = CLIP_HEIGHT, options.fps_num = CLIP_FPS;
        options.fps_den = 1, options.quality = 22;
        rc = film_open(&film, plan->face_seed, speech->phones, speech->phone_count, sound->lead_ms,
                       pictures, err);
    }
    if (rc == 0)
        rc = writer_open(&w, path, &options, err);
    for (int i = 0; rc == 0 && i < pictures; i++) {
        rc = writer_sound(w, sound->pcm + i * PICTURE_SAMPLES, PICTURE_SAMPLES, err);
        if (rc == 0 && film)
            rc = writer_picture(w, film_picture(film, i), CLIP_WIDTH * 3, err);
    }
    if (rc == 0)
        rc = writer_close(w, err);
    else
        writer_abandon(w);
    film_close(film);
    return rc;
}

static void add_spans(struct strbuf *line, const struct speech_span *spans, int count, int lead_ms)
{
    for (int i = 0; i < count; i++)
        strbuf_addf(line, "%s%s:%d:%d", i ? " " : "", spans[i].name, spans[i].start_ms + lead_ms,
                    spans[i].end_ms + lead_ms);
}

int clip_make(struct strbuf *line, const struct clip_plan *plan, const char *path,
              struct error *err)
{
    struct speaker speaker;
    struct speech speech = {0};
    struct recording sound = {0};
    struct random r;
    random_seed(&r, plan->seed ^ 0xc11bULL);
    speaker_draw(&speaker, plan->seed, plan->voice);
    if (plan->pitch > 0)
        speaker.pitch = plan->pitch;
    if (plan->rate > 0)
        speaker.rate = plan->rate;
    int rc = speech_say(&speech, plan->text, &speaker, plan->seed, err);
    if (rc == 0)
        rc = record(&sound, &speech, &speaker, &r, err);
    if (rc == 0)
        rc = write_clip(&sound, &speech, plan, path, err);
    if (rc == 0) {
        for (int i = 0; i < speech.word_count; i++)
            strbuf_addf(line, "%s%s", i ? " " : "", speech.words[i].name);
        strbuf_adds(line, "\t");
        add_spans(line, speech.words, speech.word_count, sound.lead_ms);
        strbuf_adds(line, "\t");
        add_spans(line, speech.phones, speech.phone_count, sound.lead_ms);
    }
    memory_free(sound.pcm);
    speech_release(&speech);
    return rc;
}

/* One reader's sentences, with short pauses, added to pcm from before its start to its end. */
static int add_reader(float *pcm, int64_t samples, int reader, uint64_t seed,
                      const char *const *texts, int text_count, struct error *err)
{
    struct speaker s;
    struct random r;
    random_seed(&r, seed * 31 + (uint64_t)reader);
    speaker_draw(&s, seed * 31 + (uint64_t)reader, reader % SPEECH_VOICES);
    int64_t at = -random_below(&r, SPEECH_HZ);
    for (int64_t sentence = reader * 1000; at < samples; sentence++) {
        char text[64];
        struct speech speech;
        grammar_sentence(text, sizeof text, seed, sentence);
        const char *said = texts ? texts[random_below(&r, text_count)] : text;
        int rc = speech_say(&speech, said, &s, random_next(&r), err);
        if (rc != 0)
            return rc;
        acoustics_tilt(speech.pcm, speech.samples, s.tilt);
        acoustics_level(speech.pcm, speech.samples, 0, speech.samples, -30);
        for (int64_t i = 0; i < speech.samples; i++) {
            if (at + i >= 0 && at + i < samples)
                pcm[at + i] += speech.pcm[i];
        }
        at += speech.samples + SPEECH_HZ / 20 + random_below(&r, SPEECH_HZ / 4);
        speech_release(&speech);
    }
    return 0;
}

int clip_babble(const char *path, double seconds, uint64_t seed, const char *const *texts,
                int text_count, struct error *err)
{
    int64_t samples = (int64_t)(seconds * SPEECH_HZ);
    float *pcm = memory_new((size_t)samples, sizeof *pcm);
    struct writer *w = NULL;
    struct writer_options options = {.sample_rate = SPEECH_HZ};
    if (!pcm)
        return error_set(err, ERROR_MEMORY, "out of memory for %g s of babble", seconds);
    int rc = 0;
    for (int reader = 0; rc == 0 && reader < BABBLE_STREAMS; reader++)
        rc = add_reader(pcm, samples, reader, seed, texts, text_count, err);
    if (rc != 0)
        goto out;
    acoustics_level(pcm, samples, 0, samples, -20);
    rc = writer_open(&w, path, &options, err);
    if (rc != 0)
        goto out;
    rc = writer_sound(w, pcm, samples, err);
    if (rc == 0)
        rc = writer_close(w, err);
    else
        writer_abandon(w);
out:
    memory_free(pcm);
    return rc;
}
