/*
 * Packets straight to the muxer, or
 *
 *     packet -> decoder -> [aresample: gaps filled, float, frames of the encoder's size] -> AAC
 */
#include "media/sound_track.h"

#include <stdbool.h>
#include <stdio.h>

#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/channel_layout.h>
#include <libavutil/common.h>

#define AAC_BITS_PER_SAMPLE 2.7 /* of each channel: 128 kbit/s at 48 kHz */
#define AAC_MAX_RATE 48000

static int write_packet(struct sound_track *t, AVPacket *packet, AVRational base)
{
    av_packet_rescale_ts(packet, base, t->to->time_base);
    if (packet->dts == AV_NOPTS_VALUE)
        packet->dts = packet->pts;
    if (packet->dts == AV_NOPTS_VALUE || packet->dts < t->next)
        packet->dts = t->next;
    if (packet->pts == AV_NOPTS_VALUE || packet->pts < packet->dts)
        packet->pts = packet->dts;
    t->next = av_sat_add64(packet->dts, 1);
    packet->stream_index = t->to->index;
    packet->pos = -1;
    return av_interleaved_write_frame(t->muxer, packet);
}

/* ---- encoded anew ---- */

static int open_decoder(struct sound_track *t)
{
    const AVCodec *codec = avcodec_find_decoder(t->from->codecpar->codec_id);
    t->decoder = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!t->decoder)
        return codec ? AVERROR(ENOMEM) : AVERROR_DECODER_NOT_FOUND;
    int rc = avcodec_parameters_to_context(t->decoder, t->from->codecpar);
    t->decoder->pkt_timebase = t->from->time_base;
    t->decoder->thread_count = 1;
    return rc < 0 ? rc : avcodec_open2(t->decoder, codec, NULL);
}

static int open_encoder(struct sound_track *t)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_AAC);
    AVCodecContext *c = t->encoder = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!c)
        return codec ? AVERROR(ENOMEM) : AVERROR_ENCODER_NOT_FOUND;
    const int channels = t->from->codecpar->ch_layout.nb_channels;
    c->sample_rate = FFMIN(t->decoder->sample_rate, AAC_MAX_RATE);
    for (int i = 0; codec->supported_samplerates && codec->supported_samplerates[i]; i++)
        if (codec->supported_samplerates[i] == c->sample_rate)
            break;
        else if (!codec->supported_samplerates[i + 1])
            c->sample_rate = AAC_MAX_RATE;
    av_channel_layout_default(&c->ch_layout, channels > 1 ? 2 : 1);
    c->sample_fmt = AV_SAMPLE_FMT_FLTP;
    c->time_base = (AVRational){1, c->sample_rate};
    c->bit_rate = (int64_t)(AAC_BITS_PER_SAMPLE * c->sample_rate * c->ch_layout.nb_channels);
    if (t->muxer->oformat->flags & AVFMT_GLOBALHEADER)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    c->thread_count = 1;
    int rc = avcodec_open2(c, codec, NULL);
    rc = rc < 0 ? rc : avcodec_parameters_from_context(t->to->codecpar, c);
    t->to->time_base = c->time_base;
    return rc;
}

/* What the decoder's frames are is known with the first of them. */
static int open_graph(struct sound_track *t, const AVFrame *first)
{
    char layout[64], in[256], chain[256];
    const AVCodecContext *c = t->encoder;
    AVChannelLayout from = first->ch_layout;
    if (from.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&from, first->ch_layout.nb_channels);
    av_channel_layout_describe(&from, layout, sizeof layout);
    const AVRational base = t->from->time_base;
    snprintf(in, sizeof in, "time_base=%d/%d:sample_rate=%d:sample_fmt=%d:channel_layout=%s",
             base.num, base.den, first->sample_rate, first->format, layout);
    snprintf(chain, sizeof chain,
             "aresample=%d:async=1:min_hard_comp=0.1,aformat=sample_fmts=fltp:channel_layouts=%s",
             c->sample_rate, c->ch_layout.nb_channels > 1 ? "stereo" : "mono");
    t->graph = avfilter_graph_alloc();
    AVFilterInOut *ins = avfilter_inout_alloc(), *outs = avfilter_inout_alloc();
    int rc = t->graph && ins && outs ? 0 : AVERROR(ENOMEM);
    rc = rc ? rc
            : avfilter_graph_create_filter(&t->in, avfilter_get_by_name("abuffer"), "in", in, NULL,
                                           t->graph);
    rc = rc < 0 ? rc
                : avfilter_graph_create_filter(&t->out, avfilter_get_by_name("abuffersink"), "out",
                                               NULL, NULL, t->graph);
    if (rc >= 0) {
        *outs = (AVFilterInOut){.name = av_strdup("in"), .filter_ctx = t->in};
        *ins = (AVFilterInOut){.name = av_strdup("out"), .filter_ctx = t->out};
        rc = avfilter_graph_parse_ptr(t->graph, chain, &ins, &outs, NULL);
    }
    rc = rc < 0 ? rc : avfilter_graph_config(t->graph, NULL);
    if (rc >= 0)
        av_buffersink_set_frame_size(t->out, (unsigned)c->frame_size);
    avfilter_inout_free(&ins);
    avfilter_inout_free(&outs);
    return rc;
}

