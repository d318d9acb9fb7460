/*
 * The reader: container -> packets -> decoders -> tracks -> chunks, one step at a time.
 *
 *     source --- AVFormatContext --- packet --+-- decoder -- sound    (16 kHz, gaps)  --+-- chunk
 *                                             +-- decoder -- pictures (25 fps grid)   --+
 *
 * media_read gives what the tracks hold; when they hold nothing it takes one frame out of a
 * decoder, or one packet out of the container. Nothing queues up, so memory does not grow with the
 * file. Damaged packets are skipped as long as something can be decoded.
 */
#include "media/media.h"
#include "base/memory.h"
#include "media/device.h"
#include "media/pictures.h"
#include "media/sound.h"
#include "media/source.h"

#include <errno.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/time.h>

#define MAX_SECONDS (12 * 3600)
#define MAX_GAP_US (600 * (int64_t)1000000) /* a larger jump of the time stamps is damage */
#define MAX_TIME_US ((int64_t)1 << 60)
#define MAX_LAST_US 10000000 /* the longest that a last picture is held */
#define DEVICE_WAIT_US 4000  /* between two looks at a device that has nothing */

struct stream {
    AVStream *stream;
    AVCodecContext *decoder; /* NULL: not read */
    bool ended;              /* the decoder has given its last frame, or the limit is reached */
    int64_t expected_us;     /* time at which the frame after the last one should begin */
    int64_t duration_us;     /* of the last frame */
    int64_t limit, given;    /* grid positions: samples or pictures */
};

struct media {
    char *path;
    struct source source;
    AVFormatContext *format;
    AVPacket *packet;
    AVFrame *frame;
    struct stream sound_stream, picture_stream;
    struct sound sound;
    struct pictures pictures;
    int64_t zero_us;         /* the common clock's zero, in the file's time */
    bool limited;            /* the caller set the limit: reaching it is no error */
    const char *device;      /* its kind; NULL: a file or pipe */
    bool (*stop)(void *arg); /* device */
    void *arg;
    bool own_times;  /* sound is not decoded: its packets are given out */
    bool has_packet; /* m->packet is to be given out */
    bool drained;    /* the container is at its end, and the decoders know */
    int64_t damaged; /* packets that could not be decoded */
};

static int fail(const struct media *m, int code, const char *what, struct error *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    if (code == AVERROR(ENOMEM))
        return error_set(err, ERROR_MEMORY, "%s: out of memory", m->path);
    if (m->source.error)
        return error_set(err, ERROR_IO, "%s: cannot read: %s", m->path, strerror(m->source.error));
    av_strerror(code, text, sizeof text);
    return error_set(err, ERROR_FORMAT, "%s: %s (FFmpeg: %s)", m->path, what, text);
}

static int64_t to_us(int64_t time, AVRational base)
{
    if (time == AV_NOPTS_VALUE)
        return AV_NOPTS_VALUE;
    int64_t us = av_rescale_q(time, base, AV_TIME_BASE_Q);
    return us > -MAX_TIME_US && us < MAX_TIME_US ? us : AV_NOPTS_VALUE;
}

/* ---- opening ---- */

static int open_file(struct media *m, struct error *err)
{
    m->format->pb = m->source.io;
    m->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    m->format->protocol_whitelist = av_strdup("none");
    int rc = avformat_open_input(&m->format, "", NULL, NULL);
    if (rc >= 0)
        return 0;
    uint8_t head[8] = {0};
    source_peek(&m->source, head, 8, 0);
    if (memcmp(head + 4, "ftyp", 4) == 0)
        return fail(m, rc,
                    "an mp4 that is cut short or damaged, its index (moov) cannot be read; "
                    "copy or record it again",
                    err);
    return fail(m, rc,
                "not a media file; expected sound or video such as mp4, mkv, webm, wav, flac", err);
}

