/*
 * Writing clips with libav*: pixels -> swscale -> encoder -> muxer -> our own I/O -> a temporary
 * file.
 *
 * FFmpeg never sees the path: the muxer writes and seeks through two call-backs on base/file.h's
 * file_writer, which renames the temporary on success. So a full disk shows up as a failed
 * call-back (write_error keeps errno) or a failed commit, and leaves nothing behind.
 *
 * Both tracks are a `struct track`: encoder, stream, the frame that is being filled, next time
 * stamp in the encoder's time base. Sound is cut into the encoder's frame size here.
 */
#include "media/writer.h"
#include "base/file.h"
#include "base/memory.h"
#include "media/sound_track.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

#define IO_BYTES (1 << 16)
#define PCM_FRAME 1024 /* samples a packet, where the encoder leaves it to us */
#define MAX_SIDE 16384
#define DEFAULT_CRF 20
#define LOSSLESS_GOP 250
#define LEAST_CLOCK 10000 /* Hz of the pictures' time stamps, where those are their own */

enum kind { KIND_MP4, KIND_MKV, KIND_WAV };

struct track {
    AVCodecContext *encoder;
    AVStream *stream;
    AVFrame *frame;
    int filled;   /* samples in frame */
    int64_t next; /* time stamp of the next frame */
};

struct writer {
    struct file_writer file;
    int write_error; /* errno of the first failed write */
    AVFormatContext *muxer;
    AVPacket *packet;
    struct track pictures, sound; /* encoder NULL: not there */
    struct sound_track kept;      /* sound of another file; muxer NULL: not there */
    struct SwsContext *scaler;
};

static int write_bytes(void *opaque, uint8_t *bytes, int size)
{
    struct writer *w = opaque;
    if (fwrite(bytes, 1, (size_t)size, w->file.stream) == (size_t)size)
        return size;
    w->write_error = errno ? errno : EIO;
    return AVERROR(w->write_error);
}

static int64_t seek_bytes(void *opaque, int64_t offset, int whence)
{
    struct writer *w = opaque;
    if (whence & AVSEEK_SIZE || fseeko(w->file.stream, offset, whence & 3) != 0)
        return AVERROR(ENOSYS);
    return ftello(w->file.stream);
}

static int failed(struct writer *w, int av_code, const char *doing, struct error *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    if (w->write_error)
        return error_set(err, ERROR_IO, "%s: cannot write: %s", w->file.path,
                         strerror(w->write_error));
    if (av_code == AVERROR(ENOMEM))
        return error_set(err, ERROR_MEMORY, "%s: out of memory", w->file.path);
    av_strerror(av_code, text, sizeof text);
    return error_set(err, ERROR_UNSUPPORTED, "%s: cannot %s: %s", w->file.path, doing, text);
}

static void track_release(struct track *t)
{
    avcodec_free_context(&t->encoder);
    av_frame_free(&t->frame);
}

void writer_abandon(struct writer *w)
{
    if (!w)
        return;
    track_release(&w->pictures);
    track_release(&w->sound);
    sound_track_release(&w->kept);
    sws_freeContext(w->scaler);
    av_packet_free(&w->packet);
    if (w->muxer && w->muxer->pb) {
        av_freep(&w->muxer->pb->buffer);
        avio_context_free(&w->muxer->pb);
    }
    avformat_free_context(w->muxer);
    file_writer_abandon(&w->file);
    memory_free(w);
}

