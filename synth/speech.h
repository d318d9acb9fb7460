/*
 * Text to speech with flite: sound, and when each word and each phone is said.
 *
 * A speaker is one of Debian's five general flite voices, bent: pitch (f0 shift and range) and rate
 * inside flite; then the wave is played `warp` times faster, which moves pitch and formants
 * together as a shorter or longer vocal tract would; then a recording: tilt, room, level, hiss.
 * Times are of the finished sound: the first phone starts at sample 0.
 */
#ifndef SYNTH_SPEECH_H
#define SYNTH_SPEECH_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define SPEECH_HZ 16000
#define SPEECH_VOICES 5

struct speaker {
    int voice;        /* 0 .. SPEECH_VOICES-1 */
    double rate;      /* 1 = the voice's own, 1.3 = 30 % faster */
    double pitch;     /* factor on the fundamental frequency */
    double range;     /* factor on its standard deviation: 0 = monotone */
    double warp;      /* 0.85 .. 1.18: playing speed, so size of the vocal tract */
    double emphasis;  /* 0 .. 0.3: how much words differ from each other in rate */
    double tilt;      /* -0.5 dark .. 0.5 bright */
    double room_ms;   /* reverberation time constant, 0 = none */
    double room_gain; /* of the echoes, 0 .. 0.5 */
    double level_db;  /* of the speech, RMS to full scale, for example -24 */
    double hiss_db;   /* of the noise floor, for example -65 */
    bool british;     /* "zed", no r in "four" and "r" */
};

struct speech_span {
    char name[48]; /* phone (flite's names, "pau" is a pause) or word */
    int start_ms, end_ms;
};

struct speech {
    float *pcm; /* 16 kHz mono, [-1, 1] */
    int64_t samples;
    struct speech_span *words, *phones;
    int word_count, phone_count;
};

const char *speech_voice_name(int voice);
int speech_voice_find(const char *name); /* -1: no such voice */

/* The speaker of a seed: any voice when `voice` is negative. */
void speaker_draw(struct speaker *s, uint64_t seed, int voice);

/* Says `text`. A sentence of the GRID grammar has its letters named ("a" is said as in "eight"),
   other text is read as text. Same arguments, same samples. Not safe in two threads at once. */
int speech_say(struct speech *out, const char *text, const struct speaker *s, uint64_t seed,
               struct error *err);
void speech_release(struct speech *s);

#endif
