/* Cosines between the tokens that the projectors make of one clip (eval/expert_use.h). */
#include "eval/expert_use.h"
#include "tensor/ops.h"

#include <math.h>

enum { MOST_FRAMES = 250, MOST_TOKENS = 1000 }; /* 10 s */

/* One modality's states at all of its rates. */
struct source {
    bool video;
    const int *rates;
    int count;
    struct projector *projectors;
    struct tensor *states; /* NULL: the model has none */
    int64_t rows;          /* of them to use */
};

static int64_t count_tokens(const struct source *s)
{
    int64_t sum = 0;
    for (int i = 0; s->states && i < s->count; i++)
        sum += s->rows / s->rates[i];
    return sum;
}

/* Appends the tokens of each rate to parts, and says what they are. */
static int project(struct compute *c, const struct source *s, struct tensor **parts,
                   struct result_tokens *tokens, int kinds)
{
    for (int i = 0; s->states && i < s->count; i++) {
        const struct span span = {0, s->rows};
        if (s->rows < s->rates[i])
            continue;
        parts[kinds] = projector_forward(&s->projectors[i], c, s->states, &span, 1, s->rates[i]);
        tokens[kinds] = (struct result_tokens){s->video, s->rates[i], tensor_rows(parts[kinds])};
        kinds++;
    }
    return kinds;
}

/* matrix [rows, rows] of x [rows, width], whose rows become unit vectors. */
static void cosines(double *matrix, struct tensor *x)
{
    const int64_t rows = tensor_rows(x), width = tensor_width(x);
    for (int64_t i = 0; i < rows; i++) {
        float *row = x->data + i * width;
        double square = 0;
        for (int64_t k = 0; k < width; k++)
            square += (double)row[k] * row[k];
        for (int64_t k = 0; square > 0 && k < width; k++)
            row[k] = (float)(row[k] / sqrt(square));
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = i; j < rows; j++) {
            double sum = 0;
            for (int64_t k = 0; k < width; k++)
                sum += (double)x->data[i * width + k] * x->data[j * width + k];
            matrix[i * rows + j] = matrix[j * rows + i] = fmax(-1, fmin(1, sum));
        }
}

int expert_use_similarity(struct result *r, struct transcriber *t, const struct clip *clip,
                          const char *name, struct error *err)
{
    struct recognizer *model = t->recognizer;
    const struct recognizer_config *config = &model->config;
    const struct projector_config *p = &config->projector;
    const bool hears = config->has_audio, sees = config->has_video;
    if ((hears && !clip->has_sound) || (sees && !clip->has_face))
        return 0;
    int rc = transcriber_load(t, clip,
                              hears && sees ? TASK_AVSR
                              : hears       ? TASK_ASR
                                            : TASK_VSR,
                              err);
    if (rc)
        return rc;
    const struct loaded *l = t->loaded;
    struct source sound = {.rates = p->audio_rates,
                           .count = p->audio_rate_count,
                           .projectors = model->audio_projectors,
                           .states = hears ? l->audio[0]->states : NULL};
    struct source pictures = {.video = true,
                              .rates = p->video_rates,
                              .count = p->video_rate_count,
                              .projectors = model->video_projectors,
                              .states = sees ? l->video[0]->states : NULL};
    int64_t frames = l->segment[0].count < MOST_FRAMES ? l->segment[0].count : MOST_FRAMES;
    do {
        sound.rows =
            hears ? (2 * frames < l->audio_states[0] ? 2 * frames : l->audio_states[0]) : 0;
        pictures.rows = frames;
        frames /= 2;
    } while (count_tokens(&sound) + count_tokens(&pictures) > MOST_TOKENS);

    struct tensor *parts[2 * CONFIG_MAX_RATES];
    struct result_tokens *tokens = result_array(r, 2 * CONFIG_MAX_RATES, sizeof *tokens);
    int kinds = project(&t->compute, &sound, parts, tokens, 0);
    kinds = project(&t->compute, &pictures, parts, tokens, kinds);
    if (!kinds)
        return 0;
    struct tensor *all = op_concat_rows(&t->compute, parts, kinds);
    struct result_similarity *s = result_array(r, 1, sizeof *s);
    double *matrix = result_array(r, tensor_rows(all) * tensor_rows(all), sizeof *matrix);
    cosines(matrix, all);
    *s = (struct result_similarity){.clip = result_text(r, name),
                                    .tokens = tokens,
                                    .kinds = kinds,
                                    .total = tensor_rows(all),
                                    .matrix = matrix};
    r->similarity = s;
    return 0;
}