static int open_container(struct media *m, struct error *err)
{
    m->format = avformat_alloc_context();
    m->packet = av_packet_alloc();
    m->frame = av_frame_alloc();
    if (!m->format || !m->packet || !m->frame)
        return fail(m, AVERROR(ENOMEM), "", err);
    int rc = m->device ? device_open(&m->format, m->device, m->path, err) : open_file(m, err);
    if (rc)
        return rc;
    rc = avformat_find_stream_info(m->format, NULL);
    return rc < 0 ? fail(m, rc, "no stream in it can be understood", err) : 0;
}

static AVStream *best_stream(const struct media *m, enum AVMediaType type)
{
    int i = av_find_best_stream(m->format, type, -1, -1, NULL, 0);
    AVStream *s = i < 0 ? NULL : m->format->streams[i];
    if (s && s->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS))
        return NULL;
    return s;
}

static int open_decoder(struct media *m, struct stream *s, struct error *err)
{
    const AVCodecParameters *parameters = s->stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(parameters->codec_id);
    if (!codec)
        return error_set(err, ERROR_UNSUPPORTED, "%s: FFmpeg here has no decoder for its %s (%s)",
                         m->path, s == &m->sound_stream ? "sound" : "pictures",
                         avcodec_get_name(parameters->codec_id));
    s->decoder = avcodec_alloc_context3(codec);
    int rc = s->decoder ? avcodec_parameters_to_context(s->decoder, parameters) : AVERROR(ENOMEM);
    if (rc < 0)
        return fail(m, rc, "a stream cannot be decoded", err);
    s->decoder->pkt_timebase = s->stream->time_base;
    s->decoder->thread_count = 1; /* clips are small, and the caller has its own threads */
    s->decoder->max_pixels = PICTURES_MAX_PIXELS;
    rc = avcodec_open2(s->decoder, codec, NULL);
    return rc < 0 ? fail(m, rc, "a stream cannot be decoded", err) : 0;
}

static int open_pictures(struct media *m, struct error *err)
{
    AVStream *s = m->picture_stream.stream;
    const AVCodecParameters *parameters = s->codecpar;
    size_t size = 0;
    const int32_t *matrix =
        (const int32_t *)av_stream_get_side_data(s, AV_PKT_DATA_DISPLAYMATRIX, &size);
    int rc = pictures_init(&m->pictures, parameters, av_guess_sample_aspect_ratio(m->format, s, 0),
                           size >= 9 * sizeof *matrix ? matrix : NULL);
    if (rc == AVERROR(ERANGE))
        return error_set(err, ERROR_LIMIT,
                         "%s: pictures of %dx%d, at most %d a side and %d million pixels are read",
                         m->path, parameters->width, parameters->height, PICTURES_MAX_SIDE,
                         PICTURES_MAX_PIXELS / 1000000);
    if (rc < 0)
        return fail(m, rc, "pictures of unknown size", err);
    return open_decoder(m, &m->picture_stream, err);
}

/* The clock's zero counts both streams, so that leaving one out moves nothing. */
static void find_zero(struct media *m, const AVStream *a, const AVStream *b)
{
    const AVStream *streams[2] = {a, b};
    m->zero_us = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        int64_t us = AV_NOPTS_VALUE;
        if (streams[i])
            us = to_us(streams[i]->start_time, streams[i]->time_base);
        if (us != AV_NOPTS_VALUE && us < m->zero_us)
            m->zero_us = us;
    }
    if (m->zero_us == INT64_MAX)
        m->zero_us = 0;
}

