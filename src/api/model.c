#include "api/api.h"

#include "base/memory.h"

#include <string.h>

void mome_model_options_init_sized(mome_model_options *o, size_t size)
{
    mome_model_options all = {.size = size};
    memset(o, 0, size);
    memcpy(o, &all, size < sizeof all ? size : sizeof all);
}

/* What the caller set, in the structure as it is today. */
static int take_options(mome_model_options *all, const mome_model_options *o, struct error *err)
{
    mome_model_options_init(all);
    if (!o)
        return 0;
    if (o->size < sizeof o->size || o->size > 4096)
        return error_set(err, ERROR_USAGE,
                         "mome_model_options: call mome_model_options_init first");
    memcpy(all, o, o->size < sizeof *all ? o->size : sizeof *all);
    return 0;
}

int mome_model_open(mome_model **model, const char *folder, const mome_model_options *options)
{
    struct error err = {0};
    mome_model_options o;
    *model = NULL;
    mome_model *m = memory_new(1, sizeof *m);
    int rc = m ? take_options(&o, options, &err) : error_set(&err, ERROR_MEMORY, "out of memory");
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