/* Hands one frame (NULL: the end) to the encoder and what comes out to the muxer. */
static int encode(struct writer *w, struct track *t, AVFrame *frame, struct error *err)
{
    int rc = avcodec_send_frame(t->encoder, frame);
    while (rc >= 0) {
        rc = avcodec_receive_packet(t->encoder, w->packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return 0;
        if (rc < 0)
            break;
        av_packet_rescale_ts(w->packet, t->encoder->time_base, t->stream->time_base);
        w->packet->stream_index = t->stream->index;
        rc = av_interleaved_write_frame(w->muxer, w->packet);
        if (rc >= 0 && w->muxer->pb->error < 0)
            rc = w->muxer->pb->error;
    }
    return failed(w, rc, "encode", err);
}

static int track_open(struct writer *w, struct track *t, const AVCodec *codec, AVDictionary **opts,
                      struct error *err)
{
    if (w->muxer->oformat->flags & AVFMT_GLOBALHEADER)
        t->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    t->encoder->thread_count = 1; /* the same bytes on every machine */
    int rc = avcodec_open2(t->encoder, codec, opts);
    if (rc < 0)
        return failed(w, rc, "open the encoder for this size or rate", err);
    t->stream = avformat_new_stream(w->muxer, NULL);
    t->frame = av_frame_alloc();
    if (!t->stream || !t->frame)
        return failed(w, AVERROR(ENOMEM), "", err);
    t->stream->time_base = t->encoder->time_base;
    rc = avcodec_parameters_from_context(t->stream->codecpar, t->encoder);
    return rc < 0 ? failed(w, rc, "describe a stream", err) : 0;
}

static int set_rotation(struct writer *w, int degrees, struct error *err)
{
    int32_t *matrix =
        (int32_t *)av_stream_new_side_data(w->pictures.stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * 4);
    if (!matrix)
        return failed(w, AVERROR(ENOMEM), "", err);
    av_display_rotation_set(matrix, degrees);
    return 0;
}

static void set_lossy(AVCodecContext *c, AVDictionary **opts, int quality)
{
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->colorspace = AVCOL_SPC_SMPTE170M; /* what swscale makes unless told otherwise */
    c->color_range = AVCOL_RANGE_MPEG;
    if (c->codec_id == AV_CODEC_ID_H264) {
        av_dict_set(opts, "preset", "veryfast", 0);
        av_dict_set_int(opts, "crf", quality, 0);
    } else {
        c->flags |= AV_CODEC_FLAG_QSCALE;
        c->global_quality = FF_QP2LAMBDA * (quality / 6 > 1 ? quality / 6 : 1);
    }
}

/* RGB, and what was learnt from a picture kept for the next ones: small pictures need that. */
static void set_lossless(AVCodecContext *c, AVDictionary **opts)
{
    c->pix_fmt = AV_PIX_FMT_0RGB32;
    c->level = 1;
    c->gop_size = LOSSLESS_GOP;
    av_dict_set(opts, "coder", "range_def", 0);
    av_dict_set(opts, "context", "1", 0);
}

static int open_pictures(struct writer *w, const struct writer_options *o, enum kind kind,
                         struct error *err)
{
    struct track *t = &w->pictures;
    const AVCodec *codec = kind == KIND_MKV ? avcodec_find_encoder(AV_CODEC_ID_FFV1)
                                            : avcodec_find_encoder_by_name("libx264");
    AVDictionary *opts = NULL;
    if (!codec && kind == KIND_MP4)
        codec = avcodec_find_encoder(AV_CODEC_ID_MPEG4);
    t->encoder = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!t->encoder)
        return failed(w, AVERROR_ENCODER_NOT_FOUND, "write pictures", err);
    AVCodecContext *c = t->encoder;
    c->width = o->width & ~1;
    c->height = o->height & ~1;
    c->framerate = o->fps_num ? (AVRational){o->fps_num, o->fps_den} : (AVRational){25, 1};
    c->time_base = av_inv_q(c->framerate);
    if (o->own_times)
        c->time_base = (AVRational){1, c->framerate.num};
    while (o->own_times && c->time_base.den < LEAST_CLOCK)
        c->time_base.den *= 2;
    if (kind == KIND_MKV)
        set_lossless(c, &opts);
    else
        set_lossy(c, &opts, o->quality ? o->quality : DEFAULT_CRF);
    int rc = track_open(w, t, codec, &opts, err);
    av_dict_free(&opts);
    if (rc == 0 && o->rotation)
        rc = set_rotation(w, o->rotation, err);
    if (rc)
        return rc;
    if (o->sound_delay_s < 0)
        t->next = lrint(-o->sound_delay_s * av_q2d(c->framerate));
    t->stream->avg_frame_rate = c->framerate;
    t->frame->format = c->pix_fmt;
    t->frame->width = c->width;
    t->frame->height = c->height;
    w->scaler = sws_getContext(c->width, c->height, AV_PIX_FMT_RGB24, c->width, c->height,
                               c->pix_fmt, SWS_BILINEAR | SWS_ACCURATE_RND, NULL, NULL, NULL);
    rc = av_frame_get_buffer(t->frame, 0);
    return rc < 0 || !w->scaler ? failed(w, AVERROR(ENOMEM), "", err) : 0;
}

