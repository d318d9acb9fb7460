#include "eval/cost.h"

/* rows through a matrix */
static double product(int64_t rows, double in, double out)
{
    return 2.0 * (double)rows * in * out;
}

/* Scores and sums of values: a query of `width` numbers against each of its keys, twice. */
static double attention(int64_t pairs, double width)
{
    return 2 * 2.0 * (double)pairs * width;
}

/* Of an encoder, where every row sees every row. */
static double encoder_layer(int64_t rows, double d, double ffn)
{
    return 4 * product(rows, d, d) + 2 * product(rows, d, ffn) + attention(rows * rows, d);
}

/* LoRA on queries and values. */
static double lora(int64_t rows, double inner, double in, double q, double v)
{
    return 2 * product(rows, in, inner) + product(rows, inner, q) + product(rows, inner, v);
}

double cost_audio_encoder(const struct recognizer_config *all, int64_t mel_rows)
{
    const struct whisper_config *config = &all->audio;
    int64_t states = (mel_rows + 1) / 2;
    return product(mel_rows, 3.0 * config->mels, config->d) +
           product(states, 3.0 * config->d, config->d) +
           config->layers * encoder_layer(states, config->d, config->ffn);
}

/* The residual trunk on pictures of 22 x 22 positions, each stage but the first at half the size.
 */
static double trunk(const struct avhubert_config *config, int64_t pictures)
{
    int64_t side = CONFIG_PICTURE / 4;
    int in = config->stem;
    double sum = 0;
    for (int stage = 0; stage < 4; stage++) {
        const int width = config->widths[stage];
        if (stage > 0)
            side = (side + 1) / 2;
        for (int block = 0; block < config->blocks[stage]; block++) {
            int64_t positions = pictures * side * side;
            bool halves = stage > 0 && block == 0;
            sum += product(positions, 9.0 * in, width) + product(positions, 9.0 * width, width);
            if (halves || in != width) /* the way around, 1 x 1 */
                sum += product(positions, in, width);
            in = width;
        }
    }
    return sum;
}

double cost_video_encoder(const struct recognizer_config *all, int64_t pictures)
{
    const struct avhubert_config *config = &all->video;
    const int64_t half = CONFIG_PICTURE / 2;
    const double d = config->d, front = config->widths[3];
    double sum = product(pictures * half * half, 5 * 7 * 7, config->stem);
    sum += trunk(config, pictures);
    if (config->audio_branch_zeros)
        sum += product(pictures, front, d);
    sum += product(pictures, config->audio_branch_zeros ? 2 * d : front, d);
    sum += product(pictures, config->position_kernel * d / config->position_groups, d);
    return sum + config->layers * (encoder_layer(pictures, d, config->ffn) +
                                   lora(pictures, all->video_lora.inner, d, d, d));
}

double cost_projector(const struct recognizer_config *config, bool video, int rate, int64_t tokens)
{
    double in = video ? config->video.d : config->audio.d;
    if (config->projector.stack)
        in *= rate;
    return product(tokens, in, config->projector.hidden) +
           product(tokens, config->projector.hidden, config->llm.d);
}

static double experts(const struct mome_config *config, double d, int64_t rows)
{
    if (config->placement == MOME_NONE)
        return 0;
    double hidden = (double)(config->shared + config->routed) * config->bottleneck;
    double biases = config->biases ? config->routed : 0;
    return product(rows, d, config->routed) + product(rows, d, hidden) +
           product(rows, hidden + biases, d);
}

double cost_llm(const struct recognizer_config *config, const struct llm_work *work)
{
    const struct llama_config *llm = &config->llm;
    const double d = llm->d, q = (double)llm->heads * llm->head_dim,
                 kv = (double)llm->kv_heads * llm->head_dim;
    double layer = 2 * product(work->rows, d, q) + 2 * product(work->rows, d, kv) +
                   3 * product(work->rows, d, llm->ffn) + attention(work->keys, q) +
                   experts(&config->mome, d, work->rows) +
                   (config->lora.global + config->lora.per_rate) *
                       lora(work->rows, config->lora.inner, d, q, kv);
    return llm->layers * layer + product(work->heads, d, llm->vocab);
}
