/*
 * Values over a stage's steps. Learning rate: linear warm-up, then a cosine from the peak to
 * final_rate * peak (system.md section 3: cosine per step).
 */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include "train/train_config.h"

double schedule_rate(const struct stage_config *stage, int64_t step);
double schedule_frame_weight(const struct stage_config *stage, int64_t step);
double schedule_align_weight(const struct stage_config *stage, int64_t step);
double schedule_noise_share(const struct stage_config *stage, int64_t step);
double schedule_snr_low(const struct stage_config *stage, int64_t step);

#endif