static int open_sound(struct writer *w, const struct writer_options *o, enum kind kind,
                      struct error *err)
{
    static const enum AVCodecID codecs[] = {[KIND_MP4] = AV_CODEC_ID_AAC,
                                            [KIND_MKV] = AV_CODEC_ID_FLAC,
                                            [KIND_WAV] = AV_CODEC_ID_PCM_S16LE};
    struct track *t = &w->sound;
    const AVCodec *codec = avcodec_find_encoder(codecs[kind]);
    t->encoder = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!t->encoder)
        return failed(w, AVERROR_ENCODER_NOT_FOUND, "write sound", err);
    AVCodecContext *c = t->encoder;
    c->sample_fmt = kind == KIND_MP4 ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_S16;
    c->sample_rate = o->sample_rate;
    c->time_base = (AVRational){1, o->sample_rate};
    c->bit_rate = 64000;
    av_channel_layout_default(&c->ch_layout, 1);
    int rc = track_open(w, t, codec, NULL, err);
    if (rc)
        return rc;
    if (o->sound_delay_s > 0)
        t->next = llrint(o->sound_delay_s * o->sample_rate);
    t->frame->format = c->sample_fmt;
    t->frame->sample_rate = c->sample_rate;
    t->frame->nb_samples = c->frame_size ? c->frame_size : PCM_FRAME;
    rc = av_channel_layout_copy(&t->frame->ch_layout, &c->ch_layout);
    if (rc >= 0)
        rc = av_frame_get_buffer(t->frame, 0);
    return rc < 0 ? failed(w, rc, "write sound", err) : 0;
}

static int keep_sound(struct writer *w, const struct AVStream *from, struct error *err)
{
    int rc = sound_track_open(&w->kept, w->muxer, from);
    return rc < 0 ? failed(w, rc, "write the sound", err) : 0;
}

static int check_options(const char *path, const struct writer_options *o, enum kind kind,
                         struct error *err)
{
    bool pictures = o->width || o->height;
    if (!pictures && !o->sample_rate)
        return error_set(err, ERROR_USAGE, "%s: neither pictures nor sound to write", path);
    if (kind == KIND_WAV && (pictures || !o->sample_rate))
        return error_set(err, ERROR_USAGE, "%s: a .wav file holds sound alone; use .mp4", path);
    if (pictures && (o->width < 2 || o->height < 2 || o->width > MAX_SIDE || o->height > MAX_SIDE))
        return error_set(err, ERROR_USAGE, "%s: pictures of %dx%d, expected 2..%d a side", path,
                         o->width, o->height, MAX_SIDE);
    if (pictures && (o->fps_num < 0 || o->fps_den < 0 || !o->fps_num != !o->fps_den))
        return error_set(err, ERROR_USAGE, "%s: picture rate %d/%d", path, o->fps_num, o->fps_den);
    if (o->quality < 0 || o->quality > (kind == KIND_MKV ? 0 : 51))
        return error_set(err, ERROR_USAGE, "%s: quality %d, expected %s", path, o->quality,
                         kind == KIND_MKV ? "none: an .mkv loses nothing" : "1..51");
    return 0;
}

static int open_muxer(struct writer *w, enum kind kind, struct error *err)
{
    static const char *const names[] = {
        [KIND_MP4] = "mp4", [KIND_MKV] = "matroska", [KIND_WAV] = "wav"};
    int rc = avformat_alloc_output_context2(&w->muxer, NULL, names[kind], NULL);
    uint8_t *buffer = rc < 0 ? NULL : av_malloc(IO_BYTES);
    w->packet = av_packet_alloc();
    if (!buffer || !w->packet)
        return failed(w, AVERROR(ENOMEM), "", err);
    w->muxer->pb = avio_alloc_context(buffer, IO_BYTES, 1, w, NULL, write_bytes, seek_bytes);
    if (!w->muxer->pb) {
        av_free(buffer);
        return failed(w, AVERROR(ENOMEM), "", err);
    }
    w->muxer->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT; /* no dates, no versions */
    return 0;
}

static enum kind kind_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".wav") == 0)
        return KIND_WAV;
    return dot && strcmp(dot, ".mkv") == 0 ? KIND_MKV : KIND_MP4;
}

