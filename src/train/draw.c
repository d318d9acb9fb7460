#include "train/draw.h"

#include <string.h>

static double pair_weight(const struct stage_config *stage, int audio_rate, int video_rate)
{
    for (int i = 0; i < stage->pair_weight_count; i++)
        if (stage->pair_weights[i].audio_rate == audio_rate &&
            stage->pair_weights[i].video_rate == video_rate)
            return stage->pair_weights[i].weight;
    return 1;
}

static int add_asks(struct draw *d, const struct train_config *config,
                    const struct stage_config *stage, enum task task, struct random *random)
{
    const struct projector_config *p = &config->model.projector;
    int audio_rates = task_hears(task) ? p->audio_rate_count : 1;
    int video_rates = task_sees(task) ? p->video_rate_count : 1;
    int start = d->ask_count, most = start + audio_rates * video_rates;
    for (int i = 0; i < audio_rates; i++)
        for (int j = 0; j < video_rates; j++) {
            int a = task_hears(task) ? p->audio_rates[i] : 0;
            int v = task_sees(task) ? p->video_rates[j] : 0;
            d->asks[d->ask_count++] =
                (struct ask){task, a, v, stage->task_weight[task] * pair_weight(stage, a, v)};
        }
    if (!stage->pairs || stage->pairs >= most - start)
        return d->ask_count;
    for (int i = start; i < start + stage->pairs; i++) { /* the first of a shuffle */
        int j = i + (int)random_below(random, most - i);
        struct ask swap = d->asks[i];
        d->asks[i] = d->asks[j];
        d->asks[j] = swap;
    }
    return d->ask_count = start + stage->pairs;
}

static void draw_asks(struct draw *d, const struct train_config *config,
                      const struct stage_config *stage, struct random *random)
{
    bool sound = config->model.has_audio && d->sample->clip.has_sound;
    bool face = config->model.has_video && d->sample->clip.has_face;
    d->ask_count = 0;
    for (int task = 0; task < TASK_COUNT; task++) {
        bool drawn = random_uniform(random) < stage->task_share[task];
        bool possible = (!task_hears(task) || sound) && (!task_sees(task) || face);
        if (drawn && possible)
            add_asks(d, config, stage, (enum task)task, random);
    }
    enum task richest = sound && face ? TASK_AVSR : sound ? TASK_ASR : TASK_VSR;
    if (!d->ask_count)
        add_asks(d, config, stage, richest, random);
}

int draw_step(struct draw *draws, const struct dataset *dataset, const struct train_config *config,
              const struct stage_config *stage, struct random *random)
{
    int64_t frames = 0;
    int count = 0;
    for (; count < stage->batch; count++) {
        struct draw *d = &draws[count];
        d->sample = count ? dataset_draw_near(dataset, draws[0].sample, random)
                          : dataset_draw(dataset, random);
        d->copy = stage->copies ? (int)random_below(random, stage->copies) : 0;
        draw_asks(d, config, stage, random);
        frames += sample_frames(d->sample);
        if (count && stage->frames && frames > stage->frames)
            break;
    }
    return count;
}

bool draw_asked_before(const struct draw *d, int ask, bool video)
{
    for (int i = 0; i < ask; i++)
        if (video ? d->asks[i].video_rate == d->asks[ask].video_rate
                  : d->asks[i].audio_rate == d->asks[ask].audio_rate)
            return true;
    return false;
}

double draw_weight(const struct draw *draws, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        for (int a = 0; a < draws[i].ask_count; a++)
            sum += draws[i].asks[a].weight;
    return sum;
}
