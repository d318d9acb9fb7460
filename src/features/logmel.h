/*
 * Log-mel spectrogram, the one that Whisper takes (Radford et al. 2022; openai/whisper audio.py):
 *
 *     frame t    400 samples centred on sample 160 t, reflected at both ends of the sound
 *     power      |DFT(frame * periodic Hann)|^2, 201 bins
 *     mel        triangular filters, Slaney's scale and area normalisation, 0 to 8000 Hz
 *     x          log10(max(mel, 1e-10))
 *     out        (max(x, max over the utterance - 8) + 4) / 4
 *
 * 100 frames a second. The STFT's last frame (centred on the sound's end) is dropped, as Whisper
 * does.
 */
#ifndef FEATURES_LOGMEL_H
#define FEATURES_LOGMEL_H

#include "base/error.h"

#include <stdint.h>

#define LOGMEL_HOP 160             /* samples, 10 ms */
#define LOGMEL_WINDOW 400          /* samples, 25 ms */
#define LOGMEL_WHISPER_FRAMES 3000 /* Whisper's fixed 30 s */

struct logmel; /* the tables: read only after logmel_new, any number of threads may share them */

int logmel_new(struct logmel **l, int mels, struct error *err); /* mels: 80 or 128; 1..201 */
void logmel_free(struct logmel *l);                             /* NULL is fine */
int logmel_mels(const struct logmel *l);

int64_t logmel_frames(int64_t samples); /* samples / 160: the frames that so much sound fills */

/* out [frames, mels], row-major, from pcm [samples] (16 kHz).
   Sound shorter than 160 * frames is padded with silence up to there, as Whisper pads to 30 s
   (frames = LOGMEL_WHISPER_FRAMES). With frames = logmel_frames(samples) nothing is padded.
   Sound beyond 30 s of a padded call must be cut by the caller. */
int logmel_compute(const struct logmel *l, float *out, int64_t frames, const float *pcm,
                   int64_t samples, struct error *err);

#endif
