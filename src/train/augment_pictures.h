/* The picture side of train/augment: mouth crops -> normalised, warped input pictures. */
#ifndef TRAIN_AUGMENT_PICTURES_H
#define TRAIN_AUGMENT_PICTURES_H

#include "train/train_config.h"
#include "base/random.h"

/* pictures [frames, 88, 88] from mouth [frames, 96, 96]. One warp, contrast and flip for the whole
   excerpt; time masks are zeros before normalisation (reference-constants 4b). */
void augment_pictures(float *pictures, const uint8_t *mouth, int64_t frames,
                      const struct augment_config *augment, struct random *random);

#endif
