#include "train/activations.h"

/* ---- numbers (floats) of one row --------------------------------------------------------- */

/* What a layer computes of a row, what of that stays behind where it runs again, and gradients. */
struct layer_cost {
    double all, kept, gradients;
};

static struct layer_cost experts_row(const struct mome_config *m, double d)
{
    double hidden = (double)(m->shared + m->routed) * m->bottleneck, routed = m->routed;
    struct layer_cost cost = {.all = 2 * hidden + 2 * d};
    if (m->placement == MOME_NONE)
        return (struct layer_cost){0};
    if (m->routed) /* gated; logits, scores, gates, chosen twice */
        cost.all += hidden + 3 * routed + 2 * m->active;
    if (m->routed && m->biases)
        cost.all += hidden + routed;
    if (m->separate_routers)
        cost.all += routed;
    cost.kept = routed + m->active;
    cost.gradients = 3 * hidden + 3 * routed;
    return cost;
}

static double lora_row(const struct lora_config *l, double q, double kv)
{
    int sets = l->inner ? l->global + l->per_rate : 0;
    return sets * (4.0 * l->inner + 2 * q + 2 * kv) + (l->inner && l->per_rate ? q + kv : 0);
}

static struct layer_cost llm_row(const struct recognizer_config *c)
{
    const struct llama_config *m = &c->llm;
    double d = m->d, q = (double)m->heads * m->head_dim, kv = (double)m->kv_heads * m->head_dim;
    struct layer_cost cost = experts_row(&c->mome, d);
    cost.all += (m->dropout > 0 ? 10 : 6) * d + 3 * q + 3 * kv + 3.0 * m->ffn + m->heads + 2;
    cost.all += lora_row(&c->lora, q, kv);
    cost.kept += d;
    cost.gradients += 4 * d + 2 * q + 3 * kv + 3.0 * m->ffn;
    return cost;
}

static struct layer_cost encoder_row(double d, double ffn, int heads, float dropout, bool trained)
{
    if (!trained) /* one after the other in the same place; x stays in its own */
        return (struct layer_cost){0};
    return (struct layer_cost){.all = (dropout > 0 ? 14 : 10) * d + 2 * ffn + heads + 4,
                               .kept = d,
                               .gradients = 6 * d + 2 * ffn};
}

static double layers_of(const struct layer_cost *cost, int layers, bool recompute)
{
    return (recompute ? layers * cost->kept + cost->all : layers * cost->all) + cost->gradients;
}

/* ---- encoders ---------------------------------------------------------------------------- */

/* Of one frame of states. */
static double audio_state(const struct whisper_config *w, bool trained, bool recompute)
{
    const struct layer_cost cost = encoder_row(w->d, w->ffn, w->heads, w->dropout, trained);
    double mels = 2 * (2.0 * w->mels + 3.0 * w->d), stem = 4.0 * w->d;
    return layers_of(&cost, w->layers, recompute) + mels + stem + 3.0 * w->d +
           (trained ? 2.0 * mels : 0);
}

/* The numbers that a picture becomes in the stem and the trunk. */
static double picture(const struct avhubert_config *v, bool trained)
{
    double side = CONFIG_PICTURE / 2.0, map = side * side * v->stem;
    double sum = map * (trained ? 3 : 1), gradients = 2 * map;
    side /= 2;
    sum += side * side * v->stem * 2;
    for (int s = 0; s < 4; s++) {
        if (s > 0)
            side = (double)(int)((side + 1) / 2);
        map = side * side * v->widths[s];
        sum += map * v->blocks[s] * (trained ? 7 : 2);
        sum += s > 0 ? map * (trained ? 2 : 1) : 0; /* the shortcut */
        gradients += 3 * map;
    }
    return sum + (trained ? gradients : 0);
}