/* A frame (NULL: the end) into the encoder, and what comes out of it to the muxer. */
static int encode(struct sound_track *t, AVFrame *frame)
{
    if (frame)
        frame->pts =
            av_rescale_q(frame->pts, av_buffersink_get_time_base(t->out), t->encoder->time_base);
    int rc = avcodec_send_frame(t->encoder, frame);
    while (rc >= 0) {
        rc = avcodec_receive_packet(t->encoder, t->packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return 0;
        if (rc >= 0)
            rc = write_packet(t, t->packet, t->encoder->time_base);
    }
    return rc;
}

/* A frame (NULL: the end) through the filters. */
static int filter(struct sound_track *t, AVFrame *frame)
{
    int rc = t->graph || !frame ? 0 : open_graph(t, frame);
    if (rc < 0 || !t->graph)
        return rc;
    rc = av_buffersrc_add_frame(t->in, frame);
    while (rc >= 0) {
        rc = av_buffersink_get_frame(t->out, t->frame);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return 0;
        rc = rc < 0 ? rc : encode(t, t->frame);
        av_frame_unref(t->frame);
    }
    return rc;
}

/* A packet (NULL: the end) into the decoder; what is damaged is passed over. */
static int decode(struct sound_track *t, const AVPacket *packet)
{
    int rc = avcodec_send_packet(t->decoder, packet);
    if (rc < 0)
        return rc == AVERROR(ENOMEM) ? rc : 0;
    for (;;) {
        rc = avcodec_receive_frame(t->decoder, t->frame);
        if (rc < 0)
            return rc == AVERROR(ENOMEM) ? rc : 0;
        t->frame->pts = t->frame->best_effort_timestamp;
        rc = filter(t, t->frame);
        if (rc < 0)
            return rc;
    }
}

/* ---- the track ---- */

int sound_track_open(struct sound_track *t, AVFormatContext *muxer, const AVStream *from)
{
    *t = (struct sound_track){.from = from, .muxer = muxer, .next = INT64_MIN / 2};
    t->packet = av_packet_alloc();
    t->to = avformat_new_stream(muxer, NULL);
    if (!t->packet || !t->to)
        return AVERROR(ENOMEM);
    if (avformat_query_codec(muxer->oformat, from->codecpar->codec_id, FF_COMPLIANCE_NORMAL) == 1) {
        int rc = avcodec_parameters_copy(t->to->codecpar, from->codecpar);
        t->to->codecpar->codec_tag = 0; /* the other container's name for it */
        t->to->time_base = from->time_base;
        return rc;
    }
    t->frame = av_frame_alloc();
    int rc = t->frame ? open_decoder(t) : AVERROR(ENOMEM);
    return rc < 0 ? rc : open_encoder(t);
}

int sound_track_packet(struct sound_track *t, const AVPacket *packet)
{
    if (t->decoder)
        return decode(t, packet);
    int rc = av_packet_ref(t->packet, packet);
    return rc < 0 ? rc : write_packet(t, t->packet, t->from->time_base);
}

int sound_track_finish(struct sound_track *t)
{
    if (!t->decoder)
        return 0;
    int rc = decode(t, NULL);
    rc = rc < 0 ? rc : filter(t, NULL);
    return rc < 0 ? rc : encode(t, NULL);
}

void sound_track_release(struct sound_track *t)
{
    avcodec_free_context(&t->decoder);
    avcodec_free_context(&t->encoder);
    avfilter_graph_free(&t->graph);
    av_frame_free(&t->frame);
    av_packet_free(&t->packet);
}
