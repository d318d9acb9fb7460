/*
 * We hand flite a ready list of tokens, one per word as written, each with its own rate and, for
 * letters, its phones; flite fills the relation Segment, whose items carry "end" in seconds, and we
 * find each segment's word by walking up: segment -> syllable -> word -> token.
 * flite.h 2.2; its globals (voices, rand()) make this one speaker at a time per process.
 */
#include "speech.h"

#include "acoustics.h"
#include "base/memory.h"
#include "base/random.h"
#include "grammar.h"

#include <ctype.h>
#include <flite/cst_cg.h>
#include <flite/flite.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

cst_voice *register_cmu_us_slt(const char *folder);
cst_voice *register_cmu_us_rms(const char *folder);
cst_voice *register_cmu_us_awb(const char *folder);
cst_voice *register_cmu_us_kal16(const char *folder);
cst_voice *register_cmu_us_kal(const char *folder);

#define TEXT_LIMIT 2000
#define WORDS_LIMIT 400

struct voice {
    const char *name;
    cst_voice *(*open)(const char *folder); /* the same object at each call */
    double share;                           /* of drawn speakers */
    double pace; /* its rate relative to slt's: made equal, so that `rate` means the same */
};

static const struct voice voices[SPEECH_VOICES] = {
    {"slt", register_cmu_us_slt, 0.30, 1.0},  {"rms", register_cmu_us_rms, 0.24, 1.14},
    {"awb", register_cmu_us_awb, 0.26, 1.0},  {"kal16", register_cmu_us_kal16, 0.14, 0.83},
    {"kal", register_cmu_us_kal, 0.06, 0.83},
};

const char *speech_voice_name(int voice)
{
    return voice >= 0 && voice < SPEECH_VOICES ? voices[voice].name : NULL;
}

int speech_voice_find(const char *name)
{
    for (int i = 0; i < SPEECH_VOICES; i++) {
        if (strcmp(voices[i].name, name) == 0)
            return i;
    }
    return -1;
}

static double between(struct random *r, double low, double high)
{
    return low + (high - low) * random_uniform(r);
}

void speaker_draw(struct speaker *s, uint64_t seed, int voice)
{
    struct random r;
    random_seed(&r, seed ^ 0x5eaccULL);
    double die = random_uniform(&r);
    int drawn = 0;
    while (drawn < SPEECH_VOICES - 1 && die >= voices[drawn].share)
        die -= voices[drawn++].share;
    *s = (struct speaker){
        .voice = voice >= 0 ? voice : drawn,
        .rate = exp(between(&r, log(0.85), log(1.45))),
        .pitch = exp(between(&r, log(0.80), log(1.25))),
        .range = between(&r, 0.5, 1.5),
        .warp = exp(between(&r, log(0.87), log(1.16))),
        .emphasis = between(&r, 0.05, 0.25),
        .tilt = between(&r, -0.45, 0.45),
        .room_ms = between(&r, 10, 90),
        .room_gain = random_uniform(&r) < 0.3 ? 0 : between(&r, 0.05, 0.4),
        .level_db = between(&r, -30, -19),
        .hiss_db = between(&r, -78, -52),
        .british = random_uniform(&r) < 0.7,
    };
}

/* One token, as default_tokenization of flite would leave it. `word` is changed. */
static void add_token(cst_relation *tokens, char *word, const char *phones, int index,
                      double stretch)
{
    char *start = word, *end = word + strlen(word), punctuation[8] = "";
    while (*start && !isalnum((unsigned char)*start) && *start != '$' && *start != '\'')
        start++;
    while (end > start && !isalnum((unsigned char)end[-1]))
        end--;
    strncpy(punctuation, end, sizeof punctuation - 1);
    *end = '\0';
    cst_item *t = relation_append(tokens, NULL);
    item_set_string(t, "name", start);
    item_set_string(t, "whitespace", " ");
    item_set_string(t, "prepunctuation", "");
    item_set_string(t, "punc", punctuation);
    item_set_int(t, "file_pos", index);
    item_set_float(t, "local_duration_stretch", (float)stretch);
    item_set_int(t, "index", index);
    if (phones)
        item_set_string(t, "phones", phones);
}

