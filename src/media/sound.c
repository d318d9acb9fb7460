#include "media/sound.h"

#include <string.h>

#include <libavutil/opt.h>

#define SILENCE_CHUNK 4096
#define MAX_CHANNELS 64
#define MAX_RATE 768000

static const float silence[SILENCE_CHUNK];

static int reserve(struct sound *s, int count)
{
    if (count <= s->capacity)
        return 0;
    float *larger = av_realloc_array(s->buffer, (size_t)count, sizeof *larger);
    if (!larger)
        return AVERROR(ENOMEM);
    s->buffer = larger;
    s->capacity = count;
    return 0;
}

/* Resamples `frame` (NULL: empties the resampler) to buffer[at..]; the number of samples. */
static int resample(struct sound *s, int at, const AVFrame *frame)
{
    int most = swr_get_out_samples(s->resampler, frame ? frame->nb_samples : 0);
    if (most < 0 || most > INT32_MAX / 2 - at)
        return AVERROR(EINVAL);
    int rc = reserve(s, at + most + 1);
    if (rc < 0)
        return rc;
    uint8_t *out = (uint8_t *)(s->buffer + at);
    rc =
        swr_convert(s->resampler, &out, most, frame ? (const uint8_t **)frame->extended_data : NULL,
                    frame ? frame->nb_samples : 0);
    for (int i = 0; i < rc; i++) {
        float x = s->buffer[at + i];
        s->buffer[at + i] = x > 1 ? 1 : x >= -1 ? x : x < -1 ? -1 : 0; /* NaN -> 0 */
    }
    return rc;
}

static int set_up(struct sound *s, const AVFrame *frame)
{
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO, in = {0};
    int channels = frame->ch_layout.nb_channels;
    if (channels < 1 || channels > MAX_CHANNELS || frame->sample_rate < 1 ||
        frame->sample_rate > MAX_RATE)
        return AVERROR(EINVAL);
    int rc;
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&in, channels);
    else if ((rc = av_channel_layout_copy(&in, &frame->ch_layout)) < 0)
        return rc;
    swr_free(&s->resampler);
    rc = swr_alloc_set_opts2(&s->resampler, &mono, AV_SAMPLE_FMT_FLT, MEDIA_SAMPLE_RATE, &in,
                             frame->format, frame->sample_rate, 0, NULL);
    av_channel_layout_uninit(&in);
    if (rc < 0)
        return rc;
    av_opt_set_double(s->resampler, "rematrix_maxval", 1.0, 0); /* down-mixing never clips */
    rc = swr_init(s->resampler);
    if (rc < 0)
        return rc;
    s->format = frame->format;
    s->rate = frame->sample_rate;
    av_channel_layout_uninit(&s->layout);
    return av_channel_layout_copy(&s->layout, &frame->ch_layout);
}

static bool fits(const struct sound *s, const AVFrame *frame)
{
    return s->resampler && s->format == frame->format && s->rate == frame->sample_rate &&
           av_channel_layout_compare(&s->layout, &frame->ch_layout) == 0;
}

int sound_push(struct sound *s, const AVFrame *frame, int64_t target)
{
    int64_t lands = s->next;
    if (s->resampler)
        lands += swr_get_delay(s->resampler, MEDIA_SAMPLE_RATE);
    int64_t shift = target == SOUND_FOLLOWS ? 0 : target - lands;
    if (s->started && shift >= -SOUND_TOLERANCE && shift <= SOUND_TOLERANCE)
        shift = 0;
    s->started = true;
    s->read = s->tail = s->body = 0;
    if (shift || !fits(s, frame)) {
        int rc = sound_finish(s);
        if (rc >= 0)
            rc = set_up(s, frame);
        if (rc < 0)
            return rc;
    }
    int body = resample(s, s->tail, frame);
    if (body < 0)
        return body;
    s->silence = shift > 0 ? shift : 0;
    if (shift < 0) { /* leave out what has been heard already */
        int drop = -shift < body ? (int)-shift : body;
        body -= drop;
        memmove(s->buffer + s->tail, s->buffer + s->tail + drop, (size_t)body * sizeof(float));
    }
    s->body = body;
    return 0;
}

int sound_finish(struct sound *s)
{
    s->read = s->tail = s->body = 0;
    int tail = s->resampler ? resample(s, 0, NULL) : 0;
    s->tail = tail > 0 ? tail : 0;
    return tail < 0 ? tail : 0;
}

bool sound_pull(struct sound *s, struct media_chunk *chunk)
{
    int64_t count = s->tail;
    *chunk = (struct media_chunk){.kind = MEDIA_SOUND, .start = s->next};
    if (s->tail) {
        chunk->pcm = s->buffer;
        s->read = s->tail;
        s->tail = 0;
    } else if (s->silence) {
        count = s->silence < SILENCE_CHUNK ? s->silence : SILENCE_CHUNK;
        chunk->pcm = silence;
        s->silence -= count;
    } else if (s->body) {
        count = s->body;
        chunk->pcm = s->buffer + s->read;
        s->body = 0;
    }
    chunk->count = count;
    s->next += count;
    return count > 0;
}

void sound_release(struct sound *s)
{
    swr_free(&s->resampler);
    av_channel_layout_uninit(&s->layout);
    av_freep(&s->buffer);
}
