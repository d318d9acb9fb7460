/* What happens to a voice between the mouth and the file: size of the vocal tract, room, level,
   microphone. All in place on 16 kHz mono samples in [-1, 1]. */
#ifndef SYNTH_ACOUSTICS_H
#define SYNTH_ACOUSTICS_H

#include "base/random.h"

#include <stdint.h>

/* out[i] = in(i * speed), band-limited (windowed sinc); speed 1 copies. in: 16-bit samples. */
void acoustics_resample(float *out, int64_t out_count, const int16_t *in, int64_t in_count,
                        double speed);
void acoustics_tilt(float *pcm, int64_t count, double tilt); /* -0.5 dark .. 0.5 bright */
/* Early echoes at random times, falling by e each decay_ms. */
void acoustics_room(float *pcm, int64_t count, double decay_ms, double gain, struct random *r);
/* Scales so that samples [from, to) have this RMS, in dB to full scale, and no peak passes 0.98. */
void acoustics_level(float *pcm, int64_t count, int64_t from, int64_t to, double db);
void acoustics_hiss(float *pcm, int64_t count, double db, struct random *r);

#endif