static double video_state(const struct avhubert_config *v, bool trained, bool recompute)
{
    const struct layer_cost cost = encoder_row(v->d, v->ffn, v->heads, v->dropout, trained);
    const double pixels = (double)CONFIG_PICTURE * CONFIG_PICTURE;
    return layers_of(&cost, v->layers, recompute) + picture(v, trained) + 2 * pixels + 9.0 * v->d;
}

/* Padded to the longest; states that are cached are just copied. */
static double encoder(const struct recognizer_config *c, const struct stage_config *stage,
                      const struct batch *b, bool audio, bool recompute)
{
    const bool trained = stage->parts & train_config_through(c, audio);
    double states = 0, longest = 0, items = 0;
    for (int i = 0; i < b->count; i++) {
        const struct example *e = &b->examples[i];
        double rows = audio ? (double)e->mel_rows / 2 : (double)e->frames;
        states +=
            (audio ? e->audio_states : e->video_states) ? (double)e->frames * (2 - !audio) : 0;
        if (!(audio ? e->mel : e->pictures))
            continue;
        items++;
        longest = rows > longest ? rows : longest;
    }
    double state = audio ? audio_state(&c->audio, trained, recompute)
                         : video_state(&c->video, trained, recompute);
    return items * longest * state + states * (audio ? c->audio.d : c->video.d);
}

/* ---- requests ---------------------------------------------------------------------------- */

static double projectors(const struct recognizer_config *c, const struct draw *d, int64_t frames)
{
    const struct projector_config *p = &c->projector;
    double sum = 0;
    for (int ask = 0; ask < d->ask_count; ask++)
        for (int video = 0; video < 2; video++) {
            int rate = video ? d->asks[ask].video_rate : d->asks[ask].audio_rate;
            if (!rate || draw_asked_before(d, ask, video))
                continue;
            double wide = (double)(video ? c->video.d : c->audio.d) * (p->stack ? rate : 1);
            double token = wide + 3.0 * p->hidden + (p->norm ? 4.0 : 3.0) * c->llm.d;
            sum += token * (double)(frames * (video ? 1 : 2) / rate);
        }
    return sum;
}

static double requests(const struct recognizer *r, const struct batch *b, bool recompute)
{
    const struct recognizer_config *c = &r->config;
    const struct layer_cost cost = llm_row(c);
    double rows = 0, logits = 0, sum = 0;
    for (int i = 0; i < b->count; i++) {
        const struct draw *d = &b->draws[i];
        const int64_t frames = b->examples[i].frames;
        sum += projectors(c, d, frames);
        for (int k = 0; k < d->ask_count; k++) {
            const struct request q = {.task = d->asks[k].task,
                                      .audio_rate = d->asks[k].audio_rate,
                                      .video_rate = d->asks[k].video_rate,
                                      .audio = {0, 2 * frames},
                                      .video = {0, frames},
                                      .text_count = b->examples[i].id_count};
            int64_t media, all = recognizer_request_rows(r, &q, &media);
            sum += 2.0 * (double)(all - media) * c->llm.d; /* embeddings, joined to the media's */
            rows += (double)all;
            logits += q.text_count + 1;
        }
    }
    sum += rows * layers_of(&cost, c->llm.layers, recompute);
    sum += rows * c->llm.d * (c->llm.dropout > 0 ? 4 : 2);
    return sum + logits * (3.0 * c->llm.vocab + 2.0 * c->llm.d);
}

double activations_bytes(const struct recognizer *r, const struct stage_config *stage,
                         const struct batch *batch, bool recompute)
{
    bool text = stage->text_weight > 0, states = !train_config_frames_only(stage);
    double sum = text ? requests(r, batch, recompute) : 0;
    if (states || stage->parts & TRAIN_AUDIO)
        sum += encoder(&r->config, stage, batch, true, recompute);
    if (states || stage->parts & TRAIN_VIDEO)
        sum += encoder(&r->config, stage, batch, false, recompute);
    return sum * sizeof(float);
}