static int open_streams(struct media *m, const struct media_options *o, struct error *err)
{
    AVStream *sound = best_stream(m, AVMEDIA_TYPE_AUDIO);
    AVStream *pictures = best_stream(m, AVMEDIA_TYPE_VIDEO);
    double seconds =
        o->max_seconds > 0 && o->max_seconds < MAX_SECONDS ? o->max_seconds : MAX_SECONDS;
    m->limited = o->max_seconds > 0;
    find_zero(m, sound, pictures);
    m->sound_stream.stream = o->no_sound ? NULL : sound;
    m->picture_stream.stream = o->no_pictures ? NULL : pictures;
    m->sound_stream.limit = (int64_t)(seconds * MEDIA_SAMPLE_RATE);
    m->picture_stream.limit = (int64_t)(seconds * MEDIA_FPS);
    if (!m->sound_stream.stream && !m->picture_stream.stream)
        return error_set(err, ERROR_NO_STREAM, "%s: no %s in it", m->path,
                         o->no_sound      ? "pictures"
                         : o->no_pictures ? "sound"
                                          : "sound and no pictures");
    for (unsigned i = 0; i < m->format->nb_streams; i++) {
        AVStream *s = m->format->streams[i];
        if (s != m->sound_stream.stream && s != m->picture_stream.stream)
            s->discard = AVDISCARD_ALL;
    }
    m->own_times = m->pictures.own_times = o->own_times;
    int rc = m->sound_stream.stream && !o->own_times ? open_decoder(m, &m->sound_stream, err) : 0;
    if (rc == 0 && m->picture_stream.stream)
        rc = open_pictures(m, err);
    return rc;
}

int media_open(struct media **out, const char *path, const struct media_options *options,
               struct error *err)
{
    const struct media_options everything = {0};
    *out = NULL;
    av_log_set_level(AV_LOG_QUIET); /* what matters comes back as an error */
    struct media *m = memory_new(1, sizeof *m);
    if (!m)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    options = options ? options : &everything;
    m->source.fd = -1;
    m->device = options->device;
    m->stop = options->stop;
    m->arg = options->arg;
    m->path = memory_strdup(!m->device && strcmp(path, "-") == 0 ? "standard input" : path);
    int rc = m->path ? 0 : error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    if (rc == 0 && !m->device)
        rc = source_open(&m->source, path, err);
    if (rc == 0 && !m->device)
        rc = source_complete(&m->source, path, err);
    if (rc == 0)
        rc = open_container(m, err);
    if (rc == 0)
        rc = open_streams(m, options, err);
    if (rc) {
        media_close(m);
        return rc;
    }
    *out = m;
    return 0;
}

void media_close(struct media *m)
{
    if (!m)
        return;
    sound_release(&m->sound);
    pictures_release(&m->pictures);
    avcodec_free_context(&m->sound_stream.decoder);
    avcodec_free_context(&m->picture_stream.decoder);
    av_frame_free(&m->frame);
    av_packet_free(&m->packet);
    avformat_close_input(&m->format);
    source_close(&m->source);
    memory_free(m->path);
    memory_free(m);
}

struct media_info media_info(const struct media *m)
{
    struct media_info info = {
        .has_sound = m->sound_stream.stream != NULL,
        .has_pictures = m->picture_stream.stream != NULL,
        .width = m->pictures.width,
        .height = m->pictures.height,
    };
    if (m->format->duration > 0)
        info.duration_s = (double)m->format->duration / AV_TIME_BASE;
    const AVRational rate =
        info.has_pictures ? m->picture_stream.stream->avg_frame_rate : (AVRational){0};
    if (rate.num > 0 && rate.den > 0) {
        info.picture_rate = av_q2d(rate);
        info.rate_num = rate.num;
        info.rate_den = rate.den;
    }
    if (info.has_sound) {
        info.sample_rate = m->sound_stream.stream->codecpar->sample_rate;
        info.channels = m->sound_stream.stream->codecpar->ch_layout.nb_channels;
    }
    return info;
}

const struct AVStream *media_sound_stream(const struct media *m)
{
    return m->sound_stream.stream;
}

/* ---- reading ---- */