int writer_open(struct writer **out, const char *path, const struct writer_options *o,
                struct error *err)
{
    const enum kind kind = kind_of(path);
    *out = NULL;
    int rc = check_options(path, o, kind, err);
    if (rc)
        return rc;
    av_log_set_level(AV_LOG_QUIET);
    struct writer *w = memory_new(1, sizeof *w);
    if (!w)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", path);
    rc = file_writer_open(&w->file, path, err);
    if (rc == 0)
        rc = open_muxer(w, kind, err);
    if (rc == 0 && o->width)
        rc = open_pictures(w, o, kind, err);
    if (rc == 0 && o->sample_rate)
        rc = open_sound(w, o, kind, err);
    if (rc == 0 && o->sound_stream)
        rc = keep_sound(w, o->sound_stream, err);
    if (rc == 0) {
        int code = avformat_write_header(w->muxer, NULL);
        if (code < 0)
            rc = failed(w, code, "begin the file", err);
    }
    if (rc) {
        writer_abandon(w);
        return rc;
    }
    *out = w;
    return 0;
}

int writer_picture(struct writer *w, const uint8_t *rgb, int stride, struct error *err)
{
    struct track *t = &w->pictures;
    if (!t->encoder)
        return error_set(err, ERROR_USAGE, "%s: opened without pictures", w->file.path);
    int rc = av_frame_make_writable(t->frame);
    if (rc < 0)
        return failed(w, rc, "encode", err);
    sws_scale(w->scaler, &rgb, &stride, 0, t->encoder->height, t->frame->data, t->frame->linesize);
    t->frame->pts = t->next++;
    return encode(w, t, t->frame, err);
}

int writer_picture_at(struct writer *w, const uint8_t *rgb, int stride, int64_t time_us,
                      struct error *err)
{
    struct track *t = &w->pictures;
    const int64_t time =
        t->encoder ? av_rescale_q(time_us, AV_TIME_BASE_Q, t->encoder->time_base) : 0;
    t->next = time > t->next ? time : t->next;
    return writer_picture(w, rgb, stride, err);
}

int writer_packet(struct writer *w, const struct AVPacket *packet, struct error *err)
{
    if (!w->kept.muxer)
        return error_set(err, ERROR_USAGE, "%s: opened without sound to keep", w->file.path);
    int rc = sound_track_packet(&w->kept, packet);
    return rc < 0 ? failed(w, rc, "write the sound", err) : 0;
}

static int send_sound(struct writer *w, struct error *err)
{
    struct track *t = &w->sound;
    int full = t->frame->nb_samples;
    t->frame->nb_samples = t->filled;
    t->frame->pts = t->next;
    int rc = encode(w, t, t->frame, err);
    t->frame->nb_samples = full;
    t->next += t->filled;
    t->filled = 0;
    return rc;
}

static void store_sample(AVFrame *frame, int i, float x)
{
    x = x > 1 ? 1 : x > -1 ? x : -1;        /* also turns NaN into -1 */
    if (frame->format == AV_SAMPLE_FMT_S16) /* readers divide by 32768 */
        ((int16_t *)frame->data[0])[i] = (int16_t)fminf(rintf(x * 32768), INT16_MAX);
    else
        ((float *)frame->data[0])[i] = x;
}

int writer_sound(struct writer *w, const float *pcm, int64_t count, struct error *err)
{
    struct track *t = &w->sound;
    if (!t->encoder)
        return error_set(err, ERROR_USAGE, "%s: opened without sound", w->file.path);
    while (count > 0) {
        if (t->filled == 0) { /* the encoder may still hold the last one */
            int rc = av_frame_make_writable(t->frame);
            if (rc < 0)
                return failed(w, rc, "encode", err);
        }
        int take = t->frame->nb_samples - t->filled;
        if (take > count)
            take = (int)count;
        for (int i = 0; i < take; i++)
            store_sample(t->frame, t->filled + i, pcm[i]);
        t->filled += take;
        pcm += take;
        count -= take;
        if (t->filled == t->frame->nb_samples) {
            int rc = send_sound(w, err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

int writer_close(struct writer *w, struct error *err)
{
    int rc = 0;
    if (w->sound.filled)
        rc = send_sound(w, err);
    if (rc == 0 && w->pictures.encoder)
        rc = encode(w, &w->pictures, NULL, err);
    if (rc == 0 && w->sound.encoder)
        rc = encode(w, &w->sound, NULL, err);
    if (rc == 0 && w->kept.muxer) {
        int code = sound_track_finish(&w->kept);
        rc = code < 0 ? failed(w, code, "write the sound", err) : 0;
    }
    if (rc == 0) {
        int code = av_write_trailer(w->muxer);
        if (code < 0 || w->write_error)
            rc = failed(w, code, "finish the file", err);
    }
    if (rc == 0)
        rc = file_writer_commit(&w->file, err);
    writer_abandon(w);
    return rc;
}
