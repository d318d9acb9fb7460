#include "train/schedule.h"

#include <math.h>

static double progress(const struct stage_config *stage, int64_t step)
{
    return stage->steps > 1 ? (double)step / (double)(stage->steps - 1) : 1;
}

static double ramp(const double from_to[2], double share)
{
    return from_to[0] + (from_to[1] - from_to[0]) * fmin(share, 1);
}

static double noise_progress(const struct stage_config *stage, int64_t step)
{
    return stage->noise_ramp > 0 ? progress(stage, step) / stage->noise_ramp : 1;
}

double schedule_rate(const struct stage_config *stage, int64_t step)
{
    double warm = stage->warmup * (double)stage->steps;
    if ((double)step < warm)
        return stage->rate * fmin((double)(step + 1) / warm, 1);
    double left = (double)stage->steps - warm;
    double x = left > 0 ? ((double)step - warm) / left : 1;
    double cosine = 0.5 * (1 + cos(3.14159265358979 * fmin(x, 1)));
    return stage->rate * (stage->final_rate + (1 - stage->final_rate) * cosine);
}

double schedule_frame_weight(const struct stage_config *stage, int64_t step)
{
    return ramp(stage->frame_weight, progress(stage, step));
}

double schedule_align_weight(const struct stage_config *stage, int64_t step)
{
    return ramp(stage->align_weight, progress(stage, step));
}

double schedule_noise_share(const struct stage_config *stage, int64_t step)
{
    return ramp(stage->noise_share, noise_progress(stage, step));
}

double schedule_snr_low(const struct stage_config *stage, int64_t step)
{
    return ramp(stage->snr_low, noise_progress(stage, step));
}