/* Places m->frame on the common clock: *time_us, or AV_NOPTS_VALUE where the file does not say. */
static int time_of_frame(struct media *m, struct stream *s, int64_t *time_us, struct error *err)
{
    int64_t us = to_us(m->frame->best_effort_timestamp, s->stream->time_base);
    int64_t duration = to_us(m->frame->pkt_duration, s->stream->time_base);
    *time_us = us == AV_NOPTS_VALUE ? us : us - m->zero_us;
    if (us != AV_NOPTS_VALUE && *time_us > s->expected_us + MAX_GAP_US)
        return error_set(err, ERROR_FORMAT,
                         "%s: the time stamps jump by %.0f s; copy it with `ffmpeg -i IN OUT`",
                         m->path, (double)(*time_us - s->expected_us) / 1e6);
    if (duration <= 0 && s->stream->avg_frame_rate.num > 0)
        duration = to_us(1, av_inv_q(s->stream->avg_frame_rate));
    if (duration <= 0)
        duration = 1000000 / MEDIA_FPS;
    s->duration_us = duration < MAX_LAST_US ? duration : MAX_LAST_US;
    s->expected_us = (us == AV_NOPTS_VALUE ? s->expected_us : *time_us) + s->duration_us;
    return 0;
}

static int push_frame(struct media *m, struct stream *s, struct error *err)
{
    int64_t time_us;
    int64_t expected_us = s->expected_us;
    int rc = time_of_frame(m, s, &time_us, err);
    if (rc)
        return rc;
    if (s == &m->picture_stream) {
        pictures_push(&m->pictures, m->frame, time_us == AV_NOPTS_VALUE ? expected_us : time_us);
        return 0;
    }
    int64_t target = SOUND_FOLLOWS;
    if (time_us != AV_NOPTS_VALUE)
        target = av_rescale(time_us, MEDIA_SAMPLE_RATE, 1000000);
    rc = sound_push(&m->sound, m->frame, target);
    av_frame_unref(m->frame);
    return rc < 0 ? fail(m, rc, "sound of a kind that cannot be resampled", err) : 0;
}

static int finish_stream(struct media *m, struct stream *s, struct error *err)
{
    s->ended = true;
    if (s == &m->picture_stream)
        pictures_finish(&m->pictures, s->duration_us);
    else if (sound_finish(&m->sound) < 0)
        return fail(m, AVERROR(ENOMEM), "", err);
    return 0;
}

/* 1: a frame went to its track, or the stream ended; 0: the decoder needs packets; or an error. */
static int take_frame(struct media *m, struct stream *s, struct error *err)
{
    if (!s->decoder || s->ended)
        return 0;
    int rc = avcodec_receive_frame(s->decoder, m->frame);
    if (rc == AVERROR(EAGAIN))
        return 0;
    if (rc == AVERROR_EOF)
        rc = finish_stream(m, s, err);
    else if (rc == AVERROR(ENOMEM))
        return fail(m, rc, "", err);
    else if (rc >= 0)
        rc = push_frame(m, s, err);
    else {
        m->damaged++;
        rc = 0;
    }
    return rc ? rc : 1;
}

static void send_packet(struct media *m, struct stream *s, const AVPacket *packet)
{
    if (s->decoder && !s->ended && avcodec_send_packet(s->decoder, packet) < 0 && packet)
        m->damaged++;
}

static int take_packet(struct media *m, struct error *err)
{
    const bool stop = m->stop && m->stop(m->arg);
    int rc = stop ? AVERROR_EOF : av_read_frame(m->format, m->packet);
    if (rc == AVERROR(EAGAIN)) {
        if (m->device)
            av_usleep(DEVICE_WAIT_US);
        return 0;
    }
    if (rc < 0) {
        if (m->source.error || rc == AVERROR(ENOMEM))
            return fail(m, rc, "", err);
        /* Any other error is the end of what can be read: cut short, or damaged from here on. */
        m->damaged += rc != AVERROR_EOF;
        m->drained = true;
        send_packet(m, &m->sound_stream, NULL);
        send_packet(m, &m->picture_stream, NULL);
        return 0;
    }
    if (m->sound_stream.stream && m->packet->stream_index == m->sound_stream.stream->index) {
        m->has_packet = m->own_times;
        if (m->has_packet)
            return 0;
        send_packet(m, &m->sound_stream, m->packet);
    }
    if (m->picture_stream.stream && m->packet->stream_index == m->picture_stream.stream->index)
        send_packet(m, &m->picture_stream, m->packet);
    av_packet_unref(m->packet);
    return 0;
}