/* Words of `text` into tokens of u and into out->words (times follow). */
static int tokenize(cst_utterance *u, struct speech *out, const char *text, const struct speaker *s,
                    struct random *r, struct error *err)
{
    bool grid = grammar_has(text);
    cst_relation *tokens = utt_relation_create(u, "Token");
    char copy[TEXT_LIMIT], *rest = copy, *word;
    if (strlen(text) >= sizeof copy)
        return error_set(err, ERROR_LIMIT, "sentence of %zu bytes; at most %d can be said",
                         strlen(text), TEXT_LIMIT - 1);
    memcpy(copy, text, strlen(text) + 1);
    out->words = memory_new(WORDS_LIMIT, sizeof *out->words);
    if (!out->words)
        return error_set(err, ERROR_MEMORY, "out of memory for words");
    while ((word = strsep(&rest, " \t")) && out->word_count < WORDS_LIMIT) {
        if (!*word || !strpbrk(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789"))
            continue;
        int i = out->word_count++;
        double stretch = exp(s->emphasis * random_normal(r) * 0.7);
        add_token(tokens, word, grid ? grammar_phones(word, i, s->british) : NULL, i,
                  fmin(fmax(stretch, 0.6), 1.7));
        const char *said = item_feat_string(relation_tail(tokens), "name");
        for (size_t c = 0; said[c] && c < sizeof out->words[i].name - 1; c++)
            out->words[i].name[c] = (char)tolower((unsigned char)said[c]);
        out->words[i].start_ms = out->words[i].end_ms = -1;
    }
    if (out->word_count == 0)
        return error_set(err, ERROR_FORMAT, "\"%s\": nothing to say", text);
    return 0;
}

/* Index of the word that a segment belongs to, -1 for a pause. */
static int segment_word(const cst_item *segment)
{
    const cst_item *token = path_to_item(segment, "R:SylStructure.parent.parent.R:Token.parent");
    return token ? item_feat_int(token, "index") : -1;
}

/* Segment ends in seconds of flite's wave -> spans in ms of ours, the first phone at 0.
 *start, *end: the spoken part of flite's wave, in seconds. */
static int spans(struct speech *out, cst_utterance *u, double speed, double *start, double *end,
                 struct error *err)
{
    int limit = 0;
    for (cst_item *s = relation_head(utt_relation(u, "Segment")); s; s = item_next(s))
        limit++;
    out->phones = memory_new((size_t)limit + 1, sizeof *out->phones);
    if (!out->phones)
        return error_set(err, ERROR_MEMORY, "out of memory for phones");
    double last = 0;
    *start = -1;
    for (cst_item *s = relation_head(utt_relation(u, "Segment")); s; s = item_next(s)) {
        double from = last;
        int word = segment_word(s);
        last = item_feat_float(s, "end");
        if (*start < 0 && word < 0)
            continue;
        if (*start < 0)
            *start = from;
        struct speech_span *p = &out->phones[out->phone_count++];
        strncpy(p->name, item_feat_string(s, "name"), sizeof p->name - 1);
        p->start_ms = (int)lround((from - *start) / speed * 1000);
        p->end_ms = (int)lround((last - *start) / speed * 1000);
        if (word >= 0) {
            struct speech_span *w = &out->words[word];
            if (w->start_ms < 0)
                w->start_ms = p->start_ms;
            w->end_ms = p->end_ms;
            *end = last;
        }
    }
    while (out->phone_count && strcmp(out->phones[out->phone_count - 1].name, "pau") == 0)
        out->phone_count--;
    if (*start < 0)
        return error_set(err, ERROR_FORMAT, "flite found no sound in the sentence");
    for (int i = 0, at = 0; i < out->word_count; i++) { /* silent to flite: length 0 */
        if (out->words[i].start_ms < 0)
            out->words[i].start_ms = out->words[i].end_ms = at;
        at = out->words[i].end_ms;
    }
    return 0;
}

static void set_prosody(cst_utterance *u, const struct speaker *s)
{
    double stretch = s->warp / (s->rate * voices[s->voice].pace);
    feat_set_float(u->features, "duration_stretch", (float)stretch);
    feat_set_float(u->features, "f0_shift", (float)(s->pitch / sqrt(s->warp)));
    if (feat_present(u->features, "cg_db")) {
        const cst_cg_db *db = val_cg_db(feat_val(u->features, "cg_db"));
        feat_set_float(u->features, "int_f0_target_stddev", (float)(db->f0_stddev * s->range));
    } else if (feat_present(u->features, "int_f0_target_stddev")) {
        double sd = feat_float(u->features, "int_f0_target_stddev");
        feat_set_float(u->features, "int_f0_target_stddev", (float)(sd * s->range));
    }
}

/* flite's wave from 30 ms before the first phone (its onset) to 60 ms after the last, warped to
   16 kHz; the onset is then cut so that the first phone is at sample 0. */
static int take_wave(struct speech *out, const cst_wave *w, const struct speaker *s, double start,
                     double end, struct error *err)
{
    double hz = w->sample_rate, speed = s->warp * hz / SPEECH_HZ;
    int64_t from = (int64_t)(start * hz), to = (int64_t)((end + 0.08) * hz);
    if (to > w->num_samples)
        to = w->num_samples;
    if (from >= to)
        return error_set(err, ERROR_FORMAT, "flite made no sound");
    out->samples = (int64_t)((double)(to - from) / speed);
    out->pcm = memory_new((size_t)out->samples + 1, sizeof *out->pcm);
    if (!out->pcm)
        return error_set(err, ERROR_MEMORY, "out of memory for %lld samples",
                         (long long)out->samples);
    acoustics_resample(out->pcm, out->samples, w->samples + from, to - from, speed);
    return 0;
}

int speech_say(struct speech *out, const char *text, const struct speaker *s, uint64_t seed,
               struct error *err)
{
    *out = (struct speech){0};
    struct random r;
    random_seed(&r, seed ^ 0x5a1dULL);
    flite_init();
    srand((unsigned)random_next(&r)); /* flite's noise excitation draws from rand() */
    cst_voice *voice = voices[s->voice].open(NULL);
    cst_utterance *u = new_utterance();
    utt_init(u, voice);
    set_prosody(u, s);
    double start = 0, end = 0;
    int rc = tokenize(u, out, text, s, &r, err);
    if (rc == 0 && !utt_synth_tokens(u))
        rc = error_set(err, ERROR_FORMAT, "flite cannot say \"%.100s\"", text);
    if (rc == 0)
        rc = spans(out, u, s->warp, &start, &end, err);
    if (rc == 0)
        rc = take_wave(out, utt_wave(u), s, start, end, err);
    delete_utterance(u);
    if (rc != 0)
        speech_release(out);
    return rc;
}

void speech_release(struct speech *s)
{
    memory_free(s->pcm);
    memory_free(s->words);
    memory_free(s->phones);
    *s = (struct speech){0};
}
