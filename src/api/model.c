#include "api/api.h"

#include "base/memory.h"

void mome_model_options_init_sized(mome_model_options *o, size_t size)
{
    const mome_model_options all = {.size = size};
    api_options_init(o, size, &all, sizeof all);
}

int mome_model_open(mome_model **model, const char *folder, const mome_model_options *options)
{
    struct error err = {0};
    mome_model_options o;
    *model = NULL;
    mome_model *m = memory_new(1, sizeof *m);
    mome_model_options_init(&o);
    int rc = m ? api_options_take(&o, sizeof o, options, "mome_model_options", &err)
               : error_set(&err, ERROR_MEMORY, "out of memory");
    if (!rc && !folder)
        rc = error_set(&err, ERROR_USAGE, "mome_model_open: no folder");
    rc = rc ? rc : recognizer_open(&m->recognizer, folder, &err);
    if (!rc && m->recognizer->config.has_video)
        rc = face_finder_open(&m->finder, &err);
    if (rc) {
        mome_model_close(m);
        return api_failed(&err);
    }
    m->precision = o.exact ? PRECISION_F32 : PRECISION_BF16;
    *model = m;
    return MOME_OK;
}

void mome_model_close(mome_model *m)
{
    if (!m)
        return;
    recognizer_free(m->recognizer);
    face_finder_close(m->finder);
    memory_free(m);
}

int mome_model_can(const mome_model *model, mome_task task)
{
    if (task < 0) {
        const struct recognizer_config *c = &model->recognizer->config;
        return c->has_audio || c->has_video;
    }
    return (int)task < TASK_COUNT && transcriber_can(model->recognizer, (enum task)task);
}

int mome_model_rates(const mome_model *model, int pictures, int *rates, int room)
{
    const struct recognizer_config *c = &model->recognizer->config;
    const struct projector_config *p = &c->projector;
    const int *all = pictures ? p->video_rates : p->audio_rates;
    int count = !(pictures ? c->has_video : c->has_audio) ? 0
                : pictures                                ? p->video_rate_count
                                                          : p->audio_rate_count;
    for (int i = 0; i < count && i < room; i++)
        rates[i] = all[i];
    return count;
}