static bool wants_more(const struct stream *s)
{
    return s->decoder && !s->ended;
}

/* One step: 1: go on; 0: the end; or an error. */
static int advance(struct media *m, struct error *err)
{
    int rc = take_frame(m, &m->sound_stream, err);
    if (rc == 0)
        rc = take_frame(m, &m->picture_stream, err);
    if (rc)
        return rc;
    const bool wants_packets = m->own_times && m->sound_stream.stream;
    if (m->drained ||
        !(wants_packets || wants_more(&m->sound_stream) || wants_more(&m->picture_stream)))
        return 0;
    rc = take_packet(m, err);
    return rc ? rc : 1;
}

static int at_end(const struct media *m, struct error *err)
{
    if (m->sound_stream.given || m->picture_stream.given)
        return 0;
    return error_set(err, ERROR_FORMAT, "%s: %s", m->path,
                     m->damaged ? "nothing in it can be decoded; it is damaged or cut short"
                                : "zero length: no sound and no picture in it");
}

/* Cuts the chunk at the stream's limit. 1: give it out; 0: nothing is left of it; or an error. */
static int within_limit(struct media *m, struct stream *s, struct media_chunk *chunk,
                        struct error *err)
{
    int64_t left = s->limit - chunk->start;
    if (left <= 0 && !m->limited)
        return error_set(err, ERROR_LIMIT, "%s: longer than %d hours, cut it into pieces", m->path,
                         MAX_SECONDS / 3600);
    if (left <= 0) {
        s->ended = true;
        return 0;
    }
    if (chunk->count > left)
        chunk->count = left;
    s->given += chunk->count;
    return 1;
}

/* The packet of sound that was read, on the common clock. */
static void give_packet(struct media *m, struct media_chunk *chunk)
{
    const int64_t zero =
        av_rescale_q(m->zero_us, AV_TIME_BASE_Q, m->sound_stream.stream->time_base);
    if (m->packet->pts != AV_NOPTS_VALUE)
        m->packet->pts = av_sat_sub64(m->packet->pts, zero);
    if (m->packet->dts != AV_NOPTS_VALUE)
        m->packet->dts = av_sat_sub64(m->packet->dts, zero);
    m->has_packet = false;
    *chunk = (struct media_chunk){.kind = MEDIA_PACKET, .packet = m->packet};
}

int media_read(struct media *m, struct media_chunk *chunk, struct error *err)
{
    if (m->own_times)
        av_packet_unref(m->packet);
    for (;;) {
        int rc = 0;
        if (m->has_packet) {
            give_packet(m, chunk);
            return 1;
        }
        while (rc == 0 && sound_pull(&m->sound, chunk))
            rc = within_limit(m, &m->sound_stream, chunk, err);
        if (rc)
            return rc;
        while ((rc = pictures_pull(&m->pictures, chunk)) == 1) {
            rc = within_limit(m, &m->picture_stream, chunk, err);
            if (rc)
                return rc;
        }
        if (rc < 0)
            return fail(m, rc, "pictures of a kind that cannot be converted", err);
        rc = advance(m, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return at_end(m, err);
    }
}

int64_t media_zero(const struct media *m)
{
    return m->zero_us;
}

void media_set_zero(struct media *m, int64_t zero_us)
{
    m->zero_us = zero_us;
}

const char *media_ffmpeg_version(void)
{
    return av_version_info();
}
